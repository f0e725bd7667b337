//! Reclaiming what was invalidated, in the background.
//!
//! An invalidation holds as soon as it is accepted; what it covers lies in memory until
//! somebody asks for it, or until a sweep comes by. A sweep looks at every stored answer,
//! drops those that are gone, and lets the ledger forget what led to that. It is never needed
//! for anything but memory: where it does not run, nothing outdated is served.
//!
//! While nothing is invalidated there is no timer and no work.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    ledger::{Horizon, Ledger},
    policy::marks::Mode,
    store::Store,
};

/// How long a sweep waits for more invalidations before it begins: many come together.
const GATHERED: Duration = Duration::from_secs(1);

/// How many answers are looked at, at most, between two pauses.
const LOOKED_AT_MAX: usize = 500;

/// The pause. With [`LOOKED_AT_MAX`], at most 50,000 answers are looked at in a second: at
/// under a microsecond each, a twentieth of one core, and a million in twenty seconds.
const PAUSE: Duration = Duration::from_millis(10);

/// Sweeps `store` whenever something was invalidated. Never returns; dropping the future ends
/// it, and loses nothing that the next would not find. One per ledger.
pub async fn run(store: Store, ledger: Ledger) {
    loop {
        ledger.news().await;
        sleep(GATHERED).await;
        let Some(horizon) = ledger.horizon() else {
            continue;
        };
        sweep(&store, &ledger, horizon).await;
        ledger.forget(horizon);
    }
}

/// Judges every stored answer up to the horizon, and drops those that are gone.
async fn sweep(store: &Store, ledger: &Ledger, horizon: Horizon) {
    for (place, (key, object)) in store.objects().enumerate() {
        let found = object.judge(horizon.head, |marks, since| ledger.covers(marks, since));
        if found == Some(Mode::Hard) {
            store.forget(key, &object);
        }
        if place % LOOKED_AT_MAX == LOOKED_AT_MAX - 1 {
            drop(object);
            sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};
    use tokio::{task::yield_now, time::advance};

    use super::*;
    use crate::policy::{
        Key, Meta,
        marks::Sequence,
        selector::Selector,
        settle::{self, Times},
        tests::{NOW, ask, fields, rules},
    };

    /// An answer for `/{number}` with a tag, asked for when the head was `born`.
    fn head(number: usize, tag: &str, born: Sequence) -> (Meta, HeaderMap) {
        let headers = fields(&[("cache-control", "max-age=60"), ("cache-tag", tag)]);
        let (asked, received) = (NOW, NOW);
        let times = Times {
            asked,
            received,
            born,
        };
        let ask = ask(&format!("/{number}"));
        let meta = settle::meta(&ask, &rules(), StatusCode::OK, &headers, times).unwrap();
        (meta, headers)
    }

    fn keep(store: &Store, number: usize, tag: &str, born: Sequence) {
        let (meta, headers) = head(number, tag, born);
        let body = [Bytes::from(vec![b'x'; 100])];
        store
            .keep(Key(number as u128), (meta, &headers), &body, NOW)
            .unwrap();
    }

    fn tag(tag: &str) -> [Selector; 1] {
        [Selector::tag("test", tag.as_bytes())]
    }

    /// What is stored: how many, and how many of them are stale.
    fn stored(store: &Store) -> (usize, usize) {
        let softened = store.objects().filter(|(_, object)| object.is_softened());
        (store.objects().count(), softened.count())
    }

    /// Lets the sweep do all it can at this moment.
    async fn settled() {
        for _ in 0..10 {
            yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_gone_is_dropped_and_what_led_to_it_forgotten() {
        let (store, ledger) = (Store::new(1 << 20, 1 << 10), Ledger::default());
        for number in 0..30 {
            let tag = ["a", "b", "c"][number % 3];
            keep(&store, number, tag, ledger.head());
        }
        let bytes = store.usage().bytes;
        tokio::spawn(run(store.clone(), ledger.clone()));
        settled().await;
        ledger.accept(Mode::Hard, tag("a"));
        ledger.accept(Mode::Soft, tag("b"));
        settled().await;
        assert_eq!((stored(&store).0, ledger.usage().entries), (30, 2));
        advance(GATHERED).await;
        settled().await;
        assert_eq!((stored(&store), ledger.usage().entries), ((20, 10), 0));
        let usage = store.usage();
        assert!(usage.bytes <= bytes * 7 / 10, "{usage:?} of {bytes}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_looked_at_in_a_second_than_it_says() {
        let (store, ledger) = (Store::new(8 << 20, 1 << 10), Ledger::default());
        for number in 0..2 * LOOKED_AT_MAX + 1 {
            keep(&store, number, "a", ledger.head());
        }
        ledger.accept(Mode::Hard, tag("a"));
        tokio::spawn(run(store.clone(), ledger.clone()));
        let mut left = Vec::new();
        for pause in [GATHERED, PAUSE, PAUSE] {
            settled().await;
            advance(pause).await;
            settled().await;
            left.push(stored(&store).0);
        }
        assert_eq!(left, [LOOKED_AT_MAX + 1, 1, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn notes_wait_for_the_fetch_that_may_need_them() {
        let (store, ledger) = (Store::new(1 << 20, 1 << 10), Ledger::default());
        tokio::spawn(run(store.clone(), ledger.clone()));
        let birth = ledger.birth();
        ledger.accept(Mode::Hard, tag("a"));
        sleep(2 * GATHERED).await;
        keep(&store, 1, "a", birth.born());
        keep(&store, 2, "b", birth.born());
        assert_eq!(ledger.usage().entries, 1);
        drop(birth);
        sleep(2 * GATHERED).await;
        assert_eq!((stored(&store).0, ledger.usage().entries), (1, 0));
    }
}
