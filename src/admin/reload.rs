//! Loading the configuration anew, as at SIGHUP, with what came of it.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::{Facts, json::Refusal};
use crate::{
    config::{Problem, Severity},
    site::Scope,
};

/// Calls that may wait for their reload; each is a file to read.
const WAITING_MAX: usize = 16;

/// What came of a reload.
#[derive(Debug)]
pub enum Reloaded {
    /// Every request that begins from now on is served by this generation.
    Applied {
        /// The generation.
        generation: u64,
        /// What may surprise somebody.
        warnings: Vec<Complaint>,
    },
    /// What is on disk is what already runs.
    Unchanged {
        /// The generation.
        generation: u64,
    },
    /// Nothing has changed.
    Refused {
        /// The generation that goes on.
        running: u64,
        /// Why, in the file's order.
        problems: Vec<Complaint>,
    },
}

/// A problem of a configuration, as programs read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Complaint {
    /// The file; empty for what no file says.
    pub file: String,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column, from 1.
    pub column: Option<usize>,
    /// The path of the key.
    pub key: String,
    /// `error` or `warning`.
    pub severity: &'static str,
    /// What was seen, and why it will not do.
    pub what: String,
    /// What would do.
    pub hint: Option<String>,
}

impl From<&Problem> for Complaint {
    fn from(problem: &Problem) -> Self {
        Self {
            file: problem.file().to_owned(),
            line: problem.line(),
            column: problem.column(),
            key: problem.key().to_owned(),
            severity: match problem.severity() {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            what: problem.what().to_owned(),
            hint: problem.hint().map(str::to_owned),
        }
    }
}

impl Complaint {
    /// A problem of the machine, of which no file says anything.
    pub fn of_machine(what: String) -> Self {
        Self {
            file: String::new(),
            line: None,
            column: None,
            key: String::new(),
            severity: "error",
            what,
            hint: None,
        }
    }
}

/// Somebody waits for a reload, and for what comes of it.
pub type ReloadCall = oneshot::Sender<Reloaded>;

/// Where reloads are asked for; clones ask at the same place.
#[derive(Clone, Debug)]
pub struct Reloads(mpsc::Sender<ReloadCall>);

impl Reloads {
    /// A place to ask, and where the calls arrive.
    pub fn new() -> (Self, mpsc::Receiver<ReloadCall>) {
        let (calls, arriving) = mpsc::channel(WAITING_MAX);
        (Self(calls), arriving)
    }

    /// Asks for a reload; `None` when nobody reloads here, or too many wait.
    async fn ask(&self) -> Option<Reloaded> {
        let (tell, told) = oneshot::channel();
        self.0.try_send(tell).ok()?;
        told.await.ok()
    }
}

/// The answer when it was loaded.
#[derive(Serialize)]
struct Loaded {
    generation: u64,
    changed: bool,
    warnings: Vec<Complaint>,
}

/// The answer when it was refused.
#[derive(Serialize)]
struct RefusedConfiguration {
    error: &'static str,
    message: &'static str,
    running: u64,
    problems: Vec<Complaint>,
}

const NOBODY: Refusal = Refusal::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "not_reloading",
    "the daemon is ending, or too many reloads wait",
);

/// `POST /v1/reload`
pub(super) async fn reload(
    State(facts): State<Facts>,
    request: Request,
) -> Result<Response, Refusal> {
    let (head, _) = request.into_parts();
    let admitted = facts.admit(&head, &[Scope::Reload])?;
    facts.events.reload_asked(&admitted.caller.0);
    let loaded = |generation, changed, warnings| {
        Json(Loaded {
            generation,
            changed,
            warnings,
        })
        .into_response()
    };
    Ok(match facts.reloads.ask().await.ok_or(NOBODY)? {
        Reloaded::Applied {
            generation,
            warnings,
        } => loaded(generation, true, warnings),
        Reloaded::Unchanged { generation } => loaded(generation, false, Vec::new()),
        Reloaded::Refused { running, problems } => {
            let refused = RefusedConfiguration {
                error: "configuration_refused",
                message: "the configuration has problems, and nothing was changed",
                running,
                problems,
            };
            (StatusCode::UNPROCESSABLE_ENTITY, Json(refused)).into_response()
        }
    })
}
