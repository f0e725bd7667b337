//! What this process is given by others at its start.

use std::{io, path::Path};

use crate::handover::{Inherited, Predecessor, activated, take_over};

/// Sockets, and the process that serves with them until this one does. None of both for a
/// process that starts on its own.
#[derive(Debug, Default)]
pub struct Inheritance {
    /// From the service manager and from the process before.
    pub sockets: Inherited,
    /// Told to let go once everything that can fail has not.
    pub predecessor: Option<Predecessor>,
}

impl Inheritance {
    /// What the service manager passed, and what the process offers that serves at `path`.
    /// Blocks. To be called once, before there are other threads.
    ///
    /// Errs when what was passed is no listening socket, or when somebody is at `path` and
    /// cannot be taken over from.
    pub(super) fn claim(path: Option<&Path>) -> io::Result<Self> {
        let mut sockets = activated()?;
        let taken = match path {
            Some(path) => take_over(path).map_err(|error| {
                let what = format!("cannot take over at {}: {error}", path.display());
                io::Error::new(error.kind(), what)
            })?,
            None => None,
        };
        let predecessor = taken.map(|(more, predecessor)| {
            sockets.extend(more);
            predecessor
        });
        Ok(Self {
            sockets,
            predecessor,
        })
    }
}
