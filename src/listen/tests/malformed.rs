//! What hyper makes of requests that are wrong, or wrong in a way that two
//! readers may disagree about: 400 and closed, unless a test says otherwise.

use super::*;

/// What a viewer reads that sends `request`, then a second request.
async fn replies(request: &[u8]) -> String {
    let house = House::open();
    let mut viewer = house.connect();
    viewer.write_all(request).await.unwrap();
    // It may be closed already.
    let _ = viewer
        .write_all(b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    let _ = viewer.shutdown().await;
    rest(&mut viewer).await.0
}

async fn check(requests: &[&[u8]], status: &str) {
    for request in requests {
        let text = replies(request).await;
        let seen = request.escape_ascii();
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status}")),
            "{seen}: {text:?}"
        );
        assert_eq!(text.matches("HTTP/1.1").count(), 1, "{seen}: {text:?}");
        assert!(
            text.to_ascii_lowercase().contains("connection: close\r\n"),
            "{seen}: {text:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s2_other_transfer_codings_are_refused() {
    let with = |value: &str| {
        format!("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: {value}\r\n\r\n0\r\n\r\n")
    };
    for value in [
        "chunked, identity",
        "xchunked",
        "chunked;x=1",
        "\x0bchunked",
        "identity",
    ] {
        check(&[with(value).as_bytes()], "400").await;
    }
    check(
        &[b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: \xa0chunked\r\n\r\n0\r\n\r\n"],
        "400",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn s3_a_transfer_coding_in_http_1_0_is_refused() {
    let request = b"POST /echo HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let text = replies(request).await;
    println!("{text}");
}

#[tokio::test(start_paused = true)]
async fn s4_lengths_that_are_not_numbers_are_refused() {
    for value in [
        "+5",
        "0x5",
        "5 5",
        "5,5",
        "-1",
        "",
        "1_0",
        "123456789012345678901",
        "5, 6",
    ] {
        let request =
            format!("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {value}\r\n\r\n12345");
        let text = replies(request.as_bytes()).await;
        println!("{value:?}: {text:?}");
    }
}
