//! What does a hit cost, and how much of that is ours?
//!
//! One viewer asks and reads, one connection answers, on one thread and over a
//! pipe in memory: there is no kernel in it. Four servers give the same bytes to
//! the same request:
//!
//! | | what answers |
//! |---|---|
//! | `1 pipe` | bytes from a constant; nobody parses the request |
//! | `2 bare` | hyper, with a head and a body from a constant |
//! | `3 rim` | the same constant behind `listen::connection` |
//! | `4 edge` | an `Edge` whose store was filled by a miss before |
//!
//! The pipe's time is in all of them, and says nothing about anybody's server. So
//! `(edge - pipe) / (bare - pipe)` is what the edge costs in its own code, as a
//! multiple of the least that hyper can do; `rim - bare` is the connection's share
//! of it, and `edge - rim` that of looking, deciding and writing the head.
//! `load/run.sh` measures the ratio over sockets, where the kernel's work is on
//! both sides of it and makes it smaller.
//!
//! Time on a busy machine moves; the four of a group were measured within seconds
//! and are compared with each other, not with another day's.
//!
//! `cargo bench --bench hit`

use std::{
    convert::Infallible,
    future::ready,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, request::Parts};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    runtime::{Builder, Runtime},
};
use warmfront::{
    flight::Flights,
    ledger::Ledger,
    listen::{self, Expected, Respond, Roll},
    observe::Events,
    origin::{Dial, Dialling, Io, Origins},
    policy::{Scheme, lines::Lines},
    serve::{Edge, Limits, Recoder, Refreshes, RequestIds, Searches, Site, Viewer},
    store::Store,
    time::Clock,
};

#[expect(dead_code, reason = "the asks of this bench are made from bytes")]
mod clinic;

/// As the daemon has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// More than any reply, so that nobody waits for room.
const PIPE_BYTES: usize = 64 << 10;

const VIEWER: Viewer = Viewer {
    address: SocketAddr::new(
        std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
        4711,
    ),
    scheme: Scheme::Http,
    covered: None,
    interims: None,
};

/// Requests that hits answer: a name, a method, a target and one more field line.
const ASKED: [(&str, &str, &str, &str); 5] = [
    ("1 KiB", "GET", ONE, ""),
    ("16 KiB", "GET", SIXTEEN, ""),
    ("1 KiB that varies", "GET", VARYING, ""),
    ("304", "GET", ONE, "if-none-match: \"6f1c2b9d\"\r\n"),
    ("HEAD", "HEAD", ONE, ""),
];

// Three parameters in the key, and one that is not; `Limit` is the body's size in KiB.
const ONE: &str = "/search/pcp?Keyword=smith&Limit=1&Zipcode=10115&utm_source=app";
const SIXTEEN: &str = "/search/pcp?Keyword=smith&Limit=16&Zipcode=10115&utm_source=app";
const VARYING: &str = "/search/allergy?Keyword=nuts&Limit=1";

fn main() {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let asked = Arc::new(AtomicUsize::new(0));
    let edge = edge(Origin(asked.clone()));
    for target in [ONE, SIXTEEN, VARYING] {
        let mut viewer = Asking::new(&runtime, "GET", target, "", |pipe| {
            serve(pipe, edge.clone());
        });
        runtime.block_on(viewer.learn());
    }
    let mut criterion = Criterion::default().configure_from_args();
    for (name, method, target, field) in ASKED {
        let mut group = criterion.benchmark_group(format!("hit, {name}"));
        group.throughput(Throughput::Elements(1));
        let asking = |serve: &dyn Fn(DuplexStream)| {
            let mut asking = Asking::new(&runtime, method, target, field, serve);
            runtime.block_on(asking.learn());
            asking
        };
        let hit = asking(&|pipe| serve(pipe, edge.clone()));
        let constant = Constant(Arc::new(Fixed::of(&hit.reply)));
        let reply: Arc<[u8]> = hit.reply.clone().into();
        let pipe = asking(&|pipe| drop(tokio::spawn(repeat(pipe, reply.clone()))));
        let bare = asking(&|pipe| drop(tokio::spawn(bare(pipe, constant.clone()))));
        let rim = asking(&|pipe| serve(pipe, constant.clone()));
        for (server, asking) in [
            ("1 pipe", pipe),
            ("2 bare", bare),
            ("3 rim", rim),
            ("4 edge", hit),
        ] {
            assert!(asking.is_like(&reply), "{server} answers {name} otherwise");
            asking.bench(&mut group, &runtime, server);
        }
        group.finish();
    }
    criterion.final_summary();
    assert_eq!(
        asked.load(Ordering::Relaxed),
        3,
        "every request but the first for each target was a hit"
    );
}

/// A viewer on a connection of its own, asking the same again and again.
struct Asking {
    pipe: DuplexStream,
    request: Vec<u8>,
    /// The last reply; all of them have its length.
    reply: Vec<u8>,
}

impl Asking {
    /// A viewer whose connection `serve` serves, in tasks of `runtime`.
    fn new(
        runtime: &Runtime,
        method: &str,
        target: &str,
        field: &str,
        serve: impl Fn(DuplexStream),
    ) -> Self {
        let _entered = runtime.enter();
        let (near, far) = duplex(PIPE_BYTES);
        serve(far);
        let request = format!(
            "{method} {target} HTTP/1.1\r\n\
             host: mobile.example.com\r\n\
             user-agent: Clinic/7.2 (iPhone; iOS 20.1)\r\n\
             accept: application/json\r\n\
             accept-encoding: gzip, deflate, br\r\n\
             accept-language: de-DE,de;q=0.9\r\n\
             {field}\r\n"
        );
        Self {
            pipe: near,
            request: request.into_bytes(),
            reply: Vec::new(),
        }
    }

    /// Asks once, and learns how long the reply is.
    async fn learn(&mut self) {
        self.pipe
            .write_all(&self.request)
            .await
            .expect("a server that reads");
        self.reply.clear();
        while !is_whole(&self.reply, self.request.starts_with(b"HEAD")) {
            let read = self.pipe.read_buf(&mut self.reply).await;
            assert!(read.is_ok_and(|bytes| bytes > 0), "a server that answers");
        }
    }

    async fn ask(&mut self) {
        let written = self.pipe.write_all(&self.request).await;
        written.expect("a server that reads");
        let read = self.pipe.read_exact(&mut self.reply).await;
        read.expect("a reply as long as the one before");
    }

    async fn ask_often(&mut self, times: u64) -> Duration {
        let begin = Clock::System.instant();
        for _ in 0..times {
            self.ask().await;
        }
        begin.elapsed()
    }

    fn bench(mut self, group: &mut BenchmarkGroup<'_, WallTime>, runtime: &Runtime, name: &str) {
        let first = self.reply.clone();
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| runtime.block_on(self.ask_often(times)));
        });
        assert!(self.is_like(&first), "{name} changed its answer");
    }

    /// Whether the reply is a hit like `other`: as long, and with its first line.
    fn is_like(&self, other: &[u8]) -> bool {
        let line = |reply: &[u8]| {
            reply
                .split(|&byte| byte == b'\r')
                .next()
                .map(<[u8]>::to_vec)
        };
        let hit = b"x-cache: Hit from warmfront\r\n";
        self.reply.len() == other.len()
            && line(&self.reply) == line(other)
            && self.reply.windows(hit.len()).any(|bytes| bytes == hit)
    }
}

/// Whether `reply` has a whole head, and the body that this announces.
fn is_whole(reply: &[u8], to_head: bool) -> bool {
    let Some(end) = reply.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return false;
    };
    let Fixed { status, fields, .. } = Fixed::of(reply);
    if to_head || status == StatusCode::NOT_MODIFIED {
        return true;
    }
    let length = fields
        .get(http::header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok())
        .expect("a body of a known length");
    reply.len() == end + 4 + length
}

/// An edge of the clinic, with nothing in its store.
fn edge(origin: Origin) -> Arc<Edge> {
    let snapshot = clinic::site();
    let events = Arc::new(Events::new());
    let meters = events.meters(&snapshot);
    let clock = Clock::System;
    Arc::new(Edge {
        site: Arc::new(ArcSwap::from_pointee(Site {
            snapshot,
            meters,
            limits: Limits::default(),
        })),
        store: Store::new(64 << 20, 1 << 20),
        ledger: Ledger::default(),
        searches: Searches::default(),
        flights: Flights::default(),
        refreshes: Refreshes::default(),
        recoder: Recoder::default(),
        origins: Origins::new(Arc::new(origin), clock),
        clock,
        events,
        ids: RequestIds::new(),
    })
}

/// Serves a connection as the daemon does.
fn serve(pipe: DuplexStream, respond: impl Respond) {
    let place = Arc::new(Roll::default()).admit();
    let connection = listen::connection(pipe, Expected::Sniff, VIEWER, respond, place);
    drop(tokio::spawn(connection));
}

/// Serves a connection with hyper and nothing else.
async fn bare(pipe: DuplexStream, constant: Constant) {
    let service = service_fn(|_| ready(Ok::<_, Infallible>(constant.answer())));
    let served = http1::Builder::new().serve_connection(TokioIo::new(pipe), service);
    // It ends with the viewer.
    let _ = served.await;
}

/// Answers every request with `reply`, unparsed.
async fn repeat(mut pipe: DuplexStream, reply: Arc<[u8]>) {
    let mut request = Vec::with_capacity(8 << 10);
    while pipe
        .read_buf(&mut request)
        .await
        .is_ok_and(|bytes| bytes > 0)
    {
        if request.ends_with(b"\r\n\r\n") {
            request.clear();
            if pipe.write_all(&reply).await.is_err() {
                return;
            }
        }
    }
}

/// An answer that is always the same.
#[derive(Clone)]
struct Constant(Arc<Fixed>);

struct Fixed {
    status: StatusCode,
    fields: HeaderMap,
    body: Bytes,
}

impl Fixed {
    /// The answer that `reply` is; its head has arrived.
    fn of(reply: &[u8]) -> Self {
        let text = String::from_utf8_lossy(reply);
        let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
        let (line, lines) = head.split_once("\r\n").expect("a field");
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let field = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            let name = HeaderName::try_from(name).ok()?;
            Some((name, HeaderValue::from_str(value).ok()?))
        };
        Self {
            status: status.expect("a status"),
            fields: lines
                .split("\r\n")
                .map(|line| field(line).expect("a field"))
                .collect(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }
}

impl Constant {
    fn answer(&self) -> Response<Full<Bytes>> {
        let mut answer = Response::new(Full::new(self.0.body.clone()));
        *answer.status_mut() = self.0.status;
        *answer.headers_mut() = self.0.fields.clone();
        answer
    }
}

impl Respond for Constant {
    type Body = Full<Bytes>;

    fn at_hand(&self, _: Parts, _: &Viewer, _: &mut Lines) -> Option<Bytes> {
        None
    }

    async fn respond(self, _: Request<Incoming>, _: Viewer) -> Response<Full<Bytes>> {
        self.answer()
    }
}

/// The clinic's own server; counts what it is asked.
struct Origin(Arc<AtomicUsize>);

impl Dial for Origin {
    fn dial<'a>(&'a self, _host: &'a str, _port: u16) -> Dialling<'a> {
        let (near, far) = duplex(PIPE_BYTES);
        drop(tokio::spawn(originate(far, self.0.clone())));
        Box::pin(ready(Ok(Box::new(near) as Box<dyn Io>)))
    }
}

/// Answers the requests on one connection of the edge's.
async fn originate(mut pipe: DuplexStream, asked: Arc<AtomicUsize>) {
    let mut request = Vec::new();
    while pipe
        .read_buf(&mut request)
        .await
        .is_ok_and(|bytes| bytes > 0)
    {
        if request.ends_with(b"\r\n\r\n") {
            asked.fetch_add(1, Ordering::Relaxed);
            let reply = original(&String::from_utf8_lossy(&request));
            request.clear();
            if pipe.write_all(reply.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// The origin's answer.
///
/// Its age is of so many digits, and its lifetime too, that neither `Age` nor the
/// `ttl` of `Cache-Status` gains or loses one while a bench runs: all hits are as long.
fn original(request: &str) -> String {
    let kibibytes = if request.contains("Limit=16&") { 16 } else { 1 };
    let vary = if request.contains(VARYING) {
        "vary: accept-encoding\r\n"
    } else {
        ""
    };
    let length = kibibytes << 10;
    let body = "x".repeat(length);
    format!(
        "HTTP/1.1 200 OK\r\n\
         content-type: application/json; charset=utf-8\r\n\
         content-length: {length}\r\n\
         cache-control: public, max-age=31536000\r\n\
         age: 500000\r\n\
         etag: \"6f1c2b9d\"\r\n\
         last-modified: Sun, 22 Nov 2026 08:00:00 GMT\r\n\
         {vary}\r\n{body}"
    )
}
