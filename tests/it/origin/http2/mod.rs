//! HTTP/2 towards origins: how streams share a connection, and how they end.

use h2::{Reason, RecvStream, server::SendResponse};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use warmfront::origin::STREAMS_MAX;

use super::{
    tls::{Authority, secured},
    *,
};

mod bodies;
mod interim;
mod life;
mod raw;
mod viewer;

/// An origin that speaks HTTP/2, and how its connections are accepted.
struct Http2 {
    authority: Authority,
    world: World,
    acceptor: TlsAcceptor,
    builder: h2::server::Builder,
}

/// One connection: the streams that were opened on it.
struct Streams {
    opened: mpsc::UnboundedReceiver<(Request<RecvStream>, SendResponse<Bytes>)>,
    goodbye: Arc<Notify>,
}

impl Http2 {
    fn new() -> Self {
        Self::waiting(Duration::from_secs(30))
    }

    /// Whose answers are waited for this long.
    fn waiting(response_timeout: Duration) -> Self {
        let authority = Authority::new();
        let world = World::of(Origin {
            response_timeout,
            ..authority.origin("api.example.com")
        });
        let acceptor = authority.server("api.example.com", &["h2"]);
        Self {
            authority,
            world,
            acceptor,
            builder: h2::server::Builder::new(),
        }
    }

    fn get(&self) -> JoinHandle<Result<Fetched, FetchError>> {
        self.world.get("/")
    }

    async fn accept(&mut self) -> Streams {
        let stream = secured(&mut self.world, &self.acceptor).await;
        let mut connection: h2::server::Connection<_, Bytes> =
            self.builder.handshake(stream).await.unwrap();
        let (sender, opened) = mpsc::unbounded_channel();
        let goodbye = Arc::new(Notify::new());
        let goodbye_said = Arc::clone(&goodbye);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    stream = connection.accept() => match stream {
                        Some(Ok(stream)) => drop(sender.send(stream)),
                        Some(Err(_)) | None => return,
                    },
                    () = goodbye_said.notified() => connection.graceful_shutdown(),
                }
            }
        });
        Streams { opened, goodbye }
    }

    /// A connection that has served once and is kept.
    async fn kept(&mut self) -> Streams {
        let fetched = self.get();
        let mut streams = self.accept().await;
        streams.next().await.whole("ok");
        assert_eq!(
            text(fetched.await.unwrap().unwrap().body).await.unwrap(),
            "ok"
        );
        streams
    }
}

impl Streams {
    async fn next(&mut self) -> Answer {
        Answer(self.asked().await.1)
    }

    /// The same, with the request.
    async fn asked(&mut self) -> (Request<RecvStream>, SendResponse<Bytes>) {
        self.opened.recv().await.expect("a stream was wanted")
    }

    /// Waits until the connection is over.
    async fn ended(&mut self) {
        assert!(self.opened.recv().await.is_none());
    }
}

struct Answer(SendResponse<Bytes>);

impl Answer {
    fn whole(mut self, text: &'static str) {
        let mut body = self.0.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(text.as_bytes()), true)
            .unwrap();
    }

    /// A head and some bytes, then a reset.
    async fn cut(mut self, text: &'static str, reason: Reason) {
        let mut body = self.0.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(text.as_bytes()), false)
            .unwrap();
        pass(Duration::from_millis(1)).await;
        body.send_reset(reason);
    }
}

#[tokio::test(start_paused = true)]
async fn exchanges_at_once_share_a_connection_from_the_start() {
    let mut http2 = Http2::new();
    let fetched: Vec<_> = (0..5).map(|_| http2.get()).collect();
    let mut streams = http2.accept().await;
    for _ in 0..5 {
        streams.next().await.whole("ok");
    }
    for fetched in fetched {
        assert_eq!(
            text(fetched.await.unwrap().unwrap().body).await.unwrap(),
            "ok"
        );
    }
    assert_eq!(http2.world.unseen(), 0);
}

#[tokio::test(start_paused = true)]
async fn another_connection_is_opened_when_the_origin_allows_no_more_streams() {
    let mut http2 = Http2::new();
    http2.builder.max_concurrent_streams(2);
    let mut first = http2.kept().await;
    pass(Duration::from_millis(1)).await;
    let fetched: Vec<_> = (0..3).map(|_| http2.get()).collect();
    let (one, two) = (first.next().await, first.next().await);
    let mut second = http2.accept().await;
    second.next().await.whole("ok");
    one.whole("ok");
    two.whole("ok");
    for fetched in fetched {
        assert_eq!(
            text(fetched.await.unwrap().unwrap().body).await.unwrap(),
            "ok"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_carries_no_more_than_our_own_bound() {
    let mut http2 = Http2::new();
    http2.builder.max_concurrent_streams(1_000);
    let mut first = http2.kept().await;
    pass(Duration::from_millis(1)).await;
    let fetched: Vec<_> = (0..=STREAMS_MAX).map(|_| http2.get()).collect();
    let mut second = http2.accept().await;
    second.next().await.whole("ok");
    for _ in 0..STREAMS_MAX {
        first.next().await.whole("ok");
    }
    for fetched in fetched {
        fetched.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_goodbye_exchanges_go_elsewhere_and_those_under_way_end() {
    let mut http2 = Http2::new();
    let mut first = http2.kept().await;
    let before = http2.get();
    let before_answer = first.next().await;
    first.goodbye.notify_one();
    pass(Duration::from_millis(1)).await;
    let after = http2.get();
    let mut second = http2.accept().await;
    second.next().await.whole("new");
    before_answer.whole("old");
    assert_eq!(
        text(after.await.unwrap().unwrap().body).await.unwrap(),
        "new"
    );
    assert_eq!(
        text(before.await.unwrap().unwrap().body).await.unwrap(),
        "old"
    );
    first.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_stream_is_repeated_for_any_method() {
    let mut http2 = Http2::new();
    let mut first = http2.kept().await;
    let fetched = http2.world.send(request("POST", "/"));
    first.next().await.0.send_reset(Reason::REFUSED_STREAM);
    let mut second = http2.accept().await;
    second.next().await.whole("ok");
    assert_eq!(
        text(fetched.await.unwrap().unwrap().body).await.unwrap(),
        "ok"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_failed_otherwise_is_not_repeated() {
    let mut http2 = Http2::new();
    let mut first = http2.kept().await;
    let fetched = http2.get();
    first.next().await.0.send_reset(Reason::INTERNAL_ERROR);
    let error = fetched.await.unwrap().unwrap_err();
    check(
        &error,
        Blame::Origin,
        Phase::Head,
        "origin_invalid_response",
    );
    assert_eq!(http2.world.unseen(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_whose_stream_is_reset_is_never_whole() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    for reason in [Reason::CANCEL, Reason::INTERNAL_ERROR, Reason::NO_ERROR] {
        let fetched = http2.get();
        streams.next().await.cut("half", reason).await;
        let body = fetched.await.unwrap().unwrap().body;
        assert!(body.framed());
        let error = text(body).await.unwrap_err();
        assert_eq!(error.failure().phase, Phase::Body, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_left_unread_costs_its_stream_and_not_the_connection() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    let fetched = http2.get();
    let mut respond = streams.next().await.0;
    let mut body = respond.send_response(Response::new(()), false).unwrap();
    drop(fetched.await.unwrap().unwrap().body);
    let reset = std::future::poll_fn(|cx| body.poll_reset(cx))
        .await
        .unwrap();
    assert_eq!(reset, Reason::CANCEL);
    let again = http2.get();
    streams.next().await.whole("ok");
    again.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_reset_at_its_timeout() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    let fetched = http2.get();
    let mut respond = streams.next().await.0;
    let asked = now();
    let reset = std::future::poll_fn(|cx| respond.poll_reset(cx))
        .await
        .unwrap();
    assert_eq!(reset, Reason::CANCEL);
    assert_eq!(asked.elapsed().as_secs(), 30);
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Origin, Phase::Head, "origin_timeout");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_at_its_age() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    let kept = now();
    streams.ended().await;
    let idle = kept.elapsed();
    assert!(
        idle >= Duration::from_millis(59_990) && idle < Duration::from_secs(61),
        "{idle:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn retaining_closes_it_too() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    let kept = now();
    http2.world.origins.retain(&[]);
    streams.ended().await;
    assert!(kept.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn too_many_fields_are_invalid_here_too() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    let fetched = http2.get();
    let mut response = Response::new(());
    for _ in 0..=warmfront::origin::FIELDS_MAX {
        response
            .headers_mut()
            .append("x", HeaderValue::from_static("1"));
    }
    streams
        .next()
        .await
        .0
        .send_response(response, true)
        .unwrap();
    let error = fetched.await.unwrap().unwrap_err();
    check(
        &error,
        Blame::Origin,
        Phase::Head,
        "origin_invalid_response",
    );
}
