//! The daemon's life: start, follow signals and files, drain, end.

use std::{io, path::PathBuf};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    App, Outside, limits,
    reload::{Cause, Reloads, errors, warn},
    watch::Watch,
};
use crate::{config, observe::Stop};

/// How the daemon ended; everything there is to say has been logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was asked to, and drained.
    Drained,
    /// It was asked twice, and left requests behind.
    Cut,
    /// The configuration it should start with is refused; nothing was started.
    Misconfigured,
    /// It could not start, or not go on.
    Failed,
}

/// Serves what the file at `path` says until SIGTERM or SIGINT, and follows the
/// file: at SIGHUP, and when it or a file it names changes.
///
/// Needs a runtime with I/O and time that serves nobody else. Dropping the future
/// ends everything at once.
pub async fn run(path: PathBuf, outside: Outside) -> End {
    let events = outside.events.clone();
    // Before anything else: until it is taken over, SIGHUP ends the process.
    let (mut stop, mut asked) = match signals() {
        Ok(signals) => signals,
        Err(error) => {
            events.not_started(&error);
            return End::Failed;
        }
    };
    if let Err(error) = limits::raise_open_files() {
        events.open_files_kept(&error);
    }
    let loaded = match config::load(&path, 1) {
        Ok(loaded) => loaded,
        Err(problems) => {
            events.configuration_unusable(errors(&problems));
            return End::Misconfigured;
        }
    };
    warn(&events, &loaded.warnings);
    let mut app = match App::start(loaded.snapshot, outside) {
        Ok(app) => app,
        Err(why) => {
            events.not_started(&why);
            return End::Failed;
        }
    };
    let reloads = Reloads::of(path, &loaded.files);
    let why = tokio::select! {
        why = stop.asked() => why,
        why = follow(&mut app, reloads, &mut asked) => why,
    };
    let mut draining = Box::pin(app.stop(why));
    tokio::select! {
        // The first was taken above: this is another one, from somebody in a hurry.
        _ = stop.asked() => {
            // Dropping it would wait for the workers' threads; the process ends now.
            std::mem::forget(draining);
            End::Cut
        }
        () = &mut draining => match why {
            Stop::Terminate | Stop::Interrupt => End::Drained,
            Stop::WorkerLost => End::Failed,
        },
    }
}

/// Keeps `app` in step with its file, one reload after the other, until a worker is lost.
async fn follow(app: &mut App, mut reloads: Reloads, asked: &mut Signal) -> Stop {
    let events = app.outside.events.clone();
    let (mut watch, failed) = Watch::new();
    if let Some(error) = failed {
        events.watch_failed(reloads.path(), &error);
    }
    // Nobody else takes them.
    let mut calls = app.take_reload_calls();
    loop {
        for (folder, error) in watch.follow(reloads.files()) {
            events.watch_failed(&folder, &error);
        }
        let call = async { calls.as_mut()?.recv().await };
        let (cause, caller) = tokio::select! {
            () = app.worker_lost() => return Stop::WorkerLost,
            Some(()) = asked.recv() => (Cause::Asked, None),
            Some(caller) = call => (Cause::Asked, Some(caller)),
            () = watch.settled() => (Cause::Noticed, None),
        };
        let outcome = reloads.reload(app, cause).await;
        if let Some(caller) = caller {
            // Who has gone away can read it in the log.
            let _ = caller.send(outcome);
        }
    }
}

/// The signals that end the daemon.
struct Stopping {
    terminate: Signal,
    interrupt: Signal,
}

impl Stopping {
    /// Returns at the next one. Dropping it loses none.
    async fn asked(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.interrupt.recv() => Stop::Interrupt,
        }
    }
}

/// Takes over the signals that end the daemon, and the one that asks for a reload.
fn signals() -> io::Result<(Stopping, Signal)> {
    let stopping = Stopping {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    };
    Ok((stopping, signal(SignalKind::hangup())?))
}
