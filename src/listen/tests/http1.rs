//! HTTP/1 as a viewer sees it.

use super::{super::vitals::Stage, *};

#[tokio::test(start_paused = true)]
async fn a_connection_answers_again_and_again() {
    let house = House::open();
    let mut viewer = house.connect();
    let first = exchange(
        &mut viewer,
        "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n",
        "hello",
    )
    .await;
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n"), "{first}");
    assert!(first.contains("content-length: 5\r\n"), "{first}");
    let echo = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
    exchange(&mut viewer, echo, "3 bytes").await;
    exchange(
        &mut viewer,
        "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n",
        "hello",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_connection_answers_as_before() {
    let house = House::open();
    let mut viewer = house.connect();
    for half in ["GET /hel", "lo HTTP/1.1\r\nhost: a\r\n\r\n"].repeat(3) {
        viewer.write_all(half.as_bytes()).await.unwrap();
        sleep(Duration::from_secs(6)).await;
        if half.starts_with("lo") {
            answer(&mut viewer, "hello").await;
            sleep(Duration::from_secs(6)).await;
            assert_eq!(stage(&house), Stage::Opening);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_beginning_of_a_head_survives_parking() {
    let house = House::open();
    let mut viewer = house.connect();
    let pipelined = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\nGET /hel";
    exchange(&mut viewer, pipelined, "hello").await;
    sleep(Duration::from_secs(6)).await;
    exchange(&mut viewer, "lo HTTP/1.1\r\nhost: a\r\n\r\n", "hello").await;
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_body_is_not_taken_for_a_request() {
    let house = House::open();
    let mut viewer = house.connect();
    let post = "POST /read-later HTTP/1.1\r\nhost: a\r\ncontent-length: 32\r\n\r\n";
    exchange(&mut viewer, post, "already").await;
    sleep(Duration::from_secs(6)).await;
    viewer
        .write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut told = house.clinic.read_later.subscribe();
    assert_eq!(*told.wait_for(Option::is_some).await.unwrap(), Some(32));
    let next = exchange(
        &mut viewer,
        "GET /next HTTP/1.1\r\nhost: a\r\n\r\n",
        "no /next",
    )
    .await;
    assert_eq!(next.matches("HTTP/1.1").count(), 1, "{next}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_500_and_ends_one_connection() {
    let house = House::open();
    let mut other = house.connect();
    let mut viewer = house.connect();
    viewer
        .write_all(b"GET /panic HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let (text, _) = rest(&mut viewer).await;
    assert!(
        text.starts_with("HTTP/1.1 500 Internal Server Error\r\n"),
        "{text}"
    );
    assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n{\"error\":\"internal\"}"), "{text}");
    exchange(
        &mut other,
        "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n",
        "hello",
    )
    .await;
    assert_eq!(house.roll.open(), 1);
    assert_eq!(house.roll.tally().panicked, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_body_ends_one_connection() {
    let house = House::open();
    let mut other = house.connect();
    let mut viewer = house.connect();
    viewer
        .write_all(b"GET /panic-later HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    rest(&mut viewer).await;
    exchange(
        &mut other,
        "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n",
        "hello",
    )
    .await;
    assert_eq!(house.roll.open(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_leaving_viewer_drops_its_request() {
    let house = House::open();
    let mut viewer = house.connect();
    viewer
        .write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    house.clinic.waiting.notified().await;
    drop(viewer);
    assert_within(house.emptied().await, 0, 1);
    assert_eq!(house.clinic.released.receiver_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_still_sends_can_read_its_answer() {
    let house = House::open();
    let mut viewer = house.connect_as(Expected::Sniff, 4096);
    // More than is read, and more than fits the pipe.
    let head = format!(
        "GET /hello HTTP/1.1\r\nhost: a\r\nx: {}",
        "y".repeat(200 * 1024)
    );
    viewer.write_all(head.as_bytes()).await.unwrap();
    viewer.shutdown().await.unwrap();
    let (text, took) = rest(&mut viewer).await;
    assert!(text.starts_with("HTTP/1.1 431 "), "{text}");
    assert_within(took, 0, 1);
    assert_within(house.emptied().await, 0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_sends_on_after_the_end_is_cut() {
    let house = House::open();
    let (mut read, mut write) = split(house.connect_as(Expected::Sniff, 4096));
    let start = now();
    let send = async {
        let junk = [b'y'; 4096];
        write
            .write_all(b"GET /hello HTTP/1.1\r\nx: ")
            .await
            .unwrap();
        while write.write_all(&junk).await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    let receive = async {
        let mut bytes = Vec::new();
        read.read_to_end(&mut bytes).await.unwrap();
        assert!(
            bytes.starts_with(b"HTTP/1.1 431 "),
            "{}",
            bytes.escape_ascii()
        );
    };
    tokio::join!(send, receive);
    assert_within(now() - start, 10, 21);
}

#[tokio::test(start_paused = true)]
async fn an_opening_connection_is_small() {
    let house = House::open();
    let (_viewers, ours) = duplex(PIPE);
    let viewer = Viewer {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)),
        scheme: Scheme::Http,
        covered: None,
        interims: None,
    };
    let place = house.roll.admit();
    let future = connection(ours, Expected::Sniff, viewer, house.clinic.clone(), place);
    let bytes = size_of_val(&future);
    assert!(bytes <= 1024, "{bytes} bytes");
}

fn stage(house: &House) -> Stage {
    house.roll.entries()[0].vitals().stage()
}

above!(
    a_connection_answers_again_and_again,
    a_parked_connection_answers_as_before,
    the_beginning_of_a_head_survives_parking,
    a_panic_is_a_500_and_ends_one_connection,
    a_panic_in_a_body_ends_one_connection,
    a_leaving_viewer_drops_its_request,
);
