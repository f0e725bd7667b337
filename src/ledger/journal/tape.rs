//! The file of a journal: opened by one process, cut after its last whole line, kept small.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{
    Kept, Replay,
    line::{AROUND_BYTES, line, lines},
};

/// The first line of every journal.
const FORMAT: &[u8] = b"warmfront invalidations 1\n";

/// How many times what is kept the file may hold before it is written anew: each record is
/// copied at most once for every fifteen that are written.
pub(super) const GROWTH_MAX: usize = 16;

/// An open journal, which no other process has open.
#[derive(Debug)]
pub(super) struct Tape {
    file: File,
    /// The bytes of each line, oldest first.
    lines: VecDeque<u64>,
    /// The bytes of all of them.
    bytes: u64,
    /// Locked as long as it is open. A file of its own, since the journal is replaced.
    _lock: File,
}

impl Tape {
    /// Opens or makes the journal at `path`; what is in it comes along.
    pub(super) fn open(path: &Path, kept: Kept) -> io::Result<(Self, Replay)> {
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
    pub(super) fn append<'a>(&mut self, records: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
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

    /// Whether it holds far more than is kept.
    pub(super) fn has_grown(&self, kept: Kept) -> bool {
        self.lines.len() > kept.records * GROWTH_MAX
            || self.bytes > kept.bytes * GROWTH_MAX as u64 && self.lines.len() > 1
    }

    /// Puts a file in the journal's place that holds only what is kept of it.
    pub(super) fn shrink(&mut self, path: &Path, kept: Kept) -> io::Result<()> {
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

/// Opens for reading and writing a file that nobody else may read.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

/// The path of a file beside the journal.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
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
    use tempfile::TempDir;

    use super::*;

    const KEPT: Kept = Kept {
        records: 3,
        bytes: 1 << 20,
    };

    fn at(folder: &TempDir) -> PathBuf {
        folder.path().join("a.journal")
    }

    /// What is in the journal at `path`.
    fn read(path: &Path) -> Vec<String> {
        let (_, replay) = Tape::open(path, KEPT).unwrap();
        let text = |record: Box<[u8]>| String::from_utf8(record.into()).unwrap();
        replay.records.into_iter().map(text).collect()
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
                assert_eq!(read(path).last().unwrap(), "next");
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
        assert_eq!(read(&at(&folder)), RECORDS);
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
}
