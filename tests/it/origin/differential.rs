//! Responses read beneath the HTTP library and through it: both see the same, or the first
//! refuses what the second lets pass.

use http::{HeaderMap, Version};
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

/// Why only the way beneath the library refuses a response.
const STRICTER: [&str; 4] = [
    // hyper takes a line feed alone for the end of a line there.
    "a line of the trailers ends in a line feed alone",
    // hyper passes over what it does not read.
    "a chunk extension has a control character",
    // hyper reads any number of zeros.
    "the size of a chunk is too large",
    // hyper's bound is a bit above 2^63.
    "a Content-Length that is no length",
];

/// What an origin says, and how its bytes come.
#[derive(Clone, Debug)]
struct Answer {
    method: &'static str,
    bytes: Vec<u8>,
    cuts: Vec<usize>,
    closes: bool,
}

/// What a response comes to.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    head: Result<(u16, Version, HeaderMap), Broken>,
    framed: bool,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    end: Result<(), Broken>,
    /// Whether the next request went over the same connection.
    kept: bool,
}

type Broken = (Blame, Phase, bool, Retry);

fn broken(error: &FetchError) -> Broken {
    let failure = error.failure();
    (
        failure.blame,
        failure.phase,
        failure.timed_out,
        failure.retry,
    )
}

impl Answer {
    /// What it comes to, and what was wrong with it.
    async fn seen(&self, express: bool) -> (Seen, String) {
        let mut world = World::of(origin_of(express));
        let fetched = world.send(request(self.method, "/"));
        let mut peer = world.peer().await;
        peer.asked().await;
        let mut begin = 0;
        for &cut in self.cuts.iter().chain([&self.bytes.len()]) {
            drop(peer.0.write_all(&self.bytes[begin..cut]).await);
            pass(Duration::from_millis(1)).await;
            begin = cut;
        }
        let mut peer = (!self.closes).then_some(peer);
        let mut seen = Seen {
            head: Err((Blame::Us, Phase::Send, false, Retry::No)),
            framed: false,
            body: Vec::new(),
            trailers: None,
            end: Ok(()),
            kept: false,
        };
        let mut said = String::new();
        match fetched.await.unwrap() {
            Ok(Fetched { head, mut body, .. }) => {
                seen.head = Ok((head.status.as_u16(), head.version, head.headers));
                seen.framed = body.framed();
                while let Some(frame) = body.frame().await {
                    match frame.map(hyper::body::Frame::into_data) {
                        Ok(Ok(data)) => seen.body.extend_from_slice(&data),
                        Ok(Err(frame)) => seen.trailers = frame.into_trailers().ok(),
                        Err(error) => {
                            said = error.to_string();
                            seen.end = Err(broken(&error));
                        }
                    }
                }
            }
            Err(error) => {
                said = error.to_string();
                seen.head = Err(broken(&error));
            }
        }
        pass(Duration::from_millis(1)).await;
        let again = world.get("/again");
        if let Some(peer) = &mut peer {
            tokio::select! {
                biased;
                _ = world.peers.recv() => {}
                Ok(_) = peer.0.read_u8() => {
                    seen.kept = true;
                }
            }
        }
        again.abort();
        (seen, said)
    }
}

fn check(answer: &Answer) -> Result<(), TestCaseError> {
    let run = |express| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(answer.seen(express))
    };
    let ((plain, said), (library, other)) = (run(true), run(false));
    let text = String::from_utf8_lossy(&answer.bytes).into_owned();
    if STRICTER.iter().any(|reason| said.ends_with(reason)) {
        prop_assert!(plain.head.is_err() || plain.end.is_err());
        prop_assert!(!plain.kept);
        return Ok(());
    }
    // hyper looks at a head that did not come at once when all of it is there.
    let invalid = Err((Blame::Origin, Phase::Head, false, Retry::No));
    if plain.head == invalid && library.head.is_err() {
        return Ok(());
    }
    let same = Seen {
        kept: library.kept,
        ..plain.clone()
    };
    prop_assert_eq!(&same, &library, "{:?}\n{}\n{}", text, said, other);
    prop_assert!(library.kept || !plain.kept, "{:?}: only one is kept", text);
    Ok(())
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(vec![
            "HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found", "HTTP/1.1 200", "HTTP/1.1 200 ",
            "HTTP/1.0 200 OK", "HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified",
            "HTTP/1.1 999 Odd", "HTTP/1.1 500 \u{80}",
        ]),
        1 => select(vec![
            "HTTP/1.1 101 Switching", "HTTP/2.0 200 OK", "HTTP/1.1 20 OK", "HTTP/1.1 099 No",
            "HTTP/1.1  200 OK", "http/1.1 200 OK", "", "\r\nHTTP/1.1 200 OK", "HTTP/0.9 200 OK",
        ]),
    ]
    .prop_map(ToOwned::to_owned)
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(vec![
            "x: y", "X-Y:z", "a:", "a: \t b \t", "connection: keep-alive", "connection: close",
            "connection: x, Close", "keep-alive: timeout=5", "set-cookie: a=b", "trailer: t",
            "x: \u{e9}",
        ]),
        1 => select(vec![
            "a : b", " a: b", "a b: c", ": b", "a", "x: \0", "x: \u{7f}", "content-length: 3",
            "content-length: +3", "content-length: 3, 3", "content-length:",
            "content-length: 99999999999999999999", "transfer-encoding: chunked",
            "transfer-encoding: gzip, chunked", "transfer-encoding: identity",
            "transfer-encoding: chunked, identity",
        ]),
    ]
    .prop_map(ToOwned::to_owned)
}

/// The field that frames a body, and the body.
fn framed() -> impl Strategy<Value = (String, String)> {
    let text = "[a-z\r\n0]{0,40}";
    let sized = (text, -2_i64..3).prop_map(|(text, off)| {
        let said = (text.len() as i64 + off).max(0);
        (format!("content-length: {said}\r\n"), text)
    });
    let exact = text.prop_map(|text| (format!("content-length: {}\r\n", text.len()), text));
    let size = select(vec![
        "{}",
        "0{}",
        "{} ",
        "{}\t ",
        "{};a",
        "{};a=\"b c\"",
        "000{};",
    ]);
    let chunk = (size, "[a-z\r\n0;]{1,20}").prop_map(|(size, text)| {
        let size = size.replace("{}", &format!("{:x}", text.len()));
        format!("{size}\r\n{text}\r\n")
    });
    let end = select(vec![
        "0\r\n\r\n",
        "0\r\n\r\n",
        "0;x\r\n\r\n",
        "0\r\nt: u\r\n\r\n",
        "0\r\nt: u\r\nV: w\r\n\r\n",
        "0\r\nt u\r\n\r\n",
        "0\r\nt: u\n\r\n",
        "0\r\n t: u\r\n\r\n",
        "00\r\n\r\n",
        "0\r\n",
        "",
        "x\r\n",
        "0\r\n\n",
        "0\r\nt:\r\n\r\n",
        "0\r\nt: u\r\n v\r\n\r\n",
    ]);
    let chunked = (vec(chunk, 0..4), end).prop_map(|(chunks, end)| {
        let field = "Transfer-Encoding: chunked\r\n".to_owned();
        (field, chunks.concat() + end)
    });
    let none = text.prop_map(|text| (String::new(), text));
    prop_oneof![2 => exact, 1 => sized, 4 => chunked, 1 => none]
}

fn answer() -> impl Strategy<Value = Answer> {
    let interim = select(vec![
        "",
        "",
        "",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n",
        "HTTP/1.1 102 \r\n\r\nHTTP/1.1 199 x\r\n\r\n",
    ]);
    let behind = select(vec!["", "", "", "\r\n", "HTTP/1.1 200 OK\r\n\r\n", "x"]);
    let mangled = vec(
        (
            any::<proptest::sample::Index>(),
            0..3_u8,
            select(b"\r\n \t:;,0a\0\x80-".to_vec()),
        ),
        0..3,
    );
    let mangled = prop_oneof![3 => Just(Vec::new()), 2 => mangled];
    let method = select(vec!["GET", "GET", "GET", "HEAD"]);
    let parts = (interim, line(), vec(field(), 0..4), framed(), behind);
    let cuts = vec(any::<proptest::sample::Index>(), 0..4);
    (method, parts, mangled, cuts, any::<bool>()).prop_map(
        |(method, (interim, line, fields, (framing, body), behind), mangled, cuts, closes)| {
            let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
            let text = format!("{interim}{line}\r\n{fields}{framing}\r\n{body}{behind}");
            let mut bytes = text.into_bytes();
            for (at, how, byte) in mangled {
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => drop(bytes.remove(at)),
                }
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            cuts.sort_unstable();
            Answer {
                method,
                bytes,
                cuts,
                closes,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn both_ways_read_the_same(answer in answer()) {
        check(&answer)?;
    }
}
