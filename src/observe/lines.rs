//! The way of log lines out of the process, which never waits.
//!
//! A pipe that nobody reads blocks whoever writes to it. Were that a worker, a
//! stuck log collector would take the API down; so workers hand their lines to a
//! thread through a bounded queue, and what does not fit is counted and dropped.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait; at some 250 bytes each, one megabyte.
const LINES_MAX: usize = 4_096;

/// How long the end of the process may wait for a log that is stuck.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// The writing thread's queue. Dropping it waits until what was logged before
/// is written, at most a second.
#[derive(Debug)]
pub struct Log(Lines);

/// Where a subscriber writes; clones share one queue.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    queue: SyncSender<Entry>,
    /// Lines dropped since the last report; the writing thread resets it.
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    /// Everything before it is written once this is answered.
    Flush(SyncSender<()>),
}

impl Log {
    /// Starts a thread that writes to `out`. Errs when there can be no thread.
    pub(super) fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, entries) = sync_channel(LINES_MAX);
        let lost = Arc::<AtomicU64>::default();
        let counted = lost.clone();
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(out, &entries, &counted))?;
        Ok(Self(Lines { queue, lost }))
    }

    pub(super) fn lines(&self) -> Lines {
        self.0.clone()
    }

    /// Waits until everything logged so far is written, at most a second.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        // A full queue means that nobody reads; then there is no point in waiting.
        if self.0.queue.try_send(Entry::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(FLUSH_MAX);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Write for Lines {
    /// Takes one whole event, which is how the formatter hands them over.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Entry::Line(one_line(event))).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// An event as one line: errors quote what others sent us, and a line break in
/// it would let them write a line of their own.
fn one_line(event: &[u8]) -> Vec<u8> {
    let event = event.strip_suffix(b"\n").unwrap_or(event);
    let mut line = Vec::with_capacity(event.len() + 1);
    for &byte in event {
        match byte {
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            byte => line.push(byte),
        }
    }
    line.push(b'\n');
    line
}

/// The thread: a line that cannot be written is gone, and nothing else is to be done about it.
fn write(mut out: impl Write, entries: &Receiver<Entry>, lost: &AtomicU64) {
    for entry in entries {
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(out, "{{\"message\":\"log lines lost\",\"lost\":{lost}}}");
        }
        match entry {
            Entry::Line(line) => drop(out.write_all(&line)),
            Entry::Flush(done) => {
                let _ = out.flush();
                let _ = done.try_send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Writes once it is let, one permission a line.
    struct Gate {
        open: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Without a keeper the gate stands open.
            let _ = self.open.recv();
            self.written.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_log_costs_lines_and_never_waits() {
        let (keeper, open) = sync_channel(1);
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let log = Log::to(Gate {
            open,
            written: written.clone(),
        })
        .unwrap();
        for _ in 0..LINES_MAX + 100 {
            log.lines().write_all(b"line\n").unwrap();
        }
        drop(keeper);
        // The queue is full until the thread has run; a flush that finds it so is not queued.
        while !String::from_utf8_lossy(&written.lock().unwrap()).contains("lost") {
            log.lines().write_all(b"more\n").unwrap();
            thread::yield_now();
        }
    }

    #[test]
    fn the_end_of_the_log_is_written_before_the_process_ends() {
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let (_, open) = sync_channel(1);
        let log = Log::to(Gate {
            open,
            written: written.clone(),
        })
        .unwrap();
        log.lines().write_all(b"stopped\n").unwrap();
        drop(log);
        assert_eq!(*written.lock().unwrap(), b"stopped\n");
    }

    #[test]
    fn a_line_cannot_be_forged_by_what_it_quotes() {
        assert_eq!(
            one_line(b"cause=x\r\n2026 ERROR y\n"),
            b"cause=x\\r\\n2026 ERROR y\n"
        );
        assert_eq!(one_line(b""), b"\n");
    }
}
