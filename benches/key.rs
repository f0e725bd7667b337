//! What does it cost to know which answer a request asks for?
//!
//! Every hit pays for one key, so its price is a part of `hit`'s: the parts of an ask that was
//! checked already are chosen, spelled canonically, sorted and hashed. A key without a query
//! hashes some 80 bytes, one of 40 parameters some 950.
//!
//! Strangers choose the query: `flood` is the dearest key that one request can ask for, 2,000
//! parameters in 8 kB. It should grow with the bytes, not with their arrangement.
//!
//! `benches/gate key`

#![allow(
    missing_docs,
    unused_qualifications,
    reason = "the modules and paths that gungraun's macros write"
)]

use std::hint::black_box;

use gungraun::prelude::*;
use warmfront::policy::{Ask, Rules};

mod clinic;

/// The five that count, shuffled among three that do not.
const SEARCH: &str = "/search/pcp?utm_source=app&Zipcode=10115&Keyword=M%c3%bcller&Limit=20\
                      &_=1795348800&Page=1&session=6f1c&PracticeId=1234";

const PLANS: &[(&str, &str)] = &[
    ("accept-language", "de-DE,de;q=0.9,en;q=0.7"),
    ("x-tenant", "north"),
    (
        "cookie",
        "_ga=GA1.2.1795348800; plan=gold; csrf=6f1c2b; theme=dark; region=berlin; seen=1",
    ),
];

#[library_benchmark(setup = asked)]
#[bench::no_query("/providers/4711/openings", &[])]
#[bench::whitelist(SEARCH, &[])]
#[bench::forty(&filters(40), &[])]
#[bench::flood(&flood(), &[])]
#[bench::fields_and_cookies("/plans/gold", PLANS)]
fn key((ask, rules): (Ask, Rules)) -> (Ask, Rules) {
    clinic::often(|| rules.key.key(black_box(&ask)));
    (ask, rules)
}

fn asked(target: &str, fields: &[(&str, &str)]) -> (Ask, Rules) {
    let ask = clinic::ask(target, fields);
    let rules = clinic::rules(&clinic::site(), &ask);
    (ask, rules)
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

library_benchmark_group!(name = of, benchmarks = key);
main!(config = clinic::counting(), library_benchmark_groups = of);
