//! Which connections have waited long enough.
//!
//! Time is counted in sweeps. A [`Watch`] remembers since which sweep a
//! connection is in a state it should leave; [`overdue`] compares that with the
//! bounds and changes nothing. Since a state is seen at the next sweep, nothing
//! is closed early.

use std::{sync::Arc, time::Duration};

use super::{
    Bounds,
    vitals::{Look, Order, Stage, Vitals},
};

/// Between two sweeps, and so the unit of a [`Tick`].
pub(super) const SWEEP_EVERY: Duration = Duration::from_millis(500);

/// An HTTP/1 connection idle for this long gives its buffers back: 16 KiB of
/// hyper's and the room for an answer under way. Making them anew costs about
/// a microsecond, which a viewer that asks more often than this never pays.
const PARK_AFTER: Duration = Duration::from_secs(2);

/// Without progress for this long, a viewer that should take an answer is gone.
pub(super) const WRITE_STALL_MAX: Duration = Duration::from_secs(60);

/// What counts as progress in that time, in bytes: less than any line of 1990
/// carries, but more than the pings and acknowledgements of an HTTP/2
/// connection (17 bytes each, a few in a minute).
pub(super) const WRITE_PROGRESS_MIN: u64 = 1024;

/// Without a byte for this long, a viewer that owes the rest of a body is gone.
pub(super) const BODY_STALL_MAX: Duration = Duration::from_secs(60);

/// Without a byte in either direction for this long, an upgraded connection is
/// closed (CloudFront: WebSocket idle timeout, 10 minutes).
pub(super) const UPGRADE_IDLE_MAX: Duration = Duration::from_secs(600);

/// Counts sweeps; at two a second it lasts 68 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(u32);

impl Tick {
    pub(super) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whether `span` has certainly passed since `earlier`.
    fn is_past(self, earlier: Self, span: Duration) -> bool {
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
            Self::Idle => Order::Retire,
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
    } else if facts.retiring.is_none() && past(facts.idle, bounds.idle_timeout) {
        Some(Why::Idle)
    } else {
        None
    }
}

/// One connection, and what the sweeps so far saw of it.
#[derive(Debug)]
pub(super) struct Watch {
    vitals: Arc<Vitals>,
    requests: u32,
    received: u64,
    /// `sent` when the viewer last made progress.
    taken: u64,
    silent: Option<Tick>,
    head: Option<Tick>,
    idle: Option<Tick>,
    untaken: Option<Tick>,
    unsent: Option<Tick>,
    retiring: Option<Tick>,
}

impl Watch {
    pub(super) fn new(vitals: Arc<Vitals>) -> Self {
        Self {
            vitals,
            requests: 0,
            received: 0,
            taken: 0,
            silent: None,
            head: None,
            idle: None,
            untaken: None,
            unsent: None,
            retiring: None,
        }
    }

    pub(super) fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    /// Looks, compares with the last time, remembers.
    pub(super) fn look(&mut self, now: Tick) -> Facts {
        let look = self.vitals.look();
        self.forget_what_moved(&look);

        let opening = look.stage == Stage::Opening;
        let upgraded = look.stage == Stage::Upgraded;
        let silent = opening && look.received == 0;
        // On HTTP/1 a head that comes while a request is in flight has to wait
        // for its turn; on HTTP/2 heads come at any time.
        let head =
            !upgraded && look.head_begun && (look.in_flight == 0 || look.stage == Stage::Http2);
        let idle = upgraded || (look.in_flight == 0 && !head && !silent);

        hold(&mut self.silent, silent, now);
        hold(&mut self.head, head, now);
        hold(&mut self.idle, idle, now);
        hold(&mut self.untaken, !upgraded && look.waits_for_taker, now);
        hold(
            &mut self.unsent,
            look.stage == Stage::Http1 && look.waits_for_body,
            now,
        );
        hold(&mut self.retiring, look.order >= Order::Retire, now);
        Facts {
            stage: look.stage,
            silent: self.silent,
            head: self.head,
            idle: self.idle,
            untaken: self.untaken,
            unsent: self.unsent,
            retiring: self.retiring,
        }
    }

    /// Whether its buffers are worth giving back.
    pub(super) fn is_for_parking(&self, facts: &Facts, now: Tick) -> bool {
        facts.head.is_none()
            && facts.retiring.is_none()
            && facts
                .idle
                .is_some_and(|since| now.is_past(since, PARK_AFTER))
            && self.vitals.may_park()
    }

    /// What moved since the last sweep starts its wait anew.
    fn forget_what_moved(&mut self, look: &Look) {
        if look.requests != self.requests {
            self.requests = look.requests;
            self.head = None;
            self.idle = None;
            self.unsent = None;
        }
        let progress = match look.stage {
            Stage::Upgraded => 1,
            Stage::Opening | Stage::Http1 | Stage::Http2 => WRITE_PROGRESS_MIN,
        };
        if look.sent.saturating_sub(self.taken) >= progress {
            self.taken = look.sent;
            self.untaken = None;
            self.idle = None;
        }
        if look.received != self.received {
            self.received = look.received;
            self.unsent = None;
            if look.stage == Stage::Upgraded {
                self.idle = None;
            }
        }
    }
}

/// Keeps since when `state` holds.
fn hold(since: &mut Option<Tick>, state: bool, now: Tick) {
    if state {
        since.get_or_insert(now);
    } else {
        *since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::{super::vitals::RequestBody, *};

    /// A connection that is in no state it should leave.
    const WELL: Facts = Facts {
        stage: Stage::Http1,
        silent: None,
        head: None,
        idle: None,
        untaken: None,
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

    #[test]
    fn another_request_begins_another_wait() {
        let vitals = Arc::new(Vitals::default());
        let mut watch = Watch::new(Arc::clone(&vitals));
        vitals.enter(Stage::Http1);
        vitals.read(10, b'x');
        assert_eq!(watch.look(Tick(1)).head, Some(Tick(1)));
        vitals.read(10, b'x');
        assert_eq!(watch.look(Tick(2)).head, Some(Tick(1)));
        // Between two sweeps: one is answered, another begins.
        vitals.begin(RequestBody::None);
        vitals.end();
        vitals.read(10, b'x');
        assert_eq!(watch.look(Tick(3)).head, Some(Tick(3)));
    }
}
