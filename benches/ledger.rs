//! What does an invalidation cost, and what does it cost everybody else?
//!
//! `accept` must not depend on what is stored or outstanding. `hit` is what a memory hit asks of
//! store and ledger; ten thousand invalidations that are not about the object must not show in
//! it. `look_again` is what the first hit after an invalidation does instead of one comparison:
//! with something new of the kind it is about, and at worst with something new of every kind.
//!
//! `benches/gate ledger`

#![allow(
    missing_docs,
    unused_qualifications,
    reason = "the modules and paths that gungraun's macros write"
)]

use std::{hint::black_box, sync::Arc};

use bytes::Bytes;
use gungraun::prelude::*;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use warmfront::{
    ledger::Ledger,
    policy::{
        Key, Meta, Rules,
        marks::{Mode, Sequence},
        selector::Selector,
        settle::{self, Times},
    },
    store::{Found, Object, Store},
};

mod clinic;

use clinic::{NOW, often};

const DISTRIBUTION: &str = "clinic";

/// How many invalidations are outstanding where there are many.
const MANY: u64 = 10_000;

/// The page that is hit.
const TARGET: &str = "/search/pcp?Keyword=smith&Limit=10&Page=1&PracticeId=42&Zipcode=10115";

/// A store with an object, and a ledger of what was invalidated since.
struct Bench {
    rules: Rules,
    store: Store,
    ledger: Ledger,
    object: Arc<Object>,
}

const HIT: Key = Key(u128::MAX);

#[library_benchmark(setup = Bench::after)]
#[bench::page(MANY, page)]
#[bench::page_among_none(0, page)]
#[bench::tag(MANY, tag)]
#[bench::prefix(MANY, prefix)]
#[bench::parameter(MANY, parameter)]
fn accept((bench, selector): (Bench, Select)) -> Bench {
    let mut number = MANY;
    often(|| {
        number += 1;
        let selector = selector(&bench.rules, number);
        bench.ledger.accept(Mode::Hard, [selector])
    });
    bench
}

#[library_benchmark(setup = Bench::after)]
#[bench::before_any(0, page)]
#[bench::after_10_000(MANY, page)]
fn hit((bench, _): (Bench, Select)) -> Bench {
    often(|| bench.is_there(black_box(HIT)));
    bench
}

#[library_benchmark(setup = Bench::after)]
#[bench::new_of_nothing(0, page)]
#[bench::new_of_every_kind(MANY, page)]
fn look_again((bench, _): (Bench, Select)) -> Bench {
    let (marks, ledger) = (&bench.object.meta.marks, &bench.ledger);
    assert_eq!(ledger.covers(marks, Sequence::default()), None);
    often(|| ledger.covers(black_box(marks), Sequence::default()));
    bench
}

/// What is invalidated, by number.
type Select = fn(&Rules, u64) -> Selector;

impl Bench {
    /// Whether there is an answer that is not invalidated; as a request looks.
    fn is_there(&self, key: Key) -> bool {
        let now = self.ledger.head();
        let found = self.store.find(key, |object| {
            let found = object.judge(now, |marks, since| self.ledger.covers(marks, since));
            found != Some(Mode::Hard)
        });
        matches!(found, Found::Object(_))
    }

    /// One after this many invalidations, of all kinds and none of them about the object.
    fn after(count: u64, selector: Select) -> (Self, Select) {
        let rules = clinic::rules(&clinic::site(), &clinic::ask(TARGET, &[]));
        let (store, ledger) = (Store::new(16 << 20, 1 << 20), Ledger::default());
        let (meta, headers) = head(&rules, TARGET);
        let body = [Bytes::from(vec![b'x'; 1 << 10])];
        let kept = store.keep(HIT, (meta, &headers), &body, NOW);
        let object = kept.expect("there is room");
        for number in 0..count / 4 {
            ledger.accept(Mode::Hard, [page(&rules, number)]);
            ledger.accept(Mode::Soft, [tag(&rules, number)]);
            ledger.accept(Mode::Hard, [prefix(&rules, number)]);
            ledger.accept(Mode::Hard, [parameter(&rules, number)]);
        }
        let bench = Self {
            rules,
            store,
            ledger,
            object,
        };
        assert!(bench.is_there(HIT), "nothing was about it");
        (bench, selector)
    }
}

/// What is stored of an ordinary answer for `target`.
fn head(rules: &Rules, target: &str) -> (Meta, HeaderMap) {
    let fields = [
        ("content-type", "application/json; charset=utf-8"),
        ("cache-control", "public, max-age=3600"),
        ("etag", "\"6f1c2b9d\""),
        ("cache-tag", "practice:42, provider:4711, search"),
    ];
    let headers = fields.map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    });
    let mut headers = HeaderMap::from_iter(headers);
    let times = Times {
        asked: NOW,
        received: NOW,
        born: Sequence::default(),
    };
    let ask = clinic::ask(target, &[]);
    let meta = settle::meta(&ask, rules, StatusCode::OK, &headers, times);
    headers.remove("cache-tag");
    (meta.expect("a public answer is stored"), headers)
}

fn page(rules: &Rules, number: u64) -> Selector {
    let query = format!("Keyword=gone{number}");
    Selector::page(DISTRIBUTION, &rules.key, "/search/pcp", Some(&query))
}

fn tag(_: &Rules, number: u64) -> Selector {
    Selector::tag(DISTRIBUTION, format!("gone:{number}").as_bytes())
}

fn prefix(_: &Rules, number: u64) -> Selector {
    Selector::prefix(DISTRIBUTION, &format!("/search/gone/{number}/"))
}

fn parameter(_: &Rules, number: u64) -> Selector {
    let value = format!("gone{number}");
    Selector::parameter(DISTRIBUTION, "/search/pcp", b"PracticeId", value.as_bytes())
}

library_benchmark_group!(name = of, benchmarks = [accept, hit, look_again]);
main!(config = clinic::counting(), library_benchmark_groups = of);
