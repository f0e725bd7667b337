//! What answers at the other end of a pipe: bytes, hyper, a connection, or the whole edge.

use std::{
    convert::Infallible,
    future::ready,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use warmfront::{
    flight::Flights,
    ledger::Ledger,
    listen::{self, Expected, Respond, Roll},
    observe::Events,
    origin::{Dial, Dialling, Io, Origins},
    policy::{Scheme, lines::Lines},
    serve::{
        Edge, Limits, Plain, PlainHead, Recoder, Refreshes, RequestIds, Searches, Site, Viewer,
    },
    store::Store,
    time::Clock,
};

use crate::clinic;

/// More than any reply, so that nobody waits for room.
pub(crate) const PIPE_BYTES: usize = 64 << 10;

/// Answers whose target holds this vary by the encodings a viewer accepts.
pub(crate) const VARYING: &str = "/search/allergy";

const VIEWER: Viewer = Viewer {
    address: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4711),
    scheme: Scheme::Http,
    covered: None,
    interims: None,
};

/// Who serves a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// Bytes from a constant; nobody parses the request. HTTP/1.1 only.
    Pipe,
    /// hyper, with a head and a body from a constant.
    Bare,
    /// The same constant behind `listen::connection`.
    Rim,
    /// An edge whose store was filled by a miss before.
    Edge,
}

impl Server {
    /// Serves a pipe, in tasks of the runtime it is called in: with `edge`, or with what it
    /// replied to a request of HTTP/1.1.
    pub(crate) fn serve(
        self,
        pipe: DuplexStream,
        version: Version,
        edge: &Arc<Edge>,
        reply: &[u8],
    ) {
        match self {
            Self::Pipe => drop(tokio::spawn(repeat(pipe, reply.into()))),
            Self::Bare => drop(tokio::spawn(bare(pipe, version, Constant::of(reply)))),
            Self::Rim => serve(pipe, Constant::of(reply)),
            Self::Edge => serve(pipe, edge.clone()),
        }
    }
}

/// An edge of the clinic, with nothing in its store.
pub(crate) fn edge() -> Arc<Edge> {
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
        origins: Origins::new(Arc::new(Origin), clock),
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
async fn bare(pipe: DuplexStream, version: Version, constant: Constant) {
    let service = service_fn(|_| ready(Ok::<_, Infallible>(constant.answer())));
    let pipe = TokioIo::new(pipe);
    // It ends with the viewer.
    let _ = if version == Version::HTTP_2 {
        let http2 = http2::Builder::new(TokioExecutor::new());
        http2.serve_connection(pipe, service).await
    } else {
        http1::Builder::new().serve_connection(pipe, service).await
    };
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

impl Constant {
    /// The answer that `reply` is, whole.
    fn of(reply: &[u8]) -> Self {
        let end = reply.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let (head, body) = reply.split_at(end.expect("a whole head"));
        let head = String::from_utf8_lossy(head);
        let (line, lines) = head.split_once("\r\n").expect("a field");
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let field = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            let name = HeaderName::try_from(name).ok()?;
            Some((name, HeaderValue::from_str(value).ok()?))
        };
        Self(Arc::new(Fixed {
            status: status.expect("a status"),
            fields: lines
                .split("\r\n")
                .map(|line| field(line).expect("a field"))
                .collect(),
            body: Bytes::copy_from_slice(&body[4..]),
        }))
    }

    fn answer(&self) -> Response<Full<Bytes>> {
        let mut answer = Response::new(Full::new(self.0.body.clone()));
        *answer.status_mut() = self.0.status;
        *answer.headers_mut() = self.0.fields.clone();
        answer
    }
}

impl Respond for Constant {
    type Body = Full<Bytes>;
    type Asked = Infallible;

    fn at_hand(
        &self,
        _: impl FnOnce() -> Option<PlainHead>,
        _: &Viewer,
        _: &mut Lines,
    ) -> Option<Plain<Infallible>> {
        None
    }

    async fn respond_plain(self, asked: Infallible, _: Viewer) -> Response<Full<Bytes>> {
        match asked {}
    }

    async fn respond(self, _: Request<Incoming>, _: Viewer) -> Response<Full<Bytes>> {
        self.answer()
    }
}

/// The clinic's own server.
#[derive(Debug)]
struct Origin;

impl Dial for Origin {
    fn dial<'a>(&'a self, _host: &'a str, _port: u16) -> Dialling<'a> {
        let (near, far) = duplex(PIPE_BYTES);
        drop(tokio::spawn(originate(far)));
        Box::pin(ready(Ok(Box::new(near) as Box<dyn Io>)))
    }
}

/// Answers the requests on one connection of the edge's, which all ask for the same.
async fn originate(mut pipe: DuplexStream) {
    let mut request = Vec::new();
    let mut reply = None;
    while pipe
        .read_buf(&mut request)
        .await
        .is_ok_and(|bytes| bytes > 0)
    {
        if request.ends_with(b"\r\n\r\n") {
            let reply = reply.get_or_insert_with(|| original(&String::from_utf8_lossy(&request)));
            request.clear();
            if pipe.write_all(reply).await.is_err() {
                return;
            }
        }
    }
}

/// The origin's answer; `Limit` is the body's size in KiB.
///
/// Its age is of so many digits, and its lifetime too, that neither `Age` nor the
/// `ttl` of `Cache-Status` gains or loses one while a bench runs: all hits are as long.
/// What varies is sent compressed; other bodies are noise, which is not worth it.
fn original(request: &str) -> Vec<u8> {
    let kibibytes = if request.contains("Limit=16&") { 16 } else { 1 };
    let (vary, step) = if request.contains(VARYING) {
        ("vary: accept-encoding\r\n", 0)
    } else {
        ("", 1)
    };
    let length = kibibytes << 10;
    let mut reply = format!(
        "HTTP/1.1 200 OK\r\n\
         content-type: application/json; charset=utf-8\r\n\
         content-length: {length}\r\n\
         cache-control: public, max-age=31536000\r\n\
         age: 500000\r\n\
         etag: \"6f1c2b9d\"\r\n\
         last-modified: Sun, 22 Nov 2026 08:00:00 GMT\r\n\
         {vary}\r\n"
    )
    .into_bytes();
    // Knuth's multiplier for numbers that look like chance.
    let noise = |number: u64| (number * step).wrapping_mul(6_364_136_223_846_793_005) >> 56;
    reply.extend((1..=length).map(|number| noise(number) as u8));
    reply
}
