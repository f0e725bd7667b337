//! HTTP/2 with prior knowledge.

use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioExecutor;
use tokio::io::ReadBuf;

use super::*;

pub(super) async fn http2(
    viewer: DuplexStream,
) -> (SendRequest<Empty<Bytes>>, tokio::task::JoinHandle<()>) {
    let (send, driver) = Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(viewer))
        .await
        .unwrap();
    let driver = tokio::spawn(async move { driver.await.unwrap_or_default() });
    (send, driver)
}

pub(super) fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://a{path}"))
        .body(Empty::new())
        .unwrap()
}

pub(super) async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .into(),
    )
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_preface_is_enough() {
    for expected in [Expected::Sniff, Expected::Http2] {
        let house = House::open();
        let (mut send, _driver) = http2(house.connect_as(expected, PIPE)).await;
        let (one, two) = tokio::join!(
            send.send_request(get("/hello")),
            send.clone().send_request(get("/b"))
        );
        assert_eq!(text(one.unwrap()).await, "hello");
        assert_eq!(text(two.unwrap()).await, "no /b");
    }
}

#[tokio::test(start_paused = true)]
async fn another_first_line_is_refused_where_http2_was_negotiated() {
    let house = House::open();
    let mut viewer = house.connect_as(Expected::Http2, PIPE);
    viewer
        .write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut bytes = Vec::new();
    viewer.read_to_end(&mut bytes).await.unwrap();
    assert!(!bytes.starts_with(b"HTTP/1.1"), "{}", bytes.escape_ascii());
    assert_eq!(house.roll.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_one_stream() {
    let house = House::open();
    let (mut send, _driver) = http2(house.connect()).await;
    let waiting = send.send_request(get("/wait"));
    let response = send.clone().send_request(get("/panic")).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(text(response).await, r#"{"error":"internal"}"#);
    house.clinic.released.send_replace(true);
    assert_eq!(text(waiting.await.unwrap()).await, "waited");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_body_ends_one_stream() {
    let house = House::open();
    let (mut send, _driver) = http2(house.connect()).await;
    let waiting = send.send_request(get("/wait"));
    let broken = send.clone().send_request(get("/panic-later")).await;
    assert!(match broken {
        Ok(response) => response.into_body().collect().await.is_err(),
        Err(_) => true,
    });
    house.clinic.released.send_replace(true);
    assert_eq!(text(waiting.await.unwrap()).await, "waited");
}

/// A pipe that counts what is written to it.
struct Counted {
    pipe: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Relaxed);
        Pin::new(&mut self.pipe).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn answers_to_what_is_asked_for_at_once_leave_in_one_piece() {
    let house = House::open();
    let (viewers, pipe) = duplex(PIPE);
    let writes = Arc::<AtomicUsize>::default();
    let counted = Counted {
        pipe,
        writes: Arc::clone(&writes),
    };
    tokio::spawn(house.serve(counted, Expected::Http2));
    let (mut send, _driver) = http2(viewers).await;
    assert_eq!(
        text(send.send_request(get("/a")).await.unwrap()).await,
        "no /a"
    );
    sleep(Duration::from_millis(10)).await;
    let before = writes.load(Relaxed);
    let asked = (0..10).map(|n| send.send_request(get(&format!("/{n}"))));
    let asked: Vec<_> = asked.collect();
    for (n, answer) in asked.into_iter().enumerate() {
        assert_eq!(text(answer.await.unwrap()).await, format!("no /{n}"));
    }
    assert_eq!(writes.load(Relaxed) - before, 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_viewer_does_not_take_is_held_once_and_kept_whole() {
    let house = House::open();
    let (mut send, _driver) = http2(house.connect_as(Expected::Http2, 1_024)).await;
    let asked = (0..4).map(|_| send.send_request(get("/big")));
    let asked: Vec<_> = asked.collect();
    sleep(Duration::from_secs(30)).await;
    for answer in asked {
        assert_eq!(text(answer.await.unwrap()).await.len(), 1 << 20);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_told_to_go() {
    let house = House::open();
    let (mut send, driver) = http2(house.connect()).await;
    let response = send.send_request(get("/hello")).await.unwrap();
    assert_eq!(text(response).await, "hello");
    let start = now();
    driver.await.unwrap();
    assert_within(now() - start, 60, 62);
    assert_within(house.emptied().await, 0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_waits_is_never_closed() {
    let house = House::open();
    let (mut send, _driver) = http2(house.connect()).await;
    let ask = send.send_request(get("/wait"));
    let release = async {
        sleep(Duration::from_secs(3600)).await;
        house.clinic.released.send_replace(true);
    };
    let (response, ()) = tokio::join!(ask, release);
    assert_eq!(text(response.unwrap()).await, "waited");
}

#[tokio::test(start_paused = true)]
async fn a_closed_window_is_not_waited_for() {
    let house = House::open();
    let (mut send, _driver) = http2(house.connect()).await;
    // Never read: its window closes after some KiB, while pings go on.
    let response = send.send_request(get("/endless")).await.unwrap();
    assert_within(house.emptied().await, 60, 62);
    drop(response);
}

#[tokio::test(start_paused = true)]
async fn retiring_finishes_the_streams() {
    let house = House::open();
    let (mut send, driver) = http2(house.connect()).await;
    let waiting = tokio::spawn(send.send_request(get("/wait")));
    house.clinic.waiting.notified().await;
    let retired = tokio::spawn({
        let roll = Arc::clone(&house.roll);
        async move { roll.retire().await }
    });
    sleep(Duration::from_secs(5)).await;
    assert!(!retired.is_finished());
    assert!(send.send_request(get("/hello")).await.is_err());
    house.clinic.released.send_replace(true);
    assert_eq!(text(waiting.await.unwrap().unwrap()).await, "waited");
    retired.await.unwrap();
    driver.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dribbled_head_has_a_deadline() {
    let house = House::open();
    let mut viewer = house.connect();
    viewer
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    viewer.write_all(&settings).await.unwrap();
    sleep(Duration::from_secs(30)).await;

    let start = now();
    let headers = [0, 0, 100, 1, 0, 0, 0, 0, 1];
    viewer.write_all(&headers).await.unwrap();
    while viewer.write_all(&[0x82]).await.is_ok() {
        sleep(Duration::from_secs(1)).await;
    }
    assert_within(now() - start, 10, 12);
}
