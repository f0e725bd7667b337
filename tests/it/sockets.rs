//! Workers over real sockets.

use std::{
    collections::BTreeSet, convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use warmfront::{
    listen::{Respond, Workers},
    policy::lines::Lines,
    serve::{Plain, PlainHead, Viewer},
    site::Transport,
};

const ANY: &str = "127.0.0.1:0";
const LONG: Duration = Duration::from_secs(60);

/// Says which worker it is; `/wait` waits to be released first. `/lead` begins
/// what lands once released, and `/follow` waits for that.
#[derive(Clone)]
struct Doorman {
    index: usize,
    waiting: Arc<Semaphore>,
    released: watch::Receiver<bool>,
    landed: Arc<Semaphore>,
}

/// What the tests hold of the doormen.
struct Bell {
    waiting: Arc<Semaphore>,
    release: watch::Sender<bool>,
}

impl Respond for Doorman {
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

    async fn respond(self, request: Request<Incoming>, viewer: Viewer) -> Response<Full<Bytes>> {
        assert!(viewer.address.ip().is_loopback());
        let mut released = self.released.clone();
        match request.uri().path() {
            "/wait" => {
                self.waiting.add_permits(1);
                let _ = released.wait_for(|released| *released).await;
            }
            "/lead" => {
                let landed = Arc::clone(&self.landed);
                tokio::spawn(async move {
                    let _ = released.wait_for(|released| *released).await;
                    landed.add_permits(1);
                });
            }
            "/follow" => {
                self.waiting.add_permits(1);
                self.landed.acquire().await.unwrap().forget();
            }
            _ => {}
        }
        Response::new(Full::new(Bytes::from(format!("worker {};", self.index))))
    }
}

impl Bell {
    /// Returns once a request waits.
    async fn somebody_waits(&self) {
        self.waiting.acquire().await.unwrap().forget();
    }
}

fn start(count: usize) -> (Arc<Workers>, Bell) {
    let waiting = Arc::new(Semaphore::new(0));
    let landed = Arc::new(Semaphore::new(0));
    let (release, released) = watch::channel(false);
    let bell = Bell {
        waiting: Arc::clone(&waiting),
        release,
    };
    let make = move |index| Doorman {
        index,
        waiting: Arc::clone(&waiting),
        released: released.clone(),
        landed: Arc::clone(&landed),
    };
    (Arc::new(Workers::start(count, make).unwrap()), bell)
}

fn open(workers: &Workers) -> SocketAddr {
    workers
        .open(ANY.parse().unwrap(), Transport::Plain)
        .unwrap()
}

async fn send(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// Reads one answer; its head, and which worker gave it.
async fn answer(stream: &mut TcpStream) -> (String, usize) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b";") {
        assert!(
            stream.read_buf(&mut bytes).await.unwrap() > 0,
            "{}",
            bytes.escape_ascii()
        );
    }
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (
        head.to_owned(),
        body.trim_matches(|c: char| !c.is_ascii_digit())
            .parse()
            .unwrap(),
    )
}

async fn get(stream: &mut TcpStream, path: &str) -> (String, usize) {
    send(stream, path).await;
    answer(stream).await
}

async fn is_closed(stream: &mut TcpStream) {
    match stream.read(&mut [0]).await {
        Ok(bytes) => assert_eq!(bytes, 0),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
}

#[tokio::test]
async fn every_worker_accepts_on_its_own_socket() {
    let (workers, _bell) = start(3);
    let address = open(&workers);
    assert_ne!(address.port(), 0);
    assert_eq!(workers.listening(), [address]);
    let mut streams = Vec::new();
    let mut seen = BTreeSet::new();
    // The kernel spreads by a hash of both ends: a hundred of one worker would
    // be as likely as a hundred throws of the same face.
    for _ in 0..100 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        seen.insert(get(&mut stream, "/").await.1);
        streams.push(stream);
    }
    assert_eq!(seen, BTreeSet::from([0, 1, 2]));
    assert_eq!(workers.connections(), 100);
    assert_eq!(workers.tally().accepted, 100);
}

#[tokio::test]
async fn an_address_in_use_is_refused_by_name() {
    let (workers, _bell) = start(2);
    let strangers = TcpListener::bind(ANY).await.unwrap();
    let (others, _others_bell) = start(2);
    let taken = [
        strangers.local_addr().unwrap(),
        open(&others),
        open(&workers),
    ];
    for address in taken {
        let error = workers.open(address, Transport::Plain).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(
            error.to_string(),
            format!("address {address}: already in use")
        );
    }
    assert_eq!(workers.listening(), [taken[2]]);
}

#[tokio::test]
async fn an_address_of_another_machine_is_refused_by_name() {
    let (workers, _bell) = start(1);
    let error = workers
        .open("192.0.2.1:8080".parse().unwrap(), Transport::Plain)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "address 192.0.2.1:8080: not an address of this machine"
    );
}

#[tokio::test]
async fn closing_an_address_keeps_its_connections() {
    let (workers, _bell) = start(2);
    let (kept, address) = (open(&workers), open(&workers));
    let mut stream = TcpStream::connect(address).await.unwrap();
    get(&mut stream, "/").await;

    assert!(workers.close(address).await);
    let error = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert!(!workers.close(address).await);
    assert_eq!(workers.listening(), [kept]);
    get(&mut stream, "/").await;

    // The address is free, although a connection of it lives.
    assert_eq!(workers.open(address, Transport::Plain).unwrap(), address);
    get(&mut TcpStream::connect(address).await.unwrap(), "/").await;
    get(&mut TcpStream::connect(kept).await.unwrap(), "/").await;
    get(&mut stream, "/").await;
}

#[tokio::test]
async fn draining_finishes_what_is_in_flight() {
    let (workers, bell) = start(2);
    let address = open(&workers);
    let mut idle = TcpStream::connect(address).await.unwrap();
    get(&mut idle, "/").await;
    let mut busy = TcpStream::connect(address).await.unwrap();
    send(&mut busy, "/wait").await;
    bell.somebody_waits().await;

    let draining = tokio::spawn({
        let workers = Arc::clone(&workers);
        async move { workers.drain(LONG).await }
    });
    is_closed(&mut idle).await;
    while TcpStream::connect(address).await.is_ok() {}
    assert!(!draining.is_finished());

    bell.release.send_replace(true);
    let (head, _) = answer(&mut busy).await;
    assert!(head.contains("connection: close"), "{head}");
    is_closed(&mut busy).await;
    assert_eq!(draining.await.unwrap(), 0);
    assert_eq!(workers.connections(), 0);
}

/// What one worker fetches may be what another one's viewer waits for.
#[tokio::test]
async fn a_drained_worker_goes_on_with_what_it_began() {
    let (workers, bell) = start(2);
    let address = open(&workers);
    let mut leader = TcpStream::connect(address).await.unwrap();
    let (_, leading) = get(&mut leader, "/lead").await;
    let mut follower = loop {
        let mut stream = TcpStream::connect(address).await.unwrap();
        if get(&mut stream, "/").await.1 != leading {
            break stream;
        }
    };
    send(&mut follower, "/follow").await;
    bell.somebody_waits().await;

    let draining = tokio::spawn({
        let workers = Arc::clone(&workers);
        async move { workers.drain(LONG).await }
    });
    is_closed(&mut leader).await;
    while workers.connections() > 1 {
        tokio::task::yield_now().await;
    }
    bell.release.send_replace(true);
    answer(&mut follower).await;
    assert_eq!(draining.await.unwrap(), 0);
}

#[tokio::test]
async fn draining_cuts_what_takes_too_long() {
    let (workers, bell) = start(2);
    let address = open(&workers);
    let mut busy = TcpStream::connect(address).await.unwrap();
    send(&mut busy, "/wait").await;
    bell.somebody_waits().await;
    assert_eq!(workers.drain(Duration::from_millis(1)).await, 1);
    is_closed(&mut busy).await;
    // Nobody is left to drain, and nothing hangs.
    assert_eq!(workers.drain(LONG).await, 0);
}

#[tokio::test]
async fn dropping_the_workers_closes_everything() {
    let (workers, bell) = start(2);
    let address = open(&workers);
    let mut busy = TcpStream::connect(address).await.unwrap();
    send(&mut busy, "/wait").await;
    bell.somebody_waits().await;
    drop(workers);
    is_closed(&mut busy).await;
    let error = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn r5_too_many_connections_are_turned_away() {
    let (workers, _bell) = start(2);
    workers.set_connections_max(Some(1), None);
    let address = open(&workers);
    let mut first = TcpStream::connect(address).await.unwrap();
    get(&mut first, "/").await;
    is_closed(&mut TcpStream::connect(address).await.unwrap()).await;
    assert_eq!(workers.tally().turned_away, 1);
    get(&mut first, "/").await;
}

#[tokio::test]
async fn r5_too_many_connections_of_one_address_are_turned_away() {
    let (workers, _bell) = start(2);
    workers.set_connections_max(None, Some(2));
    let address = open(&workers);
    let mut first = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    get(&mut first, "/").await;
    get(&mut second, "/").await;
    is_closed(&mut TcpStream::connect(address).await.unwrap()).await;
    assert_eq!(workers.tally().turned_away, 1);
    // Another address has its own, and who leaves makes room.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    get(&mut socket.connect(address).await.unwrap(), "/").await;
    drop(first);
    // The other address has left too.
    while workers.connections() > 1 {
        tokio::task::yield_now().await;
    }
    get(&mut TcpStream::connect(address).await.unwrap(), "/").await;
}

#[tokio::test]
async fn a_viewer_that_sends_too_much_can_read_why() {
    let (workers, _bell) = start(1);
    let mut stream = TcpStream::connect(open(&workers)).await.unwrap();
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(512 * 1024));
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    assert!(
        bytes.starts_with(b"HTTP/1.1 431 "),
        "{}",
        bytes.escape_ascii()
    );
}

#[tokio::test]
async fn every_address_means_both_families() {
    let (workers, _bell) = start(2);
    let both = match workers.open("[::]:0".parse().unwrap(), Transport::Plain) {
        Ok(both) => both,
        // A machine without IPv6.
        Err(error) => return assert!(error.to_string().starts_with("address [::]:0: "), "{error}"),
    };
    for host in ["127.0.0.1", "::1"] {
        let stream = TcpStream::connect((host, both.port())).await;
        get(&mut stream.unwrap(), "/").await;
    }
}

/// A responder that cannot be made fails the start, and nothing hangs.
#[test]
fn a_worker_that_cannot_be_made_fails_the_start() {
    let error = Workers::start(2, |index| -> Doorman {
        panic!("worker {index}, as the test wanted")
    })
    .unwrap_err();
    assert_eq!(error.to_string(), "a worker thread died as it started");
}
