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
    collections::VecDeque,
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
};

/// The first line of every journal.
const FORMAT: &[u8] = b"warmfront invalidations 1\n";

/// Digits of the hash before a record: 128 bits, so that chance makes no record.
const HASH_DIGITS: usize = 32;

/// What surrounds a record in its line: the hash, a space, the line's end.
const AROUND_BYTES: usize = HASH_DIGITS + 2;

/// The longest line. An order of 3,000 paths of 4,000 characters is 12 MB, 48 MB if all of
/// them are escaped; a longer line is damage.
const LINE_BYTES_MAX: u64 = 64 << 20;

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

/// How many times what is kept the file may hold before it is written anew: each record is
/// copied at most once for every fifteen that are written.
const GROWTH_MAX: usize = 16;

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
    record: Vec<u8>,
    written: Written,
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
        match self.0.try_send(Entry { record, written }) {
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
}

impl Writer {
    fn run(&mut self, entries: &Receiver<Entry>) {
        while let Ok(first) = entries.recv() {
            let mut bytes = first.record.len();
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX && bytes < BATCH_BYTES_MAX {
                let Ok(next) = entries.try_recv() else { break };
                bytes += next.record.len();
                batch.push(next);
            }
            let written = self.write(&batch);
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
        if self.tape.is_none() {
            self.open()?;
        }
        let Some(tape) = &mut self.tape else {
            return Err(io::Error::other("it is not open"));
        };
        let written = tape.append(batch.iter().map(|entry| &*entry.record));
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

/// An open journal, which no other process has open.
#[derive(Debug)]
struct Tape {
    file: File,
    /// The bytes of each line, oldest first.
    lines: VecDeque<u64>,
    /// The bytes of all of them.
    bytes: u64,
    /// Locked as long as it is open. A file of its own, since the journal is replaced.
    _lock: File,
}

impl Tape {
    fn open(path: &Path, kept: Kept) -> io::Result<(Self, Replay)> {
        let lock = private().open(beside(path, ".lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::ResourceBusy, "another process has it open")
            }
            TryLockError::Error(error) => error,
        })?;
        let mut file = private().open(path)?;
        let length = file.metadata()?.len();
        let mut reader = BufReader::new(&mut file);
        let mut format = Vec::new();
        reader
            .by_ref()
            .take(FORMAT.len() as u64)
            .read_to_end(&mut format)?;
        if !FORMAT.starts_with(&format) {
            // Somebody's file, which nobody may cut.
            let kind = io::ErrorKind::InvalidData;
            return Err(io::Error::new(kind, "it is no journal of invalidations"));
        }
        let mut tail = Tail::new(kept);
        let good = match format.len() == FORMAT.len() {
            true => FORMAT.len() as u64 + lines(&mut reader, |record| tail.push(record))?,
            false => 0,
        };
        drop(reader);
        let cut_bytes = length - good;
        if good == 0 {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(FORMAT)?;
            file.sync_all()?;
            sync_folder(path)?;
        } else if cut_bytes > 0 {
            file.set_len(good)?;
            file.sync_all()?;
        }
        file.seek(SeekFrom::End(0))?;
        let tape = Self {
            file,
            bytes: tail.lines.iter().sum(),
            lines: tail.lines,
            _lock: lock,
        };
        let records = tail.records.into();
        Ok((tape, Replay { records, cut_bytes }))
    }

    /// Writes records, and returns when they are on the disk.
    fn append<'a>(&mut self, records: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
        let mut text = Vec::new();
        for record in records {
            let before = text.len();
            line(record, &mut text)?;
            self.lines.push_back((text.len() - before) as u64);
        }
        self.bytes += text.len() as u64;
        self.file.write_all(&text)?;
        self.file.sync_data()
    }

    fn has_grown(&self, kept: Kept) -> bool {
        self.lines.len() > kept.records * GROWTH_MAX
            || self.bytes > kept.bytes * GROWTH_MAX as u64 && self.lines.len() > 1
    }

    /// Puts a file in the journal's place that holds only what is kept of it.
    fn shrink(&mut self, path: &Path, kept: Kept) -> io::Result<()> {
        let (mut count, mut bytes) = (0, 0);
        for line in self.lines.iter().rev() {
            if count > 0 && (count == kept.records || bytes + line > kept.bytes) {
                break;
            }
            (count, bytes) = (count + 1, bytes + line);
        }
        let next_path = beside(path, ".new");
        let mut next = private().truncate(true).open(&next_path)?;
        let mut out = BufWriter::new(&mut next);
        out.write_all(FORMAT)?;
        self.file
            .seek(SeekFrom::End(-i64::try_from(bytes).unwrap_or(i64::MAX)))?;
        io::copy(&mut self.file, &mut out)?;
        out.flush()?;
        drop(out);
        next.sync_all()?;
        fs::rename(&next_path, path)?;
        sync_folder(path)?;
        self.file = next;
        self.lines.drain(..self.lines.len() - count);
        self.bytes = bytes;
        Ok(())
    }
}

/// The last records of a journal that is being read.
struct Tail {
    kept: Kept,
    records: VecDeque<Box<[u8]>>,
    record_bytes: u64,
    lines: VecDeque<u64>,
}

impl Tail {
    fn new(kept: Kept) -> Self {
        Self {
            kept,
            records: VecDeque::new(),
            record_bytes: 0,
            lines: VecDeque::new(),
        }
    }

    fn push(&mut self, record: &[u8]) {
        self.lines.push_back((record.len() + AROUND_BYTES) as u64);
        self.record_bytes += record.len() as u64;
        self.records.push_back(record.into());
        while self.records.len() > self.kept.records
            || self.record_bytes > self.kept.bytes && self.records.len() > 1
        {
            let first = self.records.pop_front().unwrap_or_default();
            self.record_bytes -= first.len() as u64;
        }
    }
}

/// Hands each whole record to `each`, up to the first that is none; the bytes of those lines.
fn lines(mut reader: impl BufRead, mut each: impl FnMut(&[u8])) -> io::Result<u64> {
    let (mut good, mut text) = (0, Vec::new());
    loop {
        text.clear();
        reader
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut text)?;
        let Some(record) = record(&text) else {
            return Ok(good);
        };
        each(record);
        good += text.len() as u64;
    }
}

/// The record of a line, if it is whole.
fn record(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\n")?;
    let (hash, rest) = line.split_at_checked(HASH_DIGITS)?;
    let record = rest.strip_prefix(b" ")?;
    (hash == hash_of(record).as_bytes()).then_some(record)
}

/// Appends the line of `record`.
fn line(record: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let too_long = (record.len() + AROUND_BYTES) as u64 > LINE_BYTES_MAX;
    if too_long || record.contains(&b'\n') {
        let kind = io::ErrorKind::InvalidInput;
        return Err(io::Error::new(kind, "the record fits into no line"));
    }
    out.extend_from_slice(hash_of(record).as_bytes());
    out.push(b' ');
    out.extend_from_slice(record);
    out.push(b'\n');
    Ok(())
}

fn hash_of(record: &[u8]) -> String {
    let mut digits = blake3::hash(record).to_hex().to_string();
    digits.truncate(HASH_DIGITS);
    digits
}

/// Opens for reading and writing a file that nobody else may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

/// The path of a file beside the journal.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A new name is on the disk when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, mpsc};

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

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

    const RECORDS: [&str; 3] = ["{\"id\":\"I1\"}", "", "a longer one"];

    fn whole() -> Vec<u8> {
        let mut text = FORMAT.to_vec();
        for record in RECORDS {
            line(record.as_bytes(), &mut text).unwrap();
        }
        text
    }

    /// The records of a damaged journal are the first of those it had.
    #[track_caller]
    fn check(path: &Path, damaged: &[u8]) {
        fs::write(path, damaged).unwrap();
        match Tape::open(path, KEPT) {
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::InvalidData),
            Ok((tape, replay)) => {
                let seen = replay
                    .records
                    .iter()
                    .map(|record| str::from_utf8(record).unwrap());
                let seen: Vec<&str> = seen.collect();
                assert!(RECORDS.starts_with(&seen), "{seen:?}");
                // What is written next is read after what was good.
                drop(tape);
                let (mut tape, _) = Tape::open(path, KEPT).unwrap();
                tape.append([&b"next"[..]].into_iter()).unwrap();
                drop(tape);
                assert_eq!(read(path).0.last().unwrap(), "next");
            }
        }
    }

    #[test]
    fn a_journal_cut_anywhere_holds_what_was_whole() {
        let folder = tempfile::tempdir().unwrap();
        let whole = whole();
        for end in 0..whole.len() {
            check(&at(&folder), &whole[..end]);
        }
        fs::write(at(&folder), &whole).unwrap();
        assert_eq!(read(&at(&folder)).0, RECORDS);
    }

    #[test]
    fn a_bit_flipped_anywhere_never_makes_a_record() {
        let folder = tempfile::tempdir().unwrap();
        let whole = whole();
        for place in 0..whole.len() {
            for bit in [0, 5, 7] {
                let mut damaged = whole.clone();
                damaged[place] ^= 1 << bit;
                check(&at(&folder), &damaged);
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(text: Vec<u8>) {
            let mut count = 0;
            let good = lines(&text[..], |_| count += 1).unwrap();
            prop_assert!(good <= text.len() as u64 && count <= text.len());
        }
    }
}
