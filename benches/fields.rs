//! What does it cost to read what peers write?
//!
//! `path`, `host` and `query` are read on every request, `accept-encoding` where
//! answers vary by it, and `cache-control` once per answer of an origin (on every
//! request too, where `request_directives = "honour"`). Each function is total, so
//! its worst case is a question as much as its usual one: the rates in bytes per
//! second should not fall with the length of the input.
//!
//! A canonical path is only looked at; one that must be rewritten is built anew,
//! in one allocation or more. A viewer chooses which of the two it sends.
//!
//! `cargo bench --bench fields`

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use http::HeaderValue;
use warmfront::fields::{
    cache_control::Directives, cookie, date, encoding::Codings, host::Host, path, query,
};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    paths(&mut criterion);
    hosts(&mut criterion);
    queries(&mut criterion);
    cache_controls(&mut criterion);
    accept_encodings(&mut criterion);
    cookies(&mut criterion);
    dates(&mut criterion);
    criterion.final_summary();
}

/// Measures `read` on each of the named inputs, and its rate in bytes.
fn compare<R>(
    criterion: &mut Criterion,
    field: &str,
    inputs: &[(&str, &str)],
    read: impl Fn(&str) -> R,
) {
    let mut group = criterion.benchmark_group(field);
    for &(name, text) in inputs {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| read(black_box(text))));
    }
    group.finish();
}

/// Like [`compare`], for fields that are read as header values.
fn compare_values<R>(
    criterion: &mut Criterion,
    field: &str,
    inputs: &[(&str, &str)],
    read: impl Fn(&HeaderValue) -> R,
) {
    let mut group = criterion.benchmark_group(field);
    for &(name, text) in inputs {
        let value = HeaderValue::from_str(text).expect("a field value");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| read(black_box(&value))));
    }
    group.finish();
}

fn paths(criterion: &mut Criterion) {
    let long = "/openings".repeat(400);
    let dots = "/a/..".repeat(700);
    let inputs = [
        ("borrowed", "/search/pcp/providers/4711/openings"),
        ("borrowed, escapes", "/search/M%C3%BCller/%2Fopen"),
        ("borrowed, 3.6 kB", &long),
        ("rewritten, escapes", "/search/%70cp/M%c3%bcller"),
        ("rewritten, dots", "/search/./pcp/../pcp//openings"),
        ("rewritten, 3.5 kB of dots", &dots),
        ("refused", "/static/..%2faccount"),
    ];
    compare(criterion, "path", &inputs, |text| {
        path::canonical(text).map(|path| path.len())
    });
}

fn hosts(criterion: &mut Criterion) {
    let long = format!("{}example.com", "a-long-label.".repeat(18));
    let inputs = [
        ("name", "mobile.example.com"),
        ("name, port", "Mobile.Example.com:8443"),
        ("name, 245 bytes", &long),
        ("ipv6", "[2001:db8::1]:8080"),
        ("refused", "mobile.example.com,evil.example"),
    ];
    compare(criterion, "host", &inputs, |text| {
        Host::parse_authority(text)
    });
}

fn queries(criterion: &mut Criterion) {
    let many = "filter=value&".repeat(40);
    let inputs = [
        (
            "8 pieces",
            "Keyword=smith&Limit=20&Page=1&PracticeId=1234&Zipcode=10115&utm_source=app&_=1&s=6f1c",
        ),
        (
            "8 pieces, escapes",
            "Key%77ord=M%c3%bcller&%4Cimit=20&Page=%31&PracticeId=12%334&Zip+code=10115&utm%5Fsource=app&%5F=1&s=6f%31c",
        ),
        ("40 pieces", &many),
        ("8 kB of separators", &"&".repeat(8_000)),
    ];
    // What a key does with them, but for choosing and sorting.
    compare(criterion, "query", &inputs, |text| {
        let mut spelled = smallvec::SmallVec::<[u8; 1024]>::new();
        for piece in query::pieces(text) {
            black_box(piece.name());
            piece.write_canonical(&mut spelled);
        }
        spelled.len()
    });
}

fn cache_controls(criterion: &mut Criterion) {
    let hostile = "private=\"a, b\", no-cache=x, \"".repeat(100);
    let inputs = [
        ("max-age", "max-age=60"),
        (
            "usual",
            "public, max-age=300, s-maxage=3600, stale-while-revalidate=60, stale-if-error=86400",
        ),
        (
            "qualified",
            "no-cache=\"set-cookie, x-tenant\", private=\"x-user\", max-age=60",
        ),
        ("3 kB of broken quotes", &hostile),
    ];
    compare_values(criterion, "cache-control", &inputs, |value| {
        Directives::parse([value])
    });
}

fn accept_encodings(criterion: &mut Criterion) {
    let inputs = [
        ("browser", "gzip, deflate, br, zstd"),
        ("weights", "br;q=1.0, gzip;q=0.8, *;q=0.1"),
        ("identity", "identity"),
        ("3 kB of members", &"gzip;q=0.123,".repeat(230)),
    ];
    compare_values(criterion, "accept-encoding", &inputs, |value| {
        Codings::parse([value]).normalised()
    });
}

fn cookies(criterion: &mut Criterion) {
    let inputs = [
        (
            "6 cookies",
            "_ga=GA1.2.1795348800; plan=gold; csrf=6f1c2b; theme=dark; region=berlin; seen=1",
        ),
        ("4 kB, 200 cookies", &"name=value-of-it; ".repeat(200)),
    ];
    compare_values(criterion, "cookie", &inputs, |value| {
        cookie::pairs([value])
            .filter(|(name, _)| *name == b"plan")
            .count()
    });
}

fn dates(criterion: &mut Criterion) {
    let now = warmfront::time::Timestamp::from_unix(1_795_348_800);
    let inputs = [
        ("fixdate", "Sun, 22 Nov 2026 12:00:00 GMT"),
        ("asctime", "Sun Nov 22 12:00:00 2026"),
        ("no date", "-1"),
    ];
    compare(criterion, "date", &inputs, |text| {
        date::parse(text.as_bytes(), now)
    });
}
