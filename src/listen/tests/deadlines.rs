//! What is closed when, and what never is.

use super::*;

const GET: &str = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn r1_a_silent_connection_is_closed() {
    let house = House::open();
    let (text, took) = rest(&mut house.connect()).await;
    assert_eq!(text, "");
    assert_within(took, 10, 11);
    assert_eq!(house.roll.open(), 0);
    assert_eq!(house.roll.tally().overdue, 1);
}

#[tokio::test(start_paused = true)]
async fn r2_dribbled_bytes_do_not_extend_a_head() {
    for head in [
        "GET /hello HTTP/1.1\r\nx: yyyyyyyyyy",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r",
    ] {
        let house = House::open();
        let (mut read, mut write) = split(house.connect());
        let dribble = async {
            for byte in head.as_bytes() {
                sleep(Duration::from_secs(2)).await;
                if write.write_all(&[*byte]).await.is_err() {
                    break;
                }
            }
        };
        let closed = async {
            let start = now();
            let mut bytes = Vec::new();
            read.read_to_end(&mut bytes).await.unwrap();
            now() - start
        };
        let ((), took) = tokio::join!(dribble, closed);
        // From the first byte, at 2 s.
        assert_within(took, 12, 13);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_head_has_the_same_deadline() {
    let house = House::open();
    let mut viewer = house.connect();
    exchange(&mut viewer, GET, "hello").await;
    sleep(Duration::from_secs(30)).await;
    viewer.write_all(b"GET /hel").await.unwrap();
    let (text, took) = rest(&mut viewer).await;
    assert_eq!(text, "");
    assert_within(took, 10, 11);
}

#[tokio::test(start_paused = true)]
async fn r5_an_idle_connection_is_closed() {
    let house = House::open();
    let mut viewer = house.connect();
    exchange(&mut viewer, GET, "hello").await;
    let (text, took) = rest(&mut viewer).await;
    assert_eq!(text, "");
    assert_within(took, 60, 61);
}

#[tokio::test(start_paused = true)]
async fn every_request_begins_a_new_idle_time() {
    let house = House::open();
    let mut viewer = house.connect();
    for _ in 0..5 {
        exchange(&mut viewer, GET, "hello").await;
        sleep(Duration::from_secs(50)).await;
    }
    assert_eq!(house.roll.open(), 1);
}

#[tokio::test(start_paused = true)]
async fn bounds_are_live() {
    let house = House::open();
    let mut viewer = house.connect();
    exchange(&mut viewer, GET, "hello").await;
    let idle_timeout = Duration::from_secs(5);
    house.bounds.set(Bounds {
        idle_timeout,
        ..Bounds::default()
    });
    assert_within(rest(&mut viewer).await.1, 5, 6);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_is_never_closed() {
    let house = House::open();
    let mut viewer = house.connect();
    let ask = exchange(
        &mut viewer,
        "GET /wait HTTP/1.1\r\nhost: a\r\n\r\n",
        "waited",
    );
    let release = async {
        sleep(Duration::from_secs(3600)).await;
        house.clinic.released.send_replace(true);
    };
    tokio::join!(ask, release);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_after_its_body_is_never_closed() {
    let sized = "POST /read-then-wait HTTP/1.1\r\nhost:a\r\ncontent-length:5\r\n\r\n12345";
    let chunked = "POST /read-then-wait HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                   5\r\n12345\r\n0\r\n\r\n";
    let trailers = "POST /read-then-wait HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                    5\r\n12345\r\n0\r\na: b\r\n\r\n";
    for request in [sized, chunked, trailers] {
        let house = House::open();
        let mut viewer = house.connect();
        let (head, body) = request.split_at(request.find("\r\n\r\n").unwrap() + 4);
        viewer.write_all(head.as_bytes()).await.unwrap();
        sleep(Duration::from_secs(5)).await;
        let ask = exchange(&mut viewer, body, "5 bytes");
        let release = async {
            sleep(Duration::from_secs(3600)).await;
            house.clinic.released.send_replace(true);
        };
        tokio::join!(ask, release);
    }
}

#[tokio::test(start_paused = true)]
async fn r3_a_body_that_stops_is_closed() {
    let sized = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\r\n12345";
    let chunked = "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\n123";
    for request in [sized, chunked] {
        let house = House::open();
        let mut viewer = house.connect();
        viewer.write_all(request.as_bytes()).await.unwrap();
        let (text, took) = rest(&mut viewer).await;
        assert_eq!(text, "");
        assert_within(took, 60, 61);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_slowly_is_read() {
    let house = House::open();
    let mut viewer = house.connect();
    let head = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 10240\r\n\r\n";
    viewer.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..10 {
        sleep(Duration::from_secs(50)).await;
        viewer.write_all(&[b'1'; 1024]).await.unwrap();
    }
    answer(&mut viewer, "10240 bytes").await;
}

#[tokio::test(start_paused = true)]
async fn r3_a_body_that_comes_byte_by_byte_is_closed() {
    let sized = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9999\r\n\r\n";
    let chunked = "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                   FFFF\r\n";
    for head in [sized, chunked] {
        let house = House::open();
        let mut viewer = house.connect();
        let start = now();
        viewer.write_all(head.as_bytes()).await.unwrap();
        while viewer.write_all(b"\n").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
        assert_within(now() - start, 60, 63);
        assert_within(house.emptied().await, 0, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn r4_an_answer_nobody_takes_is_dropped() {
    for path in ["/big", "/endless"] {
        let house = House::open();
        let mut viewer = house.connect_as(Expected::Sniff, 1024);
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        viewer.write_all(request.as_bytes()).await.unwrap();
        assert_within(house.emptied().await, 60, 61);
    }
}

#[tokio::test(start_paused = true)]
async fn r4_an_answer_taken_byte_by_byte_is_dropped() {
    let house = House::open();
    let mut viewer = house.connect_as(Expected::Sniff, 1024);
    viewer
        .write_all(b"GET /big HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let drip = async {
        let mut byte = [0];
        while let Ok(1) = viewer.read(&mut byte).await {
            sleep(Duration::from_secs(1)).await;
        }
    };
    let emptied = async { assert_within(house.emptied().await, 60, 62) };
    tokio::select! { () = drip => {}, () = emptied => {} }
}

#[tokio::test(start_paused = true)]
async fn an_answer_taken_slowly_is_not() {
    let house = House::open();
    let mut viewer = house.connect_as(Expected::Sniff, 1024);
    viewer
        .write_all(b"GET /big HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut seen = 0;
    let mut some = [0; 1024];
    while seen < 1 << 20 {
        sleep(Duration::from_secs(20)).await;
        let bytes = viewer.read(&mut some).await.unwrap();
        assert!(bytes > 0, "closed after {seen} bytes");
        seen += bytes;
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_may_be_quiet_for_ten_minutes() {
    let house = House::open();
    let mut viewer = house.connect();
    let request =
        "GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    exchange(&mut viewer, request, "\r\n\r\n").await;
    sleep(Duration::from_secs(590)).await;
    exchange(&mut viewer, "ping", "ping").await;
    sleep(Duration::from_secs(590)).await;
    exchange(&mut viewer, "ping", "ping").await;
    assert_within(rest(&mut viewer).await.1, 600, 602);
}

above!(
    r2_dribbled_bytes_do_not_extend_a_head,
    a_second_head_has_the_same_deadline,
    r5_an_idle_connection_is_closed,
    every_request_begins_a_new_idle_time,
    bounds_are_live,
    a_request_that_waits_is_never_closed,
    r4_an_answer_nobody_takes_is_dropped,
    r4_an_answer_taken_byte_by_byte_is_dropped,
    an_answer_taken_slowly_is_not,
);
