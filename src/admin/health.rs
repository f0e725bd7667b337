//! Whether the daemon lives, whether to send it traffic, and its metrics.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header::CONTENT_TYPE};
use serde::Serialize;

use super::{Facts, json::Refusal};
use crate::{observe::Events, site::Scope};

/// Where the daemon is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not yet serving.
    Starting,
    /// Serving.
    Ready,
    /// Finishing what is under way; new connections are refused.
    Draining,
}

/// The phase, shared; clones see the same one. Starts as [`Phase::Starting`].
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

impl Readiness {
    /// Moves on to `phase`.
    pub fn enter(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Release);
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }
}

#[derive(Serialize)]
struct Status<S> {
    status: S,
}

/// The process runs and this listener answers; nothing else is claimed.
pub(super) async fn live() -> Response {
    Json(Status { status: "live" }).into_response()
}

/// 200 when viewers are served, else 503.
pub(super) async fn ready(State(facts): State<Facts>) -> Response {
    let status = facts.readiness.phase();
    let code = match status {
        Phase::Ready => StatusCode::OK,
        Phase::Starting | Phase::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(Status { status })).into_response()
}

/// Every metric. On a loopback address whoever is on this machine may read them; elsewhere
/// a token is needed, since path patterns and traffic are the operator's business.
pub(super) async fn metrics(
    State(facts): State<Facts>,
    request: Request,
) -> Result<Response, Refusal> {
    if !facts.address.ip().to_canonical().is_loopback() {
        let (head, _) = request.into_parts();
        facts.admit(&head, &[Scope::Read])?;
    }
    Ok(([(CONTENT_TYPE, Events::MEDIA_TYPE)], facts.events.encode()).into_response())
}
