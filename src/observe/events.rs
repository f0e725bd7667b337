//! Every line the daemon logs, with what it counts at the same time.
//!
//! A line is a short phrase that never changes, and facts as fields. Levels:
//! error, someone must act; warn, we coped and someone may want to know; info,
//! the operator's own act took effect; debug, one request.

use std::{error::Error, fmt, net::SocketAddr, path::Path, time::Duration};

use tracing::{error, info, warn};

use super::{
    Events,
    metrics::{FailureLabels, ResultLabels},
    registry::reason,
};
use crate::{policy::Failure, time::Timestamp};

/// What every line is said under, so that filters do not depend on file names.
pub(super) const TARGET: &str = "warmfront";

/// Why the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
    /// Another process serves.
    HandedOver,
    /// A worker ended that should not have.
    WorkerLost,
}

impl Stop {
    /// The word the log uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::HandedOver => "handed over",
            Self::WorkerLost => "worker lost",
        }
    }
}

/// The life of the process.
impl Events {
    /// The daemon cannot start; nothing serves.
    pub fn not_started(&self, cause: &dyn fmt::Display) {
        let cause = Plain(cause);
        error!(target: TARGET, %cause, "not started");
    }

    /// The limit on open files could not be raised.
    pub fn open_files_kept(&self, cause: &dyn fmt::Display) {
        warn!(target: TARGET, %cause, "the limit on open files stays as it is");
    }

    /// A listener is open, and its connections are served from now on.
    pub fn listening(&self, address: SocketAddr, door: &'static str) {
        info!(target: TARGET, %address, door, "listening");
    }

    /// A listener was closed, because the configuration no longer has it.
    pub fn listener_closed(&self, address: SocketAddr) {
        info!(target: TARGET, %address, "listener closed");
    }

    /// The daemon serves its first configuration.
    pub fn started(&self, generation: u64, digest: &str, workers: usize) {
        self.running(generation);
        let version = env!("CARGO_PKG_VERSION");
        info!(target: TARGET, version, generation, digest, workers, "started");
    }

    /// No new connections; those that are open may finish within `at_most`.
    pub fn draining(&self, why: Stop, at_most: Duration) {
        info!(target: TARGET, why = why.as_str(), ?at_most, "draining");
    }

    /// The time to drain ran out with work left, which is cut off.
    pub fn drain_overdue(&self, connections: usize) {
        warn!(target: TARGET, connections, "drain timeout reached, closing what is left");
    }

    /// The daemon ends.
    pub fn stopped(&self) {
        info!(target: TARGET, "stopped");
    }

    /// Something panicked: a defect. It ended one request, or one thread.
    pub fn panicked(&self, thread: &str, place: &str, panic: &str) {
        self.families.panics.one();
        let panic = Plain(panic);
        error!(target: TARGET, thread, place, %panic, "panic");
    }

    /// The admin listener's thread ended; the viewers' go on.
    pub fn admin_stopped(&self, cause: &dyn fmt::Display) {
        let cause = Plain(cause);
        error!(target: TARGET, %cause, "admin listener stopped");
    }

    /// A connection could not be accepted, mostly for want of file descriptors.
    /// Said once a second.
    pub fn accept_failed(&self, address: SocketAddr, cause: &dyn fmt::Display, now: Timestamp) {
        if let Some(suppressed) = self.quiet.may_say(&format!("accept {address}"), now) {
            let cause = Plain(cause);
            warn!(target: TARGET, %address, %cause, suppressed, "connection not accepted");
        }
    }
}

/// Configuration.
impl Events {
    /// A new configuration serves every request that begins from now on.
    pub fn configuration_reloaded(&self, generation: u64, digest: &str, listeners: usize) {
        self.running(generation);
        self.reload(Reload::Ok);
        info!(target: TARGET, generation, digest, listeners, "configuration reloaded");
    }

    /// What is on disk is what already runs.
    pub fn configuration_unchanged(&self, generation: u64) {
        self.families.last_reload_ok.set(1);
        info!(target: TARGET, generation, "configuration unchanged");
    }

    /// The configuration to start with is refused; one line per problem.
    pub fn configuration_unusable<P: fmt::Display>(&self, problems: impl IntoIterator<Item = P>) {
        let problems = told(problems);
        error!(target: TARGET, problems, "configuration refused, nothing started");
    }

    /// A configuration was refused, and changed nothing; one line per problem,
    /// and the generation that goes on running.
    pub fn configuration_refused<P: fmt::Display>(
        &self,
        running: u64,
        problems: impl IntoIterator<Item = P>,
    ) {
        self.reload(Reload::Failed);
        let problems = told(problems);
        error!(target: TARGET, problems, running, "configuration refused");
    }

    /// Something in a configuration that works may not be what was meant.
    pub fn configuration_warning(&self, warning: &dyn fmt::Display) {
        let warning = Plain(warning);
        warn!(target: TARGET, %warning, "configuration warning");
    }

    /// Changes on disk are only seen by the slow poll, or by SIGHUP.
    pub fn watch_failed(&self, path: &Path, cause: &dyn fmt::Display) {
        let (path, cause) = (path.display(), Plain(cause));
        warn!(target: TARGET, %path, %cause, "configuration not watched, polling instead");
    }

    fn running(&self, generation: u64) {
        self.families.generation.set(generation);
        self.families.last_reload_ok.set(1);
    }

    fn reload(&self, result: Reload) {
        self.families
            .last_reload_ok
            .set(i64::from(result == Reload::Ok));
        self.families.reloads.get_or_create(&result.labels()).inc();
    }

    /// Both results are shown from the start: a rate over a series that only
    /// appears with its first event misses that event.
    pub(super) fn show_reloads(&self) {
        for result in [Reload::Ok, Reload::Failed] {
            drop(self.families.reloads.get_or_create(&result.labels()));
        }
        self.families.last_reload_ok.set(1);
    }
}

/// Says each problem in a line of its own; how many there were.
fn told<P: fmt::Display>(problems: impl IntoIterator<Item = P>) -> usize {
    let say = |problem| error!(target: TARGET, problem = %Plain(problem), "configuration problem");
    problems.into_iter().map(say).count()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reload {
    Ok,
    Failed,
}

impl Reload {
    const fn labels(self) -> ResultLabels {
        ResultLabels {
            result: match self {
                Self::Ok => "ok",
                Self::Failed => "failed",
            },
        }
    }
}

/// Origins.
impl Events {
    /// An attempt at an origin failed. Counted each time, said once a second.
    pub fn origin_failed(
        &self,
        origin: &str,
        failure: &Failure,
        cause: &(dyn Error + 'static),
        now: Timestamp,
    ) {
        let reason = reason(failure.phase, failure.timed_out);
        let series = FailureLabels {
            origin: origin.to_owned(),
            reason,
        };
        self.families.origin_failures.get_or_create(&series).inc();
        if let Some(suppressed) = self.quiet.may_say(origin, now) {
            let cause = Plain(Chain(cause));
            warn!(target: TARGET, origin, reason, %cause, suppressed, "origin failed");
        }
    }
}

/// Text that may quote what others sent us, without the control characters that
/// would rewrite a terminal.
pub(super) struct Plain<T>(pub(super) T);

impl<T: fmt::Display> fmt::Display for Plain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string().chars() {
            match c {
                c if c.is_control() => write!(f, "{}", c.escape_default())?,
                c => fmt::Write::write_char(f, c)?,
            }
        }
        Ok(())
    }
}

/// An error and its sources, in one line.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut whole = self.0.to_string();
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = error.to_string();
            // Some errors print their sources themselves.
            if !whole.contains(&text) {
                whole += ": ";
                whole += &text;
            }
            next = error.source();
        }
        f.write_str(&whole)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{
        super::{Format, trace::logged},
        *,
    };
    use crate::policy::failover::{Blame, Phase, Retry};

    #[derive(Debug, thiserror::Error)]
    #[error("sending to api.example.com")]
    struct Outer(#[source] io::Error);

    const DOWN: Failure = Failure {
        blame: Blame::Network,
        phase: Phase::Connect,
        timed_out: false,
        retry: Retry::Unsent,
    };

    #[test]
    fn an_origin_that_is_down_is_said_once_a_second_with_what_was_left_out() {
        let events = Events::new();
        let cause = Outer(io::Error::other("connection refused"));
        let lines = logged("info", Format::Text, || {
            for second in [5, 5, 5, 6] {
                events.origin_failed("api", &DOWN, &cause, Timestamp::from_unix(second));
            }
        });
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        let cause = "cause=sending to api.example.com: connection refused";
        assert!(
            lines[0].contains(cause) && lines[0].ends_with("suppressed=0"),
            "{lines:?}"
        );
        assert!(lines[1].ends_with("suppressed=2"), "{lines:?}");
    }

    #[test]
    fn what_an_origin_says_cannot_rewrite_the_terminal() {
        let cause = io::Error::other("bad name \u{1b}[2Jforged\n");
        let line = logged("info", Format::Text, || {
            Events::new().origin_failed("api", &DOWN, &cause, Timestamp::from_unix(1));
        });
        assert!(
            line.contains("cause=bad name \\u{1b}[2Jforged\\n suppressed=0"),
            "{line}"
        );
    }

    #[test]
    fn every_problem_of_a_refused_configuration_has_its_own_line() {
        let lines = logged("info", Format::Text, || {
            Events::new().configuration_refused(3, ["a.toml:1: x: y", "a.toml:2: z: w"]);
        });
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1].contains("problem=a.toml:2: z: w"), "{lines:?}");
        assert!(lines[2].contains("problems=2 running=3"), "{lines:?}");
    }
}
