//! Origins over in-memory pipes, under simulated time: the test is the origin.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, request::Parts};
use http_body_util::BodyExt;
use hyper::{Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::mpsc,
    task::JoinHandle,
    time::Instant,
};
use warmfront::{
    fields::target,
    origin::{
        Dial, DialError, Dialling, FetchError, Fetched, Io, OnInterim, Origins, Received, Sent,
        Source,
    },
    policy::{
        Failure, Target,
        failover::{Blame, Phase, Retry},
        outgoing::Value,
    },
    site::{Origin, Protocol},
    time::{Clock, Timestamp},
};

mod differential;
mod express;
mod http2;
mod library;
mod plain;
mod tls;

/// What the next call of the dialler does; `Accept` when nothing is scripted.
enum Dialled {
    Accept,
    Refuse,
    NoAddress,
    Hang,
}

/// A dialler whose other ends the test holds.
struct Pipes {
    script: Mutex<VecDeque<Dialled>>,
    peers: mpsc::UnboundedSender<Peer>,
}

impl Dial for Pipes {
    fn dial<'a>(&'a self, _: &'a str, _: u16) -> Dialling<'a> {
        let next = self
            .script
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or(Dialled::Accept);
        Box::pin(async move {
            match next {
                Dialled::Accept => {
                    let (ours, theirs) = duplex(64 << 10);
                    self.peers.send(Peer(theirs)).unwrap();
                    Ok(Box::new(ours) as Box<dyn Io>)
                }
                Dialled::Refuse => Err(DialError::Connect(io::Error::from(
                    io::ErrorKind::ConnectionRefused,
                ))),
                Dialled::NoAddress => {
                    Err(DialError::Resolve(io::Error::from(io::ErrorKind::NotFound)))
                }
                Dialled::Hang => std::future::pending().await,
            }
        })
    }
}

/// The origin's end of one connection.
struct Peer(DuplexStream);

impl Peer {
    /// Reads up to the end of a head; what was read of a body stays unread.
    async fn asked(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(
                self.0
                    .read_u8()
                    .await
                    .expect("a request was wanted, the end was seen"),
            );
        }
        String::from_utf8(head).unwrap()
    }

    async fn reads(&mut self, bytes: usize) -> Vec<u8> {
        let mut read = vec![0; bytes];
        self.0.read_exact(&mut read).await.unwrap();
        read
    }

    async fn says(&mut self, text: impl AsRef<[u8]>) {
        self.0.write_all(text.as_ref()).await.unwrap();
    }

    /// Waits until the other side has closed, and says how many bytes came before that.
    async fn ended(&mut self) -> usize {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await.unwrap_or(0)
    }
}

impl Peer {
    /// The other side closes now, and had nothing more to say.
    async fn closes_at_once(&mut self) {
        let asked = now();
        assert_eq!(self.ended().await, 0);
        assert!(
            asked.elapsed() < Duration::from_millis(10),
            "{:?}",
            asked.elapsed()
        );
    }
}

/// One origin, its connections, and their other ends.
struct World {
    origins: Arc<Origins>,
    origin: Arc<Origin>,
    pipes: Arc<Pipes>,
    peers: mpsc::UnboundedReceiver<Peer>,
}

impl World {
    fn of(origin: Origin) -> Self {
        let (sender, peers) = mpsc::unbounded_channel();
        let pipes = Arc::new(Pipes {
            script: Mutex::default(),
            peers: sender,
        });
        let clock = Clock::simulated(Timestamp::from_unix(1_000));
        let dial: Arc<dyn Dial> = Arc::clone(&pipes) as Arc<dyn Dial>;
        let origins = Arc::new(Origins::new(dial, clock));
        Self {
            origins,
            origin: Arc::new(origin),
            pipes,
            peers,
        }
    }

    fn script(&self, dialled: impl IntoIterator<Item = Dialled>) {
        self.pipes.script.lock().unwrap().extend(dialled);
    }

    /// The origin's end of the connection that was opened next.
    async fn peer(&mut self) -> Peer {
        self.peers.recv().await.unwrap()
    }

    /// How many connections were opened that nobody took yet.
    fn unseen(&self) -> usize {
        self.peers.len()
    }

    fn send(&self, request: Request<Sent>) -> JoinHandle<Result<Fetched, FetchError>> {
        let (origins, origin) = (Arc::clone(&self.origins), Arc::clone(&self.origin));
        tokio::spawn(async move { send(&origins, &origin, request).await })
    }

    fn get(&self, path: &str) -> JoinHandle<Result<Fetched, FetchError>> {
        self.send(request("GET", path))
    }

    /// A whole exchange over a connection that is there already.
    async fn exchange(&self, peer: &mut Peer) {
        let fetched = self.get("/");
        peer.asked().await;
        peer.says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
        assert_eq!(
            text(fetched.await.unwrap().unwrap().body).await.unwrap(),
            "ok"
        );
    }

    /// A connection that has served once and is kept.
    async fn kept(&mut self) -> Peer {
        let fetched = self.get("/");
        let mut peer = self.peer().await;
        peer.asked().await;
        peer.says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
        let fetched = fetched.await.unwrap().unwrap();
        assert!(fetched.timings.connect.is_some());
        assert_eq!(text(fetched.body).await.unwrap(), "ok");
        peer
    }
}

/// The origin of most tests; requests without a body go to it beneath the HTTP library, or all
/// of them through that.
fn origin_of(express: bool) -> Origin {
    Origin {
        id: "api".to_owned(),
        protocol: Protocol::Http,
        host: "api.example.com".to_owned(),
        port: 80,
        target: Target {
            authority: HeaderValue::from_static("api.example.com"),
            prefix: String::new(),
            headers: Vec::new(),
        },
        ca: None,
        connect_timeout: Duration::from_secs(10),
        connect_attempts: 3,
        response_timeout: Duration::from_secs(30),
        keepalive: Duration::from_secs(60),
        express,
    }
}

fn request(method: &str, path: &str) -> Request<Sent> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "api.example.com");
    request.body(Sent::empty()).unwrap()
}

/// A request whose head makes another one like it; its extensions may say who hears what comes
/// before the response.
struct Copied(Parts, target::Target);

impl Source for Copied {
    fn method(&self) -> &Method {
        &self.0.method
    }

    fn target(&self) -> &target::Target {
        &self.1
    }

    fn asks_upgrade(&self) -> bool {
        self.0.headers.contains_key("upgrade")
    }

    fn each_field(&self, take: &mut dyn FnMut(&HeaderName, Value<'_>)) {
        for (name, value) in &self.0.headers {
            take(name, Value::Given(value));
        }
    }

    fn on_interim(&self) -> Option<OnInterim> {
        self.0.extensions.get().cloned()
    }
}

/// Sends `request`.
async fn send(
    origins: &Origins,
    origin: &Arc<Origin>,
    request: Request<Sent>,
) -> Result<Fetched, FetchError> {
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().unwrap().into();
    origins.send(origin, &Copied(head, target), body).await
}

/// A request with the body that a viewer sends after `head`; and the viewer's end.
async fn upload(method: &str, framing: &str) -> (DuplexStream, Request<Sent>) {
    let (mut viewer, ours) = duplex(64 << 10);
    let (bodies, mut taken) = mpsc::unbounded_channel();
    tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(
        TokioIo::new(ours),
        service_fn(move |request: Request<Incoming>| {
            bodies.send(request.into_body()).unwrap();
            std::future::pending::<Result<Response<String>, io::Error>>()
        }),
    ));
    let head = format!("{method} / HTTP/1.1\r\nhost: edge\r\n{framing}\r\n\r\n");
    viewer.write_all(head.as_bytes()).await.unwrap();
    let body = Sent::viewer(taken.recv().await.unwrap());
    let request = Request::builder()
        .method(method)
        .uri("/")
        .header("host", "api.example.com");
    (viewer, request.body(body).unwrap())
}

/// The simulated time.
fn now() -> Instant {
    Clock::System.instant()
}

/// Lets simulated time pass; whatever can happen before that happens.
async fn pass(span: Duration) {
    tokio::time::sleep(span).await;
}

async fn text(body: Box<Received>) -> Result<String, FetchError> {
    let bytes: Bytes = body.collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

#[track_caller]
fn check(error: &FetchError, blame: Blame, phase: Phase, told: &str) {
    let failure: &Failure = error.failure();
    assert_eq!((failure.blame, failure.phase), (blame, phase), "{error}");
    assert_eq!(
        warmfront::policy::answer::answer(failure).error,
        told,
        "{error}"
    );
}
