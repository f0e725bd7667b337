//! What hyper makes of requests that are wrong, or that two readers may
//! disagree about.
//!
//! Each is followed by a second request: where the first is refused, nothing
//! after it may be answered. What hyper lets through is written down too, so
//! that a change of it is seen; the checks of those belong to whoever reads the
//! head next.

use super::*;

const NEXT: &str = "GET /next HTTP/1.1\r\nhost: a\r\n\r\n";

/// What a viewer reads that sends `request` and [`NEXT`] at once.
async fn replies(request: &[u8]) -> String {
    let house = House::open();
    let mut viewer = house.connect();
    viewer
        .write_all(&[request, NEXT.as_bytes()].concat())
        .await
        .unwrap();
    rest(&mut viewer).await.0
}

/// One answer with that status, and closed.
async fn is_refused(request: &[u8], status: &str) {
    let text = replies(request).await;
    let seen = request.escape_ascii();
    assert!(
        text.starts_with(&format!("HTTP/1.1 {status} ")),
        "{seen}: {text:?}"
    );
    assert!(
        text.contains("\r\nconnection: close\r\n"),
        "{seen}: {text:?}"
    );
    assert_eq!(text.matches("HTTP/1.1").count(), 1, "{seen}: {text:?}");
}

/// Two answers, the first with that body.
async fn is_answered(request: &[u8], body: &str) {
    let text = replies(request).await;
    let seen = request.escape_ascii();
    let (first, second) = text
        .split_once(body)
        .unwrap_or_else(|| panic!("{seen}: {text:?}"));
    assert!(first.starts_with("HTTP/1.1 200 "), "{seen}: {text:?}");
    assert!(second.ends_with("no /next"), "{seen}: {text:?}");
    assert_eq!(text.matches("HTTP/1.1").count(), 2, "{seen}: {text:?}");
}

/// One answer, with that body, and closed.
async fn is_the_last(request: &[u8], body: &str) {
    let text = replies(request).await;
    let seen = request.escape_ascii();
    assert!(
        text.starts_with("HTTP/1.1 200 ") && text.ends_with(body),
        "{seen}: {text:?}"
    );
    assert_eq!(text.matches("HTTP/1.1").count(), 1, "{seen}: {text:?}");
}

fn get(fields: &str) -> Vec<u8> {
    format!("GET /hello HTTP/1.1\r\nhost: a\r\n{fields}\r\n").into_bytes()
}

fn post(fields: &str, body: &str) -> Vec<u8> {
    format!("POST /echo HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n{body}").into_bytes()
}

#[tokio::test(start_paused = true)]
async fn s1_a_length_beside_a_coding_is_refused() {
    for fields in [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
        "transfer-encoding: chunked\r\ncontent-length: x",
    ] {
        is_refused(&post(fields, "2\r\nab\r\n0\r\n\r\n"), "400").await;
    }
}

#[tokio::test(start_paused = true)]
async fn s2_a_coding_that_does_not_end_in_chunked_is_refused() {
    for coding in [
        "chunked, identity",
        "chunked,",
        "xchunked",
        "chunked;x=1",
        "\x0bchunked",
        "identity",
        "",
    ] {
        let fields = format!("transfer-encoding: {coding}");
        is_refused(&post(&fields, "0\r\n\r\n"), "400").await;
    }
    let twice = "transfer-encoding: chunked\r\ntransfer-encoding: identity";
    is_refused(&post(twice, "0\r\n\r\n"), "400").await;
    let latin =
        b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: \xa0chunked\r\n\r\n0\r\n\r\n";
    is_refused(latin, "400").await;
}

#[tokio::test(start_paused = true)]
async fn s2_a_coding_said_twice_or_not_at_all_is_refused() {
    for fields in [
        "transfer-encoding: ,chunked",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked",
    ] {
        is_refused(&post(fields, "2\r\nab\r\n0\r\n\r\n"), "400").await;
    }
}

/// Which codings there are is known to who reads the head next, and answers 501.
#[tokio::test(start_paused = true)]
async fn s2_let_through_codings_that_end_in_chunked() {
    for fields in [
        "transfer-encoding: CHUNKED",
        "transfer-encoding: gzip, chunked",
    ] {
        is_answered(&post(fields, "2\r\nab\r\n0\r\n\r\n"), "2 bytes").await;
    }
}

#[tokio::test(start_paused = true)]
async fn s3_a_coding_in_http_1_0_is_refused() {
    for fields in [
        "transfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
    ] {
        let request = format!("POST /echo HTTP/1.0\r\nhost: a\r\n{fields}\r\n\r\n0\r\n\r\n");
        is_refused(request.as_bytes(), "400").await;
    }
}

#[tokio::test(start_paused = true)]
async fn s4_a_length_that_is_not_a_number_is_refused() {
    for length in [
        "+5",
        "0x5",
        "5 5",
        "5,5",
        "5, 5",
        "-1",
        "",
        "1_0",
        "123456789012345678901",
        "5;",
    ] {
        is_refused(&post(&format!("content-length: {length}"), "12345"), "400").await;
    }
    is_refused(
        &post("content-length: 5\r\ncontent-length: 6", "12345"),
        "400",
    )
    .await;
    is_answered(
        &post("content-length: 5\r\ncontent-length: 5", "12345"),
        "5 bytes",
    )
    .await;
}

/// Nothing behind the broken body is a request.
async fn breaks(body: &str) {
    is_the_last(&post("transfer-encoding: chunked", body), "broken body").await;
}

#[tokio::test(start_paused = true)]
async fn s5_a_chunk_size_is_hexadecimal_digits() {
    for size in [
        "0x5",
        "5_",
        " 5",
        "5 ",
        "5\t",
        "FFFFFFFFFFFFFFFFF",
        "-0",
        "",
    ] {
        breaks(&format!("{size}\r\nhello\r\n0\r\n\r\n")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn s6_a_chunk_has_one_frame() {
    for body in [
        "5;\nhello\r\n0\r\n\r\n",
        "5\r;a\r\nhello\r\n0\r\n\r\n",
        "5;\0ext\r\nhello\r\n0\r\n\r\n",
        "5;a\x7f\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhello6\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
    ] {
        breaks(body).await;
    }
    let sound = "5;a=\"b\"\r\nhello\r\n0\r\n\r\n";
    is_answered(&post("transfer-encoding: chunked", sound), "5 bytes").await;
}

#[tokio::test(start_paused = true)]
async fn s7_a_bad_last_chunk_is_no_request() {
    breaks("0\r\nX:POST / HTTP/1.1\nhost: a\r\n\r\n").await;
    breaks("0\r\nX POST / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    breaks("0\rX:POST / HTTP/1.1\r\nhost: a\r\n\r\n").await;
}

#[tokio::test(start_paused = true)]
async fn s8_extensions_are_bounded() {
    breaks(&format!(
        "5;{}\r\nhello\r\n0\r\n\r\n",
        "x".repeat(17 * 1024)
    ))
    .await;
    breaks(&"1;abcdefghijklmnop\r\na\r\n".repeat(1_200)).await;
}

#[tokio::test(start_paused = true)]
async fn s9_lines_that_are_no_fields_are_refused() {
    for fields in [
        "x : y\r\n",
        "x: y\r\n folded\r\n",
        "te\nst: x\r\n",
        ": x\r\n",
        "nocolon\r\n",
        "\x01: y\r\n",
    ] {
        is_refused(&get(fields), "400").await;
    }
    is_refused(b"GET /hello HTTP/1.1\r\n host: a\r\n\r\n", "400").await;
}

#[tokio::test(start_paused = true)]
async fn s10_controls_in_values_are_refused() {
    for value in ["a\rb", "a\0b", "a\x07b", "a\x7fb"] {
        is_refused(&get(&format!("x: {value}\r\n")), "400").await;
    }
}

#[tokio::test(start_paused = true)]
async fn s10_lines_that_end_in_a_bare_line_feed_are_refused() {
    is_refused(b"GET /hello HTTP/1.1\nhost: a\n\n", "400").await;
    is_refused(b"GET /hello HTTP/1.1\r\nhost: a\r\n\n", "400").await;
    is_refused(&get("x: a\nb: c\r\n"), "400").await;
    is_refused(b"\nGET /hello HTTP/1.1\r\nhost: a\r\n\r\n", "400").await;
}

/// However the bytes come, and after parking.
#[tokio::test(start_paused = true)]
async fn s10_lines_are_followed_wherever_they_are_cut() {
    let house = House::open();
    let bare = "GET /hello HTTP/1.1\r\nhost: a\nx: y\r\n\r\n";
    let both = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\
                transfer-encoding: chunked\r\n\r\n";
    for request in [bare, both] {
        let mut viewer = house.connect();
        let hello = "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";
        exchange(&mut viewer, hello, "hello").await;
        let body = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\na\nb\n\n";
        for byte in body.as_bytes() {
            viewer.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        answer(&mut viewer, "5 bytes").await;
        exchange(&mut viewer, hello, "hello").await;
        sleep(Duration::from_secs(6)).await;
        for byte in request.as_bytes() {
            let _ = viewer.write_all(&[*byte]).await;
            tokio::task::yield_now().await;
        }
        let (text, _) = rest(&mut viewer).await;
        assert!(text.starts_with("HTTP/1.1 400 "), "{request:?}: {text}");
    }
}

/// What is no longer HTTP is nobody's to read.
#[tokio::test(start_paused = true)]
async fn s10_an_upgraded_connection_carries_any_bytes() {
    let house = House::open();
    let mut viewer = house.connect();
    let request =
        "GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    exchange(&mut viewer, request, "\r\n\r\n").await;
    exchange(&mut viewer, "a\nb\n\nend", "a\nb\n\nend").await;
}

#[tokio::test(start_paused = true)]
async fn s11_an_unread_body_is_not_answered() {
    let length = NEXT.len();
    let request = format!("GET /hello HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    let text = replies(request.as_bytes()).await;
    assert!(text.ends_with("hello"), "{text}");
    assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
}

#[tokio::test(start_paused = true)]
async fn s14_a_method_that_is_no_token_is_refused() {
    is_refused(b"G=\":<>\" /hello HTTP/1.1\r\nhost: a\r\n\r\n", "400").await;
    is_refused(b"G\0T /hello HTTP/1.1\r\nhost: a\r\n\r\n", "400").await;
}

#[tokio::test(start_paused = true)]
async fn s15_other_versions_are_refused() {
    for version in [" HTTP/1.32", " HTTP/2.0", " HTTP/0.9", " HTTP/1.1x", ""] {
        let request = format!("GET /hello{version}\r\nhost: a\r\n\r\n");
        is_refused(request.as_bytes(), "400").await;
    }
    is_refused(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "400").await;
}

#[tokio::test(start_paused = true)]
async fn s19_requests_before_the_invalid_one_are_answered() {
    let text = replies(&[&get("")[..], b"GARBAGE\r\n\r\n"].concat()).await;
    let (first, second) = text.split_once("hello").unwrap();
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(second.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
    assert!(second.contains("\r\nconnection: close\r\n"), "{text}");
    assert_eq!(text.matches("HTTP/1.1").count(), 2, "{text}");
}

#[tokio::test(start_paused = true)]
async fn targets_with_blanks_or_bytes_beyond_utf_8_are_refused() {
    for target in [
        &b" /hello"[..],
        b"/hel lo",
        b"/hel\tlo",
        b"/hel\xfflo",
        b"/hel\0lo",
    ] {
        let request = [b"GET ", target, b" HTTP/1.1\r\nhost: a\r\n\r\n"].concat();
        is_refused(&request, "400").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_has_32_kib_and_100_fields() {
    is_answered(&get(&format!("x: {}\r\n", "y".repeat(31 * 1024))), "hello").await;
    is_refused(&get(&format!("x: {}\r\n", "y".repeat(33 * 1024))), "431").await;
    is_answered(&get(&"x: y\r\n".repeat(99)), "hello").await;
    is_refused(&get(&"x: y\r\n".repeat(100)), "431").await;
}
