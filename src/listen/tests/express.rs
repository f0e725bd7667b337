//! Plain requests, which are answered beneath the HTTP library.

use proptest::prelude::*;
use tokio::runtime;

use super::{
    super::vitals::{Order, Stage},
    *,
};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// The same, for the HTTP library.
fn up(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n")
}

/// How many requests the HTTP library has seen.
fn asked(house: &House) -> usize {
    house.clinic.asked.load(Relaxed)
}

/// How many were plain, and not at hand.
fn plain(house: &House) -> usize {
    house.clinic.plain.load(Relaxed)
}

#[tokio::test(start_paused = true)]
async fn what_is_plain_never_reaches_the_library() {
    let house = House::open();
    let mut viewer = house.connect();
    for path in ["/at-hand/1", "/hello", "/at-hand/2", "/hello"] {
        let end = path.trim_start_matches("/h");
        exchange(&mut viewer, &get(path), end).await;
    }
    assert_eq!((asked(&house), plain(&house)), (0, 2));
    assert_eq!(house.roll.entries()[0].vitals().stage(), Stage::Opening);
}

#[tokio::test(start_paused = true)]
async fn what_is_plain_is_so_behind_what_is_not() {
    let house = House::open();
    let mut viewer = house.connect();
    for _ in 0..3 {
        exchange(&mut viewer, &up("/hello"), "hello").await;
        exchange(&mut viewer, &get("/hello"), "hello").await;
        exchange(&mut viewer, &get("/at-hand/1"), "/at-hand/1").await;
    }
    assert_eq!((asked(&house), plain(&house)), (3, 3));
    assert_eq!(house.roll.entries()[0].vitals().stage(), Stage::Http1);
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
    for first in [get("/wait"), up("/wait")] {
        let house = House::open();
        let mut viewer = house.connect();
        exchange(&mut viewer, &up("/hello"), "hello").await;
        viewer.write_all(first.as_bytes()).await.unwrap();
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
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_waited_for_is_cut_whatever_came_behind_its_request() {
    for (path, seen) in [("/wait", ""), ("/drip", "drip\r\n")] {
        let house = House::open();
        let mut viewer = house.connect();
        viewer.write_all(get(path).as_bytes()).await.unwrap();
        answer(&mut viewer, seen).await;
        sleep(Duration::from_millis(10)).await;
        viewer.write_all(b"GET /at-hand").await.unwrap();
        sleep(Duration::from_millis(10)).await;
        house.roll.entries()[0].vitals().give(Order::Cut);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(house.roll.open(), 0, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_leaves_between_two_pieces_drops_the_rest() {
    for request in [get("/drip"), up("/drip")] {
        let house = House::open();
        let mut viewer = house.connect();
        exchange(&mut viewer, &request, "drip\r\n").await;
        assert_eq!(house.roll.entries()[0].vitals().look().in_flight, 1);
        drop(viewer);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(house.roll.open(), 0, "{request}");
        assert_within(house.emptied().await, 0, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_has_no_end() {
    for (path, got) in [("/short", "short"), ("/broken", "drip\r\n")] {
        let house = House::open();
        let mut viewer = house.connect();
        viewer.write_all(get(path).as_bytes()).await.unwrap();
        let (seen, _) = rest(&mut viewer).await;
        assert!(
            seen.starts_with("HTTP/1.1 200") && seen.ends_with(got),
            "{seen}"
        );
    }
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
    exchange(&mut viewer, &up("/hello"), "hello").await;
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
        1 => Just((up("/hello"), "hello".to_owned())),
        1 => Just(plain("/at-hand/long", "")),
        1 => Just(plain("/big", "xxx")),
        1 => Just(("\r\nGET /at-hand/crlf HTTP/1.1\r\nhost: a\r\n\r\n".into(), "/at-hand/crlf".into())),
        1 => Just(("GET /at-hand/c HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n".into(), "/at-hand/c".into())),
        1 => Just(("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nGET /".into(), "5 bytes".into())),
        1 => Just(("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                    3\r\nGET\r\n0\r\n\r\n".into(), "3 bytes".into())),
        4 => made().prop_map(|made| (get(&format!("/made/{made}")), made.body())),
    ]
}

fn made() -> impl Strategy<Value = Made> {
    let status = prop_oneof![4 => Just(200_u16), 1 => Just(204), 1 => Just(304), 2 => 200_u16..600];
    let pieces = prop::collection::vec(
        prop_oneof![4 => 0..99_usize, 1 => 4_000..70_000_usize],
        0..20,
    );
    (status, pieces, any::<(bool, bool)>()).prop_map(|(status, pieces, (known, waits))| Made {
        status,
        pieces,
        known,
        waits,
    })
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

/// How many bytes are said at once, and whether a pause follows: no more of them than a head
/// may take.
fn piece() -> impl Strategy<Value = (usize, bool)> {
    prop_oneof![
        (1..60_usize, Just(false)),
        (30..60_usize, any::<bool>()),
        (Just(10_000), any::<bool>()),
    ]
}

/// An answer as it was heard: its status line and fields but for the date and the framing, and
/// its body.
type Heard = (Vec<String>, String);

/// The answers in `text`.
fn answers(mut text: &str) -> Vec<Heard> {
    let mut answers = Vec::new();
    while let Some((head, after)) = text.split_once("\r\n\r\n") {
        let (mut length, mut chunked, mut lines) = (None, false, Vec::new());
        for line in head.lines() {
            match line.split_once(": ") {
                Some(("date", _)) => {}
                Some(("content-length", said)) => length = Some(said.parse().unwrap()),
                Some(("transfer-encoding", said)) => chunked = said == "chunked",
                Some(_) => lines.push(line.to_owned()),
                // Without the reason, which is only for those who read along.
                None => lines.push(line[..12].to_owned()),
            }
        }
        lines.sort();
        let (body, rest) = if chunked {
            dechunked(after)
        } else {
            let (body, rest) = after.split_at(length.unwrap_or(0));
            (body.to_owned(), rest)
        };
        answers.push((lines, body));
        text = rest;
    }
    assert_eq!(text, "", "after {} answers", answers.len());
    answers
}

fn dechunked(mut text: &str) -> (String, &str) {
    let mut body = String::new();
    loop {
        let (size, rest) = text.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        body += &rest[..size];
        text = rest[size..].strip_prefix("\r\n").unwrap();
        if size == 0 {
            return (body, text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However a viewer's bytes are cut, each request has its answer, in their order, whoever
    /// gave it.
    #[test]
    fn viewers_hear_the_same_whoever_answers(
        said in prop::collection::vec(said(), 1..12),
        pieces in prop::collection::vec(piece(), 1..8),
    ) {
        let text: String = said.iter().map(|(text, _)| text.as_str()).collect();
        let (beneath, above) = (heard(true, &text, &pieces), heard(false, &text, &pieces));
        let seen = answers(&beneath);
        prop_assert_eq!(&seen, &answers(&above));
        prop_assert_eq!(seen.len(), said.len());
        for ((_, seen), (_, wanted)) in seen.iter().zip(&said) {
            prop_assert!(seen.ends_with(wanted));
        }
    }
}
