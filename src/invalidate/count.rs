//! How much of what is stored an order covers.
//!
//! The walk takes as long as there is much stored, and nothing waits for it but the call that
//! wants the number: it runs on a thread of its own, one at a time, and rests after each one
//! that was not asked for, so that a flood of invalidations takes no core from the viewers.

use std::{
    ops::ControlFlow,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::{task::spawn_blocking, time::timeout};

use super::{Invalidations, Mode, Preview, Refused, SAMPLE_MAX, resolve::Resolved};
use crate::{
    ledger::Ledger,
    policy::marks::{Marks, Sequence},
    store::Object,
};

/// The most keys that are walked through for the count in an answer: some tens of
/// milliseconds. A preview is asked for to count, and counts them all.
const KEYS_MAX: u64 = 100_000;

/// How long it rests for each object it has looked at: some ten times as long as that takes.
const REST: Duration = Duration::from_micros(10);

/// How long a preview waits for others.
const WAIT_MAX: Duration = Duration::from_secs(5);

impl Invalidations {
    /// Counts what an order that was just accepted covers, and lets go of it where it is
    /// forgotten anyway; `None` when there is too much stored, or somebody counts already.
    pub(super) async fn swept(&self, mode: Mode, resolved: &Resolved) -> Option<u64> {
        let inner = self.0.clone();
        if inner.parts.store.usage().keys > KEYS_MAX {
            return None;
        }
        let turn = inner.counting.clone().try_acquire_owned().ok()?;
        let clock = inner.parts.clock;
        let rests = *inner.rests.lock().unwrap_or_else(PoisonError::into_inner);
        if rests.is_some_and(|until| clock.instant() < until) {
            return None;
        }
        let order = Covering::of(resolved);
        let walk = move || {
            let (store, mut matched, mut seen) = (&inner.parts.store, 0, 0);
            store.visit(|key, object| {
                seen += 1;
                if order.covers(&object.meta.marks) {
                    matched += 1;
                    if mode == Mode::Hard {
                        store.forget(key, object);
                    }
                }
                ControlFlow::Continue(())
            });
            let rest = clock.instant() + REST * seen;
            *inner.rests.lock().unwrap_or_else(PoisonError::into_inner) = Some(rest);
            drop(turn);
            matched
        };
        spawn_blocking(walk).await.ok()
    }

    /// Counts what an order would cover.
    pub(super) async fn counted(&self, resolved: &Resolved) -> Result<Preview, Refused> {
        let inner = self.0.clone();
        let turn = timeout(WAIT_MAX, inner.counting.clone().acquire_owned());
        let Ok(Ok(turn)) = turn.await else {
            return Err(Refused::Busy);
        };
        let order = Covering::of(resolved);
        let walk = move || {
            let (mut matched, mut sample) = (0, Vec::new());
            inner.parts.store.visit(|_, object| {
                if order.covers(&object.meta.marks) && !is_gone(&inner.parts.ledger, object) {
                    matched += 1;
                    if sample.len() < SAMPLE_MAX {
                        let page = object.meta.marks.page();
                        sample.push(String::from_utf8_lossy(page).into_owned());
                    }
                }
                ControlFlow::Continue(())
            });
            drop(turn);
            sample.sort();
            Preview { matched, sample }
        };
        spawn_blocking(walk).await.map_err(|_| Refused::Busy)
    }
}

/// Whether `object` was forgotten before, and only still takes room.
fn is_gone(ledger: &Ledger, object: &Arc<Object>) -> bool {
    let judged = object.judge(ledger.head(), |marks, since| ledger.covers(marks, since));
    judged == Some(Mode::Hard)
}

/// One order in a ledger of its own: what counts judges as what serves, and as fast however
/// many items there are.
struct Covering(Ledger);

impl Covering {
    fn of(resolved: &Resolved) -> Self {
        let ledger = Ledger::default();
        ledger.accept(Mode::Hard, resolved.selectors.iter().cloned());
        Self(ledger)
    }

    fn covers(&self, marks: &Marks) -> bool {
        self.0.covers(marks, Sequence::default()).is_some()
    }
}
