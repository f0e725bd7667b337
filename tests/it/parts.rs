//! Whatever an origin says of ranges, nobody gets bytes of two representations as one.
//!
//! One viewer asks for ranges and wholes; the origin changes its representation, forgets
//! its tags, ignores ranges or conditions, and answers with another part than was asked
//! for. It never says a thing about bytes that is not so: a strong tag belongs to one
//! representation, and `Content-Range` to the bytes behind it.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{body::Incoming, client, server, service::service_fn};
use hyper_util::rt::TokioIo;
use proptest::{collection::vec, option, prelude::*};
use tokio::{io::duplex, runtime::Builder, time::sleep};
use toml::Table;
use warmfront::{
    origin::{Dial, Dialling, Io},
    policy::Scheme,
    time::{Clock, Timestamp},
};

use crate::harness::{edge::Edge, site};

/// How many paths there are: enough that most are not stored as wholes.
const PATHS: usize = 4;

/// What the origin does with requests until the next step.
#[derive(Clone, Copy, Debug)]
struct Manner {
    /// Whether the representation is a new one.
    changes: bool,
    /// Its length; few, so that two are often of one length.
    length: usize,
    tag: Tag,
    minds_ranges: bool,
    minds_conditions: bool,
    /// Bytes that a part begins late, or ends early.
    off: (usize, usize),
    max_age: u64,
    /// Whether wholes may be stored, after which nothing more is learned of parts.
    keeps_wholes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    Strong,
    Weak,
    None,
}

/// What the viewer asks for, after so many seconds.
#[derive(Clone, Debug)]
struct Step {
    manner: Manner,
    /// Which of the paths, which all lead to the same.
    path: usize,
    wait: u64,
    /// `a-b`, `a-` or `-b`.
    range: Option<(Option<usize>, Option<usize>)>,
}

fn manner() -> impl Strategy<Value = Manner> {
    let tag = prop_oneof![6 => Just(Tag::Strong), 2 => Just(Tag::Weak), 2 => Just(Tag::None)];
    let off = prop_oneof![3 => Just((0, 0)), 1 => (0_usize..3, 0_usize..3)];
    let often = || prop::bool::weighted(0.7);
    (
        prop::bool::weighted(0.2),
        prop_oneof![4 => Just(20_usize), 1 => 2_usize..30],
        (tag, often(), often()),
        off,
        (0_u64..5, prop::bool::weighted(0.2)),
    )
        .prop_map(|(changes, length, minds, off, (max_age, keeps_wholes))| {
            let (tag, minds_ranges, minds_conditions) = minds;
            Manner {
                changes,
                length,
                tag,
                minds_ranges,
                minds_conditions,
                off,
                max_age,
                keeps_wholes,
            }
        })
}

fn step() -> impl Strategy<Value = Step> {
    let bound = || option::weighted(0.7, 0_usize..24);
    let start = prop_oneof![Just(Some(0_usize)), bound()];
    let range = option::weighted(0.6, (start, bound()));
    let wait = prop_oneof![2 => Just(0_u64), 1 => 1_u64..8];
    (manner(), 0..PATHS, wait, range).prop_map(|(manner, path, wait, range)| Step {
        manner,
        path,
        wait,
        range,
    })
}

/// The origin: the representation that is current, and how it speaks of it.
#[derive(Clone)]
struct Origin(Arc<Mutex<(usize, Manner)>>);

/// A byte of representation `version`: no two have one in common at any place.
fn byte(version: usize, place: usize) -> u8 {
    (version * 31 + place) as u8
}

fn body(version: usize, length: usize) -> Vec<u8> {
    (0..length).map(|place| byte(version, place)).collect()
}

impl Origin {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let (version, manner) = *self.0.lock().unwrap();
        let whole = body(version, manner.length);
        let said = |name| request.headers().get(name).and_then(|v| v.to_str().ok());
        let tag = match manner.tag {
            Tag::Strong => Some(format!("\"{version}\"")),
            // All are the same to whoever does not look closely.
            Tag::Weak => Some("W/\"0\"".to_owned()),
            Tag::None => None,
        };
        let mut answer = Response::builder().header("x-version", version);
        if let Some(tag) = &tag {
            answer = answer.header("etag", tag);
        }
        let known = said(header::IF_NONE_MATCH);
        let strong = manner.tag == Tag::Strong;
        if manner.minds_conditions && strong && known == tag.as_deref() {
            return answer.status(304).body(Full::default()).unwrap();
        }
        let condition = said(header::IF_RANGE);
        let holds = condition.is_none() || strong && condition == tag.as_deref();
        let minded = manner.minds_ranges && (holds || !manner.minds_conditions);
        let range = said(header::RANGE).filter(|_| minded);
        let part = range.and_then(|range| wanted(range, manner));
        let age = format!("max-age={}", manner.max_age);
        let stored = manner.keeps_wholes || part.is_some();
        let answer = answer.header("cache-control", if stored { &*age } else { "no-store" });
        let Some((first, last)) = part else {
            return answer.body(Full::from(whole)).unwrap();
        };
        let place = format!("bytes {first}-{last}/{}", manner.length);
        let part = whole[first..=last].to_vec();
        let answer = answer.status(206).header("content-range", place);
        answer.body(Full::from(part)).unwrap()
    }
}

/// The part that answers `range`, more or less.
fn wanted(range: &str, manner: Manner) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let end = manner.length;
    let (first, last) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => (first, last),
        (Ok(first), Err(_)) => (first, end - 1),
        (Err(_), Ok(count)) => (end.saturating_sub(count), end - 1),
        (Err(_), Err(_)) => return None,
    };
    let (late, early) = manner.off;
    let (first, last) = (first + late, last.min(end - 1).checked_sub(early)?);
    (first <= last).then_some((first, last))
}

impl Dial for Origin {
    fn dial<'a>(&'a self, _host: &'a str, _port: u16) -> Dialling<'a> {
        let (near, far) = duplex(64 << 10);
        let origin = self.clone();
        let service = service_fn(move |request| {
            let answer = origin.answer(&request);
            async { Ok::<_, Infallible>(answer) }
        });
        let connection =
            server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), service);
        tokio::spawn(connection);
        Box::pin(async { Ok(Box::new(near) as Box<dyn Io>) })
    }
}

/// Asks for `range`; the status, the fields and the body, or none if it broke off.
async fn ask(
    edge: &Edge,
    path: usize,
    range: Option<String>,
) -> (StatusCode, HeaderMap, Option<Bytes>) {
    let (near, far) = duplex(64 << 10);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000));
    edge.serve(near, address, Scheme::Http);
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(far))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(Method::GET)
        .uri(format!("/{path}"))
        .header("host", "example.test");
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.ok().map(|body| body.to_bytes());
    (head.status, head.headers, body)
}

/// Plays `steps`, and says how often what happened.
async fn play(steps: Vec<Step>) -> Result<BTreeMap<&'static str, usize>, TestCaseError> {
    let origin = Origin(Arc::new(Mutex::new((0, steps[0].manner))));
    let clock = Clock::simulated(Timestamp::from_unix(1_795_348_800));
    let config = site::toml(&Table::new()).unwrap();
    let edge = Edge::open(&config, Arc::new(origin.clone()), clock).unwrap();
    let mut lengths = vec![steps[0].manner.length];
    let mut happened = BTreeMap::new();
    for step in steps {
        sleep(Duration::from_secs(step.wait)).await;
        if step.manner.changes {
            lengths.push(step.manner.length);
        }
        let version = lengths.len() - 1;
        let length = lengths[version];
        let manner = Manner {
            length,
            ..step.manner
        };
        *origin.0.lock().unwrap() = (version, manner);
        let number = |number: Option<usize>| number.map_or_else(String::new, |n| n.to_string());
        let range = step.range.map(|(first, last)| {
            let (first, last) = (number(first), number(last));
            format!("bytes={first}-{last}")
        });
        let asked = range.is_some();
        let (status, headers, seen) = ask(&edge, step.path, range).await;
        let said = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned());
        let cache = said("cache-status").unwrap_or_default();
        for (what, sign) in [
            ("hit", "; hit;"),
            ("completed", "fwd=partial; fwd-status=206"),
            ("not completed", "fwd=partial; fwd-status=200"),
        ] {
            *happened.entry(what).or_default() += usize::from(cache.contains(sign));
        }
        prop_assert!(seen.is_some(), "{cache}: broke off");
        let seen = seen.unwrap();
        let version: usize = said("x-version").unwrap_or_default().parse().unwrap();
        let whole = body(version, lengths[version]);
        match status {
            StatusCode::OK => prop_assert_eq!(&seen[..], &whole[..], "{}", cache),
            StatusCode::PARTIAL_CONTENT => {
                prop_assert!(asked, "{cache}: a part to who wanted all");
                let place = said("content-range").unwrap();
                let (range, complete) = place["bytes ".len()..].split_once('/').unwrap();
                let (first, last) = range.split_once('-').unwrap();
                let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                prop_assert_eq!(complete.parse(), Ok(whole.len()));
                prop_assert_eq!(&seen[..], &whole[first..=last], "{}", cache);
            }
            StatusCode::RANGE_NOT_SATISFIABLE => prop_assert!(asked),
            other => prop_assert!(false, "{other}"),
        }
    }
    Ok(happened)
}

#[test]
fn no_two_representations_are_ever_mixed() {
    let happened = Mutex::new(BTreeMap::<&str, usize>::new());
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(steps in vec(step(), 1..60))| {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let once = runtime.block_on(play(steps))?;
        for (what, times) in once {
            *happened.lock().unwrap().entry(what).or_default() += times;
        }
    });
    let happened = happened.into_inner().unwrap();
    assert!(happened.values().all(|&times| times > 0), "{happened:?}");
}
