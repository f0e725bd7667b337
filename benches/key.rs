//! What does it cost to know which answer a request asks for?
//!
//! Every hit pays for one key, so its price is a part of `hit`'s. `key/…` makes
//! the key of an ask that was checked already: the parts chosen, spelled
//! canonically, sorted and hashed. `hash/…` is the hash of so many bytes alone.
//! The difference of the two is what choosing, spelling and sorting cost; a key
//! without a query hashes some 80 bytes, one of 40 parameters some 950.
//!
//! Strangers choose the query: `2,000 parameters in 8 kB` is the dearest key that one
//! request can ask for. It should grow with the bytes, not with their arrangement.
//!
//! `cargo bench --bench key`

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};

mod clinic;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    keys(&mut criterion);
    hashes(&mut criterion);
    criterion.final_summary();
}

fn keys(criterion: &mut Criterion) {
    let site = clinic::site();
    let mut group = criterion.benchmark_group("key");
    let mut bench = |name: &str, target: &str, fields: &[(&str, &str)]| {
        let ask = clinic::ask(target, fields);
        let rules = clinic::rules(&site, &ask);
        group.bench_function(name, |bencher| {
            bencher.iter(|| rules.key.key(black_box(&ask)));
        });
    };
    bench("no query", "/providers/4711/openings", &[]);
    // The five that count, shuffled among three that do not.
    let search = "/search/pcp?utm_source=app&Zipcode=10115&Keyword=M%c3%bcller&Limit=20&_=1795348800\
                  &Page=1&session=6f1c&PracticeId=1234";
    bench("8 parameters, 5 kept", search, &[]);
    bench("40 parameters", &filters(40), &[]);
    bench("2,000 parameters in 8 kB", &flood(), &[]);
    let plans = [
        ("accept-language", "de-DE,de;q=0.9,en;q=0.7"),
        ("x-tenant", "north"),
        (
            "cookie",
            "_ga=GA1.2.1795348800; plan=gold; csrf=6f1c2b; theme=dark; region=berlin; seen=1",
        ),
    ];
    bench("2 fields and 2 cookies", "/plans/gold", &plans);
    group.finish();
}

/// A search with `count` filters, all of them in the key and none in its place.
fn filters(count: usize) -> String {
    let mut target = "/find?".to_owned();
    for at in 0..count {
        // 27 has no factor in common with 40, and is near its golden section: no runs.
        target.push_str(&format!("filter{:02}=value-{at}&", at * 27 % count));
    }
    target
}

/// As many parameters as fit into the longest target, shuffled: the dearest key there is.
fn flood() -> String {
    // A prime near the golden section of 2,000: no two alike, and no runs.
    let names = (0..2_000).map(|at| format!("{:03x}", at * 1_237 % 2_000));
    format!("/f?{}", names.collect::<Vec<_>>().join("&"))
}

fn hashes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash");
    for bytes in [64, 256, 1024] {
        let text = vec![b'x'; bytes];
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::from_parameter(bytes), |bencher| {
            bencher.iter(|| blake3::hash(black_box(&text)));
        });
    }
    group.finish();
}
