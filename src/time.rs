//! The one source of time: whole seconds for freshness, coarse instants for durations.
//!
//! Decisions take a [`Timestamp`] as an argument and never read a clock. The
//! simulated clock hangs from tokio's pausable one, so that advancing it ages
//! responses and fires timers alike.
#![expect(
    clippy::disallowed_methods,
    reason = "this file is where clocks are read"
)]

use std::{
    cell::Cell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A moment, in whole seconds since the Unix epoch.
///
/// There is no subtraction: [`Timestamp::since`] saturates at zero, because an
/// age or a lifetime computed across two disagreeing clocks is never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `seconds` after the Unix epoch.
    pub const fn from_unix(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since the Unix epoch.
    pub const fn unix(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    /// The moment `span` later, in whole seconds; saturates at the end of time.
    pub const fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.as_secs()))
    }
}

impl From<SystemTime> for Timestamp {
    /// Times before 1970 become 1970.
    fn from(time: SystemTime) -> Self {
        Self(
            time.duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs(),
        )
    }
}

/// How often in a row a worker says the time that it read.
const SAID_MAX: u8 = 16;

thread_local! {
    /// What this thread last read of the machine's clock, and how often it may still say so;
    /// `None` on a thread that reads each time.
    static READ: Cell<Option<(Timestamp, u8)>> = const { Cell::new(None) };
}

/// What this thread read of the clock counts no more: it reads it when it is next asked, and then
/// says the same up to 16 times, or until this is called again. Who calls this once calls it after
/// every sleep, and every half second while it never sleeps: so old is what it says at most.
pub fn read_anew() {
    READ.set(Some((Timestamp(0), 0)));
}

/// As if this thread had read `now` just before.
#[cfg(test)]
pub(crate) fn pretend(now: Timestamp) {
    READ.set(Some((now, SAID_MAX - 1)));
}

/// Wall time. Cloning is free; every part of one daemon holds the same clock.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// `anchor` plus what tokio's clock says has passed since `since`.
    Simulated {
        /// What the clock says at `since`.
        anchor: Timestamp,
        /// When it said so.
        since: tokio::time::Instant,
    },
}

impl Clock {
    /// A simulated clock that says `anchor` now and follows tokio's clock.
    pub fn simulated(anchor: Timestamp) -> Self {
        Self::Simulated {
            anchor,
            since: tokio::time::Instant::now(),
        }
    }

    /// The time, in whole seconds.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => system_now(),
            Self::Simulated { anchor, since } => anchor.after(since.elapsed()),
        }
    }

    /// A reading for measuring durations; follows tokio's clock when that is paused.
    pub fn instant(&self) -> tokio::time::Instant {
        tokio::time::Instant::now()
    }
}

fn system_now() -> Timestamp {
    let read = || Timestamp::from(SystemTime::now());
    let Some((said, left)) = READ.get() else {
        return read();
    };
    let (now, left) = match left.checked_sub(1) {
        Some(left) => (said, left),
        None => (read(), SAID_MAX - 1),
    };
    READ.set(Some((now, left)));
    now
}

/// Microseconds of the system's monotonic clock, whose zero means nothing: what systemd wants
/// to know of a reload (sd_notify(3), `MONOTONIC_USEC`).
pub fn monotonic_micros() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(now.tv_sec) * 1_000_000 + part(now.tv_nsec) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_never_is_negative() {
        let (early, late) = (Timestamp::from_unix(10), Timestamp::from_unix(15));
        assert_eq!(late.since(early), Duration::from_secs(5));
        assert_eq!(early.since(late), Duration::ZERO);
    }

    #[test]
    fn a_thread_that_says_when_it_slept_reads_the_clock_then() {
        let (long_ago, clock) = (Timestamp::from_unix(7), Clock::System);
        let said = || READ.get().map(|(_, left)| left);
        assert!(clock.now() > long_ago);
        assert_eq!(said(), None, "others read it each time");
        read_anew();
        assert!(clock.now() > long_ago);
        pretend(long_ago);
        assert!((1..SAID_MAX).all(|_| clock.now() == long_ago));
        assert!(clock.now() > long_ago, "it was said often enough");
        READ.set(Some((long_ago, 1)));
        read_anew();
        assert!(clock.now() > long_ago);
    }

    #[tokio::test(start_paused = true)]
    async fn simulated_time_follows_tokio() {
        let clock = Clock::simulated(Timestamp::from_unix(1_000));
        tokio::time::advance(Duration::from_millis(59_999)).await;
        assert_eq!(clock.now(), Timestamp::from_unix(1_059));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(clock.now(), Timestamp::from_unix(1_060));
    }
}
