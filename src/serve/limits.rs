//! Counting viewers' requests where a behaviour limits them.
//!
//! One word of 64 bits for each viewer who asked lately, under a keyed hash of who it is:
//! neither an address nor a field's value is kept. Tables are bounded. When one shard of them
//! is full of viewers who all wait, it starts anew, which lets each have one more burst: a
//! flood from everywhere may ask more than it should, and no memory is lost to it.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    ops::Add,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{self, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::StateStore,
};
use tokio::time::Instant;

use super::Way;
use crate::{
    policy::{
        key::Scope,
        rate::{RateLimit, Subject},
    },
    site::Snapshot,
    time::Clock,
};

/// The viewers of one shard.
const SHARD_MAX: usize = 4_096;

/// Locks that workers seldom meet at; with 4,096 viewers each, 65,536 of a behaviour are
/// counted, in at most 3 MiB.
const SHARDS: usize = 16;

/// The limits of one configuration, by the behaviour's index.
#[derive(Debug, Default)]
pub struct Limits(Vec<Option<Arc<Limit>>>);

/// The limit of one behaviour, and who is near it.
#[derive(Debug)]
struct Limit {
    /// Where it belongs: a reload that changes neither goes on with what was counted.
    scope: Scope,
    rate: RateLimit,
    hasher: RandomState,
    limiter: RateLimiter<u64, Table, Ticks, NoOpMiddleware<Moment>>,
}

impl Limits {
    /// The limits of `site`; where `before` had the same, it goes on counting.
    pub fn of(site: &Snapshot, clock: Clock, before: &Self) -> Self {
        let behaviours = site.distributions.iter().flat_map(|one| &one.behaviours);
        let limits = behaviours.map(|behaviour| {
            let rate = behaviour.rules.viewer.rate_limit.as_ref()?;
            let scope = &behaviour.rules.key.scope;
            let same = |one: &&Arc<Limit>| one.scope == *scope && one.rate == *rate;
            let known = before.0.iter().flatten().find(same).cloned();
            known.or_else(|| Limit::new(scope.clone(), rate.clone(), clock).map(Arc::new))
        });
        Self(limits.collect())
    }
}

impl Limit {
    /// `None` for a span of no time, which no checked configuration has.
    fn new(scope: Scope, rate: RateLimit, clock: Clock) -> Option<Self> {
        let quota = Quota::with_period(rate.per / rate.requests.get())?.allow_burst(rate.burst);
        let table = Table {
            shards: Default::default(),
            start: clock.instant(),
            clock,
        };
        Some(Self {
            scope,
            rate,
            hasher: RandomState::new(),
            limiter: RateLimiter::new(quota, table, Ticks(clock)),
        })
    }

    /// Counts a request of `subject`; how long it has to wait instead, if it must.
    fn count(&self, subject: &Subject<'_>) -> Option<Duration> {
        let refused = self
            .limiter
            .check_key(&self.hasher.hash_one(subject))
            .err()?;
        Some(refused.wait_time_from(clock::Clock::now(self.limiter.clock())))
    }
}

impl Way {
    /// Counts this request; how long its viewer has to wait instead, if it must.
    pub(super) fn limited(&self) -> Option<Duration> {
        let limit = self.site.limits.0.get(self.route.behaviour().index)?;
        let limit = limit.as_ref()?;
        let wait = limit.count(&limit.rate.subject(&self.ask))?;
        let behaviour = self.route.behaviour().index;
        self.site.meters.behaviour(behaviour).rate_limited.one();
        Some(wait)
    }
}

/// Until when each viewer's requests are used up, in nanoseconds since `start`.
#[derive(Debug)]
struct Table {
    shards: [Mutex<HashMap<u64, u64>>; SHARDS],
    start: Instant,
    clock: Clock,
}

impl Table {
    /// Forgets who asked nothing for so long that nothing is used up; everybody, if that is
    /// nobody.
    fn make_room(&self, shard: &mut HashMap<u64, u64>) {
        let now = self.clock.instant().duration_since(self.start).as_nanos();
        shard.retain(|_, until| u128::from(*until) > now);
        if shard.len() >= SHARD_MAX {
            shard.clear();
        }
    }
}

impl StateStore for Table {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, viewer: &u64, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let shard = &self.shards[(*viewer % SHARDS as u64) as usize];
        // No code panics while it holds the lock.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let (measured, until) = measure(shard.get(viewer).map(|until| Nanos::from(*until)))?;
        if shard.len() >= SHARD_MAX && !shard.contains_key(viewer) {
            self.make_room(&mut shard);
        }
        shard.insert(*viewer, until.as_u64());
        Ok(measured)
    }
}

/// Our clock, as the library wants it.
#[derive(Clone, Copy, Debug)]
struct Ticks(Clock);

/// A reading of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(Instant);

impl clock::Clock for Ticks {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(self.0.instant())
    }
}

impl Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, span: Nanos) -> Self {
        Self(self.0 + Duration::from(span))
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, span: Nanos) -> Self {
        Self(self.0.checked_sub(span.into()).unwrap_or(self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::{policy::rate::By, time::Timestamp};

    fn limit(requests: u32, burst: u32) -> Limit {
        let scope = Scope::new("test", "*");
        let rate = RateLimit {
            by: By::Address,
            requests: requests.try_into().unwrap(),
            per: Duration::from_secs(60),
            burst: burst.try_into().unwrap(),
        };
        let clock = Clock::simulated(Timestamp::from_unix(1_795_348_800));
        Limit::new(scope, rate, clock).unwrap()
    }

    fn viewer(number: u32) -> Subject<'static> {
        Subject::Network(Ipv4Addr::from(number).into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_then_what_is_refilled() {
        let limit = limit(60, 3);
        for _ in 0..3 {
            assert_eq!(limit.count(&viewer(1)), None);
        }
        assert_eq!(limit.count(&viewer(1)), Some(Duration::from_secs(1)));
        assert_eq!(limit.count(&viewer(2)), None);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(limit.count(&viewer(1)), Some(Duration::from_millis(1)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(limit.count(&viewer(1)), None);
        assert!(limit.count(&viewer(1)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_viewers_takes_bounded_room() {
        let limit = limit(1, 1);
        let strangers = 2 * SHARDS as u32 * SHARD_MAX as u32;
        for number in 0..strangers {
            assert_eq!(limit.count(&viewer(number)), None);
        }
        let counted = |shard: &Mutex<HashMap<u64, u64>>| shard.lock().unwrap().len();
        let table = limit.limiter.into_state_store();
        assert!(table.shards.iter().map(counted).sum::<usize>() <= SHARDS * SHARD_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn d16_what_tells_viewers_apart_is_not_kept() {
        let (limit, key) = (limit(1, 1), &b"s3cret"[..]);
        assert_eq!(limit.count(&Subject::Values(vec![key])), None);
        assert!(limit.count(&Subject::Values(vec![key])).is_some());
        let kept = format!("{limit:?}");
        assert!(!kept.contains("s3cret"), "{kept}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_largest_numbers_do_not_overflow() {
        use crate::policy::rate::{PER_MAX, REQUESTS_MAX};
        let mut largest = limit(1, REQUESTS_MAX);
        largest.rate.per = PER_MAX;
        let limit = Limit::new(
            largest.scope,
            largest.rate,
            Clock::simulated(Timestamp::from_unix(0)),
        )
        .unwrap();
        tokio::time::advance(Duration::from_secs(10 * 365 * 86_400)).await;
        for _ in 0..1_000 {
            assert_eq!(limit.count(&viewer(1)), None);
        }
    }
}
