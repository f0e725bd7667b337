//! Which files the daemon keeps when it gives up all others.

use std::path::{Path, PathBuf};

use super::watch::folders;
use crate::{confine::Folders, site::Snapshot};

/// The folders of `files` and of what they link to, those of what the process writes, and what
/// the system's own libraries read.
pub(super) fn kept(files: &[PathBuf], site: &Snapshot) -> Folders {
    let journal = site.admin.as_ref().and_then(|one| one.journal.as_deref());
    let written = journal.into_iter().chain(site.server.hand_over.as_deref());
    let all = |files: &mut dyn Iterator<Item = &Path>| {
        let mut all: Vec<PathBuf> = files.flat_map(folders).collect();
        all.sort();
        all.dedup();
        all
    };
    Folders {
        read: all(&mut files.iter().map(PathBuf::as_path)),
        written: all(&mut written.into_iter()),
    }
    .with_system()
}
