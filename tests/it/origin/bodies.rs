//! Bodies that come whole, and those that only look so.

use super::*;
use hyper::body::Body;

/// The body of a GET whose origin says `answer` and closes.
async fn body(answer: &str) -> Received {
    let mut world = World::new();
    let fetched = world.get("/");
    let mut peer = world.peer().await;
    peer.asked().await;
    peer.says(answer).await;
    drop(peer);
    fetched.await.unwrap().unwrap().body
}

#[tokio::test(start_paused = true)]
async fn a_body_of_its_announced_length_is_whole() {
    let body = body("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwhole").await;
    assert!(body.framed());
    assert_eq!(body.size_hint().exact(), Some(5));
    assert_eq!(text(body).await.unwrap(), "whole");
}

#[tokio::test(start_paused = true)]
async fn a_body_short_of_its_announced_length_is_an_error() {
    let body = body("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwhol").await;
    let error = text(body).await.unwrap_err();
    check(&error, Blame::Network, Phase::Body, "origin_closed");
}

#[tokio::test(start_paused = true)]
async fn a_chunked_body_is_whole_with_its_last_chunk() {
    let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n";
    let whole = body(&format!("{chunks}0\r\n\r\n")).await;
    assert!(whole.framed());
    assert_eq!(text(whole).await.unwrap(), "onetwo");
    for cut in ["", "0\r\n", "2\r\nx"] {
        let error = text(body(&format!("{chunks}{cut}")).await)
            .await
            .unwrap_err();
        check(&error, Blame::Network, Phase::Body, "origin_closed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_is_none_is_the_origins_error() {
    let body = body("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhello\r\n").await;
    let error = text(body).await.unwrap_err();
    check(
        &error,
        Blame::Origin,
        Phase::Body,
        "origin_invalid_response",
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_with_the_connection_is_not_framed() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n"] {
        let body = body(&format!("{head}as far as we know")).await;
        assert!(!body.framed());
        assert_eq!(text(body).await.unwrap(), "as far as we know");
    }
    let framed = body("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert!(framed.framed());
}

#[tokio::test(start_paused = true)]
async fn trailers_pass_and_the_connection_is_kept() {
    let mut world = World::new();
    let fetched = world.get("/");
    let mut peer = world.peer().await;
    peer.asked().await;
    peer.says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n")
        .await;
    peer.says("2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n").await;
    let collected = fetched
        .await
        .unwrap()
        .unwrap()
        .body
        .collect()
        .await
        .unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "7");
    world.exchange(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_head_request_has_no_body_and_keeps_its_connection() {
    let mut world = World::new();
    let fetched = world.send(request("HEAD", "/"));
    let mut peer = world.peer().await;
    peer.asked().await;
    peer.says("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        .await;
    let fetched = fetched.await.unwrap().unwrap();
    assert_eq!(fetched.head.headers["content-length"], "1000");
    assert!(fetched.body.is_end_stream() && fetched.body.framed());
    world.exchange(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn statuses_without_a_body_have_none() {
    for status in ["204 No Content", "304 Not Modified"] {
        let body = body(&format!("HTTP/1.1 {status}\r\n\r\n")).await;
        assert!(body.is_end_stream() && body.framed());
        assert_eq!(text(body).await.unwrap(), "");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_an_error() {
    let mut body = body("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await;
    assert!(body.frame().await.unwrap().is_err());
    assert!(body.frame().await.is_none());
}
