//! Codings of stored answers, byte by byte: what a viewer decodes is what the origin sent.
//!
//! The rules are in `exchanges/compress.txt`; here are the bodies that a script cannot hold.

use std::{
    io::Read as _,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::{client::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
    runtime::{Builder, Runtime},
};
use toml::Table;
use warmfront::{
    coding::{self, Sink},
    fields::encoding::Coding,
    origin::{Dial, Dialling, Io},
    policy::Scheme,
    serve::{self, Viewer},
    time::{Clock, Timestamp},
};

use crate::harness::{edge::Edge, site};

/// An origin with one answer; it counts how often it gave it.
#[derive(Clone)]
struct Fixed {
    answer: Bytes,
    asked: Arc<AtomicUsize>,
}

impl Dial for Fixed {
    fn dial<'a>(&'a self, _host: &'a str, _port: u16) -> Dialling<'a> {
        let (near, mut far) = duplex(64 << 10);
        let Self { answer, asked } = self.clone();
        tokio::spawn(async move {
            let mut request = [0; 4_096];
            while far.read(&mut request).await.is_ok_and(|read| read > 0) {
                asked.fetch_add(1, Ordering::Relaxed);
                let _ = far.write_all(&answer).await;
            }
        });
        Box::pin(async { Ok(Box::new(near) as Box<dyn Io>) })
    }
}

/// An edge in front of [`Fixed`], and a viewer's connection to it.
struct Play {
    runtime: Runtime,
    edge: Edge,
    viewer: http1::SendRequest<Empty<Bytes>>,
    asked: Arc<AtomicUsize>,
}

struct Seen {
    headers: HeaderMap,
    body: Bytes,
}

impl Play {
    fn of(config: &str, fields: &str, body: &[u8]) -> Self {
        let head = format!(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {}\r\n{fields}\r\n",
            body.len()
        );
        let asked = Arc::<AtomicUsize>::default();
        let origin = Fixed {
            answer: [head.as_bytes(), body].concat().into(),
            asked: asked.clone(),
        };
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let config: Table = config.parse().unwrap();
        let clock = Clock::simulated(Timestamp::from_unix(1_795_348_800));
        let (edge, viewer) = runtime.block_on(async {
            let edge = Edge::open(&site::toml(&config).unwrap(), Arc::new(origin), clock).unwrap();
            let viewer = connect(&edge).await;
            (edge, viewer)
        });
        Self {
            runtime,
            edge,
            viewer,
            asked,
        }
    }

    fn ask(&mut self, method: &str, accepted: Option<&str>) -> Seen {
        let mut request = Request::builder().method(method).uri("/a");
        request = request.header("host", "example.test");
        if let Some(accepted) = accepted {
            request = request.header("accept-encoding", accepted);
        }
        let request = request.body(Empty::new()).unwrap();
        let viewer = &mut self.viewer;
        self.runtime.block_on(async {
            let answer: Response<_> = viewer.send_request(request).await.unwrap();
            let (head, body) = answer.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            // Work on threads apart ends before simulated time moves on.
            tokio::time::sleep(Duration::from_millis(1)).await;
            Seen {
                headers: head.headers,
                body,
            }
        })
    }

    fn get(&mut self, accepted: &str) -> Seen {
        self.ask("GET", Some(accepted))
    }
}

async fn connect(edge: &Edge) -> http1::SendRequest<Empty<Bytes>> {
    let edge = edge.inner().clone();
    let service = service_fn(move |request| {
        let viewer = Viewer {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)),
            scheme: Scheme::Http,
            covered: None,
            interims: None,
        };
        let answer = serve::respond(edge.clone(), request, viewer);
        async { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    let (near, far) = duplex(64 << 10);
    let served = hyper::server::conn::http1::Builder::new();
    tokio::spawn(served.serve_connection(TokioIo::new(near), service));
    let (viewer, connection) = http1::handshake(TokioIo::new(far)).await.unwrap();
    tokio::spawn(connection);
    viewer
}

impl Seen {
    fn coding(&self) -> &str {
        let coding = self.headers.get("content-encoding");
        coding.map_or("identity", |coding| coding.to_str().unwrap())
    }

    /// The content, decoded by other code than the edge's where there is some.
    fn content(&self) -> Vec<u8> {
        let mut content = Vec::new();
        match self.coding() {
            "identity" => content.extend_from_slice(&self.body),
            "gzip" => {
                GzDecoder::new(&*self.body)
                    .read_to_end(&mut content)
                    .unwrap();
            }
            "zstd" => content = zstd::decode_all(&*self.body).unwrap(),
            "br" => brotli::BrotliDecompress(&mut &*self.body, &mut content).unwrap(),
            other => panic!("{other}"),
        }
        content
    }

    fn is_hit(&self) -> bool {
        self.headers["x-cache"] == "Hit from warmfront"
    }
}

fn text(bytes: usize) -> Vec<u8> {
    let line = |n: usize| {
        format!(
            "{{\"id\":{n},\"name\":\"practice {}\"}},\n",
            n * 7919 % 1000
        )
    };
    (0..)
        .flat_map(|n| line(n).into_bytes())
        .take(bytes)
        .collect()
}

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn head_says_what_get_says_in_every_coding() {
    let mut play = Play::of("", JSON, &text(5_000));
    for accepted in ["br", "zstd", "gzip", "identity"] {
        play.get(accepted);
        play.get(accepted);
        let (get, head) = (play.get(accepted), play.ask("HEAD", Some(accepted)));
        assert_eq!((get.coding(), head.coding()), (accepted, accepted));
        for name in ["content-length", "vary", "content-type"] {
            assert_eq!(get.headers[name], head.headers[name], "{accepted}: {name}");
        }
        assert_eq!(get.headers["content-length"], get.body.len().to_string());
        assert!(head.body.is_empty());
    }
    assert_eq!(play.asked.load(Ordering::Relaxed), 1);
}

#[test]
fn a_large_body_is_coded_on_a_thread_apart() {
    let text = text(2_000_000);
    let mut play = Play::of("", JSON, &text);
    for coding in ["br", "zstd", "gzip"] {
        let first = play.get(coding);
        assert_eq!(first.content(), text);
        let second = play.get(coding);
        assert_eq!((second.coding(), second.is_hit()), (coding, true));
        assert!(second.body.len() < text.len() / 4);
        assert_eq!(second.content(), text, "{coding}");
    }
}

#[test]
fn a_body_that_does_not_become_smaller_is_kept_as_it_is() {
    // A keystream of a multiplier: no coder finds anything in it.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    })
    .take(20_000)
    .collect();
    let mut play = Play::of("", JSON, &noise);
    for _ in 0..3 {
        assert_eq!(play.get("br").coding(), "identity");
    }
    let made = play.edge.inner().events.encode();
    let line = "warmfront_recodings_total{coding=\"br\",result=\"too_large\"} 1";
    assert!(made.contains(line), "{made}");
}

#[test]
fn what_is_made_and_saved_is_counted() {
    let text = text(5_000);
    let mut play = Play::of("", JSON, &text);
    play.get("gzip");
    let saved = text.len() - play.get("gzip").body.len();
    let told = play.edge.inner().events.encode();
    let made = "warmfront_recodings_total{coding=\"gzip\",result=\"made\"} 1";
    assert!(told.contains(made), "{told}");
    let saved =
        format!("compression_saved_bytes_total{{distribution=\"test\",behaviour=\"*\"}} {saved}");
    assert!(told.contains(&saved), "{told}");
}

#[test]
fn codings_count_in_the_stores_budget_and_leave_with_their_object() {
    let text = text(30_000);
    let mut play = Play::of("", JSON, &text);
    play.get("identity");
    let bytes = |play: &Play| play.edge.inner().store.usage().bytes;
    let plain = bytes(&play);
    play.get("br");
    let coded = play.get("br");
    assert_eq!(coded.coding(), "br");
    let more = bytes(&play) - plain;
    assert!(more > coded.body.len() as u64, "{more}");
    assert!(more < coded.body.len() as u64 + 2_000, "{more}");
}

#[test]
fn without_room_for_a_coding_the_content_is_served() {
    // Random digits: half as large in any coding, and the store holds just the body.
    let mut state = 1_u64;
    let digits: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        b'0' + (state >> 60) as u8 % 10
    })
    .take(700 << 10)
    .collect();
    let config = "[cache]\nmemory = '1MiB'\nobject_max = '1MiB'";
    let mut play = Play::of(config, JSON, &digits);
    for _ in 0..3 {
        let seen = play.get("gzip");
        assert_eq!(seen.content(), digits);
        assert!(play.edge.inner().store.usage().bytes <= 1 << 20);
    }
}

fn coded(coding: Coding, body: &[u8]) -> Vec<u8> {
    coding::encode(coding, body, Sink::new(usize::MAX, &mut |_| true)).unwrap()
}

#[test]
fn an_origins_coding_is_decoded_once_for_all_who_do_not_accept_it() {
    for coding in [Coding::Br, Coding::Zstd, Coding::Gzip] {
        for bytes in [3_000, 1_000_000] {
            let text = text(bytes);
            let fields = format!(
                "{JSON}Vary: Accept-Encoding\r\nContent-Encoding: {}\r\n",
                coding.name()
            );
            let mut play = Play::of("", &fields, &coded(coding, &text));
            let own = play.get(coding.name());
            assert_eq!((own.coding(), own.content() == text), (coding.name(), true));
            for accepted in [Some("identity"), Some("x"), None] {
                let seen = play.ask("GET", accepted);
                assert_eq!((seen.coding(), seen.is_hit()), ("identity", true));
                assert_eq!(seen.body, text, "{coding:?} {accepted:?}");
            }
            assert!(play.get(coding.name()).is_hit());
            assert_eq!(play.asked.load(Ordering::Relaxed), 1);
        }
    }
}

#[test]
fn r8_a_bomb_is_never_decoded_and_the_origin_is_asked_instead() {
    let zeros = vec![b'0'; 20 << 20];
    for coding in [Coding::Br, Coding::Zstd, Coding::Gzip] {
        let bomb = coded(coding, &zeros);
        let fields = format!(
            "{JSON}Vary: Accept-Encoding\r\nContent-Encoding: {}\r\n",
            coding.name()
        );
        let mut play = Play::of("[cache]\nmemory = '64MiB'", &fields, &bomb);
        assert_eq!(play.get(coding.name()).body, bomb);
        let before = play.edge.inner().store.usage().bytes;
        for times in 1..=2 {
            let seen = play.get("identity");
            let said = seen.headers["cache-status"].to_str().unwrap();
            assert!(said.ends_with("detail=undecodable"), "{said}");
            assert_eq!(play.asked.load(Ordering::Relaxed), 1 + times);
        }
        // What there is to remember is that there is no such coding.
        let more = play.edge.inner().store.usage().bytes - before;
        assert!(more < 256, "{more}");
        let told = play.edge.inner().events.encode();
        let line = "warmfront_recodings_total{coding=\"identity\",result=\"too_large\"} 1";
        assert!(told.contains(line), "{told}");
    }
}

/// The reference: the heaviest of what is named and acceptable, by brute force.
fn best(named: &[(&str, u32)]) -> &'static str {
    let weight = |name: &str| {
        let of = |name: &str| {
            let weights = named.iter().filter(|(one, _)| *one == name);
            weights.map(|(_, weight)| *weight).min()
        };
        // A thousandth more than nothing is left for identity, where nobody excludes it.
        of(name)
            .map(|q| q * 10)
            .or_else(|| of("*").map(|q| q * 10))
            .unwrap_or(match name {
                "identity" => 1,
                _ => 0,
            })
    };
    let mut best = "identity";
    for name in ["gzip", "zstd", "br"] {
        let better = weight(name) > 0 && weight(name) >= weight(best);
        if better {
            best = name;
        }
    }
    best
}

fn accepted() -> impl Strategy<Value = Vec<(&'static str, u32)>> {
    let name = prop::sample::select(vec!["br", "zstd", "gzip", "identity", "*", "deflate", "x"]);
    prop::collection::vec((name, 0u32..=10), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_accepted_the_content_arrives_in_the_coding_liked_best(
        pieces in prop::collection::vec(("[a-z0-9 ]{1,30}", 1usize..60), 1..40),
        viewers in prop::collection::vec(accepted(), 1..6),
    ) {
        let body: String = pieces.iter().map(|(piece, times)| piece.repeat(*times)).collect();
        let mut play = Play::of("", JSON, body.as_bytes());
        for named in viewers {
            let line: Vec<String> = named
                .iter()
                .map(|(name, tenths)| format!("{name};q={}.{}", tenths / 10, tenths % 10))
                .collect();
            let line = line.join(", ");
            // One to make it; one while it is made, at most; one that gets it.
            for _ in 0..2 {
                prop_assert_eq!(play.get(&line).content(), body.as_bytes());
            }
            let seen = play.get(&line);
            prop_assert_eq!(seen.content(), body.as_bytes());
            let wanted = best(&named);
            if seen.coding() != wanted {
                prop_assert_ne!(wanted, "identity");
                // Only what is too short, or does not become smaller, comes as it is.
                let small = coded(Coding::parse(wanted.as_bytes()).unwrap(), body.as_bytes());
                prop_assert!(body.len() < 1_000 || small.len() > body.len() - body.len() / 16);
            }
        }
        prop_assert_eq!(play.asked.load(Ordering::Relaxed), 1);
    }
}
