//! Noticing that the configuration's files may have changed.
//!
//! Folders are watched rather than files: editors replace a file by renaming
//! another over it, and a mounted ConfigMap replaces `..data`, a link to the
//! folder that the file's own link goes through. What an event says is not
//! looked at, beyond that it is more than reading: the content decides whether
//! anything changed, and events can be lost, merged or late. A slow poll covers
//! file systems that send none.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{sync::Notify, time::timeout};

/// The silence after which a change is taken for complete: an editor or `kubectl`
/// writes in several steps.
const QUIET: Duration = Duration::from_millis(300);

/// The longest wait for silence, in a folder that never is silent.
const SETTLE_MAX: Duration = Duration::from_secs(3);

/// How often the content is compared although nothing was heard.
const POLL: Duration = Duration::from_secs(30);

/// Folders watched; a configuration that names files in more is covered by the poll.
const FOLDERS_MAX: usize = 64;

/// Hears of changes in the folders of some files.
pub(super) struct Watch {
    /// `None` when the system offers no watching; then there is only the poll.
    watcher: Option<RecommendedWatcher>,
    /// Told by the watcher's thread.
    heard: Arc<Notify>,
    /// Something was heard, and nobody was told of it yet.
    pending: bool,
    folders: BTreeSet<PathBuf>,
    /// Those that could not be watched, and were told of.
    unwatched: BTreeSet<PathBuf>,
}

impl Watch {
    /// Watches nothing yet. Never fails: an error only leaves the poll.
    pub(super) fn new() -> (Self, Option<notify::Error>) {
        let heard = Arc::new(Notify::new());
        let tell = heard.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may stand for an event that was lost.
            if event.is_ok_and(|event| is_reading(event.kind)) {
                return;
            }
            tell.notify_one();
        });
        let (watcher, error) = match watcher {
            Ok(watcher) => (Some(watcher), None),
            Err(error) => (None, Some(error)),
        };
        let (folders, unwatched) = (BTreeSet::new(), BTreeSet::new());
        (
            Self {
                watcher,
                heard,
                pending: false,
                folders,
                unwatched,
            },
            error,
        )
    }

    /// Watches the folders of `files` and of what they link to, and nothing else.
    ///
    /// To be called after each reading: links may lead elsewhere now, and a folder
    /// that was replaced is watched anew. Returns the folders that
    /// cannot be watched and were not returned before; the others are watched.
    pub(super) fn follow(&mut self, files: &[PathBuf]) -> Vec<(PathBuf, notify::Error)> {
        let Some(watcher) = &mut self.watcher else {
            return Vec::new();
        };
        let folders: BTreeSet<PathBuf> = files
            .iter()
            .flat_map(|file| folders(file))
            .take(FOLDERS_MAX)
            .collect();
        for gone in self.folders.difference(&folders) {
            // Mostly it is gone from the disk as well.
            let _ = watcher.unwatch(gone);
        }
        let watch = |folder: &PathBuf| {
            let watched = watcher.watch(folder, RecursiveMode::NonRecursive);
            Some((folder.clone(), watched.err()?))
        };
        let failed: Vec<_> = folders.iter().filter_map(watch).collect();
        // A change between the reading and now was not heard: read once more.
        if folders.difference(&self.folders).next().is_some() {
            self.heard.notify_one();
        }
        self.folders = folders;
        let unwatched = failed.iter().map(|(folder, _)| folder.clone()).collect();
        let known = std::mem::replace(&mut self.unwatched, unwatched);
        failed
            .into_iter()
            .filter(|(folder, _)| !known.contains(folder))
            .collect()
    }

    /// Returns when the files may have changed and whoever changes them has
    /// paused, or when it is time to look anyway. Dropping it loses nothing.
    pub(super) async fn settled(&mut self) {
        settled(&self.heard, &mut self.pending).await;
    }
}

/// See [`Watch::settled`].
async fn settled(heard: &Notify, pending: &mut bool) {
    if !*pending && timeout(POLL, heard.notified()).await.is_err() {
        return;
    }
    *pending = true;
    let until_quiet = async { while timeout(QUIET, heard.notified()).await.is_ok() {} };
    // In a folder that never is silent, it ends with what there is.
    let _ = timeout(SETTLE_MAX, until_quiet).await;
    *pending = false;
}

/// Our own reading is among these; to hear it would be to read for ever.
fn is_reading(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    }
}

/// The folder that holds `file`'s name, and the one that holds its content, each
/// by its one true name: two names of one folder share a watch, and lose it together.
pub(super) fn folders(file: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let name = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => fs::canonicalize(parent).ok(),
        _ => fs::canonicalize(".").ok(),
    };
    let content = fs::canonicalize(file)
        .ok()
        .and_then(|file| Some(file.parent()?.to_owned()));
    name.into_iter().chain(content)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::symlink};

    use notify::event::{CreateKind, ModifyKind, RenameMode};

    use super::*;
    use crate::time::Clock;

    /// How long `settled` takes when something is heard at each of `at`.
    async fn takes(at: &[u64]) -> Duration {
        let (heard, clock) = (Notify::new(), Clock::System);
        let start = clock.instant();
        let events = async {
            for &at in at {
                tokio::time::sleep_until(start + Duration::from_millis(at)).await;
                heard.notify_one();
            }
            std::future::pending::<()>().await;
        };
        let mut pending = false;
        tokio::select! {
            () = events => {}
            () = settled(&heard, &mut pending) => {}
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn one_change_is_taken_up_after_a_pause() {
        assert_eq!(takes(&[1_000]).await, Duration::from_millis(1_300));
    }

    #[tokio::test(start_paused = true)]
    async fn several_steps_of_one_change_are_taken_up_together() {
        assert_eq!(takes(&[0, 200, 450]).await, Duration::from_millis(750));
    }

    #[tokio::test(start_paused = true)]
    async fn constant_noise_delays_no_longer_than_its_bound() {
        let noise: Vec<u64> = (0..100).map(|step| step * 100).collect();
        assert_eq!(takes(&noise).await, SETTLE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn in_silence_the_poll_looks() {
        assert_eq!(takes(&[]).await, POLL);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_was_dropped_is_taken_up_where_it_was() {
        let (heard, mut pending) = (Notify::new(), false);
        heard.notify_one();
        let early = timeout(Duration::from_millis(100), settled(&heard, &mut pending)).await;
        assert!(early.is_err() && pending);
        let start = Clock::System.instant();
        settled(&heard, &mut pending).await;
        assert_eq!(start.elapsed(), QUIET);
        assert!(!pending);
    }

    #[test]
    fn reading_is_no_change_and_everything_else_is() {
        assert!(is_reading(EventKind::Access(AccessKind::Open(
            AccessMode::Any
        ))));
        assert!(is_reading(EventKind::Access(AccessKind::Close(
            AccessMode::Read
        ))));
        for kind in [
            EventKind::Access(AccessKind::Close(AccessMode::Write)),
            EventKind::Create(CreateKind::File),
            EventKind::Modify(ModifyKind::Name(RenameMode::To)),
            EventKind::Any,
        ] {
            assert!(!is_reading(kind), "{kind:?}");
        }
    }

    #[test]
    fn a_link_is_followed_to_its_content_and_kept_in_sight() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(root.join("..1/deep")).unwrap();
        File::create(root.join("..1/deep/a.toml")).unwrap();
        symlink("..1", root.join("..data")).unwrap();
        symlink("..data/deep/a.toml", root.join("a.toml")).unwrap();
        let folders: Vec<PathBuf> = folders(&root.join("a.toml")).collect();
        assert_eq!(folders, [root.clone(), root.join("..1/deep")]);
    }
}
