//! The signals the daemon obeys.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::observe::Stop;

/// The signals that end the daemon.
#[derive(Debug)]
pub(super) struct Stopping {
    terminate: Signal,
    interrupt: Signal,
}

impl Stopping {
    /// Returns at the next one. Dropping it loses none.
    pub(super) async fn asked(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.interrupt.recv() => Stop::Interrupt,
        }
    }
}

/// Takes over the signals that end the daemon, and the one that asks for a reload.
pub(super) fn signals() -> io::Result<(Stopping, Signal)> {
    let stopping = Stopping {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    };
    Ok((stopping, signal(SignalKind::hangup())?))
}
