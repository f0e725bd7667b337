//! Viewers of an HTTP/2 origin, through the whole edge: what HTTP/1.1 gives them is the same.

use crate::harness::edge::Edge;
use warmfront::policy::Scheme;

use super::*;

/// An edge in front of an HTTP/2 origin, and a viewer's connection to it.
struct Whole {
    http2: Http2,
    viewer: DuplexStream,
}

impl Whole {
    fn new() -> Self {
        let http2 = Http2::new();
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, http2.authority.pem()).unwrap();
        let config = format!(
            "listener = [{{ address = \"127.0.0.1:0\" }}]\n\
             [[origin]]\nid = \"api\"\nurl = \"https://api.example.com\"\nca = {ca:?}\n\
             [[distribution]]\nid = \"test\"\n\
             [[distribution.behaviour]]\npath = \"*\"\norigin = \"api\"\nmethods = \"all\"\n"
        );
        let dial = Arc::clone(&http2.world.pipes) as Arc<dyn Dial>;
        let clock = Clock::simulated(Timestamp::from_unix(1_000));
        let edge = Edge::open(&config, dial, clock).unwrap();
        let (viewer, pipe) = duplex(64 << 10);
        edge.serve(pipe, "192.0.2.1:1".parse().unwrap(), Scheme::Http);
        Self { http2, viewer }
    }

    async fn asks(&mut self, request: &str) {
        self.viewer.write_all(request.as_bytes()).await.unwrap();
    }

    /// The next head.
    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.viewer.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    /// The rest of the connection, which `connection: close` has asked to end.
    async fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.viewer.read_to_string(&mut rest).await.unwrap();
        rest
    }
}

#[tokio::test(start_paused = true)]
async fn interim_responses_reach_a_viewer_of_http1() {
    let mut whole = Whole::new();
    whole
        .asks("GET /a HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n")
        .await;
    let mut streams = whole.http2.accept().await;
    let (request, mut respond) = streams.asked().await;
    assert_eq!(request.uri(), "https://api.example.com/a");
    let processing = Response::builder().status(102).body(()).unwrap();
    respond.send_informational(processing).unwrap();
    let head = whole.head().await;
    assert!(head.starts_with("HTTP/1.1 102 "), "{head}");
    let hints = Response::builder()
        .status(103)
        .header("link", "</a.css>; rel=preload")
        .body(());
    respond.send_informational(hints.unwrap()).unwrap();
    let head = whole.head().await;
    assert!(head.starts_with("HTTP/1.1 103 "), "{head}");
    assert!(head.contains("link: </a.css>; rel=preload\r\n"), "{head}");
    Answer(respond).whole("ok");
    let head = whole.head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(!head.contains("link"), "{head}");
    assert!(whole.rest().await.contains("ok"));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_them_is_a_bad_gateway() {
    let mut whole = Whole::new();
    whole
        .asks("GET /a HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n")
        .await;
    let mut streams = whole.http2.accept().await;
    let (_, mut respond) = streams.asked().await;
    for _ in 0..1_000 {
        let hints = Response::builder().status(103).body(()).unwrap();
        respond.send_informational(hints).unwrap();
    }
    let reset = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
    assert_eq!(reset.unwrap(), Reason::CANCEL);
    let all = whole.rest().await;
    let hints = all.matches("HTTP/1.1 103 ").count();
    assert!(hints <= warmfront::origin::INTERIM_MAX, "{hints}");
    assert!(all.contains("HTTP/1.1 502 "), "{all}");
}
