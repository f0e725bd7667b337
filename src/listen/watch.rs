//! What the sweeps so far saw of one connection.

use std::sync::Arc;

use super::{
    overdue::{BODY_PROGRESS_MIN, Facts, PARK_AFTER, Tick, WRITE_PROGRESS_MIN},
    vitals::{Look, Order, Stage, Vitals},
};

/// One connection, and what the sweeps so far saw of it.
#[derive(Debug)]
pub(super) struct Watch {
    vitals: Arc<Vitals>,
    requests: u32,
    /// `received` when the viewer last made progress.
    received: u64,
    /// `sent` when the viewer last made progress.
    taken: u64,
    silent: Option<Tick>,
    head: Option<Tick>,
    idle: Option<Tick>,
    untaken: Option<Tick>,
    stalled: Option<Tick>,
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
            stalled: None,
            unsent: None,
            retiring: None,
        }
    }

    pub(super) fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    /// Looks, compares with the last time, remembers.
    pub(super) fn look(&mut self, now: Tick) -> Facts {
        let stalled = self.vitals.sweep(now.0);
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
        let stalled = (stalled || self.stalled.is_some()) && look.untaken > 0;
        let several = look.stage == Stage::Http2;
        hold(&mut self.stalled, several && stalled, now);
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
            stalled: self.stalled,
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
            self.received = look.received;
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
        let progress = match look.stage {
            Stage::Upgraded => 1,
            Stage::Opening | Stage::Http1 | Stage::Http2 => BODY_PROGRESS_MIN,
        };
        if look.received.saturating_sub(self.received) >= progress {
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

    #[test]
    fn another_request_begins_another_wait() {
        let vitals = Arc::new(Vitals::default());
        let mut watch = Watch::new(Arc::clone(&vitals));
        vitals.enter(Stage::Http1);
        vitals.read(10);
        assert_eq!(watch.look(Tick(1)).head, Some(Tick(1)));
        vitals.read(10);
        assert_eq!(watch.look(Tick(2)).head, Some(Tick(1)));
        // Between two sweeps: one is answered, another begins.
        vitals.begin(RequestBody::None);
        vitals.end();
        vitals.read(10);
        assert_eq!(watch.look(Tick(3)).head, Some(Tick(3)));
    }
}
