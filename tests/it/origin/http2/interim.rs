//! Interim responses from an HTTP/2 origin: shown to who asked, counted, and never final.

use warmfront::origin::{INTERIM_MAX, OnInterim};

use super::{raw::Raw, *};

/// What was passed on: a status, and its `link`.
type Seen = Arc<Mutex<Vec<(u16, Option<HeaderValue>)>>>;

/// A request that notes what precedes its response.
fn noting() -> (Request<Sent>, Seen) {
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let mut request = request("GET", "/");
    let on_interim = OnInterim::new(move |status, headers| {
        let link = headers.get("link").cloned();
        noted.lock().unwrap().push((status.as_u16(), link));
    });
    request.extensions_mut().insert(on_interim);
    (request, seen)
}

fn interim(status: u16) -> Response<()> {
    Response::builder().status(status).body(()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn they_are_shown_in_order_and_before_the_final_one() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    let (request, seen) = noting();
    let fetched = http2.world.send(request);
    let mut answer = streams.next().await;
    answer.0.send_informational(interim(102)).unwrap();
    pass(Duration::from_millis(1)).await;
    assert_eq!(*seen.lock().unwrap(), [(102, None)]);
    let link = HeaderValue::from_static("</a.css>");
    let mut hints = interim(103);
    hints.headers_mut().insert("link", link.clone());
    answer.0.send_informational(hints).unwrap();
    answer.whole("ok");
    let fetched = fetched.await.unwrap().unwrap();
    assert_eq!(fetched.head.status, 200);
    assert!(!fetched.head.headers.contains_key("link"));
    assert_eq!(text(fetched.body).await.unwrap(), "ok");
    assert_eq!(*seen.lock().unwrap(), [(102, None), (103, Some(link))]);
}

#[tokio::test(start_paused = true)]
async fn those_that_say_nothing_to_a_viewer_are_not_shown() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    let (request, seen) = noting();
    let fetched = http2.world.send(request);
    let mut answer = streams.next().await;
    // We sent no Expect, and HTTP/2 cannot switch protocols.
    for status in [100, 101, 104] {
        answer.0.send_informational(interim(status)).unwrap();
    }
    answer.whole("ok");
    assert_eq!(fetched.await.unwrap().unwrap().head.status, 200);
    assert_eq!(*seen.lock().unwrap(), [(104, None)]);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_want_them_gets_the_final_one_all_the_same() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    let fetched = http2.get();
    let mut answer = streams.next().await;
    answer.0.send_informational(interim(103)).unwrap();
    answer.whole("ok");
    assert_eq!(fetched.await.unwrap().unwrap().head.status, 200);
}

#[tokio::test(start_paused = true)]
async fn they_do_not_prolong_the_wait() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    let asked = now();
    let fetched = http2.get();
    let mut answer = streams.next().await;
    pass(Duration::from_secs(20)).await;
    answer.0.send_informational(interim(103)).unwrap();
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Origin, Phase::Head, "origin_timeout");
    assert_eq!(asked.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_them_is_invalid_and_costs_its_stream_alone() {
    let mut http2 = Http2::new();
    let mut streams = http2.kept().await;
    for (count, passes) in [
        (INTERIM_MAX, true),
        (INTERIM_MAX + 1, false),
        (5_000, false),
    ] {
        let (request, seen) = noting();
        let fetched = http2.world.send(request);
        let mut answer = streams.next().await;
        for _ in 0..count {
            answer.0.send_informational(interim(103)).unwrap();
        }
        let mut body = answer.0.send_response(Response::new(()), false).unwrap();
        let fetched = fetched.await.unwrap();
        assert_eq!(seen.lock().unwrap().len(), INTERIM_MAX);
        if passes {
            body.send_data(Bytes::new(), true).unwrap();
            fetched.unwrap();
            continue;
        }
        let error = fetched.unwrap_err();
        check(
            &error,
            Blame::Origin,
            Phase::Head,
            "origin_invalid_response",
        );
        let reset = std::future::poll_fn(|cx| body.poll_reset(cx)).await;
        assert_eq!(reset.unwrap(), Reason::CANCEL);
    }
    let again = http2.get();
    streams.next().await.whole("ok");
    again.await.unwrap().unwrap();
    assert_eq!(http2.world.unseen(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_its_stream_is_invalid() {
    let mut raw = Raw::new().await;
    let fetched = raw.http2.get();
    let stream = raw.asked().await;
    // `:status` 103, END_STREAM and END_HEADERS.
    raw.frame(0x1, 0x5, stream, b"\x08\x03103").await;
    let error = fetched.await.unwrap().unwrap_err();
    check(
        &error,
        Blame::Origin,
        Phase::Head,
        "origin_invalid_response",
    );
}
