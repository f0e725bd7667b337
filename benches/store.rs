//! What does it cost to find an answer in the store, and to keep one?
//!
//! `find` is a part of every hit. `variants` adds what `Vary` costs: a find goes from the newest
//! variant to the one that matches, so the last of 64, and none of 64, are what a stranger can
//! make it cost at most.
//!
//! `head` is what those pay who want a stored head's fields one by one: HTTP/2, and what becomes a
//! 304 or a part. HTTP/1 can be sent its lines as they are.
//!
//! `keep` is a part of every miss, not of any hit. In a full store it copies head and body, and
//! pays for the eviction that makes room.
//!
//! Instructions say nothing of the processor's caches: among more objects than these hold, a
//! find waits for memory, which `peers/` measures in time.
//!
//! `benches/gate store`

#![allow(
    missing_docs,
    unused_qualifications,
    reason = "the modules and paths that gungraun's macros write"
)]

use std::{hint::black_box, sync::Arc};

use bytes::Bytes;
use gungraun::prelude::*;
use http::{HeaderMap, HeaderValue, StatusCode, header::LAST_MODIFIED};
use warmfront::{
    policy::{
        Ask, Key, Meta, Rules, deliver,
        marks::Sequence,
        settle::{self, Times},
        variant::VARIANTS_MAX,
    },
    store::{Found, Object, Store},
};

mod clinic;

use clinic::{NOW, often};

const BODY_BYTES: usize = 1 << 10;

/// Objects in the store that is searched.
const OBJECTS: u128 = 2_000;

const VARY: &str = "accept-encoding, accept-language";

/// An ask, and what its behaviour says of answers to it; a store with some.
struct Bench {
    ask: Ask,
    rules: Rules,
    body: [Bytes; 1],
    store: Store,
}

#[library_benchmark(setup = Bench::of_many)]
#[bench::hit(0, true)]
#[bench::miss(OBJECTS, false)]
fn find((bench, first, found): (Bench, u128, bool)) -> Bench {
    assert_eq!(bench.has(key(first), &bench.ask), found);
    let mut number = first;
    often(|| {
        number += 1;
        bench.has(key(number), &bench.ask)
    });
    bench
}

#[library_benchmark(setup = Bench::varying)]
#[bench::the_only_one(1, 0, true)]
#[bench::newest_of_64(VARIANTS_MAX, VARIANTS_MAX - 1, true)]
#[bench::oldest_of_64(VARIANTS_MAX, 0, true)]
#[bench::none_of_64(VARIANTS_MAX, VARIANTS_MAX, false)]
fn variants((bench, ask, found): (Bench, Ask, bool)) -> Bench {
    assert_eq!(bench.has(key(1), &ask), found);
    often(|| bench.has(black_box(key(1)), &ask));
    bench
}

#[library_benchmark(setup = Bench::full)]
#[bench::one_kib_while_full()]
fn keep((bench, head, number): (Bench, Head, u128)) -> Bench {
    let mut number = number;
    often(|| {
        number += 1;
        bench.put(key(number), &head);
    });
    bench
}

#[library_benchmark(setup = Bench::full)]
#[bench::one_kib_in_the_place_of_its_like()]
fn replace((bench, head, number): (Bench, Head, u128)) -> Bench {
    often(|| bench.put(key(number), &head));
    bench
}

#[library_benchmark(setup = Bench::kept)]
#[bench::as_a_map()]
fn head(object: Arc<Object>) -> Arc<Object> {
    often(|| black_box(&object.head).to_map());
    object
}

#[library_benchmark(setup = Bench::kept)]
#[bench::one()]
fn field(object: Arc<Object>) -> Arc<Object> {
    often(|| black_box(&object.head).get(&LAST_MODIFIED).is_some());
    object
}

/// What is kept of an answer besides its body.
type Head = (Meta, HeaderMap);

impl Bench {
    fn new(bytes: u64) -> Self {
        let ask = clinic::ask("/providers/4711", &[("accept-encoding", "gzip, br")]);
        let rules = clinic::rules(&clinic::site(), &ask);
        let body = [Bytes::from(vec![b'x'; BODY_BYTES])];
        let store = Store::new(bytes, 1 << 20);
        Self {
            ask,
            rules,
            body,
            store,
        }
    }

    /// One with many keys, and where to look first.
    fn of_many(first: u128, found: bool) -> (Self, u128, bool) {
        let bench = Self::new(64 << 20);
        let head = bench.head(&bench.ask, "");
        for number in 0..OBJECTS {
            bench.put(key(number), &head);
        }
        (bench, first, found)
    }

    /// One with `count` variants of a key, and an ask in this of their languages.
    fn varying(count: usize, language: usize, found: bool) -> (Self, Ask, bool) {
        let bench = Self::new(16 << 20);
        for language in 0..count {
            bench.put(key(1), &bench.head(&bench.speaking(language), VARY));
        }
        let ask = bench.speaking(language);
        (bench, ask, found)
    }

    /// One that has no room left, what is kept in it, and the last key tried.
    fn full() -> (Self, Head, u128) {
        let bench = Self::new(2 << 20);
        let head = bench.head(&bench.ask, "");
        let mut number = 0;
        while bench.store.usage().evictions == 0 {
            number += 1;
            bench.put(key(number), &head);
        }
        (bench, head, number)
    }

    /// An object of it.
    fn kept() -> Arc<Object> {
        let bench = Self::new(8 << 20);
        bench.put(key(1), &bench.head(&bench.ask, ""));
        match bench.store.find(key(1), |_| true) {
            Found::Object(object) => object,
            _ => panic!("it was just kept"),
        }
    }

    /// The ask in one of many languages.
    fn speaking(&self, language: usize) -> Ask {
        let mut ask = self.ask.clone();
        let wanted = format!("x-{language:04}, en;q=0.5");
        ask.headers.insert(http::header::ACCEPT_LANGUAGE, wanted);
        ask
    }

    /// What is stored of an answer to `ask` that varies by `vary`.
    fn head(&self, ask: &Ask, vary: &'static str) -> Head {
        let fields = [
            ("content-type", "application/json; charset=utf-8"),
            ("content-length", "1024"),
            ("cache-control", "public, max-age=3600"),
            ("etag", "\"6f1c2b9d\""),
            ("last-modified", "Sun, 22 Nov 2026 08:00:00 GMT"),
            ("date", "Sun, 22 Nov 2026 12:00:00 GMT"),
            ("vary", vary),
        ];
        let headers = fields.map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        let headers = HeaderMap::from_iter(headers);
        let times = Times {
            asked: NOW,
            received: NOW,
            born: Sequence::default(),
        };
        let meta = settle::meta(ask, &self.rules, StatusCode::OK, &headers, times)
            .expect("a public answer is stored");
        let headers = deliver::as_stored(&headers, &self.rules, NOW, meta.recodable);
        (meta, headers)
    }

    /// Whether there is an answer to `ask`.
    fn has(&self, key: Key, ask: &Ask) -> bool {
        let matches = |object: &Object| self.matches(&object.meta, ask);
        matches!(self.store.find(key, matches), Found::Object(_))
    }

    /// Keeps an answer; full stores may refuse it.
    fn put(&self, key: Key, (meta, headers): &Head) {
        let kept = self
            .store
            .keep(key, (meta.clone(), headers), &self.body, NOW);
        let _ = black_box(kept);
    }

    /// As a request does it.
    fn matches(&self, meta: &Meta, ask: &Ask) -> bool {
        let varying = meta.varying.as_ref();
        varying.is_none_or(|varying| varying.matches(ask, &self.rules))
    }
}

/// The `number`th key; spread like hashes, and as unlike its neighbours.
fn key(number: u128) -> Key {
    // The fractional digits of the golden ratio: odd, so no two numbers collide.
    Key((number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

library_benchmark_group!(
    name = of,
    benchmarks = [find, variants, head, field, keep, replace]
);
main!(config = clinic::counting(), library_benchmark_groups = of);
