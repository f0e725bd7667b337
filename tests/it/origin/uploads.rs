//! Requests with a body, and viewers that take their time.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_body_is_framed_as_the_viewer_framed_it() {
    let mut world = world();
    let (mut viewer, request) = upload("PUT", "content-length: 4").await;
    viewer.write_all(b"body").await.unwrap();
    let fetched = world.send(request);
    let mut peer = world.peer().await;
    let asked = peer.asked().await;
    assert!(
        asked.contains("content-length: 4\r\n") && !asked.contains("chunked"),
        "{asked}"
    );
    assert_eq!(peer.reads(4).await, b"body");
    peer.says("HTTP/1.1 204 No Content\r\n\r\n").await;
    fetched.await.unwrap().unwrap();
    world.exchange(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_get_may_have_a_chunked_body() {
    let mut world = world();
    let (mut viewer, request) = upload("GET", "transfer-encoding: chunked").await;
    viewer.write_all(b"4\r\nbody\r\n0\r\n\r\n").await.unwrap();
    let fetched = world.send(request);
    let mut peer = world.peer().await;
    assert!(
        peer.asked()
            .await
            .contains("transfer-encoding: chunked\r\n")
    );
    assert_eq!(peer.reads(14).await, b"4\r\nbody\r\n0\r\n\r\n");
    peer.says("HTTP/1.1 204 No Content\r\n\r\n").await;
    fetched.await.unwrap().unwrap();
    world.exchange(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_uploader_is_not_a_slow_origin() {
    let mut world = world();
    let (mut viewer, request) = upload("POST", "content-length: 5").await;
    let fetched = world.send(request);
    let mut peer = world.peer().await;
    peer.asked().await;
    for byte in *b"slowl" {
        pass(Duration::from_secs(11)).await;
        viewer.write_all(&[byte]).await.unwrap();
        assert_eq!(peer.reads(1).await, [byte]);
    }
    // Only now does the origin's own time begin.
    pass(Duration::from_secs(29)).await;
    peer.says("HTTP/1.1 204 No Content\r\n\r\n").await;
    fetched.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_stands_still_is_the_viewers_failure() {
    let mut world = world();
    let (mut viewer, request) = upload("POST", "content-length: 5").await;
    let fetched = world.send(request);
    viewer.write_all(b"half").await.unwrap();
    let mut peer = world.peer().await;
    peer.asked().await;
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Viewer, Phase::Send, "upload_timeout");
    assert_eq!(peer.ended().await, 4);
}

#[tokio::test(start_paused = true)]
async fn r3_an_upload_that_dribbles_gives_its_place_at_the_origin_back() {
    let mut world = world();
    let (mut viewer, request) = upload("POST", "content-length: 5000").await;
    let fetched = world.send(request);
    let mut peer = world.peer().await;
    peer.asked().await;
    // 1 KiB in a minute is enough, and begins another minute.
    for bytes in [1, 1, 1_022, 1, 1] {
        pass(Duration::from_secs(25)).await;
        viewer.write_all(&vec![b'x'; bytes]).await.unwrap();
        assert_eq!(peer.reads(bytes).await.len(), bytes);
    }
    pass(Duration::from_secs(25)).await;
    viewer.write_all(b"x").await.unwrap();
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Viewer, Phase::Send, "upload_broken");
    peer.closes_at_once().await;
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_does_not_read_is_a_slow_origin() {
    let mut world = world();
    let (mut viewer, request) = upload("POST", "content-length: 1000000").await;
    tokio::spawn(async move { viewer.write_all(&[0; 1_000_000]).await.map(|()| viewer) });
    let fetched = world.send(request);
    let _unread = world.peer().await;
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Origin, Phase::Send, "origin_timeout");
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_breaks_off_is_not_the_origins_failure() {
    let mut world = world();
    let (mut viewer, request) = upload("POST", "content-length: 5").await;
    let fetched = world.send(request);
    let mut peer = world.peer().await;
    peer.asked().await;
    viewer.write_all(b"half").await.unwrap();
    assert_eq!(peer.reads(4).await, b"half");
    drop(viewer);
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Viewer, Phase::Send, "upload_broken");
    peer.closes_at_once().await;
}

#[tokio::test(start_paused = true)]
async fn an_early_answer_passes_and_its_connection_is_not_reused() {
    let mut world = world();
    let (_viewer, request) = upload("POST", "content-length: 1000").await;
    let fetched = world.send(request);
    let mut peer = world.peer().await;
    peer.asked().await;
    peer.says("HTTP/1.1 413 Content Too Large\r\ncontent-length: 5\r\n\r\nlarge")
        .await;
    let fetched = fetched.await.unwrap().unwrap();
    assert_eq!(fetched.head.status, 413);
    assert_eq!(text(fetched.body).await.unwrap(), "large");
    peer.closes_at_once().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_leaves_the_body_for_the_next() {
    let mut world = world();
    world.script([Dialled::Refuse]);
    let (mut viewer, request) = upload("POST", "content-length: 4").await;
    viewer.write_all(b"body").await.unwrap();
    let fetched = world.send(request);
    let mut peer = world.peer().await;
    peer.asked().await;
    assert_eq!(peer.reads(4).await, b"body");
    peer.says("HTTP/1.1 204 No Content\r\n\r\n").await;
    fetched.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_upload_goes_over_the_connection_that_others_left() {
    let mut world = world();
    let mut peer = world.kept().await;
    let (mut viewer, request) = upload("POST", "content-length: 4").await;
    viewer.write_all(b"body").await.unwrap();
    let fetched = world.send(request);
    peer.asked().await;
    assert_eq!(peer.reads(4).await, b"body");
    peer.says("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(fetched.await.unwrap().unwrap().timings.connect, None);
    world.exchange(&mut peer).await;
    assert_eq!(world.unseen(), 0);
}
