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
