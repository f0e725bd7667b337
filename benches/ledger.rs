//! What does an invalidation cost, and what does it cost everybody else?
//!
//! `accept` must not depend on what is stored: it is measured beside a thousand objects and
//! beside a million. `hit` is what a memory hit asks of store and ledger; a million
//! invalidations that are not about the object must not show in it. `look again` is what the
//! first hit after an invalidation does instead of one comparison: with something new of the
//! kind it is about, and at worst with something new of every kind among a million.
//!
//! `cargo bench --bench ledger`

use std::hint::black_box;

use bytes::Bytes;
use criterion::Criterion;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use warmfront::{
    ledger::Ledger,
    policy::{
        Key, Meta, Rules,
        marks::{Mode, Sequence},
        selector::Selector,
        settle::{self, Times},
    },
    store::{Found, Store},
};

mod clinic;

use clinic::NOW;

/// As the daemon has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const DISTRIBUTION: &str = "clinic";

/// How many invalidations are outstanding where there are many.
const OUTSTANDING: u64 = 1_000_000;

/// The page that is hit.
const TARGET: &str = "/search/pcp?Keyword=smith&Limit=10&Page=1&PracticeId=42&Zipcode=10115";

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let rules = clinic::rules(&clinic::site(), &clinic::ask(TARGET, &[]));
    accept(&mut criterion, &rules);
    hit(&mut criterion, &rules);
    criterion.final_summary();
}

fn accept(criterion: &mut Criterion, rules: &Rules) {
    let mut group = criterion.benchmark_group("accept");
    for (stored, name) in [(1_000, "1,000 objects"), (1_000_000, "1,000,000 objects")] {
        let store = filled(rules, stored);
        let ledger = Ledger::default();
        let mut number = 0;
        let mut bench = |what: &str, selector: fn(&Rules, u64) -> Selector| {
            group.bench_function(format!("a {what}, {name}"), |bencher| {
                bencher.iter(|| {
                    number = (number + 7_919) % OUTSTANDING;
                    ledger.accept(Mode::Hard, [selector(rules, number)])
                });
            });
        };
        bench("page", page);
        bench("tag", |_, number| tag(number));
        bench("prefix", |_, number| prefix(number));
        drop(store);
    }
    group.finish();
}

fn hit(criterion: &mut Criterion, rules: &Rules) {
    let (store, ledger) = (filled(rules, 1_000), Ledger::default());
    let (meta, headers) = head(rules, TARGET);
    let key = Key(u128::MAX);
    let body = [Bytes::from(vec![b'x'; 1 << 10])];
    let kept = store.keep(key, (meta, &headers), &body, NOW);
    let object = kept.expect("there is room");
    // As a request does it.
    let find = || {
        let now = ledger.head();
        store.find(black_box(key), |object| {
            let found = object.judge(now, |marks, since| ledger.covers(marks, since));
            found != Some(Mode::Hard)
        })
    };
    let mut group = criterion.benchmark_group("hit");
    group.bench_function("before any invalidation", |bencher| {
        assert!(matches!(find(), Found::Object(_)));
        bencher.iter(find);
    });
    for number in 0..OUTSTANDING / 4 {
        ledger.accept(Mode::Hard, [page(rules, number)]);
        ledger.accept(Mode::Soft, [tag(number)]);
        ledger.accept(Mode::Hard, [prefix(number)]);
        ledger.accept(Mode::Hard, [parameter(number)]);
    }
    group.bench_function("after 1,000,000 invalidations", |bencher| {
        assert!(matches!(find(), Found::Object(_)));
        bencher.iter(find);
    });
    group.finish();

    let mut group = criterion.benchmark_group("look again");
    let marks = &object.meta.marks;
    let before = ledger.head();
    for (name, selector) in [
        ("new tag", tag(1)),
        ("new page", page(rules, 1)),
        ("new prefix", prefix(1)),
        ("new parameter", parameter(1)),
    ] {
        let since = ledger.head();
        ledger.accept(Mode::Hard, [selector]);
        group.bench_function(name, |bencher| bencher.iter(|| ledger.covers(marks, since)));
    }
    group.bench_function("new of every kind", |bencher| {
        assert_eq!(ledger.covers(marks, before), None);
        bencher.iter(|| ledger.covers(marks, before));
    });
    group.finish();
}

/// A store of this many objects, each with some tags.
fn filled(rules: &Rules, objects: u64) -> Store {
    let store = Store::new(4 << 30, 1 << 20);
    for number in 0..objects {
        let (meta, headers) = head(rules, &format!("/search/pcp?Keyword=k{number}"));
        // The fractional digits of the golden ratio: odd, so no two numbers collide.
        let key =
            Key(u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        let kept = store.keep(key, (meta, &headers), &[Bytes::from_static(b"{}")], NOW);
        kept.expect("there is room");
    }
    store
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

fn tag(number: u64) -> Selector {
    Selector::tag(DISTRIBUTION, format!("gone:{number}").as_bytes())
}

fn prefix(number: u64) -> Selector {
    Selector::prefix(DISTRIBUTION, &format!("/search/gone/{number}/"))
}

fn parameter(number: u64) -> Selector {
    let value = format!("gone{number}");
    Selector::parameter(DISTRIBUTION, "/search/pcp", b"PracticeId", value.as_bytes())
}
