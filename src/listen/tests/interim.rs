//! Interim responses as a viewer sees them.

use tokio::time::timeout;

use super::*;

const HINT: &str = "GET /hint HTTP/1.1\r\nhost: a\r\n\r\n";
const HELLO: &str = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";
const BIG: &str = "GET /big HTTP/1.1\r\nhost: a\r\n\r\n";
const INTERIM: &str = "HTTP/1.1 103 Early Hints\r\nvia: 1.1 warmfront\r\n\r\n";

impl House {
    /// Lets the last request to `/hint` have one more, of about so many bytes.
    fn hint(&self, bytes: usize) {
        let mut headers = HeaderMap::new();
        headers.insert(header::LINK, "x".repeat(bytes).parse().unwrap());
        let hinted = self.clinic.hinted.lock().unwrap();
        let interims = hinted.as_ref().expect("somebody asked for /hint");
        interims.pass(StatusCode::EARLY_HINTS, &headers);
    }
}

#[tokio::test(start_paused = true)]
async fn one_arrives_before_there_is_an_answer() {
    let house = House::open();
    let mut viewer = house.connect();
    assert_eq!(exchange(&mut viewer, HINT, "\r\n\r\n").await, INTERIM);
    house.hint(1);
    let more = answer(&mut viewer, "\r\n\r\n").await;
    assert!(more.contains("\r\nlink: x\r\n"), "{more}");
    house.clinic.released.send_replace(true);
    let last = answer(&mut viewer, "hinted").await;
    assert!(last.starts_with("HTTP/1.1 200 OK\r\n"), "{last}");
}

#[tokio::test(start_paused = true)]
async fn one_precedes_an_answer_that_is_ready_with_it() {
    let house = House::open();
    house.clinic.released.send_replace(true);
    let mut viewer = house.connect();
    for _ in 0..3 {
        let text = exchange(&mut viewer, HINT, "hinted").await;
        let last = text.strip_prefix(INTERIM).unwrap_or_default();
        assert!(last.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_stays_between_the_answers_of_pipelined_requests() {
    let house = House::open();
    house.clinic.released.send_replace(true);
    // Much less than an answer, so that hyper holds most of one while we write.
    for pipe in [16, 1000, PIPE] {
        let viewer = house.connect_as(Expected::Sniff, pipe);
        let last = "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let pipelined = [BIG, HINT, HELLO, HINT, HINT, BIG, HINT, last].concat();
        let (mut read, mut write) = split(viewer);
        let mut seen = String::new();
        let (sent, received) = tokio::join!(
            write.write_all(pipelined.as_bytes()),
            read.read_to_string(&mut seen)
        );
        sent.unwrap();
        received.unwrap();
        assert_eq!(
            told(&seen),
            [
                "big", "103", "hinted", "hello", "103", "hinted", "103", "hinted", "big", "103",
                "hinted", "hello"
            ],
            "through a pipe of {pipe} bytes"
        );
    }
}

/// An answer may end before its request does. Then the next request begins while hyper
/// still holds what the viewer did not take.
#[tokio::test(start_paused = true)]
async fn one_waits_until_the_answer_before_it_is_taken() {
    let house = House::open();
    let mut viewer = house.connect_as(Expected::Sniff, 16);
    let post = "POST /read-later-say-nothing HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n";
    viewer.write_all(post.as_bytes()).await.unwrap();
    // By now its answer is stuck in the pipe.
    sleep(Duration::from_millis(1)).await;
    let next = format!("abcd{HINT}");
    viewer.write_all(next.as_bytes()).await.unwrap();
    let soon = timeout(Duration::from_secs(1), house.clinic.waiting.notified());
    soon.await.expect("the next request began");
    house.clinic.released.send_replace(true);
    let seen = answer(&mut viewer, "hinted").await;
    assert_eq!(told(&seen), ["nothing", "103", "hinted"]);
}

/// The messages in `text`, by their status or their body.
fn told(mut text: &str) -> Vec<&'static str> {
    let mut told = Vec::new();
    while !text.is_empty() {
        if let Some(rest) = text.strip_prefix(INTERIM) {
            told.push("103");
            text = rest;
            continue;
        }
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let length = head.split("content-length: ").nth(1).unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        told.push(match &body[..length] {
            "" => "nothing",
            "hello" => "hello",
            "hinted" => "hinted",
            big if big.bytes().all(|byte| byte == b'x') => "big",
            other => panic!("a body was torn: {other}"),
        });
        text = &body[length..];
    }
    told
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_too_late_is_dropped() {
    let house = House::open();
    house.clinic.released.send_replace(true);
    let mut viewer = house.connect();
    exchange(&mut viewer, HINT, "hinted").await;
    house.hint(1);
    sleep(Duration::from_millis(1)).await;
    // Not into what is asked next either, which may have its own.
    let next = exchange(&mut viewer, HELLO, "hello").await;
    assert!(next.starts_with("HTTP/1.1 200 OK\r\n"), "{next}");
    house.clinic.released.send_replace(false);
    viewer
        .write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    house.clinic.waiting.notified().await;
    house.hint(1);
    sleep(Duration::from_millis(1)).await;
    house.clinic.released.send_replace(true);
    let last = answer(&mut viewer, "waited").await;
    assert!(last.starts_with("HTTP/1.1 200 OK\r\n"), "{last}");
}

#[tokio::test(start_paused = true)]
async fn a_viewer_of_http_1_0_or_2_gets_none() {
    let house = House::open();
    house.clinic.released.send_replace(true);
    let mut viewer = house.connect();
    viewer
        .write_all(b"GET /hint HTTP/1.0\r\n\r\n")
        .await
        .unwrap();
    let (text, _) = rest(&mut viewer).await;
    assert!(text.starts_with("HTTP/1.0 200 OK\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nnot hinted"), "{text}");
    let (mut send, _driver) = http2::http2(house.connect()).await;
    let response = send.send_request(http2::get("/hint")).await.unwrap();
    assert_eq!(http2::text(response).await, "not hinted");
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_left_is_owed_nothing() {
    let house = House::open();
    let mut viewer = house.connect();
    exchange(&mut viewer, HINT, "\r\n\r\n").await;
    drop(viewer);
    assert_within(house.emptied().await, 0, 1);
    house.hint(1);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_takes_none_is_not_waited_for_for_ever() {
    let house = House::open();
    let mut viewer = house.connect_as(Expected::Sniff, 256);
    exchange(&mut viewer, HINT, "\r\n\r\n").await;
    house.hint(4096);
    house.clinic.released.send_replace(true);
    assert_within(house.emptied().await, 10, 61);
    let (text, _) = rest(&mut viewer).await;
    assert!(!text.contains("200 OK"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_behind_one_is_a_500_all_the_same() {
    let house = House::open();
    let mut viewer = house.connect();
    viewer
        .write_all(b"GET /hint-then-panic HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let (text, _) = rest(&mut viewer).await;
    let last = text.strip_prefix(INTERIM).unwrap_or_default();
    assert!(last.starts_with("HTTP/1.1 500 "), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_told_connection_still_passes_them_on() {
    let house = House::open();
    let mut viewer = house.connect();
    exchange(&mut viewer, HINT, "\r\n\r\n").await;
    let roll = Arc::clone(&house.roll);
    let retired = tokio::spawn(async move { roll.retire().await });
    sleep(Duration::from_millis(1)).await;
    house.hint(1);
    house.clinic.released.send_replace(true);
    let (text, _) = rest(&mut viewer).await;
    assert!(text.starts_with("HTTP/1.1 103 "), "{text}");
    assert!(text.ends_with("hinted"), "{text}");
    retired.await.unwrap();
}

above!(
    one_arrives_before_there_is_an_answer,
    one_precedes_an_answer_that_is_ready_with_it,
    one_stays_between_the_answers_of_pipelined_requests,
    one_waits_until_the_answer_before_it_is_taken,
    one_that_comes_too_late_is_dropped,
    a_viewer_that_left_is_owed_nothing,
    a_viewer_that_takes_none_is_not_waited_for_for_ever,
    a_panic_behind_one_is_a_500_all_the_same,
    a_told_connection_still_passes_them_on,
);
