//! Retiring: what is under way is finished, the rest closes.

use super::*;

/// Retires in its own task, and lets that begin.
async fn retire(house: &House) -> tokio::task::JoinHandle<()> {
    let roll = Arc::clone(&house.roll);
    let retiring = tokio::spawn(async move { roll.retire().await });
    tokio::task::yield_now().await;
    retiring
}

#[tokio::test(start_paused = true)]
async fn idle_connections_close_at_once() {
    let house = House::open();
    let _silent = house.connect();
    let mut fresh = house.connect();
    let mut parked = house.connect();
    exchange(
        &mut parked,
        "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n",
        "hello",
    )
    .await;
    sleep(Duration::from_secs(6)).await;
    exchange(
        &mut fresh,
        "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n",
        "hello",
    )
    .await;
    let start = now();
    house.roll.retire().await;
    assert_eq!(now(), start);
}

#[tokio::test(start_paused = true)]
async fn a_request_in_flight_is_answered_and_told_to_close() {
    let house = House::open();
    let mut viewer = house.connect();
    viewer
        .write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    house.clinic.waiting.notified().await;
    let retiring = retire(&house).await;
    sleep(Duration::from_secs(20)).await;
    assert!(!retiring.is_finished());
    house.clinic.released.send_replace(true);
    let (text, _) = rest(&mut viewer).await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
    assert!(text.ends_with("waited"), "{text}");
    retiring.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_has_arrived_is_answered() {
    let house = House::open();
    let mut viewer = house.connect();
    viewer
        .write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    house.roll.retire().await;
    let (text, _) = rest(&mut viewer).await;
    assert!(text.ends_with("hello"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_half_sent_head_is_waited_for_within_its_deadline() {
    let house = House::open();
    let mut viewer = house.connect();
    viewer.write_all(b"GET /hello HTTP/1.1\r\n").await.unwrap();
    tokio::task::yield_now().await;
    let retiring = retire(&house).await;
    sleep(Duration::from_secs(5)).await;
    let text = exchange(&mut viewer, "host: a\r\n\r\n", "hello").await;
    assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
    retiring.await.unwrap();

    let mut viewer = house.connect();
    viewer.write_all(b"GET /hello HTTP/1.1\r\n").await.unwrap();
    tokio::task::yield_now().await;
    let retiring = retire(&house).await;
    assert_within(rest(&mut viewer).await.1, 10, 11);
    retiring.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn cutting_ends_what_is_left() {
    let house = House::open();
    let mut waiting = house.connect();
    waiting
        .write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    house.clinic.waiting.notified().await;
    let mut upgraded = house.connect();
    let request =
        "GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    exchange(&mut upgraded, request, "\r\n\r\n").await;
    exchange(&mut upgraded, "ping", "ping").await;
    let _idle = house.connect();

    let retiring = retire(&house).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(house.roll.cut(), 2);
    retiring.await.unwrap();
    assert_eq!(rest(&mut waiting).await.0, "");
    assert_eq!(rest(&mut upgraded).await.0, "");
}

/// Orders one request more in its own task, and lets that begin.
async fn last(house: &House) -> tokio::task::JoinHandle<()> {
    let roll = Arc::clone(&house.roll);
    let ending = tokio::spawn(async move { roll.last().await });
    tokio::task::yield_now().await;
    ending
}

#[tokio::test(start_paused = true)]
async fn a_viewer_about_to_ask_is_answered_and_told_to_close() {
    let ask = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";
    let house = House::open();
    let mut parked = house.connect();
    exchange(&mut parked, ask, "hello").await;
    sleep(Duration::from_secs(6)).await;
    let mut idle = house.connect();
    exchange(&mut idle, ask, "hello").await;
    let mut fresh = house.connect();
    let ending = last(&house).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(house.roll.open(), 3);
    for viewer in [&mut parked, &mut idle, &mut fresh] {
        viewer.write_all(ask.as_bytes()).await.unwrap();
        let (text, took) = rest(viewer).await;
        assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
        assert!(text.ends_with("hello"), "{text}");
        assert_eq!(took, Duration::ZERO);
    }
    ending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_is_answered_as_one_to_the_last() {
    let house = House::open();
    let mut viewer = house.connect();
    let _ending = last(&house).await;
    let request =
        "GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    let text = exchange(&mut viewer, request, "\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
    assert!(!text.contains("close"), "{text}");
    exchange(&mut viewer, "ping", "ping").await;
}

/// The types of the frames in what a viewer of HTTP/2 read (RFC 9113 §4.1).
fn frame_types(mut bytes: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    while let [high, middle, low, kind, ..] = *bytes {
        types.push(kind);
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        bytes = bytes.get(9 + length..).unwrap_or_default();
    }
    types
}

#[tokio::test(start_paused = true)]
async fn an_http2_viewer_is_told_to_go_away_and_what_it_sent_meanwhile_is_answered() {
    const HEADERS: u8 = 0x1;
    const GOAWAY: u8 = 0x7;
    let house = House::open();
    let mut viewer = house.connect();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    viewer.write_all(preface).await.unwrap();
    let settings = b"\0\0\0\x04\0\0\0\0\0";
    viewer.write_all(settings).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    let _ending = last(&house).await;
    sleep(Duration::from_millis(10)).await;
    // GET http://a/ on stream 1, before anything was read: fields 2, 6 and 4 of the static
    // table (RFC 7541 §A), and 1 with a value.
    let request = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a";
    viewer.write_all(request).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    let mut bytes = vec![0; 4096];
    let read = viewer.read(&mut bytes).await.unwrap();
    let types = frame_types(&bytes[..read]);
    let position = |wanted| types.iter().position(|kind| *kind == wanted);
    assert!(
        position(GOAWAY).unwrap() < position(HEADERS).unwrap(),
        "{types:?}"
    );
}

above!(
    idle_connections_close_at_once,
    a_request_in_flight_is_answered_and_told_to_close,
    a_request_that_has_arrived_is_answered,
    a_half_sent_head_is_waited_for_within_its_deadline,
    cutting_ends_what_is_left,
    a_viewer_about_to_ask_is_answered_and_told_to_close,
);
