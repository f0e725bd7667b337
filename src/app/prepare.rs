//! What the daemon does while it is a single thread: read, inherit, and give up the rest.
//!
//! Two things want that: taking variables out of the environment, and Landlock, which holds
//! for the thread that asks and those it starts. So not even the log's thread is there yet;
//! what was found is said once it is.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    confine::kept,
    inheritance::Inheritance,
    limits,
    reload::{all_files, warn},
    signals::{Stopping, signals},
};
use crate::{
    config::{self, Loaded, Problems},
    confine::{Degree, Folders, confine},
    handover::Service,
    observe::Events,
};
use tokio::signal::unix::Signal;

/// How a process comes to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Succession {
    /// On its own; an address that somebody else listens at is an error.
    Begin,
    /// In the place of the process that offers its sockets at `server.hand_over`, if there is one.
    TakeOver,
}

/// A daemon that is ready to be [run](super::run), or the reason why it is not.
#[derive(Debug)]
pub struct Prepared(pub(super) io::Result<Ready>);

#[derive(Debug)]
pub(super) struct Ready {
    pub(super) stop: Stopping,
    pub(super) asked: Signal,
    pub(super) service: Service,
    /// Whether the limit on open files could be raised.
    pub(super) open_files: io::Result<()>,
    pub(super) start: Result<Start, Unstartable>,
}

/// What to start with.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) path: PathBuf,
    pub(super) loaded: Loaded,
    pub(super) inheritance: Inheritance,
    /// The folders that a reload may read; `None`: any.
    pub(super) reach: Option<Vec<PathBuf>>,
    succession: Succession,
    confined: Option<Confined>,
}

/// Why nothing is started.
#[derive(Debug)]
pub(super) enum Unstartable {
    /// The configuration is refused.
    Refused(Problems),
    /// What others have for this process cannot be had.
    Inheritance(io::Error),
}

/// What became of giving up files.
#[derive(Debug)]
struct Confined {
    folders: usize,
    degree: Result<Degree, String>,
}

/// Takes over the signals, reads the configuration at `path`, takes the sockets it is given,
/// and gives up the files it does not need. Blocks while it reads.
///
/// To be called within a runtime, and before there is any other thread.
pub fn prepare(path: PathBuf, succession: Succession) -> Prepared {
    // Before anything else: until it is taken over, SIGHUP ends the process.
    Prepared(signals().map(|(stop, asked)| Ready {
        stop,
        asked,
        service: Service::from_environment(),
        open_files: limits::raise_open_files(),
        start: start(path, succession),
    }))
}

fn start(path: PathBuf, succession: Succession) -> Result<Start, Unstartable> {
    let loaded = config::load(&path, 1).map_err(Unstartable::Refused)?;
    let server = &loaded.snapshot.server;
    let offered = match (succession, &server.hand_over) {
        (Succession::Begin, _) => None,
        (Succession::TakeOver, Some(path)) => Some(path.as_path()),
        (Succession::TakeOver, None) => {
            let what = "`--take-over` needs `server.hand_over` in the configuration";
            return Err(Unstartable::Inheritance(io::Error::other(what)));
        }
    };
    let inheritance = Inheritance::claim(offered).map_err(Unstartable::Inheritance)?;
    let folders = kept(&all_files(&path, &loaded.files), &loaded.snapshot);
    let confined = server.confine.then(|| Confined {
        folders: folders.read.len() + folders.written.len(),
        degree: confine(&folders).map_err(|error| error.to_string()),
    });
    let reach = match confined.as_ref().map(|one| &one.degree) {
        None | Some(Ok(Degree::Nothing)) => None,
        Some(_) => Some(reach(folders)),
    };
    Ok(Start {
        path,
        loaded,
        inheritance,
        reach,
        succession,
        confined,
    })
}

fn reach(folders: Folders) -> Vec<PathBuf> {
    let Folders { read, written } = folders;
    read.into_iter().chain(written).collect()
}

impl Start {
    /// Says what was found before there was a log.
    pub(super) fn say(&self, events: &Events) {
        warn(events, &self.loaded.warnings);
        match self.confined.as_ref().map(|one| (&one.degree, one.folders)) {
            None => {}
            Some((Ok(degree), folders)) => events.confined(degree.as_str(), folders),
            Some((Err(error), _)) => events.not_confined(error),
        }
        let path: Option<&Path> = self.loaded.snapshot.server.hand_over.as_deref();
        match (self.succession, &self.inheritance.predecessor, path) {
            (_, Some(_), _) => events.taking_over(),
            (Succession::TakeOver, None, Some(path)) => events.nobody_to_take_over(path),
            _ => {}
        }
    }
}
