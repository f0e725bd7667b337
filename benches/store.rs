//! What does it cost to find an answer in the store, and to keep one?
//!
//! `find` is a part of every hit. Its bench of one key is the least it can be,
//! everything in the processor's caches; the one among many keys walks over more
//! memory than they hold, as real traffic does. `variants` adds what `Vary` costs:
//! a find goes from the newest variant to the one that matches, so the last of 64,
//! and none of 64, are what a stranger can make it cost at most.
//!
//! `head` is what those pay who want a stored head's fields one by one: HTTP/2, and
//! what becomes a 304 or a part. HTTP/1 can be sent its lines as they are.
//!
//! `keep` is a part of every miss, not of any hit. In a full store it copies head
//! and body, and pays for the evictions that make room. Whether the new object
//! stays is moka's choice, which costs the same either way.
//!
//! `cargo bench --bench store`

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use http::{HeaderMap, HeaderValue, StatusCode};
use warmfront::{
    policy::{
        Ask, Key, Meta, Rules, deliver,
        marks::Sequence,
        settle::{self, Times},
        variant::VARIANTS_MAX,
    },
    store::{Found, Store},
};

mod clinic;

use clinic::NOW;

/// As the daemon has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const BODY_BYTES: usize = 1 << 10;

/// Objects in the store that is searched: some 35 MB, more than caches hold.
const OBJECTS: u128 = 20_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let bench = Bench::new();
    bench.find(&mut criterion);
    bench.variants(&mut criterion);
    bench.head_of(&mut criterion);
    bench.keep(&mut criterion);
    criterion.final_summary();
}

/// An ask, and what its behaviour says of answers to it.
struct Bench {
    ask: Ask,
    rules: Rules,
    body: [Bytes; 1],
}

impl Bench {
    fn new() -> Self {
        let ask = clinic::ask("/providers/4711", &[("accept-encoding", "gzip, br")]);
        let rules = clinic::rules(&clinic::site(), &ask);
        let body = [Bytes::from(vec![b'x'; BODY_BYTES])];
        Self { ask, rules, body }
    }

    fn find(&self, criterion: &mut Criterion) {
        let store = Store::new(256 << 20, 1 << 20);
        let head = self.head(&self.ask, "");
        for number in 0..OBJECTS {
            self.put(&store, key(number), &head);
        }
        let mut group = criterion.benchmark_group("find");
        let find = |number| store.find(key(number), |object| self.matches(&object.meta, &self.ask));
        group.bench_function("hit, one key", |bencher| {
            assert!(matches!(find(7), Found::Object(_)));
            bencher.iter(|| find(black_box(7)));
        });
        group.bench_function("hit, many keys", |bencher| {
            let mut number = 0;
            bencher.iter(|| {
                // 7919 is prime: all keys in turn, neighbours far apart.
                number = (number + 7_919) % OBJECTS;
                find(number)
            });
        });
        group.bench_function("miss", |bencher| {
            assert!(matches!(find(OBJECTS), Found::Nothing));
            let mut number = OBJECTS;
            bencher.iter(|| {
                number += 1;
                find(number)
            });
        });
        group.finish();
    }

    fn variants(&self, criterion: &mut Criterion) {
        let store = Store::new(16 << 20, 1 << 20);
        let (one, many) = (key(1), key(2));
        let speaking = |language: usize| {
            let mut ask = self.ask.clone();
            let value = HeaderValue::from_str(&format!("x-{language:04}, en;q=0.5"));
            ask.headers
                .insert("accept-language", value.expect("a field value"));
            ask
        };
        let vary = "accept-encoding, accept-language";
        self.put(&store, one, &self.head(&speaking(0), vary));
        for language in 0..VARIANTS_MAX {
            self.put(&store, many, &self.head(&speaking(language), vary));
        }
        let mut group = criterion.benchmark_group("variants");
        let mut bench = |name: &str, key: Key, language: usize, found: bool| {
            let ask = speaking(language);
            let find = || store.find(black_box(key), |object| self.matches(&object.meta, &ask));
            assert_eq!(matches!(find(), Found::Object(_)), found, "{name}");
            group.bench_function(name, |bencher| bencher.iter(find));
        };
        bench("the only one", one, 0, true);
        bench("newest of 64", many, VARIANTS_MAX - 1, true);
        bench("oldest of 64", many, 0, true);
        bench("none of 64", many, VARIANTS_MAX, false);
        group.finish();
    }

    fn head_of(&self, criterion: &mut Criterion) {
        let store = Store::new(8 << 20, 1 << 20);
        self.put(&store, key(1), &self.head(&self.ask, ""));
        let Found::Object(object) = store.find(key(1), |_| true) else {
            panic!("it was just kept")
        };
        let mut group = criterion.benchmark_group("head");
        group.bench_function("as a map", |bencher| {
            bencher.iter(|| black_box(&object.head).to_map());
        });
        group.bench_function("one field", |bencher| {
            bencher.iter(|| black_box(&object.head).get(&http::header::LAST_MODIFIED));
        });
        group.finish();
    }

    fn keep(&self, criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("keep");
        group.throughput(Throughput::Bytes(BODY_BYTES as u64));
        let head = self.head(&self.ask, "");
        group.bench_function("1 KiB, while full", |bencher| {
            let store = Store::new(8 << 20, 1 << 20);
            let mut number = 0;
            while store.usage().evictions == 0 {
                self.put(&store, key(number), &head);
                number += 1;
            }
            bencher.iter(|| {
                number += 1;
                self.put(&store, key(number), &head);
            });
        });
        group.bench_function("1 KiB, in the place of its like", |bencher| {
            let store = Store::new(8 << 20, 1 << 20);
            bencher.iter(|| self.put(&store, key(1), &head));
        });
        group.finish();
    }

    /// What is stored of an answer to `ask` that varies by `vary`.
    fn head(&self, ask: &Ask, vary: &'static str) -> (Meta, HeaderMap) {
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

    /// Keeps an answer; full stores may refuse it.
    fn put(&self, store: &Store, key: Key, (meta, headers): &(Meta, HeaderMap)) {
        let kept = store.keep(key, (meta.clone(), headers), &self.body, NOW);
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
