//! What the way beneath the HTTP library has of its own: a whole body frees its connection at
//! once, and a reload may change the way.

use super::*;

fn world() -> World {
    World::of(origin_of(true))
}

impl World {
    /// The same origin after a reload, reached the one way or the other.
    fn reloaded(&mut self, express: bool) {
        self.origin = Arc::new(origin_of(express));
        self.origins.retain(&[Arc::clone(&self.origin)]);
    }
}

#[tokio::test(start_paused = true)]
async fn kept_connections_serve_whichever_way_a_reload_chooses() {
    let mut world = world();
    let mut peer = world.kept().await;
    for express in [false, false, true, true, false, true] {
        world.reloaded(express);
        world.exchange(&mut peer).await;
    }
    assert_eq!(world.unseen(), 0);
    peer.0.shutdown().await.unwrap();
    peer.closes_at_once().await;
}

#[tokio::test(start_paused = true)]
async fn both_kinds_of_connections_grow_old() {
    let mut world = world();
    let mut first = world.kept().await;
    world.reloaded(false);
    let (one, two) = (world.get("/1"), world.get("/2"));
    first.asked().await;
    let mut second = world.peer().await;
    second.asked().await;
    for peer in [&mut first, &mut second] {
        peer.says("HTTP/1.1 204 No Content\r\n\r\n").await;
    }
    one.await.unwrap().unwrap();
    two.await.unwrap().unwrap();
    world.reloaded(true);
    // Of the kind it wants there is none; then there are both.
    world.exchange(&mut second).await;
    let kept = now();
    assert_eq!(first.ended().await + second.ended().await, 0);
    let idle = kept.elapsed();
    assert!(
        idle >= Duration::from_secs(60) && idle < Duration::from_millis(60_010),
        "{idle:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_free_when_all_of_its_response_has_come() {
    let mut world = world();
    let fetched = world.get("/");
    let mut peer = world.peer().await;
    peer.asked().await;
    peer.says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        .await;
    let unread = fetched.await.unwrap().unwrap().body;
    world.exchange(&mut peer).await;
    assert_eq!(text(unread).await.unwrap(), "ok");
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_looked_at_before_it_is_lent() {
    let mut world = world();
    let mut peer = world.kept().await;
    // Its end is there, and no task has run since.
    peer.0.shutdown().await.unwrap();
    let post = send(&world.origins, &world.origin, request("POST", "/"));
    let served = async {
        let mut fresh = world.peers.recv().await.unwrap();
        fresh.asked().await;
        fresh.says("HTTP/1.1 204 No Content\r\n\r\n").await;
        fresh
    };
    let (answered, _fresh) = tokio::join!(post, served);
    answered.unwrap();
    assert_eq!(peer.ended().await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_before_the_end_of_the_request_is_heard() {
    let mut world = world();
    let mut request = request("GET", "/");
    let large = HeaderValue::from_bytes(&[b'x'; 100 << 10]).unwrap();
    request.headers_mut().insert("x", large);
    let fetched = world.send(request);
    let mut peer = world.peer().await;
    peer.reads(1_000).await;
    peer.says("HTTP/1.1 431 Too Large\r\ncontent-length: 2\r\n\r\nno")
        .await;
    let fetched = fetched.await.unwrap().unwrap();
    assert_eq!(fetched.head.status, 431);
    assert_eq!(text(fetched.body).await.unwrap(), "no");
    assert!(peer.ended().await < 100 << 10, "it was sent to its end");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_reads_nothing_is_waited_for_as_long_as_any() {
    let mut world = world();
    let mut request = request("GET", "/");
    let large = HeaderValue::from_bytes(&[b'x'; 100 << 10]).unwrap();
    request.headers_mut().insert("x", large);
    let fetched = world.send(request);
    let _unread = world.peer().await;
    let started = now();
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Origin, Phase::Head, "origin_timeout");
    assert_eq!(started.elapsed().as_secs(), 30);
}
