//! What does it cost to decide?
//!
//! `hits` are the questions that every hit asks, and those that some do; `misses` are asked once
//! per answer of an origin. None of them waits or looks at anything but what it is given, so
//! their figures depend on these alone.
//!
//! `benches/gate policy`

#![allow(
    missing_docs,
    unused_qualifications,
    reason = "the modules and paths that gungraun's macros write"
)]

use std::hint::black_box;

use gungraun::prelude::*;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use warmfront::policy::{
    Ask, Meta, Rules, Target, deliver,
    forward::Purpose,
    intent,
    marks::Sequence,
    outgoing,
    precondition::{self, Validators},
    reuse,
    settle::{self, Times},
    slice,
};

mod clinic;

use clinic::{NOW, often};

const SEARCH: &str = "/search/pcp?Keyword=smith&Limit=10&Page=1&utm_source=app&Zipcode=10115";

/// What the viewer's application sends besides.
const FIELDS: [(&str, &str); 4] = [
    ("user-agent", "Clinic/7.2 (iPhone; iOS 20.1)"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-language", "de-DE,de;q=0.9"),
];

/// An ask, the answer to it, and what its behaviour says of both.
struct Facts {
    ask: Ask,
    rules: Rules,
    headers: HeaderMap,
    meta: Meta,
    target: Target,
}

impl Facts {
    /// Those of a search that has one more field.
    fn with(name: &'static str, value: &str) -> Self {
        let mut fields = FIELDS.to_vec();
        fields.push((name, value));
        let ask = clinic::ask(SEARCH, &fields);
        let rules = clinic::rules(&clinic::site(), &ask);
        let headers = [
            ("content-type", "application/json; charset=utf-8"),
            ("content-length", "1024"),
            ("cache-control", "public, max-age=3600"),
            ("etag", "\"6f1c2b9d\""),
            ("last-modified", "Sun, 22 Nov 2026 08:00:00 GMT"),
            ("date", "Sun, 22 Nov 2026 12:00:00 GMT"),
            ("cache-tag", "practice:42, provider:4711, search"),
            ("vary", "accept-language"),
        ];
        let headers = headers.map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        let headers = HeaderMap::from_iter(headers);
        let meta = remembered(&ask, &rules, &headers);
        let target = Target {
            authority: HeaderValue::from_static("api.example.com"),
            prefix: "/v1".to_owned(),
            headers: Vec::new(),
        };
        Self {
            ask,
            rules,
            headers,
            meta,
            target,
        }
    }

    fn validators(&self) -> Validators<'_> {
        let field = |name: &str| self.headers.get(name).map(HeaderValue::as_bytes);
        Validators {
            tag: field("etag"),
            modified: field("last-modified"),
            date: field("date"),
        }
    }
}

fn remembered(ask: &Ask, rules: &Rules, headers: &HeaderMap) -> Meta {
    let times = Times {
        asked: NOW,
        received: NOW,
        born: Sequence::default(),
    };
    settle::meta(ask, rules, StatusCode::OK, headers, times).expect("a public answer is stored")
}

#[library_benchmark(setup = Facts::with)]
#[bench::of_a_search("x-tenant", "north")]
fn intent_and_key(facts: Facts) -> Facts {
    often(|| intent::intent(black_box(&facts.ask), &facts.rules));
    facts
}

#[library_benchmark(setup = Facts::with)]
#[bench::fresh("x-tenant", "north")]
fn reusable(facts: Facts) -> Facts {
    often(|| reuse::reuse(black_box(&facts.meta), &facts.ask, &facts.rules, NOW));
    facts
}

#[library_benchmark(setup = Facts::with)]
#[bench::of_a_language("x-tenant", "north")]
fn variant(facts: Facts) -> Facts {
    let varying = facts.meta.varying.as_ref().expect("it varies");
    often(|| varying.matches(black_box(&facts.ask), &facts.rules));
    facts
}

#[library_benchmark(setup = Facts::with)]
#[bench::none("x-tenant", "north")]
#[bench::same_tag("if-none-match", "\"6f1c2b9d\"")]
#[bench::date("if-modified-since", "Sun, 22 Nov 2026 09:00:00 GMT")]
fn precondition_of(facts: Facts) -> Facts {
    let stored = facts.validators();
    often(|| precondition::verdict(black_box(&facts.ask), StatusCode::OK, stored, NOW));
    facts
}

#[library_benchmark(setup = Facts::with)]
#[bench::none("x-tenant", "north")]
#[bench::one("range", "bytes=0-499")]
#[bench::three("range", "bytes=0-99, 200-299, 400-")]
fn slice_of(facts: Facts) -> Facts {
    let stored = facts.validators();
    often(|| slice::slice(black_box(&facts.ask), StatusCode::OK, stored, 1_024, NOW));
    facts
}

#[library_benchmark(setup = Facts::with)]
#[bench::fill("x-tenant", "north")]
fn forwarded(facts: Facts) -> Facts {
    often(|| {
        let ask = black_box(&facts.ask);
        outgoing::request(ask, &facts.rules, &facts.target, Purpose::Fill)
            .map(|outgoing| outgoing.headers())
    });
    facts
}

#[library_benchmark(setup = Facts::with)]
#[bench::public("x-tenant", "north")]
fn settled(facts: Facts) -> Facts {
    often(|| remembered(&facts.ask, &facts.rules, black_box(&facts.headers)));
    facts
}

#[library_benchmark(setup = Facts::with)]
#[bench::eight_fields("x-tenant", "north")]
fn head_to_store(facts: Facts) -> Facts {
    let recodable = facts.meta.recodable;
    often(|| deliver::as_stored(black_box(&facts.headers), &facts.rules, NOW, recodable));
    facts
}

library_benchmark_group!(
    name = hits,
    benchmarks = [intent_and_key, reusable, variant, precondition_of, slice_of]
);
library_benchmark_group!(
    name = misses,
    benchmarks = [forwarded, settled, head_to_store]
);
main!(
    config = clinic::counting(),
    library_benchmark_groups = [hits, misses]
);
