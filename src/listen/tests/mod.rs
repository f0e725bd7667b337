//! Whole connections over pipes, under simulated time.
//!
//! A pipe and the sweep are all there is: whenever nobody can go on, tokio's
//! paused clock jumps to the next timer, so an hour passes in no time.

mod bodies;
mod deadlines;
mod express;
mod hostile;
mod http1;
mod http2;
mod interim;
mod malformed;
mod retire;
mod secure;

use std::{
    cell::Cell,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{
        AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, copy_bidirectional,
        duplex, split,
    },
    sync::{Notify, watch},
    time::{Instant, sleep},
};

use self::bodies::{Drip, End, Endless, Made, Panics, Reply, whole};
use super::{Bounds, Expected, LiveBounds, Respond, Roll, Viewer, connection, sweep};
use crate::{
    policy::{Scheme, lines::Lines},
    serve::{Interims, Plain, PlainHead},
    time::Clock,
};

const PIPE: usize = 64 * 1024;

thread_local! {
    /// Whether the houses of this thread leave every request to the HTTP library.
    static ABOVE: Cell<bool> = const { Cell::new(false) };
}

/// Runs tests of the same module once more, with every request left to the HTTP library.
macro_rules! above {
    ($($name:ident),* $(,)?) => {
        mod above {
            $(
                #[test]
                fn $name() {
                    crate::listen::tests::ABOVE.set(true);
                    super::$name();
                }
            )*
        }
    };
}
use above;

/// A worker without a thread or a socket.
struct House {
    roll: Arc<Roll>,
    bounds: Arc<LiveBounds>,
    clinic: Clinic,
}

/// Answers by path.
#[derive(Clone)]
struct Clinic {
    /// `/wait` answers once this is true.
    released: watch::Sender<bool>,
    /// Told what a body that was read after its answer consisted of.
    read_later: watch::Sender<Option<usize>>,
    /// Told when somebody waits.
    waiting: Arc<Notify>,
    /// Whether plain requests are answered beneath the HTTP library.
    beneath: bool,
    /// How many other plain requests came beneath it.
    plain: Arc<AtomicUsize>,
    /// How many requests came through it.
    asked: Arc<AtomicUsize>,
    /// Where the last request to `/hint` may have interim responses.
    hinted: Arc<Mutex<Option<Interims>>>,
}

impl House {
    fn open() -> Self {
        let roll = Arc::new(Roll::default());
        let bounds = Arc::new(LiveBounds::new(Bounds::default()));
        tokio::spawn(sweep(Arc::clone(&roll), Arc::clone(&bounds)));
        let clinic = Clinic {
            released: watch::Sender::new(false),
            read_later: watch::Sender::new(None),
            waiting: Arc::default(),
            beneath: !ABOVE.get(),
            plain: Arc::default(),
            asked: Arc::default(),
            hinted: Arc::default(),
        };
        Self {
            roll,
            bounds,
            clinic,
        }
    }

    /// A viewer's end of a new connection.
    fn connect(&self) -> DuplexStream {
        self.connect_as(Expected::Sniff, PIPE)
    }

    fn connect_as(&self, expected: Expected, pipe: usize) -> DuplexStream {
        let (viewers, ours) = duplex(pipe);
        tokio::spawn(self.serve(ours, expected));
        viewers
    }

    /// Serves a new connection.
    fn serve<I>(&self, ours: I, expected: Expected) -> impl Future<Output = ()> + Send + use<I>
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let viewer = Viewer {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)),
            scheme: Scheme::Http,
            covered: None,
            interims: None,
        };
        let place = self.roll.admit();
        connection(ours, expected, viewer, self.clinic.clone(), place)
    }

    /// Waits until nobody is connected; how long that took.
    async fn emptied(&self) -> Duration {
        let start = now();
        while self.roll.open() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
        now() - start
    }
}

fn now() -> Instant {
    Clock::System.instant()
}

/// What the viewer reads until its connection is closed, and after how long.
async fn rest(viewer: &mut DuplexStream) -> (String, Duration) {
    let start = now();
    let mut bytes = Vec::new();
    match viewer.read_to_end(&mut bytes).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::BrokenPipe),
    }
    (String::from_utf8(bytes).unwrap(), now() - start)
}

/// Asks, and reads one answer whose body ends with `end`.
async fn exchange(viewer: &mut DuplexStream, request: &str, end: &str) -> String {
    viewer.write_all(request.as_bytes()).await.unwrap();
    answer(viewer, end).await
}

async fn answer(viewer: &mut DuplexStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let seen = String::from_utf8_lossy(&bytes).into_owned();
        assert!(
            viewer.read_buf(&mut bytes).await.unwrap() > 0,
            "closed after {seen:?}"
        );
    }
    String::from_utf8(bytes).unwrap()
}

#[track_caller]
fn assert_within(took: Duration, from: u64, to: u64) {
    let expected = Duration::from_secs(from)..=Duration::from_secs(to);
    assert!(
        expected.contains(&took),
        "took {took:?}, wanted {expected:?}"
    );
}

impl Respond for Clinic {
    type Body = Reply;

    type Asked = Request<()>;

    /// `/at-hand…` is, if `beneath` allows; `/beneath-panic` panics.
    fn at_hand(
        &self,
        head: impl FnOnce() -> Option<PlainHead>,
        _: &Viewer,
        out: &mut Lines,
    ) -> Option<Plain<Request<()>>> {
        let head = self.beneath.then(head)??;
        let path = head.target.path();
        assert_ne!(path, "/beneath-panic", "as the test wanted");
        if !path.starts_with("/at-hand") {
            let mut asked = Request::new(());
            *asked.uri_mut() = head.target.as_str().parse().unwrap();
            for (name, value) in head.headers.iter() {
                let value = http::HeaderValue::from_bytes(value).unwrap();
                asked.headers_mut().append(name, value);
            }
            return Some(Plain::Asked(asked));
        }
        let body = at_hand(path);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        out.push(head.as_bytes());
        Some(Plain::AtHand(body))
    }

    async fn respond_plain(self, asked: Request<()>, viewer: Viewer) -> Response<Self::Body> {
        self.plain.fetch_add(1, Relaxed);
        let nothing = |()| Empty::new().map_err(|never| match never {}).boxed_unsync();
        self.given(asked.map(nothing), viewer).await
    }

    async fn respond(self, request: Request<Incoming>, viewer: Viewer) -> Response<Self::Body> {
        self.asked.fetch_add(1, Relaxed);
        self.given(request.map(BodyExt::boxed_unsync), viewer).await
    }
}

impl Clinic {
    async fn given(
        self,
        mut request: Request<UnsyncBoxBody<Bytes, hyper::Error>>,
        viewer: Viewer,
    ) -> Response<Reply> {
        let text = match request.uri().path() {
            "/hello" => "hello".to_owned(),
            "/wait" => {
                self.waiting.notify_one();
                self.released
                    .subscribe()
                    .wait_for(|released| *released)
                    .await
                    .unwrap();
                "waited".to_owned()
            }
            "/echo" => match request.body_mut().collect().await {
                Ok(body) => format!("{} bytes", body.to_bytes().len()),
                Err(_) => "broken body".to_owned(),
            },
            "/read-then-wait" => {
                let body = request.body_mut().collect().await.unwrap().to_bytes();
                self.waiting.notify_one();
                self.released
                    .subscribe()
                    .wait_for(|released| *released)
                    .await
                    .unwrap();
                format!("{} bytes", body.len())
            }
            path @ ("/read-later" | "/read-later-say-nothing") => {
                let says = if path == "/read-later" { "already" } else { "" };
                let told = self.read_later.clone();
                tokio::spawn(async move {
                    let (mut body, mut bytes) = (request.into_body(), 0);
                    // Not until `None`: hyper 1.12 keeps the channel open after
                    // the last byte when the answer was over before.
                    while !body.is_end_stream() {
                        bytes += body
                            .frame()
                            .await
                            .unwrap()
                            .unwrap()
                            .data_ref()
                            .unwrap()
                            .len();
                    }
                    told.send_replace(Some(bytes));
                });
                says.to_owned()
            }
            "/hint" => {
                self.hinted.lock().unwrap().clone_from(&viewer.interims);
                if let Some(interims) = &viewer.interims {
                    interims.pass(StatusCode::EARLY_HINTS, &HeaderMap::new());
                }
                self.waiting.notify_one();
                self.released
                    .subscribe()
                    .wait_for(|released| *released)
                    .await
                    .unwrap();
                match viewer.interims {
                    Some(_) => "hinted".to_owned(),
                    None => "not hinted".to_owned(),
                }
            }
            "/hint-then-panic" => {
                let interims = viewer.interims.unwrap();
                interims.pass(StatusCode::EARLY_HINTS, &HeaderMap::new());
                panic!("as the test wanted")
            }
            "/big" => "x".repeat(1 << 20),
            "/drip" => return Response::new(Drip::one("drip", End::Never).boxed_unsync()),
            "/broken" => return Response::new(Drip::one("drip", End::Broken).boxed_unsync()),
            "/short" => {
                let mut response = Response::new(Drip::one("short", End::Good).boxed_unsync());
                let length = header::HeaderValue::from_static("6");
                response
                    .headers_mut()
                    .insert(header::CONTENT_LENGTH, length);
                return response;
            }
            path if path.starts_with("/made/") => {
                let made: Made = path["/made/".len()..].parse().unwrap();
                return made.answer();
            }
            "/endless" => return Response::new(Endless.boxed_unsync()),
            "/panic" => panic!("as the test wanted"),
            "/panic-later" => return Response::new(Panics.boxed_unsync()),
            "/upgrade" => {
                let upgraded = hyper::upgrade::on(&mut request);
                tokio::spawn(async move {
                    let mut stream = TokioIo::new(upgraded.await.unwrap());
                    let (mut near, far) = duplex(1024);
                    tokio::spawn(async move {
                        let (mut read, mut write) = split(far);
                        let _ = tokio::io::copy(&mut read, &mut write).await;
                    });
                    let _ = copy_bidirectional(&mut stream, &mut near).await;
                });
                let mut response = Response::new(whole(""));
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                let fields = response.headers_mut();
                fields.insert(header::UPGRADE, "echo".parse().unwrap());
                fields.insert(header::CONNECTION, "upgrade".parse().unwrap());
                return response;
            }
            path if path.starts_with("/at-hand") => {
                return Response::new(whole(at_hand(path)));
            }
            other => format!("no {other}"),
        };
        Response::new(whole(text))
    }
}

/// The body at a path that is at hand: long for some.
fn at_hand(path: &str) -> Bytes {
    let long = path.contains("long").then(|| "x".repeat(1 << 20));
    format!("{}{path}", long.unwrap_or_default()).into()
}
