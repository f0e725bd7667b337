//! Answers that are given beneath the HTTP library.

use proptest::prelude::*;
use tokio::runtime;

use super::{super::vitals::Stage, *};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// How many requests the HTTP library has seen.
fn asked(house: &House) -> usize {
    house.clinic.asked.load(Relaxed)
}

#[tokio::test(start_paused = true)]
async fn what_is_at_hand_never_reaches_the_library() {
    let house = House::open();
    let mut viewer = house.connect();
    for n in 0..3 {
        exchange(
            &mut viewer,
            &get(&format!("/at-hand/{n}")),
            &format!("/at-hand/{n}"),
        )
        .await;
    }
    assert_eq!(asked(&house), 0);
    exchange(&mut viewer, &get("/hello"), "hello").await;
    exchange(&mut viewer, &get("/at-hand/3"), "/at-hand/3").await;
    assert_eq!(asked(&house), 1);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_never_has_a_hit_is_seldom_looked_at() {
    let house = House::open();
    let mut viewer = house.connect();
    for _ in 0..6 {
        exchange(&mut viewer, &get("/hello"), "hello").await;
    }
    exchange(&mut viewer, &get("/at-hand/a"), "/at-hand/a").await;
    assert_eq!(asked(&house), 7);
    for _ in 0..20 {
        exchange(&mut viewer, &get("/at-hand/b"), "/at-hand/b").await;
    }
    assert!(asked(&house) < 22, "{}", asked(&house));
}

#[tokio::test(start_paused = true)]
async fn what_comes_with_more_than_itself_goes_up_as_it_came() {
    let house = House::open();
    let mut viewer = house.connect();
    let both = get("/at-hand/1") + &get("/at-hand/2");
    let seen = exchange(&mut viewer, &both, "/at-hand/2").await;
    assert!(seen.contains("/at-hand/1HTTP/1.1 200"), "{seen}");
    assert_eq!(asked(&house), 2);
    let close = "GET /at-hand/3 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    viewer.write_all(close.as_bytes()).await.unwrap();
    let (seen, _) = rest(&mut viewer).await;
    assert!(seen.contains("connection: close\r\n"), "{seen}");
    assert_eq!(asked(&house), 3);
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_for_the_one_before() {
    let house = House::open();
    let mut viewer = house.connect();
    exchange(&mut viewer, &get("/hello"), "hello").await;
    viewer.write_all(get("/wait").as_bytes()).await.unwrap();
    house.clinic.waiting.notified().await;
    viewer
        .write_all(get("/at-hand/1").as_bytes())
        .await
        .unwrap();
    sleep(Duration::from_millis(10)).await;
    house.clinic.released.send_replace(true);
    let seen = answer(&mut viewer, "/at-hand/1").await;
    assert!(seen.contains("waitedHTTP/1.1 200"), "{seen}");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_not_taken_for_a_request() {
    let house = House::open();
    let mut viewer = house.connect();
    let inner = get("/at-hand/1");
    let head = format!(
        "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        inner.len()
    );
    viewer.write_all(head.as_bytes()).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    let seen = exchange(&mut viewer, &inner, "bytes").await;
    assert!(seen.ends_with(&format!("{} bytes", inner.len())), "{seen}");
    let later = "POST /read-later HTTP/1.1\r\nhost: a\r\ncontent-length: 36\r\n\r\n";
    exchange(&mut viewer, later, "already").await;
    viewer.write_all(inner.as_bytes()).await.unwrap();
    let mut told = house.clinic.read_later.subscribe();
    assert_eq!(*told.wait_for(Option::is_some).await.unwrap(), Some(36));
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_stream_is_nobody_elses() {
    let house = House::open();
    let mut viewer = house.connect();
    exchange(&mut viewer, &get("/hello"), "hello").await;
    let upgrade =
        "GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    exchange(&mut viewer, upgrade, "\r\n\r\n").await;
    let echoed = exchange(&mut viewer, &get("/at-hand/1"), "\r\n\r\n").await;
    assert_eq!(echoed, get("/at-hand/1"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_viewer_gets_all_of_it_and_what_follows() {
    let house = House::open();
    let mut viewer = house.connect_as(Expected::Sniff, 4_096);
    viewer
        .write_all(get("/at-hand/long").as_bytes())
        .await
        .unwrap();
    viewer
        .write_all(get("/at-hand/2").as_bytes())
        .await
        .unwrap();
    sleep(Duration::from_secs(30)).await;
    let seen = answer(&mut viewer, "/at-hand/2").await;
    assert!(
        seen.contains("x/at-hand/longHTTP/1.1 200"),
        "{}",
        seen.len()
    );
    assert!(seen.len() > 1 << 20);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_takes_nothing_is_cut() {
    let house = House::open();
    let mut viewer = house.connect_as(Expected::Sniff, 4_096);
    viewer
        .write_all(get("/at-hand/long").as_bytes())
        .await
        .unwrap();
    assert_within(house.emptied().await, 60, 62);
}

#[tokio::test(start_paused = true)]
async fn an_answer_under_way_is_finished_when_the_connection_retires() {
    let house = House::open();
    let mut viewer = house.connect_as(Expected::Sniff, 4_096);
    viewer
        .write_all(get("/at-hand/long").as_bytes())
        .await
        .unwrap();
    sleep(Duration::from_secs(1)).await;
    let roll = Arc::clone(&house.roll);
    let retired = tokio::spawn(async move { roll.retire().await });
    sleep(Duration::from_secs(1)).await;
    let (seen, _) = rest(&mut viewer).await;
    assert!(seen.ends_with("x/at-hand/long"), "{}", seen.len());
    retired.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_says_that_it_is() {
    let house = House::open();
    let mut viewer = house.connect();
    exchange(&mut viewer, &get("/at-hand/1"), "/at-hand/1").await;
    let roll = Arc::clone(&house.roll);
    tokio::spawn(async move { roll.last().await });
    sleep(Duration::from_secs(1)).await;
    viewer
        .write_all(get("/at-hand/2").as_bytes())
        .await
        .unwrap();
    let (seen, _) = rest(&mut viewer).await;
    assert!(
        seen.contains("connection: close\r\n") && seen.ends_with("/at-hand/2"),
        "{seen}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_only_hits_stays_small_and_ends_when_idle() {
    let house = House::open();
    let mut viewer = house.connect();
    exchange(&mut viewer, &get("/at-hand/1"), "/at-hand/1").await;
    assert_eq!(house.roll.entries()[0].vitals().stage(), Stage::Opening);
    let (_, took) = rest(&mut viewer).await;
    assert_within(took, 60, 62);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_takes_too_long_after_hits_is_cut() {
    let house = House::open();
    let mut viewer = house.connect();
    exchange(&mut viewer, &get("/at-hand/1"), "/at-hand/1").await;
    viewer.write_all(b"GET /at-hand/2 HT").await.unwrap();
    let (_, took) = rest(&mut viewer).await;
    assert_within(took, 10, 12);
}

#[tokio::test(start_paused = true)]
async fn a_panic_beneath_is_no_panic_of_the_connection() {
    let house = House::open();
    let mut viewer = house.connect();
    exchange(&mut viewer, &get("/beneath-panic"), "no /beneath-panic").await;
    exchange(&mut viewer, &get("/at-hand/1"), "/at-hand/1").await;
    assert_eq!(asked(&house), 1);
}

/// What a viewer may say, and the body it is answered with.
fn said() -> impl Strategy<Value = (String, String)> {
    let plain = |path: &'static str, body: &'static str| (get(path), body.to_owned());
    prop_oneof![
        4 => (0..9).prop_map(|n| (get(&format!("/at-hand/{n}")), format!("/at-hand/{n}"))),
        2 => Just(plain("/hello", "hello")),
        1 => Just(plain("/at-hand/long", "")),
        1 => Just(("\r\nGET /at-hand/crlf HTTP/1.1\r\nhost: a\r\n\r\n".into(), "/at-hand/crlf".into())),
        1 => Just(("GET /at-hand/c HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n".into(), "/at-hand/c".into())),
        1 => Just(("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nGET /".into(), "5 bytes".into())),
        1 => Just(("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                    3\r\nGET\r\n0\r\n\r\n".into(), "3 bytes".into())),
    ]
}

/// What a viewer hears that says this in pieces, some of them a pause apart.
fn heard(beneath: bool, text: &str, pieces: &[(usize, bool)]) -> String {
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(async {
        let mut house = House::open();
        house.clinic.beneath = beneath;
        let (mut read, mut write) = split(house.connect());
        let say = async {
            let (mut rest, mut pieces) = (text, pieces.iter().cycle());
            while !rest.is_empty() {
                let (length, pause) = pieces.next().unwrap();
                let (piece, after) = rest.split_at((*length).min(rest.len()));
                write.write_all(piece.as_bytes()).await.unwrap();
                if *pause {
                    sleep(Duration::from_millis(700)).await;
                }
                rest = after;
            }
            sleep(Duration::from_secs(5)).await;
            write.shutdown().await.unwrap();
        };
        let mut heard = String::new();
        let (_, read) = tokio::join!(say, read.read_to_string(&mut heard));
        read.unwrap();
        heard
    })
}

/// The bodies of answers that all have a length.
fn bodies(mut text: &str) -> Vec<&str> {
    let mut bodies = Vec::new();
    while let Some((head, rest)) = text.split_once("\r\n\r\n") {
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let length = head.split_once("content-length: ").unwrap().1;
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        let (body, after) = rest.split_at(length);
        bodies.push(body);
        text = after;
    }
    bodies
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However a viewer's bytes are cut, each request has its answer, in their order, whoever
    /// gave it.
    #[test]
    fn viewers_hear_the_same_whoever_answers(
        said in prop::collection::vec(said(), 1..12),
        pieces in prop::collection::vec((prop_oneof![1..60_usize, Just(10_000)], any::<bool>()), 1..8),
    ) {
        let text: String = said.iter().map(|(text, _)| text.as_str()).collect();
        let (beneath, above) = (heard(true, &text, &pieces), heard(false, &text, &pieces));
        prop_assert_eq!(bodies(&beneath), bodies(&above));
        let wanted = said.iter().map(|(_, body)| body.as_str());
        let seen = bodies(&beneath);
        prop_assert_eq!(seen.len(), said.len());
        for (seen, wanted) in seen.into_iter().zip(wanted) {
            prop_assert!(seen.ends_with(wanted));
        }
    }
}
