//! Which connection an exchange gets, and what becomes of it afterwards.

use super::*;

#[tokio::test(start_paused = true)]
async fn exchanges_in_turn_share_a_connection() {
    let mut world = world();
    let mut peer = world.kept().await;
    for _ in 0..4 {
        world.exchange(&mut peer).await;
    }
    assert_eq!(world.unseen(), 0);
}

#[tokio::test(start_paused = true)]
async fn exchanges_at_once_have_one_each() {
    let mut world = world();
    let (one, two) = (world.get("/1"), world.get("/2"));
    let (mut first, mut second) = (world.peer().await, world.peer().await);
    for peer in [&mut first, &mut second] {
        peer.asked().await;
        peer.says("HTTP/1.1 204 No Content\r\n\r\n").await;
    }
    one.await.unwrap().unwrap();
    two.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_costs_no_connecting() {
    let mut world = world();
    let mut peer = world.kept().await;
    let fetched = world.get("/");
    peer.asked().await;
    peer.says("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(fetched.await.unwrap().unwrap().timings.connect, None);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_closed_while_idle_is_not_used() {
    let mut world = world();
    drop(world.kept().await);
    let fetched = world.send(request("POST", "/"));
    let mut second = world.peer().await;
    second.asked().await;
    second.says("HTTP/1.1 204 No Content\r\n\r\n").await;
    fetched.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_that_its_origin_closes_is_let_go_of_at_once() {
    let mut world = world();
    let mut peer = world.kept().await;
    peer.0.shutdown().await.unwrap();
    peer.closes_at_once().await;
    let mut second = world.kept().await;
    // One that has been lent since it was looked at, too.
    world.exchange(&mut second).await;
    second.0.shutdown().await.unwrap();
    second.closes_at_once().await;
}

#[tokio::test(start_paused = true)]
async fn what_an_idle_connection_says_unasked_answers_nothing() {
    let mut world = world();
    let mut peer = world.kept().await;
    peer.says("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nnot")
        .await;
    peer.closes_at_once().await;
    let mut fresh = world.kept().await;
    world.exchange(&mut fresh).await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_behind_a_response_ends_its_connection() {
    let mut world = world();
    for framed in [
        "content-length: 2\r\n\r\nok",
        "transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let fetched = world.get("/");
        let mut peer = world.peer().await;
        peer.asked().await;
        peer.says(format!("HTTP/1.1 200 OK\r\n{framed}HTTP/1.1 200 OK\r\n"))
            .await;
        let body = fetched.await.unwrap().unwrap().body;
        assert_eq!(text(body).await.unwrap(), "ok");
        peer.closes_at_once().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_get_is_repeated_when_a_kept_connection_closes_under_it() {
    let mut world = world();
    let mut stale = world.kept().await;
    let fetched = world.get("/again");
    stale.asked().await;
    drop(stale);
    let mut fresh = world.peer().await;
    assert!(fresh.asked().await.starts_with("GET /again HTTP/1.1\r\n"));
    fresh.says("HTTP/1.1 204 No Content\r\n\r\n").await;
    fetched.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_get_is_repeated_only_once() {
    let mut world = world();
    let mut stale = world.kept().await;
    let fetched = world.get("/");
    stale.asked().await;
    drop(stale);
    let mut fresh = world.peer().await;
    fresh.asked().await;
    drop(fresh);
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Network, Phase::Head, "origin_closed");
    assert_eq!(world.unseen(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_post_is_not_repeated_when_a_kept_connection_closes_under_it() {
    let mut world = world();
    let mut stale = world.kept().await;
    let fetched = world.send(request("POST", "/"));
    stale.asked().await;
    drop(stale);
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Network, Phase::Head, "origin_closed");
    assert_eq!(error.failure().retry, Retry::Reused);
    assert_eq!(world.unseen(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_unsent_post_is_repeated_with_its_body() {
    let mut world = world();
    let stale = world.kept().await;
    let (mut viewer, request) = upload("POST", "content-length: 4").await;
    viewer.write_all(b"body").await.unwrap();
    let fetched = world.send(request);
    // Its end is there before its task looks again: the request comes back unsent.
    drop(stale);
    let mut fresh = world.peer().await;
    fresh.asked().await;
    assert_eq!(fresh.reads(4).await, b"body");
    fresh.says("HTTP/1.1 204 No Content\r\n\r\n").await;
    fetched.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_body_left_unread_closes_its_connection() {
    let mut world = world();
    let fetched = world.get("/");
    let mut peer = world.peer().await;
    peer.asked().await;
    peer.says("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        .await;
    drop(fetched.await.unwrap().unwrap().body);
    peer.closes_at_once().await;
    let again = world.get("/");
    let mut fresh = world.peer().await;
    fresh.asked().await;
    again.abort();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_attempt_closes_its_connection() {
    let mut world = world();
    let fetched = world.get("/");
    let mut peer = world.peer().await;
    peer.asked().await;
    fetched.abort();
    peer.closes_at_once().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_the_origin_closes_is_not_kept() {
    let mut world = world();
    let fetched = world.get("/");
    let mut peer = world.peer().await;
    peer.asked().await;
    peer.says("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
        .await;
    assert_eq!(
        text(fetched.await.unwrap().unwrap().body).await.unwrap(),
        "ok"
    );
    peer.closes_at_once().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_at_its_age_and_not_before() {
    let mut world = world();
    let mut peer = world.kept().await;
    let kept = now();
    tokio::time::advance(Duration::from_millis(59_999)).await;
    world.exchange(&mut peer).await;
    assert_eq!(peer.ended().await, 0);
    let idle = kept.elapsed() - Duration::from_millis(59_999);
    assert!(
        idle >= Duration::from_secs(60) && idle < Duration::from_millis(60_010),
        "{idle:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn of_more_than_may_be_idle_the_oldest_are_closed() {
    let mut world = world();
    let (mut gets, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..warmfront::origin::IDLE_MAX + 2 {
        gets.push(world.get("/"));
        let mut peer = world.peer().await;
        peer.asked().await;
        peers.push(peer);
    }
    for (peer, get) in peers.iter_mut().zip(gets) {
        peer.says("HTTP/1.1 204 No Content\r\n\r\n").await;
        get.await.unwrap().unwrap();
    }
    for peer in &mut peers[..2] {
        peer.closes_at_once().await;
    }
    // The last is lent first, and the oldest are there still.
    let kept = peers.len() - 2;
    let again: Vec<_> = (0..kept).map(|_| world.get("/again")).collect();
    for peer in peers[2..].iter_mut().rev() {
        assert!(peer.asked().await.starts_with("GET /again "));
    }
    assert_eq!(world.unseen(), 0);
    again.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn a_keepalive_of_nothing_keeps_nothing() {
    let mut world = World::of(Origin {
        keepalive: Duration::ZERO,
        ..origin()
    });
    let mut peer = world.kept().await;
    peer.closes_at_once().await;
}

#[tokio::test(start_paused = true)]
async fn retaining_closes_what_the_configuration_no_longer_holds() {
    let mut world = world();
    let mut peer = world.kept().await;
    // The same origin, compiled anew, keeps its connections.
    world.origin = Arc::new(Origin {
        id: "renamed".to_owned(),
        ..origin()
    });
    world.origins.retain(&[Arc::clone(&world.origin)]);
    world.exchange(&mut peer).await;
    world.origins.retain(&[Arc::new(Origin {
        port: 81,
        ..origin()
    })]);
    peer.closes_at_once().await;
}

#[tokio::test(start_paused = true)]
async fn exchanges_under_way_survive_retaining_and_keep_nothing() {
    let mut world = world();
    let (fetched, other) = (world.get("/"), world.get("/other"));
    let (mut peer, mut others) = (world.peer().await, world.peer().await);
    peer.asked().await;
    others.asked().await;
    world.origins.retain(&[]);
    peer.says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        .await;
    assert_eq!(
        text(fetched.await.unwrap().unwrap().body).await.unwrap(),
        "ok"
    );
    peer.closes_at_once().await;
    others.says("HTTP/1.1 204 No Content\r\n\r\n").await;
    other.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn bytes_after_a_204_do_not_become_the_next_response() {
    let mut world = world();
    let fetched = world.get("/");
    let mut peer = world.peer().await;
    peer.asked().await;
    peer.says("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n")
        .await;
    fetched.await.unwrap().unwrap();
    peer.closes_at_once().await;
}

#[tokio::test(start_paused = true)]
async fn connections_that_other_origins_may_not_use_are_apart() {
    let mut world = world();
    let _kept = world.kept().await;
    world.origin = Arc::new(Origin {
        host: "other.example.com".to_owned(),
        ..origin()
    });
    let fetched = world.get("/");
    world.peer().await.asked().await;
    fetched.abort();
}

#[tokio::test(start_paused = true)]
async fn exchanges_above_the_bound_wait_for_one_that_ends() {
    let mut world = world();
    let under_way: Vec<_> = (0..warmfront::origin::EXCHANGES_MAX)
        .map(|_| world.get("/"))
        .collect();
    let mut first = world.peer().await;
    first.asked().await;
    let waiting = world.get("/waiting");
    tokio::time::advance(Duration::from_secs(9)).await;
    first.says("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(first.asked().await.starts_with("GET /waiting "));
    first.says("HTTP/1.1 204 No Content\r\n\r\n").await;
    waiting.await.unwrap().unwrap();
    under_way.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn leave_that_stays_between_exchanges_is_neither_lost_nor_doubled() {
    let mut world = world();
    let mut first = world.kept().await;
    for _ in 0..3 {
        world.exchange(&mut first).await;
    }
    let under_way: Vec<_> = (0..warmfront::origin::EXCHANGES_MAX)
        .map(|_| world.get("/"))
        .collect();
    first.asked().await;
    let mut others = Vec::new();
    for _ in 1..warmfront::origin::EXCHANGES_MAX {
        let mut other = world.peer().await;
        other.asked().await;
        others.push(other);
    }
    let waiting = [world.get("/waiting"), world.get("/waiting")];
    tokio::task::yield_now().await;
    assert_eq!(world.unseen(), 0);
    for _ in &waiting {
        first.says("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert!(first.asked().await.starts_with("GET /waiting "));
    }
    first.says("HTTP/1.1 204 No Content\r\n\r\n").await;
    for waiting in waiting {
        waiting.await.unwrap().unwrap();
    }
    under_way.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_one_that_ends_is_bounded_and_ours() {
    let world = world();
    let under_way: Vec<_> = (0..warmfront::origin::EXCHANGES_MAX)
        .map(|_| world.get("/"))
        .collect();
    tokio::task::yield_now().await;
    let started = now();
    let error = world.get("/waiting").await.unwrap().unwrap_err();
    check(&error, Blame::Us, Phase::Connect, "origin_busy");
    assert_eq!(started.elapsed().as_secs(), 10);
    under_way.iter().for_each(JoinHandle::abort);
}
