//! How often a memory hit allocates.
//!
//! The allocator counts per thread, and every test has its own, so what runs
//! beside does not matter. The bounds are what was measured: a change that
//! lowers a number lowers it here, and one that raises it says why.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    runtime::{Builder, Runtime},
};
use toml::Table;
use warmfront::{
    origin::{Dial, Dialling, Io},
    policy::Scheme,
    serve::{self, Interims, TakeInterim, Viewer},
    time::{Clock, Timestamp},
};

use crate::harness::{edge::Edge, site};

/// Allocations of `serve::respond` for a hit: the request below, the answer below. One is the
/// checked request, which costs less to hand on than to move; four its target and its fields,
/// which are texts there, and a map of values where they come from; one of these counts who
/// shares the fields.
const RESPOND_MAX: u64 = 10;

/// Allocations of a hundred hits on a kept connection, hyper's included: from the first byte
/// of a request to the last of its answer. Eleven each; the ten are for a read buffer now and
/// then, and for hyper's `Date` once a second of the machine's clock.
const HUNDRED_MAX: u64 = 1_110;

/// Allocations of a hundred hits on a connection of ours, which answers them beneath hyper:
/// for each its target, since its fields are those of the one before. The ten are for what the
/// index notes of its readers now and then.
const EXPRESS_HUNDRED_MAX: u64 = 110;

/// What an ordinary viewer sends.
const REQUEST: &[u8] = b"GET /search/pcp?Keyword=smith&Limit=10&Page=1 HTTP/1.1\r\n\
    Host: mobile.example.com\r\n\
    User-Agent: clinic/7.2 (iPhone; iOS 19.1)\r\n\
    Accept: application/json\r\n\
    Accept-Language: en-GB, en;q=0.9\r\n\
    Accept-Encoding: gzip, br\r\n\
    X-Forwarded-For: 203.0.113.7\r\n\
    \r\n";

/// What an ordinary origin answers: twelve fields.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Date: Sun, 22 Nov 2026 12:00:00 GMT\r\n\
    Content-Type: application/json; charset=utf-8\r\n\
    Content-Length: 12\r\n\
    Cache-Control: max-age=3600\r\n\
    ETag: \"5d41402abc4b2a76\"\r\n\
    Last-Modified: Sat, 21 Nov 2026 12:00:00 GMT\r\n\
    Server: kestrel\r\n\
    Strict-Transport-Security: max-age=63072000\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Access-Control-Allow-Origin: *\r\n\
    Referrer-Policy: no-referrer\r\n\
    X-Api-Version: 7\r\n\
    \r\n\
    {\"hits\":[ ]}";

/// The same with a body that is worth coding, in rows of nothing new.
fn long_answer() -> Vec<u8> {
    let rows = "{\"id\":1,\"name\":\"practice\"},\n".repeat(100);
    let answer = String::from_utf8_lossy(ANSWER);
    let head = answer.strip_suffix("{\"hits\":[ ]}").unwrap();
    let length = format!("Content-Length: {}\r\n", rows.len());
    (head.replace("Content-Length: 12\r\n", &length) + &rows).into_bytes()
}

#[test]
fn a_hit_allocates_no_more_than_was_measured() {
    check(Measured::hits(
        ANSWER.to_vec(),
        "content-length: 12\r\n",
        "",
    ));
}

#[test]
fn an_encoded_hit_allocates_no_more_than_a_plain_one() {
    check(Measured::hits(
        long_answer(),
        "content-encoding: br\r\n",
        "",
    ));
}

#[track_caller]
fn check(Measured { respond, hundred }: Measured) {
    assert!(respond.count_total <= RESPOND_MAX, "{respond:?}");
    assert!(hundred.count_total <= HUNDRED_MAX, "{hundred:?}");
    assert!(
        hundred.count_current <= 2,
        "hits leave something behind: {hundred:?}"
    );
}

/// What a behaviour gives its answers was made when the configuration was read.
#[test]
fn a_hit_with_fields_of_its_behaviour_allocates_no_more() {
    let policy = "response.remove = ['Server']
        response.set = { Cache-Control = 'no-cache', X-A = '1', X-B = '2', X-C = '3' }
        response.security = true
        server_timing = true
        cors = { origins = 'any', expose = ['X-Total'] }
        error = [{ when = [502], body = 'down' }]
        viewer_protocol = 'allow-all'";
    check(Measured::hits(ANSWER.to_vec(), "x-c: 3\r\n", policy));
}

#[test]
fn a_plain_hit_beneath_the_library_allocates_no_more_than_was_measured() {
    let runtime = paused();
    let mut viewer = runtime.block_on(async {
        let edge = edge(Fixed(ANSWER.to_vec().into()), "");
        let (near, far) = duplex(64 << 10);
        edge.serve(near, VIEWER, Scheme::Http);
        far
    });
    let mut answer = vec![0; 4_096];
    let mut exchange = || runtime.block_on(exchange(&mut viewer, &mut answer));
    (0..10).for_each(|_| exchange());
    let hundred = measure(|| (0..100).for_each(|_| exchange()));
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("x-cache: Hit from warmfront"), "{answer}");
    assert!(hundred.count_total <= EXPRESS_HUNDRED_MAX, "{hundred:?}");
    assert!(hundred.count_current <= 2, "{hundred:?}");
}

/// What hits allocated.
struct Measured {
    /// The last, within `serve::respond`.
    respond: AllocationInfo,
    /// A hundred, on the whole connection.
    hundred: AllocationInfo,
}

impl Measured {
    /// Measures hits of a behaviour with `policy`, on a connection that has seen some, so that
    /// what lasts is there; each has `field` among its fields.
    fn hits(origin: Vec<u8>, field: &str, policy: &str) -> Self {
        let runtime = paused();
        let noted = Arc::<Mutex<AllocationInfo>>::default();
        let connected = connect(Fixed(origin.into()), policy, noted.clone());
        let mut viewer = runtime.block_on(connected);
        let mut answer = vec![0; 4_096];
        let mut exchange = || runtime.block_on(exchange(&mut viewer, &mut answer));
        (0..10).for_each(|_| exchange());
        let hundred = measure(|| (0..100).for_each(|_| exchange()));
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains("x-cache: Hit from warmfront"), "{answer}");
        assert!(answer.contains(field), "{answer}");
        let respond = *noted.lock().unwrap();
        Self { respond, hundred }
    }
}

fn paused() -> Runtime {
    let mut runtime = Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap()
}

/// One request and its answer, of which nothing may come later.
async fn exchange(viewer: &mut DuplexStream, answer: &mut [u8]) {
    viewer.write_all(REQUEST).await.unwrap();
    let mut length = 0;
    while whole(&answer[..length]) != Some(length) {
        let read = viewer.read(&mut answer[length..]).await.unwrap();
        assert!(read > 0, "the connection was closed");
        length += read;
    }
}

/// How long the answer will be that begins so, once its head is there.
fn whole(answer: &[u8]) -> Option<usize> {
    let after = |text: &[u8]| {
        let place = answer.windows(text.len()).position(|one| one == text);
        place.map(|place| place + text.len())
    };
    let (head, length) = (after(b"\r\n\r\n")?, after(b"content-length: ")?);
    let digits = answer[length..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    Some(head + digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')))
}

/// A connection to an edge with a behaviour of `policy` that notes what each `respond` allocates.
async fn connect(origin: Fixed, policy: &str, noted: Arc<Mutex<AllocationInfo>>) -> DuplexStream {
    let edge = edge(origin, policy).inner().clone();
    let interims = Interims::new(Arc::new(Deaf), 1);
    let service = service_fn(move |request| {
        let viewer = Viewer {
            address: VIEWER,
            scheme: Scheme::Http,
            covered: None,
            interims: Some(interims.clone()),
        };
        let mut answer = None;
        // A hit is at hand when `respond` returns.
        let allocated = measure(|| answer = Some(serve::respond(edge.clone(), request, viewer)));
        *noted.lock().unwrap() = allocated;
        let answer = answer.expect("it was just made");
        async { Ok::<_, Infallible>(answer.await) }
    });
    let (near, far) = duplex(64 << 10);
    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(near), service));
    far
}

/// An edge with a behaviour of `policy`.
fn edge(origin: Fixed, policy: &str) -> Edge {
    let config = format!("key.query = ['Keyword', 'Limit', 'Page']\n{policy}");
    let config: Table = config.parse().unwrap();
    let clock = Clock::simulated(Timestamp::from_unix(1_795_348_800));
    Edge::open(&site::toml(&config).unwrap(), Arc::new(origin), clock).unwrap()
}

const VIEWER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000);

/// A connection that takes no interim responses, where a hit might have some.
struct Deaf;

impl TakeInterim for Deaf {
    fn take_interim(&self, _: u32, _: StatusCode, _: &HeaderMap) {}
}

/// An origin with one answer.
struct Fixed(Bytes);

impl Dial for Fixed {
    fn dial<'a>(&'a self, _host: &'a str, _port: u16) -> Dialling<'a> {
        let (near, mut far) = duplex(64 << 10);
        let answer = self.0.clone();
        tokio::spawn(async move {
            let mut request = [0; 4_096];
            while far.read(&mut request).await.is_ok_and(|read| read > 0) {
                far.write_all(&answer).await.unwrap();
            }
        });
        Box::pin(async { Ok(Box::new(near) as Box<dyn Io>) })
    }
}
