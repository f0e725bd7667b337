//! Bodies that come whole, and those that only look so.

use super::*;
use hyper::body::Body;

/// The body of a GET whose origin says `answer` and closes.
async fn body(answer: &str) -> Box<Received> {
    let mut world = world();
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
async fn a_large_body_is_whole_however_it_is_framed() {
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut chunks = Vec::new();
    for piece in bytes.chunks(70_001) {
        chunks.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        chunks.extend_from_slice(piece);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    for (framing, sent, closes) in [
        ("content-length: 1000000\r\n", bytes.clone(), false),
        ("transfer-encoding: chunked\r\n", chunks, false),
        ("", bytes.clone(), true),
    ] {
        let mut world = world();
        let fetched = world.get("/");
        let mut peer = world.peer().await;
        peer.asked().await;
        let answering = tokio::spawn(async move {
            peer.says(format!("HTTP/1.1 200 OK\r\n{framing}\r\n")).await;
            peer.says(sent).await;
            (!closes).then_some(peer)
        });
        let body = fetched.await.unwrap().unwrap().body;
        assert_eq!(body.collect().await.unwrap().to_bytes(), bytes, "{framing}");
        if let Some(mut peer) = answering.await.unwrap() {
            world.exchange(&mut peer).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_reads_is_not_taken_from_its_origin() {
    let mut world = world();
    let fetched = world.get("/");
    let mut peer = world.peer().await;
    peer.asked().await;
    peer.says("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        .await;
    let body = fetched.await.unwrap().unwrap().body;
    let sent = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&sent);
    tokio::spawn(async move {
        for _ in 0..1_000 {
            peer.says([b'x'; 1_000]).await;
            *counted.lock().unwrap() += 1_000;
        }
        std::future::pending::<()>().await;
        drop(peer);
    });
    pass(Duration::from_secs(3_600)).await;
    // What the pipe holds, and what one connection may buffer.
    let most = (64 << 10) + warmfront::origin::HEAD_BYTES_MAX;
    assert!(*sent.lock().unwrap() <= most, "{sent:?}");
    assert_eq!(text(body).await.unwrap().len(), 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn trailers_pass_and_the_connection_is_kept() {
    let mut world = world();
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
    let mut world = world();
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
