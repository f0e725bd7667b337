//! What does it cost to read what peers write?
//!
//! `path`, `host` and `query` are read on every request, `accept-encoding` where answers vary
//! by it, and `cache-control` once per answer of an origin (on every request too, where
//! `request_directives = "honour"`). Each function is total, so its worst case is a question as
//! much as its usual one: figures should not grow faster than the input.
//!
//! A canonical path is only looked at; one that must be rewritten is built anew, in one
//! allocation or more. A viewer chooses which of the two it sends.
//!
//! `benches/gate fields`

#![allow(
    missing_docs,
    unused_qualifications,
    reason = "the modules and paths that gungraun's macros write"
)]

use std::hint::black_box;

use gungraun::prelude::*;
use http::HeaderValue;
use warmfront::fields::{
    cache_control::Directives, cookie, date, encoding::Codings, etag::EntityTag, host::Host, path,
    query, range,
};

#[expect(dead_code, reason = "fields are read without a clinic")]
mod clinic;

use clinic::{NOW, often};

#[library_benchmark(setup = text)]
#[bench::as_it_is("/search/pcp/providers/4711/openings")]
#[bench::escapes_as_they_are("/search/M%C3%BCller/%2Fopen")]
#[bench::as_it_is_4k("/openings".repeat(400))]
#[bench::rewritten_escapes("/search/%70cp/M%c3%bcller")]
#[bench::rewritten_dots("/search/./pcp/../pcp//openings")]
#[bench::rewritten_4k_of_dots("/a/..".repeat(700))]
#[bench::refused("/static/..%2faccount")]
fn read_path(text: String) -> String {
    often(|| path::canonical(black_box(&text)).map(|path| path.len()));
    text
}

#[library_benchmark(setup = text)]
#[bench::name("mobile.example.com")]
#[bench::name_and_port("Mobile.Example.com:8443")]
#[bench::name_of_245_bytes("a-long-label.".repeat(18) + "example.com")]
#[bench::ipv6("[2001:db8::1]:8080")]
#[bench::refused("mobile.example.com,evil.example")]
fn read_host(text: String) -> String {
    often(|| Host::parse_authority(black_box(&text)));
    text
}

// What a key does with them, but for choosing and sorting.
#[library_benchmark(setup = text)]
#[bench::eight(
    "Keyword=smith&Limit=20&Page=1&PracticeId=1234&Zipcode=10115&utm_source=app&_=1&s=6f1c"
)]
#[bench::eight_escaped(
    "Key%77ord=M%c3%bcller&%4Cimit=20&Page=%31&PracticeId=12%334&Zip+code=10115&utm%5Fsource=app&%5F=1&s=6f%31c"
)]
#[bench::forty("filter=value&".repeat(40))]
#[bench::separators_8k("&".repeat(8_000))]
fn read_query(text: String) -> String {
    often(|| {
        let mut spelled = smallvec::SmallVec::<[u8; 1024]>::new();
        for piece in query::pieces(black_box(&text)) {
            black_box(piece.name());
            piece.write_canonical(|bytes| spelled.extend_from_slice(bytes));
        }
        spelled.len()
    });
    text
}

#[library_benchmark(setup = value)]
#[bench::max_age("max-age=60")]
#[bench::usual(
    "public, max-age=300, s-maxage=3600, stale-while-revalidate=60, stale-if-error=86400"
)]
#[bench::qualified("no-cache=\"set-cookie, x-tenant\", private=\"x-user\", max-age=60")]
#[bench::broken_quotes_3k("private=\"a, b\", no-cache=x, \"".repeat(100))]
fn read_cache_control(value: HeaderValue) -> HeaderValue {
    often(|| Directives::parse([black_box(&value)]));
    value
}

#[library_benchmark(setup = value)]
#[bench::browser("gzip, deflate, br, zstd")]
#[bench::weights("br;q=1.0, gzip;q=0.8, *;q=0.1")]
#[bench::identity("identity")]
#[bench::members_3k("gzip;q=0.123,".repeat(230))]
fn read_accept_encoding(value: HeaderValue) -> HeaderValue {
    often(|| Codings::parse([black_box(&value)]).normalised());
    value
}

#[library_benchmark(setup = value)]
#[bench::six("_ga=GA1.2.1795348800; plan=gold; csrf=6f1c2b; theme=dark; region=berlin; seen=1")]
#[bench::two_hundred("name=value-of-it; ".repeat(200))]
fn read_cookie(value: HeaderValue) -> HeaderValue {
    often(|| {
        cookie::pairs([black_box(&value)])
            .filter(|(name, _)| *name == b"plan")
            .count()
    });
    value
}

#[library_benchmark(setup = text)]
#[bench::fixdate("Sun, 22 Nov 2026 12:00:00 GMT")]
#[bench::asctime("Sun Nov 22 12:00:00 2026")]
#[bench::no_date("-1")]
fn read_date(text: String) -> String {
    often(|| date::parse(black_box(text.as_bytes()), NOW));
    text
}

#[library_benchmark]
fn write_date() {
    often(|| date::format(black_box(NOW)));
}

#[library_benchmark(setup = text)]
#[bench::strong("\"6f1c2b9d\"")]
#[bench::weak("W/\"6f1c2b9d\"")]
#[bench::none("6f1c2b9d")]
fn read_etag(text: String) -> String {
    often(|| EntityTag::parse(black_box(text.as_bytes())).is_some());
    text
}

#[library_benchmark(setup = text)]
#[bench::one("bytes=0-499")]
#[bench::three("bytes=0-99, 200-299, -50")]
#[bench::two_thousand("bytes=".to_owned() + &"0-1,".repeat(2_000))]
fn read_range(text: String) -> String {
    often(|| range::parse(black_box(text.as_bytes())).map(|ranges| ranges.resolve(1_024)));
    text
}

fn text(text: impl ToString) -> String {
    text.to_string()
}

fn value(text: impl AsRef<str>) -> HeaderValue {
    HeaderValue::from_str(text.as_ref()).expect("a field value")
}

library_benchmark_group!(
    name = of_requests,
    benchmarks = [
        read_path,
        read_host,
        read_query,
        read_cookie,
        read_accept_encoding,
        read_range
    ]
);
library_benchmark_group!(
    name = of_both,
    benchmarks = [read_cache_control, read_date, write_date, read_etag]
);
main!(
    config = clinic::counting(),
    library_benchmark_groups = [of_requests, of_both]
);
