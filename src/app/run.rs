//! The daemon's life: start, follow signals, files and the next process, drain, end.

use tokio::signal::unix::Signal;

use super::{
    App, Outside,
    prepare::{Prepared, Ready, Start, Unstartable},
    reload::{Cause, Reloads, errors},
    watch::Watch,
};
use crate::{handover::Service, observe::Stop};

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

/// Serves what was `prepared` until SIGTERM or SIGINT, or until another process takes over,
/// and follows its file: at SIGHUP, and when it or a file it names changes.
///
/// Needs a runtime with I/O and time that serves nobody else. Dropping the future
/// ends everything at once.
pub async fn run(prepared: Prepared, outside: Outside) -> End {
    let events = outside.events.clone();
    let Ready {
        mut stop,
        mut asked,
        service,
        open_files,
        start,
    } = match prepared.0 {
        Ok(ready) => ready,
        Err(error) => {
            events.not_started(&error);
            return End::Failed;
        }
    };
    if let Err(error) = open_files {
        events.open_files_kept(&error);
    }
    let start = match start {
        Ok(start) => start,
        Err(Unstartable::Refused(problems)) => {
            events.configuration_unusable(errors(&problems));
            return End::Misconfigured;
        }
        Err(Unstartable::Inheritance(error)) => {
            events.not_started(&error);
            return End::Failed;
        }
    };
    start.say(&events);
    let Start {
        path,
        loaded,
        inheritance,
        reach,
        ..
    } = start;
    let mut app = match App::follow(loaded.snapshot, outside, inheritance) {
        Ok(app) => app,
        Err(why) => {
            events.not_started(&why);
            return End::Failed;
        }
    };
    service.ready();
    let reloads = Reloads::of(path, &loaded.files, reach);
    let why = tokio::select! {
        why = stop.asked() => why,
        why = follow(&mut app, reloads, &mut asked, &service) => why,
    };
    service.stopping();
    let mut draining = Box::pin(app.stop(why));
    tokio::select! {
        // The first was taken above: this is another one, from somebody in a hurry.
        _ = stop.asked() => {
            // Dropping it would wait for the workers' threads; the process ends now.
            std::mem::forget(draining);
            End::Cut
        }
        () = &mut draining => match why {
            Stop::Terminate | Stop::Interrupt | Stop::HandedOver => End::Drained,
            Stop::WorkerLost => End::Failed,
        },
    }
}

/// Keeps `app` in step with its file, one reload after the other, until a worker is lost or
/// another process has taken over.
async fn follow(
    app: &mut App,
    mut reloads: Reloads,
    asked: &mut Signal,
    service: &Service,
) -> Stop {
    let events = app.outside.events.clone();
    let (mut watch, failed) = Watch::new();
    if let Some(error) = failed {
        events.watch_failed(reloads.path(), &error);
    }
    // Nobody else takes them.
    let mut calls = app.take_reload_calls();
    let mut offer = app.take_offer();
    loop {
        for (folder, error) in watch.follow(reloads.files()) {
            events.watch_failed(&folder, &error);
        }
        let call = async { calls.as_mut()?.recv().await };
        let heir = async { Some(offer.as_mut()?.heir().await) };
        let (cause, caller) = tokio::select! {
            () = app.worker_lost() => return Stop::WorkerLost,
            Some(heir) = heir => {
                app.hand_over(heir).await;
                return Stop::HandedOver;
            }
            Some(()) = asked.recv() => (Cause::Asked, None),
            Some(caller) = call => (Cause::Asked, Some(caller)),
            () = watch.settled() => (Cause::Noticed, None),
        };
        if cause == Cause::Asked {
            service.reloading();
        }
        let outcome = reloads.reload(app, cause).await;
        if cause == Cause::Asked {
            service.ready();
        }
        if let Some(caller) = caller {
            // Who has gone away can read it in the log.
            let _ = caller.send(outcome);
        }
    }
}
