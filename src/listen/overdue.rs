//! Which connections have waited long enough.
//!
//! Time is counted in sweeps. The facts say since which sweep a connection is
//! in each state it should leave; [`overdue`] compares them with the bounds and
//! changes nothing. Since a state is seen at the next sweep, nothing is closed
//! early.

use std::time::Duration;

use super::{
    Bounds,
    vitals::{Order, Stage},
};

/// Between two sweeps, and so the unit of a [`Tick`].
pub(super) const SWEEP_EVERY: Duration = Duration::from_millis(500);

/// An HTTP/1 connection idle for this long gives its buffers back: 16 KiB of
/// hyper's and the room for an answer under way. Making them anew costs about
/// a microsecond, which a viewer that asks more often than this never pays.
pub(super) const PARK_AFTER: Duration = Duration::from_secs(2);

/// Without progress for this long, a viewer that should take an answer is gone.
pub(super) const WRITE_STALL_MAX: Duration = Duration::from_secs(60);

/// The same, in sweeps: what one answer of several may wait for its viewer, at least; at most
/// twice as long.
pub(super) const STALL_SWEEPS: u32 = (WRITE_STALL_MAX.as_millis() / SWEEP_EVERY.as_millis()) as u32;

/// What counts as progress in that time, in bytes: less than any line of 1990
/// carries, but more than the pings and acknowledgements of an HTTP/2
/// connection (17 bytes each, a few in a minute).
pub(super) const WRITE_PROGRESS_MIN: u64 = 1024;

/// Without progress for this long, a viewer that owes the rest of a body is gone: one that
/// sends a byte a second would hold a connection to the origin as well.
pub(super) const BODY_STALL_MAX: Duration = Duration::from_secs(60);

/// What counts as progress in that time, in bytes; or the rest of the body.
pub(super) const BODY_PROGRESS_MIN: u64 = 1024;

/// Without a byte in either direction for this long, an upgraded connection is
/// closed (CloudFront: WebSocket idle timeout, 10 minutes).
pub(super) const UPGRADE_IDLE_MAX: Duration = Duration::from_secs(600);

/// Counts sweeps; at two a second it lasts 68 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(pub(super) u32);

impl Tick {
    pub(super) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whether `span` has certainly passed since `earlier`.
    pub(super) fn is_past(self, earlier: Self, span: Duration) -> bool {
        let passed = SWEEP_EVERY.saturating_mul(self.0.saturating_sub(earlier.0));
        passed >= span
    }
}

/// Since when a connection is in each of the states it should leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) stage: Stage,
    /// It never sent a byte.
    pub(super) silent: Option<Tick>,
    /// A head has begun and is not complete.
    pub(super) head: Option<Tick>,
    /// Nothing is under way.
    pub(super) idle: Option<Tick>,
    /// The viewer does not take what is there for it.
    pub(super) untaken: Option<Tick>,
    /// One of several answers was not taken for [`WRITE_STALL_MAX`], and some still is not.
    pub(super) stalled: Option<Tick>,
    /// The viewer does not send what it announced.
    pub(super) unsent: Option<Tick>,
    /// It was told to close when it can.
    pub(super) retiring: Option<Tick>,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// No first byte.
    Silent,
    /// A head that takes too long.
    SlowHead,
    /// Nothing asked for too long.
    Idle,
    /// An answer that is not taken.
    Untaken,
    /// The same, while other answers are.
    Stalled,
    /// A body that does not come.
    Unsent,
    /// Told to close, nothing under way, and still there.
    Lingering,
    /// Upgraded, and no byte either way.
    Quiet,
}

impl Why {
    /// Closing an idle connection must not lose a request that arrives now.
    pub(super) fn order(self) -> Order {
        match self {
            // The others end first; then what is left is untaken.
            Self::Idle | Self::Stalled => Order::Retire,
            Self::Silent
            | Self::SlowHead
            | Self::Untaken
            | Self::Unsent
            | Self::Lingering
            | Self::Quiet => Order::Cut,
        }
    }
}

/// Which bound a connection has passed, if any. A request that waits for
/// somebody other than its viewer is never overdue.
pub(super) fn overdue(facts: &Facts, now: Tick, bounds: &Bounds) -> Option<Why> {
    let past = |since: Option<Tick>, span| since.is_some_and(|since| now.is_past(since, span));
    if facts.stage == Stage::Upgraded {
        past(facts.idle, UPGRADE_IDLE_MAX).then_some(Why::Quiet)
    } else if past(facts.silent, bounds.header_timeout) {
        Some(Why::Silent)
    } else if past(facts.head, bounds.header_timeout) {
        Some(Why::SlowHead)
    } else if past(facts.untaken, WRITE_STALL_MAX) {
        Some(Why::Untaken)
    } else if past(facts.unsent, BODY_STALL_MAX) {
        Some(Why::Unsent)
    } else if past(facts.retiring, bounds.header_timeout) && past(facts.idle, bounds.header_timeout)
    {
        Some(Why::Lingering)
    } else if past(facts.stalled, WRITE_STALL_MAX) {
        // It was told to retire, and the others have had time to end.
        Some(Why::Untaken)
    } else if facts.stalled.is_some() && facts.retiring.is_none() {
        Some(Why::Stalled)
    } else if facts.retiring.is_none() && past(facts.idle, bounds.idle_timeout) {
        Some(Why::Idle)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that is in no state it should leave.
    const WELL: Facts = Facts {
        stage: Stage::Http1,
        silent: None,
        head: None,
        idle: None,
        untaken: None,
        stalled: None,
        unsent: None,
        retiring: None,
    };

    const BEGAN: Option<Tick> = Some(Tick(7));

    /// Overdue for that reason once `seconds` have passed, and not a sweep before.
    #[track_caller]
    fn check(facts: Facts, seconds: u32, why: Why) {
        let bounds = Bounds {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
        };
        let due = Tick(7 + 2 * seconds);
        assert_eq!(
            overdue(&facts, Tick(due.0 - 1), &bounds),
            None,
            "a sweep before"
        );
        assert_eq!(overdue(&facts, due, &bounds), Some(why), "in time");
    }

    #[test]
    fn every_state_has_its_bound() {
        let (opening, upgraded) = (Stage::Opening, Stage::Upgraded);
        check(
            Facts {
                stage: opening,
                silent: BEGAN,
                ..WELL
            },
            10,
            Why::Silent,
        );
        check(
            Facts {
                stage: opening,
                head: BEGAN,
                ..WELL
            },
            10,
            Why::SlowHead,
        );
        check(
            Facts {
                head: BEGAN,
                ..WELL
            },
            10,
            Why::SlowHead,
        );
        check(
            Facts {
                idle: BEGAN,
                ..WELL
            },
            30,
            Why::Idle,
        );
        check(
            Facts {
                stage: Stage::Http2,
                idle: BEGAN,
                ..WELL
            },
            30,
            Why::Idle,
        );
        check(
            Facts {
                untaken: BEGAN,
                ..WELL
            },
            60,
            Why::Untaken,
        );
        check(
            Facts {
                unsent: BEGAN,
                ..WELL
            },
            60,
            Why::Unsent,
        );
        check(
            Facts {
                idle: BEGAN,
                retiring: BEGAN,
                ..WELL
            },
            10,
            Why::Lingering,
        );
        check(
            Facts {
                stage: upgraded,
                idle: BEGAN,
                ..WELL
            },
            600,
            Why::Quiet,
        );
        check(
            Facts {
                stage: upgraded,
                idle: BEGAN,
                retiring: BEGAN,
                ..WELL
            },
            600,
            Why::Quiet,
        );
    }

    #[test]
    fn a_request_that_waits_for_others_is_never_overdue() {
        let waits = Facts {
            retiring: Some(Tick(0)),
            ..WELL
        };
        for facts in [WELL, waits] {
            assert_eq!(overdue(&facts, Tick(u32::MAX), &Bounds::default()), None);
        }
    }

    #[test]
    fn only_an_idle_connection_may_finish_first() {
        assert_eq!(Why::Idle.order(), Order::Retire);
        assert_eq!(Why::Stalled.order(), Order::Retire);
        for why in [
            Why::Silent,
            Why::SlowHead,
            Why::Untaken,
            Why::Unsent,
            Why::Lingering,
        ] {
            assert_eq!(why.order(), Order::Cut);
        }
    }
}
