//! The PROXY protocol over real sockets.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use warmfront::{
    listen::{Bounds, Respond, Workers},
    policy::{lines::Lines, peer::Trusted},
    serve::{Plain, PlainHead, Viewer},
    site::{Proxies, Transport},
};

/// Says who the viewer is.
#[derive(Clone)]
struct Doorman;

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

    async fn respond(self, _: Request<Incoming>, viewer: Viewer) -> Response<Full<Bytes>> {
        Response::new(Full::from(format!("you are {}", viewer.address)))
    }
}

/// A listener whose connections `trusted` introduces.
async fn door(trusted: &str) -> (Workers, SocketAddr) {
    let workers = Workers::start(1, |_| Doorman).unwrap();
    workers.set_proxies(Proxies {
        trusted: Trusted::new(vec![trusted.parse().unwrap()]),
        introducing: vec!["127.0.0.1:0".parse().unwrap()],
    });
    let address = workers
        .open("127.0.0.1:0".parse().unwrap(), Transport::Plain)
        .unwrap();
    (workers, address)
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// All that comes back for `pieces`, each sent alone.
async fn told(address: SocketAddr, pieces: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in pieces {
        // The other end may have closed by now.
        let _ = stream.write_all(piece).await;
    }
    let mut seen = Vec::new();
    let _ = stream.read_to_end(&mut seen).await;
    String::from_utf8(seen).unwrap()
}

#[tokio::test]
async fn a_trusted_proxy_introduces_the_viewer() {
    let (_workers, address) = door("127.0.0.0/8").await;
    let line = &b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n"[..];
    let seen = told(address, &[line, GET]).await;
    assert!(seen.ends_with("you are 203.0.113.7:4711"), "{seen}");
    let seen = told(address, &[&[line, GET].concat()]).await;
    assert!(seen.ends_with("you are 203.0.113.7:4711"), "{seen}");
    let seen = told(address, &[&line[..3], &line[3..20], &line[20..], GET]).await;
    assert!(seen.ends_with("you are 203.0.113.7:4711"), "{seen}");
    let local = [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x20, 0, 0, 0], GET].concat();
    let seen = told(address, &[&local]).await;
    assert!(seen.contains("you are 127.0.0.1:"), "{seen}");
}

#[tokio::test]
async fn without_an_introduction_nobody_enters() {
    let (_workers, address) = door("127.0.0.0/8").await;
    assert_eq!(told(address, &[GET]).await, "");
    let line = b"PROXY TCP4 203.0.113.7 nowhere 4711 80\r\n";
    assert_eq!(told(address, &[line, GET]).await, "");
}

#[tokio::test]
async fn a_stranger_introduces_nobody() {
    let (_workers, address) = door("10.0.0.0/8").await;
    let line = b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n";
    assert_eq!(told(address, &[line, GET]).await, "");
}

#[tokio::test]
async fn a_silent_proxy_is_closed_on() {
    let (workers, address) = door("127.0.0.0/8").await;
    workers.set_bounds(Bounds {
        header_timeout: Duration::from_millis(50),
        ..Bounds::default()
    });
    assert_eq!(told(address, &[b"PROXY TCP4 203"]).await, "");
}
