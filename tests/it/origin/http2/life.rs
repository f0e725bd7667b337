//! Whether an HTTP/2 connection is still alive, and what becomes of those who wait on it.

use super::{raw::Raw, *};

const PING: u8 = 0x6;

#[tokio::test(start_paused = true)]
async fn a_connection_that_answers_no_ping_is_given_up() {
    let mut raw = Raw::of(Http2::waiting(Duration::from_secs(90))).await;
    let asked = now();
    let fetched = raw.http2.world.send(request("POST", "/"));
    raw.asked().await;
    raw.next(PING).await;
    assert_eq!(asked.elapsed().as_secs(), 20);
    let error = fetched.await.unwrap().unwrap_err();
    assert_eq!(asked.elapsed().as_secs(), 30);
    check(&error, Blame::Network, Phase::Head, "origin_closed");
    assert!(error.to_string().contains("ping"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_body_on_such_a_connection_is_broken() {
    let mut raw = Raw::of(Http2::waiting(Duration::from_secs(90))).await;
    let fetched = raw.http2.get();
    let stream = raw.asked().await;
    raw.frame(0x1, 0x4, stream, b"\x88").await;
    let body = fetched.await.unwrap().unwrap().body;
    let error = text(body).await.unwrap_err();
    assert_eq!(error.failure().blame, Blame::Network, "{error}");
    assert_eq!(error.failure().phase, Phase::Body, "{error}");
    assert!(error.to_string().contains("ping"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_on_one_that_does_is_waited_for() {
    let mut http2 = Http2::waiting(Duration::from_secs(300));
    let mut streams = http2.kept().await;
    let fetched = http2.get();
    let answer = streams.next().await;
    pass(Duration::from_secs(200)).await;
    answer.whole("late");
    let body = fetched.await.unwrap().unwrap().body;
    assert_eq!(text(body).await.unwrap(), "late");
    assert_eq!(http2.world.unseen(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_not_asked() {
    let mut raw = Raw::new().await;
    let seen = raw.ended().await;
    assert!(!seen.contains(&PING), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn the_first_request_after_a_long_silence_asks_at_once() {
    let mut raw = Raw::new().await;
    pass(Duration::from_secs(40)).await;
    let asked = now();
    let fetched = raw.http2.get();
    raw.next(PING).await;
    assert_eq!(asked.elapsed().as_secs(), 0);
    // Nobody answers, and the request goes elsewhere long before its own timeout.
    let mut elsewhere = raw.http2.accept().await;
    assert_eq!(asked.elapsed().as_secs(), 10);
    elsewhere.next().await.whole("ok");
    fetched.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_a_goodbye_leaves_out_is_repeated_for_any_method() {
    let mut raw = Raw::new().await;
    let fetched = raw.http2.world.send(request("POST", "/"));
    assert_eq!(raw.asked().await, 3);
    // GOAWAY: stream 1 was the last one processed, NO_ERROR.
    raw.frame(0x7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]).await;
    let mut elsewhere = raw.http2.accept().await;
    elsewhere.next().await.whole("ok");
    let body = fetched.await.unwrap().unwrap().body;
    assert_eq!(text(body).await.unwrap(), "ok");
}

#[tokio::test(start_paused = true)]
async fn one_that_it_does_not_leave_out_is_not_repeated_when_it_breaks() {
    let mut raw = Raw::new().await;
    let fetched = raw.http2.world.send(request("POST", "/"));
    assert_eq!(raw.asked().await, 3);
    raw.frame(0x7, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 0]).await;
    raw.hangs_up().await;
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Network, Phase::Head, "origin_closed");
    assert_eq!(raw.http2.world.unseen(), 0);
}
