//! Waits that end when they should: not a millisecond before.

use super::*;

#[tokio::test(start_paused = true)]
async fn connecting_is_tried_as_often_as_the_origin_says() {
    let world = world();
    world.script([Dialled::Hang, Dialled::Hang, Dialled::Hang]);
    let started = now();
    let error = world.get("/").await.unwrap().unwrap_err();
    check(
        &error,
        Blame::Network,
        Phase::Connect,
        "origin_connect_timeout",
    );
    let took = started.elapsed();
    assert!(
        took >= Duration::from_secs(30) && took < Duration::from_millis(30_010),
        "{took:?}"
    );
    assert_eq!(
        error.to_string(),
        r#"origin "api" (http://api.example.com): connect: nothing within 10s"#
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_tried_again_for_any_method() {
    let mut world = world();
    world.script([Dialled::Refuse, Dialled::Refuse]);
    let fetched = world.send(request("POST", "/"));
    let mut peer = world.peer().await;
    assert!(peer.asked().await.contains("content-length: 0\r\n"));
    peer.says("HTTP/1.1 204 No Content\r\n\r\n").await;
    fetched.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_apart_from_a_missing_name() {
    let world = World::of(Origin {
        connect_attempts: 1,
        port: 8080,
        ..origin()
    });
    world.script([Dialled::Refuse, Dialled::NoAddress]);
    let refused = world.get("/").await.unwrap().unwrap_err();
    check(
        &refused,
        Blame::Network,
        Phase::Connect,
        "origin_unreachable",
    );
    assert_eq!(
        refused.to_string(),
        r#"origin "api" (http://api.example.com:8080): connect: connection refused"#
    );
    let missing = world.get("/").await.unwrap().unwrap_err();
    check(
        &missing,
        Blame::Network,
        Phase::Resolve,
        "origin_unresolved",
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_origin_is_waited_for_exactly_as_long_as_it_says() {
    let mut world = world();
    let fetched = world.get("/");
    let mut peer = world.peer().await;
    peer.asked().await;
    tokio::time::advance(Duration::from_millis(29_999)).await;
    peer.says("HTTP/1.1 204 No Content\r\n\r\n").await;
    let fetched = fetched.await.unwrap().unwrap();
    assert_eq!(fetched.timings.first_byte, Duration::from_millis(29_999));

    let fetched = world.get("/");
    peer.asked().await;
    let asked = now();
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Origin, Phase::Head, "origin_timeout");
    let took = asked.elapsed();
    assert!(
        took >= Duration::from_secs(30) && took < Duration::from_millis(30_010),
        "{took:?}"
    );
    peer.closes_at_once().await;
    assert_eq!(world.unseen(), 0, "a slow origin was asked again");
}

#[tokio::test(start_paused = true)]
async fn a_silence_within_the_body_is_bounded_and_starts_anew_with_each_byte() {
    let mut world = world();
    let fetched = world.get("/");
    let mut peer = world.peer().await;
    peer.asked().await;
    peer.says("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n")
        .await;
    let mut body = fetched.await.unwrap().unwrap().body;
    for byte in ["o", "n", "e"] {
        let frame = tokio::spawn(async move { (body.frame().await, body) });
        pass(Duration::from_millis(29_999)).await;
        peer.says(byte).await;
        let (frame, rest) = frame.await.unwrap();
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), byte);
        body = rest;
    }
    let last = now();
    let error = body.frame().await.unwrap().unwrap_err();
    check(&error, Blame::Origin, Phase::Body, "origin_timeout");
    let took = last.elapsed();
    assert!(
        took >= Duration::from_secs(30) && took < Duration::from_millis(30_010),
        "{took:?}"
    );
    peer.closes_at_once().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_a_silent_origin() {
    let mut world = world();
    let fetched = world.get("/");
    let mut peer = world.peer().await;
    peer.asked().await;
    peer.says("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate")
        .await;
    let body = fetched.await.unwrap().unwrap().body;
    tokio::time::advance(Duration::from_secs(3_600)).await;
    assert_eq!(text(body).await.unwrap(), "late");
}
