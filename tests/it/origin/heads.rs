//! Requests as origins see them, and heads as we take them.

use super::*;
use warmfront::origin::{FIELDS_MAX, HEAD_BYTES_MAX, INTERIM_MAX, OnInterim};

/// What an answer to a GET comes to.
async fn answered(head: impl AsRef<[u8]>) -> Result<Fetched, FetchError> {
    let mut world = world();
    let fetched = world.get("/");
    let mut peer = world.peer().await;
    peer.asked().await;
    // What is refused midway is not read to its end.
    drop(peer.0.write_all(head.as_ref()).await);
    let fetched = fetched.await.unwrap();
    if fetched.is_err() {
        peer.closes_at_once().await;
    }
    fetched
}

async fn refuses(head: impl AsRef<[u8]>) {
    let error = answered(head).await.unwrap_err();
    check(
        &error,
        Blame::Origin,
        Phase::Head,
        "origin_invalid_response",
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_is_in_origin_form() {
    let mut world = world();
    let fetched = world.get("/v1/search?Keyword=a%20b&Page=1");
    let asked = world.peer().await.asked().await;
    assert!(
        asked.starts_with("GET /v1/search?Keyword=a%20b&Page=1 HTTP/1.1\r\n"),
        "{asked}"
    );
    assert!(asked.contains("host: api.example.com\r\n"), "{asked}");
    assert!(!asked.contains("content-length"), "{asked}");
    fetched.abort();
}

#[tokio::test(start_paused = true)]
async fn interim_responses_are_not_final() {
    let mut world = world();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut request = request("GET", "/");
    let noted = Arc::clone(&seen);
    let on_interim = OnInterim::new(move |status, headers| {
        noted
            .lock()
            .unwrap()
            .push((status.as_u16(), headers["link"].clone()));
    });
    request.extensions_mut().insert(on_interim);
    let fetched = world.send(request);
    let mut peer = world.peer().await;
    peer.asked().await;
    peer.says("HTTP/1.1 100 Continue\r\n\r\n").await;
    peer.says("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n")
        .await;
    peer.says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        .await;
    let fetched = fetched.await.unwrap().unwrap();
    assert_eq!(fetched.head.status, 200);
    assert_eq!(
        *seen.lock().unwrap(),
        [(103, HeaderValue::from_static("</a.css>"))]
    );
}

#[tokio::test(start_paused = true)]
async fn an_interim_response_does_not_prolong_the_wait() {
    let mut world = world();
    let fetched = world.get("/");
    let mut peer = world.peer().await;
    peer.asked().await;
    let asked = now();
    tokio::time::advance(Duration::from_secs(20)).await;
    peer.says("HTTP/1.1 103 Early Hints\r\n\r\n").await;
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Origin, Phase::Head, "origin_timeout");
    assert_eq!(asked.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_interim_responses_is_invalid() {
    let one = "HTTP/1.1 103 Early Hints\r\n\r\n";
    refuses(one.repeat(INTERIM_MAX + 1)).await;
    let last = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    answered(one.repeat(INTERIM_MAX) + last).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_head_too_large_is_invalid() {
    let field = |bytes| format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(bytes));
    answered(field(HEAD_BYTES_MAX / 2)).await.unwrap();
    refuses(field(HEAD_BYTES_MAX)).await;
}

#[tokio::test(start_paused = true)]
async fn too_many_fields_are_invalid() {
    let fields = |count| format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: 1\r\n".repeat(count));
    answered(fields(FIELDS_MAX)).await.unwrap();
    refuses(fields(FIELDS_MAX + 1)).await;
}

#[tokio::test(start_paused = true)]
async fn two_opinions_about_the_length_are_invalid() {
    refuses("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n").await;
    refuses("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n").await;
    refuses("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n").await;
}

#[tokio::test(start_paused = true)]
async fn a_coding_nobody_asked_for_is_invalid() {
    refuses("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n").await;
    refuses("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_http_is_invalid() {
    refuses("SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
    refuses("HTTP/2.0 200 OK\r\n\r\n").await;
}

#[tokio::test(start_paused = true)]
async fn codings_of_a_version_that_has_none_are_invalid() {
    refuses("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n").await;
}

#[tokio::test(start_paused = true)]
async fn a_head_may_come_a_byte_at_a_time() {
    let mut world = world();
    let fetched = world.get("/");
    let mut peer = world.peer().await;
    peer.asked().await;
    let early = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx: y\r\n\r\n";
    for byte in format!("{early}{head}ok").as_bytes() {
        peer.says([*byte]).await;
        pass(Duration::from_millis(1)).await;
    }
    let fetched = fetched.await.unwrap().unwrap();
    assert_eq!(fetched.head.headers["x"], "y");
    assert_eq!(text(fetched.body).await.unwrap(), "ok");
    world.exchange(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn switching_protocols_unasked_is_invalid() {
    refuses("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n").await;
}

#[tokio::test(start_paused = true)]
async fn an_end_within_the_head_is_a_broken_connection() {
    let mut world = world();
    let fetched = world.get("/");
    let mut peer = world.peer().await;
    peer.asked().await;
    peer.says("HTTP/1.1 200 OK\r\ncontent-le").await;
    drop(peer);
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Network, Phase::Head, "origin_closed");
    assert_eq!(error.failure().retry, Retry::No);
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_has_a_connection_of_its_own() {
    let mut world = world();
    let _kept = world.kept().await;
    let mut request = request("GET", "/chat");
    request
        .headers_mut()
        .insert("connection", HeaderValue::from_static("Upgrade"));
    request
        .headers_mut()
        .insert("upgrade", HeaderValue::from_static("websocket"));
    let fetched = world.send(request);
    let mut peer = world.peer().await;
    assert!(peer.asked().await.contains("upgrade: websocket\r\n"));
    peer.says("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\nhello")
        .await;
    let fetched = fetched.await.unwrap().unwrap();
    assert_eq!(fetched.head.status, 101);
    let mut stream = TokioIo::new(fetched.upgraded.unwrap().await.unwrap());
    let mut hello = [0; 5];
    stream.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"hello");
    stream.write_all(b"and you").await.unwrap();
    assert_eq!(peer.reads(7).await, b"and you");
}

#[tokio::test(start_paused = true)]
async fn a_refused_upgrade_is_an_answer_like_any_other() {
    let mut world = world();
    let mut request = request("GET", "/chat");
    request
        .headers_mut()
        .insert("connection", HeaderValue::from_static("upgrade"));
    request
        .headers_mut()
        .insert("upgrade", HeaderValue::from_static("websocket"));
    let fetched = world.send(request);
    let mut peer = world.peer().await;
    peer.asked().await;
    peer.says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        .await;
    let fetched = fetched.await.unwrap().unwrap();
    assert!(fetched.upgraded.is_none());
    assert_eq!(text(fetched.body).await.unwrap(), "ok");
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_is_not_asked_for() {
    let world = world();
    let error = world
        .send(request("CONNECT", "/"))
        .await
        .unwrap()
        .unwrap_err();
    check(&error, Blame::Us, Phase::Send, "request_unsendable");
}
