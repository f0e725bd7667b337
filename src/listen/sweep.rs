//! The one timer of a worker: looks at every connection twice a second.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    task::yield_now,
    time::{MissedTickBehavior, interval},
};

use super::{
    Bounds,
    overdue::{SWEEP_EVERY, Tick, overdue},
    roll::Roll,
    vitals::Order,
    watch::Watch,
};
use crate::{observe, time::read_anew};

/// Connections looked at before others get a turn: about 0.1 ms.
const LOOKS_MAX: usize = 1024;

/// Bounds that a reload may change while connections are open.
#[derive(Debug)]
pub struct LiveBounds {
    header_ms: AtomicU64,
    idle_ms: AtomicU64,
}

impl LiveBounds {
    /// Starts with `bounds`.
    pub fn new(bounds: Bounds) -> Self {
        let live = Self {
            header_ms: AtomicU64::new(0),
            idle_ms: AtomicU64::new(0),
        };
        live.set(bounds);
        live
    }

    /// From the next sweep on, also for connections that are open.
    pub fn set(&self, bounds: Bounds) {
        self.header_ms.store(millis(bounds.header_timeout), Relaxed);
        self.idle_ms.store(millis(bounds.idle_timeout), Relaxed);
    }

    pub(super) fn now(&self) -> Bounds {
        Bounds {
            header_timeout: Duration::from_millis(self.header_ms.load(Relaxed)),
            idle_timeout: Duration::from_millis(self.idle_ms.load(Relaxed)),
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Closes what is overdue among `roll`'s connections, for ever; dropping it
/// leaves them without deadlines.
///
/// Time is the number of sweeps, not what a clock says: when a worker stood
/// still for a minute, no viewer is blamed for that minute.
pub async fn sweep(roll: Arc<Roll>, bounds: Arc<LiveBounds>) {
    let mut turns = interval(SWEEP_EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut now = Tick::default();
    loop {
        turns.tick().await;
        // A worker that always has something to do never sleeps.
        read_anew();
        now = now.next();
        roll.sweep(now);
        let bounds = bounds.now();
        let mut looked = 0;
        while look_on(&roll, &mut looked, now, &bounds) {
            yield_now().await;
        }
        roll.entries().retain(|watch| !watch.vitals().is_closed());
    }
}

/// Looks at the next few connections; false when those were the last.
fn look_on(roll: &Roll, looked: &mut usize, now: Tick, bounds: &Bounds) -> bool {
    let mut watches = roll.entries();
    let end = watches.len().min(*looked + LOOKS_MAX);
    for watch in &mut watches[*looked..end] {
        look(watch, now, bounds, roll);
    }
    *looked = end;
    end < watches.len()
}

fn look(watch: &mut Watch, now: Tick, bounds: &Bounds, roll: &Roll) {
    if watch.vitals().is_closed() {
        return;
    }
    let facts = watch.look(now);
    if let Some(why) = overdue(&facts, now, bounds) {
        if watch.vitals().order() < why.order() {
            roll.closed_overdue();
            observe::connection_overdue(&why);
        }
        watch.vitals().give(why.order());
    } else if watch.is_for_parking(&facts, now) {
        watch.vitals().give(Order::Park);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Clock, Timestamp, pretend};

    #[tokio::test(start_paused = true)]
    async fn what_was_read_of_the_clock_is_no_older_than_a_sweep() {
        let swept = sweep(Arc::default(), Arc::new(LiveBounds::new(Bounds::default())));
        let swept = tokio::spawn(swept);
        yield_now().await;
        let long_ago = Timestamp::from_unix(7);
        pretend(long_ago);
        assert_eq!(Clock::System.now(), long_ago);
        tokio::time::advance(SWEEP_EVERY).await;
        yield_now().await;
        assert!(Clock::System.now() > long_ago);
        swept.abort();
    }
}
