//! The file that what was invalidated survives a restart in.
//!
//! After a line that names the format, each record is one line of text: 32 hexadecimal digits
//! of a hash of the record, a space, the record. A write that was cut, or a bit that flipped,
//! shows in the hash, and everything from there on is cut off when the file is opened: nothing
//! after it was answered for, or it cannot be told.
//!
//! One thread writes. It takes whatever waits, writes it and waits for the disk once, so that
//! many callers cost as much as one. The file stays small: when it has grown far beyond what is
//! kept, the last records are copied to a new file that takes its place.

use std::{
    fmt, io,
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
};

mod line;
mod tape;

use tape::Tape;

/// Records that may wait for the disk. Each is an open call of the admin API, whose bodies
/// have a bound of their own.
const WAITING_MAX: usize = 16_384;

/// Records, and bytes of them, that are written before the disk is waited for.
const BATCH_MAX: usize = 4_096;
const BATCH_BYTES_MAX: usize = 16 << 20;

/// How much of a journal is kept.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Records.
    pub records: usize,
    /// Bytes of them; the last one is kept whatever it has.
    pub bytes: u64,
}

/// What was found in a journal when it was opened.
#[derive(Debug, Default)]
pub struct Replay {
    /// The records that are kept, oldest first.
    pub records: Vec<Box<[u8]>>,
    /// The bytes that were cut off its end, since they are no whole record.
    pub cut_bytes: u64,
}

/// Called with what a journal holds, whenever it is opened.
pub type Replayed = Box<dyn FnMut(Replay) + Send>;

/// Called when a record is on the disk, or is known not to be.
pub type Written = Box<dyn FnOnce(io::Result<()>) + Send>;

/// A journal and the thread that writes it; clones share both. The thread ends with the last
/// of them, when what waits is written.
#[derive(Clone, Debug)]
pub struct Journal(SyncSender<Entry>);

struct Entry {
    wanted: Wanted,
    written: Written,
}

enum Wanted {
    Record(Vec<u8>),
    /// The file, for another process.
    Release,
}

impl Wanted {
    fn record(&self) -> Option<&[u8]> {
        match self {
            Self::Record(record) => Some(record),
            Self::Release => None,
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens or makes the journal at `path`, which only its owner may read, and hands what is
    /// in it to `replayed` before it returns. Blocks.
    ///
    /// When it cannot be opened, the error comes along: opening is tried again for each record,
    /// so that a journal that another process still holds is taken over once that ends. Errs
    /// alone when there can be no thread.
    pub fn start(
        path: PathBuf,
        kept: Kept,
        replayed: Replayed,
    ) -> io::Result<(Self, Option<io::Error>)> {
        let (queue, entries) = sync_channel(WAITING_MAX);
        let mut writer = Writer {
            path,
            kept,
            replayed,
            tape: None,
            released: false,
        };
        let unopened = writer.open().err();
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&entries))?;
        Ok((Self(queue), unopened))
    }

    /// Writes `record`, a line of text without its end, and calls `written` once it is on the
    /// disk, or cannot be. Never blocks; `written` is called on another thread, or at once
    /// when too many records wait.
    pub fn append(&self, record: Vec<u8>, written: Written) {
        self.want(Wanted::Record(record), written);
    }

    /// Lets go of the file once everything before is written, and calls `released` then:
    /// another process may open it. What comes after is refused. Never blocks.
    pub fn release(&self, released: Written) {
        self.want(Wanted::Release, released);
    }

    fn want(&self, wanted: Wanted, written: Written) {
        match self.0.try_send(Entry { wanted, written }) {
            Ok(()) => {}
            Err(TrySendError::Full(entry)) => {
                (entry.written)(Err(io::Error::other("too many records wait for the disk")));
            }
            Err(TrySendError::Disconnected(entry)) => {
                (entry.written)(Err(io::Error::other("its thread is gone")));
            }
        }
    }
}

/// What the thread owns.
struct Writer {
    path: PathBuf,
    kept: Kept,
    replayed: Replayed,
    /// `None` while it cannot be opened.
    tape: Option<Tape>,
    /// It is another process's now, and never opened again.
    released: bool,
}

impl Writer {
    fn run(&mut self, entries: &Receiver<Entry>) {
        while let Ok(first) = entries.recv() {
            let length = |entry: &Entry| entry.wanted.record().map_or(0, <[u8]>::len);
            let mut bytes = length(&first);
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX && bytes < BATCH_BYTES_MAX {
                let Ok(next) = entries.try_recv() else { break };
                bytes += length(&next);
                batch.push(next);
            }
            let written = self.write(&batch);
            if batch.iter().any(|entry| entry.wanted.record().is_none()) {
                (self.tape, self.released) = (None, true);
            }
            for entry in batch {
                // An error is not `Clone`, and each caller wants one.
                let copy = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
                (entry.written)(written.as_ref().copied().map_err(copy));
            }
        }
    }

    fn open(&mut self) -> io::Result<()> {
        let (tape, replay) = Tape::open(&self.path, self.kept)?;
        (self.replayed)(replay);
        self.tape = Some(tape);
        Ok(())
    }

    /// Writes a batch. After an error nothing is known of the file: it is opened anew.
    fn write(&mut self, batch: &[Entry]) -> io::Result<()> {
        let records = || batch.iter().filter_map(|entry| entry.wanted.record());
        if records().next().is_none() {
            return Ok(());
        }
        if self.released {
            return Err(io::Error::other("another process has taken it over"));
        }
        if self.tape.is_none() {
            self.open()?;
        }
        let Some(tape) = &mut self.tape else {
            return Err(io::Error::other("it is not open"));
        };
        let written = tape.append(records());
        if written.is_err() {
            self.tape = None;
            return written;
        }
        // What is answered for is on the disk whatever comes of this.
        if tape.has_grown(self.kept) && tape.shrink(&self.path, self.kept).is_err() {
            self.tape = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::Path,
        sync::{Arc, Mutex, mpsc},
    };

    use tempfile::TempDir;

    use super::{
        tape::{GROWTH_MAX, Tape, beside, private},
        *,
    };

    const KEPT: Kept = Kept {
        records: 3,
        bytes: 1 << 20,
    };

    type Seen = Arc<Mutex<Vec<Replay>>>;

    fn start(path: &Path) -> (Journal, Option<io::Error>, Seen) {
        let seen = Seen::default();
        let found = seen.clone();
        let replayed = Box::new(move |replay| found.lock().unwrap().push(replay));
        let (journal, unopened) = Journal::start(path.to_owned(), KEPT, replayed).unwrap();
        (journal, unopened, seen)
    }

    /// Appends, and waits for the disk.
    fn append(journal: &Journal, record: &str) -> io::Result<()> {
        let (tell, told) = mpsc::channel();
        let written = Box::new(move |result| tell.send(result).unwrap());
        journal.append(record.as_bytes().to_vec(), written);
        told.recv().unwrap()
    }

    /// What is in the journal at `path`, and how much of it was cut off.
    fn read(path: &Path) -> (Vec<String>, u64) {
        let (_, replay) = Tape::open(path, KEPT).unwrap();
        let text = |record: Box<[u8]>| String::from_utf8(record.into()).unwrap();
        let records = replay.records.into_iter().map(text);
        (records.collect(), replay.cut_bytes)
    }

    fn at(folder: &TempDir) -> PathBuf {
        folder.path().join("a.journal")
    }

    /// Waits until the thread of a dropped journal has let go of its file.
    fn ended(path: &Path) {
        let lock = private().open(beside(path, ".lock")).unwrap();
        lock.lock().unwrap();
    }

    #[test]
    fn what_was_written_is_read_back_and_only_its_owner_may() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = at(&folder);
        let (journal, unopened, seen) = start(&path);
        assert!(unopened.is_none());
        assert!(seen.lock().unwrap()[0].records.is_empty());
        for record in ["one", "two"] {
            append(&journal, record).unwrap();
        }
        assert!(append(&journal, "two\nlines").is_err());
        drop(journal);
        ended(&path);
        assert_eq!(read(&path), (vec!["one".into(), "two".into()], 0));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_last_records_are_kept_and_the_file_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let path = at(&folder);
        let (journal, ..) = start(&path);
        for number in 0..200 {
            append(&journal, &number.to_string()).unwrap();
        }
        drop(journal);
        ended(&path);
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 2 + KEPT.records * GROWTH_MAX, "{lines}");
        assert_eq!(read(&path).0, ["197", "198", "199"]);
    }

    #[test]
    fn what_was_let_go_of_is_another_processs_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = at(&folder);
        let (old, ..) = start(&path);
        append(&old, "old").unwrap();
        let (tell, told) = mpsc::channel();
        old.release(Box::new(move |result| tell.send(result).unwrap()));
        told.recv().unwrap().unwrap();
        let (new, unopened, seen) = start(&path);
        assert!(unopened.is_none());
        assert_eq!(&*seen.lock().unwrap()[0].records[0], b"old");
        assert!(append(&old, "too late").is_err());
        append(&new, "new").unwrap();
    }

    #[test]
    fn a_second_process_does_not_write_until_the_first_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = at(&folder);
        let (first, ..) = start(&path);
        append(&first, "first").unwrap();
        let (second, unopened, seen) = start(&path);
        assert_eq!(unopened.unwrap().kind(), io::ErrorKind::ResourceBusy);
        assert!(append(&second, "second").is_err());
        drop(first);
        ended(&path);
        append(&second, "third").unwrap();
        assert_eq!(&*seen.lock().unwrap()[0].records[0], b"first");
        drop(second);
        ended(&path);
        assert_eq!(read(&path).0, ["first", "third"]);
    }

    #[test]
    fn somebody_elses_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = at(&folder);
        fs::write(&path, "root:x:0:0\n").unwrap();
        let (_, unopened, _) = start(&path);
        assert_eq!(unopened.unwrap().kind(), io::ErrorKind::InvalidData);
        assert_eq!(fs::read_to_string(&path).unwrap(), "root:x:0:0\n");
    }
}
