//! Bodies over HTTP/2: both ways within the windows, to their end or not at all.

use h2::SendStream;
use http::HeaderMap;

use super::*;

/// What a stream may carry before it is given more (RFC 9113 §6.9.2).
const WINDOW: usize = 65_535;

fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("digest", HeaderValue::from_static("abc"));
    trailers
}

/// Why the edge gave this stream up, which it does soon.
async fn reset_of(respond: &mut SendResponse<Bytes>) -> Reason {
    let reset = std::future::poll_fn(|cx| respond.poll_reset(cx));
    tokio::time::timeout(Duration::from_secs(60), reset)
        .await
        .expect("a reset was wanted")
        .unwrap()
}

/// Writes as a viewer does: as fast as it is read.
fn viewer_sends(mut viewer: DuplexStream, bytes: usize) -> JoinHandle<DuplexStream> {
    tokio::spawn(async move {
        let _ = viewer.write_all(&vec![b'x'; bytes]).await;
        viewer
    })
}

/// Reads `bytes` of a body, and gives nothing back to its window.
async fn hold(body: &mut RecvStream, bytes: usize) {
    let mut held = 0;
    while held < bytes {
        held += body.data().await.unwrap().unwrap().len();
    }
    assert_eq!(held, bytes);
}

#[tokio::test(start_paused = true)]
async fn an_upload_waits_for_the_window() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    let (viewer, request) = upload("POST", "content-length: 1000000").await;
    let sent = viewer_sends(viewer, 1_000_000);
    let fetched = http2.world.send(request);
    let (request, respond) = streams.asked().await;
    assert_eq!(request.headers()["content-length"], "1000000");
    let mut body = request.into_body();
    hold(&mut body, WINDOW).await;
    pass(Duration::from_secs(1)).await;
    // No more is taken of the viewer than may lie between it and the origin.
    assert!(!sent.is_finished());
    let more = std::future::poll_fn(|cx| std::task::Poll::Ready(body.poll_data(cx))).await;
    assert!(more.is_pending());
    body.flow_control().release_capacity(WINDOW).unwrap();
    let mut read = WINDOW;
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        read += data.len();
    }
    assert_eq!(read, 1_000_000);
    Answer(respond).whole("ok");
    assert_eq!(
        text(fetched.await.unwrap().unwrap().body).await.unwrap(),
        "ok"
    );
}

#[tokio::test(start_paused = true)]
async fn a_chunked_upload_ends_with_its_trailers() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    let (mut viewer, request) = upload("POST", "transfer-encoding: chunked\r\nte: trailers").await;
    let fetched = http2.world.send(request);
    viewer
        .write_all(b"4\r\nbody\r\n0\r\ndigest: abc\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let (request, respond) = streams.asked().await;
    assert!(!request.headers().contains_key("content-length"));
    let mut body = request.into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "body");
    assert!(body.data().await.is_none());
    assert_eq!(body.trailers().await.unwrap().unwrap(), trailers());
    Answer(respond).whole("ok");
    fetched.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_body_ends_with_its_head() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    let fetched = http2.world.send(request("POST", "/"));
    let (request, respond) = streams.asked().await;
    assert_eq!(request.headers()["content-length"], "0");
    assert!(request.body().is_end_stream());
    Answer(respond).whole("ok");
    fetched.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_opens_no_window_is_a_slow_origin() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    let (viewer, request) = upload("POST", "content-length: 1000000").await;
    let _sent = viewer_sends(viewer, 1_000_000);
    let fetched = http2.world.send(request);
    let (_request, mut respond) = streams.asked().await;
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Origin, Phase::Send, "origin_timeout");
    assert_eq!(reset_of(&mut respond).await, Reason::CANCEL);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_breaks_off_resets_its_stream() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    let (mut viewer, request) = upload("POST", "content-length: 5").await;
    let fetched = http2.world.send(request);
    viewer.write_all(b"half").await.unwrap();
    let (_request, mut respond) = streams.asked().await;
    pass(Duration::from_millis(1)).await;
    drop(viewer);
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Viewer, Phase::Send, "upload_broken");
    assert_eq!(reset_of(&mut respond).await, Reason::CANCEL);
    let again = http2.get();
    streams.next().await.whole("ok");
    again.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn r3_an_upload_that_dribbles_gives_its_stream_back() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    let (mut viewer, request) = upload("POST", "content-length: 5000").await;
    let fetched = http2.world.send(request);
    let (_request, mut respond) = streams.asked().await;
    for _ in 0..3 {
        pass(Duration::from_secs(25)).await;
        viewer.write_all(b"x").await.unwrap();
    }
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Viewer, Phase::Send, "upload_broken");
    assert_eq!(reset_of(&mut respond).await, Reason::CANCEL);
}

#[tokio::test(start_paused = true)]
async fn an_early_answer_passes_and_ends_the_upload() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    // One whose viewer is silent, and one whose window is full.
    for bytes in [0, 1_000_000] {
        let (viewer, request) = upload("POST", "content-length: 1000000").await;
        let _sent = viewer_sends(viewer, bytes);
        let fetched = http2.world.send(request);
        let (_request, mut respond) = streams.asked().await;
        pass(Duration::from_secs(1)).await;
        let response = Response::builder().status(413).body(()).unwrap();
        let mut body = respond.send_response(response, false).unwrap();
        body.send_data(Bytes::from_static(b"large"), true).unwrap();
        let fetched = fetched.await.unwrap().unwrap();
        assert_eq!(fetched.head.status, 413);
        assert_eq!(text(fetched.body).await.unwrap(), "large");
        let reset = std::future::poll_fn(|cx| body.poll_reset(cx));
        let reset = tokio::time::timeout(Duration::from_secs(60), reset).await;
        assert_eq!(reset.unwrap().unwrap(), Reason::CANCEL);
    }
    assert_eq!(http2.world.unseen(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_resets_its_stream_wherever_its_upload_is() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    for bytes in [0, 1_000_000] {
        let (viewer, request) = upload("POST", "content-length: 1000000").await;
        let _sent = viewer_sends(viewer, bytes);
        let fetched = http2.world.send(request);
        let (_request, mut respond) = streams.asked().await;
        pass(Duration::from_secs(1)).await;
        fetched.abort();
        assert_eq!(reset_of(&mut respond).await, Reason::CANCEL);
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_resets_ends_the_upload() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    let (viewer, request) = upload("POST", "content-length: 1000000").await;
    let fetched = http2.world.send(request);
    let (_request, mut respond) = streams.asked().await;
    respond.send_reset(Reason::ENHANCE_YOUR_CALM);
    let error = fetched.await.unwrap().unwrap_err();
    check(
        &error,
        Blame::Origin,
        Phase::Head,
        "origin_invalid_response",
    );
    drop(viewer);
}

/// A response whose body the origin sends as far as it may.
async fn unread(http2: &Http2, streams: &mut Streams) -> (Box<Received>, SendStream<Bytes>) {
    let fetched = http2.get();
    let mut respond = streams.next().await.0;
    let body = respond.send_response(Response::new(()), false).unwrap();
    (fetched.await.unwrap().unwrap().body, body)
}

/// How much the origin may send now.
async fn room(body: &mut SendStream<Bytes>) -> usize {
    body.reserve_capacity(8 << 20);
    pass(Duration::from_millis(1)).await;
    body.capacity()
}

#[tokio::test(start_paused = true)]
async fn an_origin_sends_no_more_than_is_read() {
    let mut http2 = Http2::new();
    http2.builder.max_send_buffer_size(8 << 20);
    let mut streams = http2.kept().await;
    let (received, mut body) = unread(&http2, &mut streams).await;
    assert_eq!(room(&mut body).await, 1 << 20);
    body.send_data(Bytes::from(vec![b'x'; 1 << 20]), false)
        .unwrap();
    pass(Duration::from_secs(1)).await;
    assert_eq!(room(&mut body).await, 0);
    let mut received = Box::pin(received);
    let read = received
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_data()
        .unwrap();
    let mut more = read.len();
    while more < 1 << 20 {
        let frame = received.frame().await.unwrap().unwrap();
        more += frame.into_data().unwrap().len();
    }
    assert_eq!(room(&mut body).await, 1 << 20);
    body.send_data(Bytes::new(), true).unwrap();
    assert!(
        received
            .frame()
            .await
            .is_none_or(|last| last.unwrap().into_data().unwrap().is_empty())
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_ends_with_its_trailers() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    let (received, mut body) = unread(&http2, &mut streams).await;
    body.send_data(Bytes::from_static(b"body"), false).unwrap();
    body.send_trailers(trailers()).unwrap();
    let whole = received.collect().await.unwrap();
    assert_eq!(whole.trailers(), Some(&trailers()));
    assert_eq!(whole.to_bytes(), "body");
}

#[tokio::test(start_paused = true)]
async fn responses_that_have_no_body_have_none() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    for (method, status, length) in [("HEAD", 200, "5"), ("GET", 304, "5"), ("GET", 204, "0")] {
        let fetched = http2.world.send(request(method, "/"));
        let response = Response::builder()
            .status(status)
            .header("content-length", length);
        let mut respond = streams.next().await.0;
        respond
            .send_response(response.body(()).unwrap(), true)
            .unwrap();
        let fetched = fetched.await.unwrap().unwrap();
        assert_eq!(fetched.head.headers["content-length"], length);
        assert_eq!(text(fetched.body).await.unwrap(), "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_of_another_length_than_announced_is_never_whole() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    for sent in ["half", "double"] {
        let fetched = http2.get();
        let response = Response::builder().header("content-length", "5");
        let mut respond = streams.next().await.0;
        let mut body = respond
            .send_response(response.body(()).unwrap(), false)
            .unwrap();
        body.send_data(Bytes::from_static(sent.as_bytes()), true)
            .unwrap();
        // The head and the data may come at once.
        let error = match fetched.await.unwrap() {
            Ok(fetched) => text(fetched.body).await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.failure().blame, Blame::Origin, "{error}");
    }
    let again = http2.get();
    streams.next().await.whole("ok");
    again.await.unwrap().unwrap();
}
