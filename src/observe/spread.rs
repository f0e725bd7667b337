//! A number that many threads add to, each where no other does.
//!
//! Two workers that count in one cache line take it from each other with every hit. So each
//! thread has a line of its own, as far as there are lines, and whoever reads adds them up.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use prometheus_client::metrics::counter::Atomic;

/// Lines of a number: a kibibyte. Threads beyond that share the last.
const LINES: usize = 16;
const SHARED: usize = LINES - 1;

/// A number, spread over some cache lines.
#[derive(Debug, Default)]
pub(super) struct Spread([Line; LINES]);

/// A part of a number, alone in its cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line(AtomicU64);

thread_local! {
    /// This thread's line, once it has counted.
    static OURS: Cell<Option<usize>> = const { Cell::new(None) };
}

/// This thread's line.
fn ours() -> usize {
    /// How many threads have counted.
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    OURS.with(|ours| {
        ours.get().unwrap_or_else(|| {
            let line = THREADS.fetch_add(1, Relaxed).min(SHARED);
            ours.set(Some(line));
            line
        })
    })
}

impl Atomic<u64> for Spread {
    fn inc(&self) -> u64 {
        self.inc_by(1)
    }

    /// What it was before is what this thread's line was.
    fn inc_by(&self, more: u64) -> u64 {
        let at = ours();
        let Line(line) = &self.0[at];
        if at == SHARED {
            return line.fetch_add(more, Relaxed);
        }
        // Nobody else writes there.
        let before = line.load(Relaxed);
        line.store(before.wrapping_add(more), Relaxed);
        before
    }

    fn get(&self) -> u64 {
        self.0.iter().map(|line| line.0.load(Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn nothing_is_lost_however_many_count() {
        let number = Spread::default();
        thread::scope(|scope| {
            for _ in 0..3 * LINES {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        number.inc();
                    }
                });
            }
        });
        assert_eq!(number.get(), 3 * LINES as u64 * 1_000);
    }

    #[test]
    fn a_line_is_nobody_elses() {
        assert_eq!((size_of::<Line>(), align_of::<Line>()), (64, 64));
    }
}
