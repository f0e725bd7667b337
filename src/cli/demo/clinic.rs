//! The slow API that the demo puts the edge in front of: a clinic's search, over HTTPS.
//!
//! It answers as such backends do: after seconds, without a `Cache-Control`
//! (so the behaviour's `ttl.default` counts) and with an `ETag`. Only
//! `Keyword=today` says `max-age=1`, the backend's way to say "not longer".
//! Every request is counted, which is how the demo proves that a hit was one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{authority::Authority, directory::Question};

/// Connections served at once; further ones wait in the kernel's queue. A connection costs about
/// 40 KiB with TLS, so all of them stay below 48 MiB.
const CONNECTIONS_MAX: usize = 1_024;

/// How long a TLS handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Bytes of the query that [`SEEN_QUERY`] repeats, well below what clients accept as a field.
const SEEN_QUERY_MAX: usize = 2_048;

/// Repeats the query as it arrived, so that one sees what the edge forwards.
const SEEN_QUERY: HeaderName = HeaderName::from_static("x-seen-query");

/// The clinic's two searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// Primary care physicians.
    Pcp,
    /// Allergies.
    Allergy,
}

impl Search {
    /// Both, in the order of the report.
    pub(super) const ALL: [Self; 2] = [Self::Pcp, Self::Allergy];

    /// What is searched for.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pcp => "PCP",
            Self::Allergy => "allergy",
        }
    }

    /// Where it is asked.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Pcp => "/search/pcp",
            Self::Allergy => "/search/allergy",
        }
    }

    /// How long the backend takes, as measured on the API this one stands for.
    pub(super) const fn takes(self) -> Duration {
        match self {
            Self::Pcp => Duration::from_millis(2_192),
            Self::Allergy => Duration::from_millis(3_758),
        }
    }

    fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|search| search.path() == path)
    }
}

/// The requests that reached the clinic, written by every connection.
#[derive(Debug, Default)]
pub(super) struct Counts {
    searches: [AtomicU64; Search::ALL.len()],
    connections: AtomicU64,
}

impl Counts {
    /// How often `search` was asked, conditional requests included.
    pub(super) fn of(&self, search: Search) -> u64 {
        self.searches[search as usize].load(Relaxed)
    }

    fn json(&self) -> String {
        let [pcp, allergy] = Search::ALL.map(|search| self.of(search));
        let connections = self.connections.load(Relaxed);
        serde_json::json!({
            "requests": { Search::Pcp.path(): pcp, Search::Allergy.path(): allergy },
            "connections": connections,
        })
        .to_string()
            + "\n"
    }
}

/// A running clinic. It serves for as long as the runtime it was started on.
pub(super) struct Clinic {
    counts: Arc<Counts>,
}

impl Clinic {
    /// Serves on `listener` with the authority's certificate.
    ///
    /// To be called on a tokio runtime.
    pub(super) fn start(
        listener: std::net::TcpListener,
        authority: &Authority,
    ) -> anyhow::Result<Self> {
        listener
            .set_nonblocking(true)
            .context("listener of the demo clinic")?;
        let listener = TcpListener::from_std(listener).context("listener of the demo clinic")?;
        let acceptor = TlsAcceptor::from(Arc::new(authority.server()?));
        let counts = Arc::<Counts>::default();
        tokio::spawn(accept(listener, acceptor, Arc::clone(&counts)));
        Ok(Self { counts })
    }

    /// What it has counted so far.
    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }
}

/// Accepts until the runtime ends.
async fn accept(listener: TcpListener, acceptor: TlsAcceptor, counts: Arc<Counts>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: let some connections end first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (acceptor, counts) = (acceptor.clone(), Arc::clone(&counts));
        tokio::spawn(async move {
            connection(stream, acceptor, counts).await;
            drop(permit);
        });
    }
}

/// One viewer's connection, to its end. What breaks it is the viewer's to know.
async fn connection(stream: TcpStream, acceptor: TlsAcceptor, counts: Arc<Counts>) {
    counts.connections.fetch_add(1, Relaxed);
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Ok(Ok(stream)) = timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await else {
        return;
    };
    let service = service_fn(move |request| {
        let counts = Arc::clone(&counts);
        async move { Ok::<_, std::convert::Infallible>(answer(&counts, &request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    drop(served);
}

/// The answer to one request, after as long as the backend takes.
async fn answer<B>(counts: &Counts, request: &Request<B>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refusal = problem(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD are known",
        );
        refusal
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    let path = request.uri().path();
    if path == "/stats" {
        let mut response = json(counts.json());
        response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return response;
    }
    let Some(search) = Search::at(path) else {
        return problem(
            StatusCode::NOT_FOUND,
            "known paths: /search/pcp, /search/allergy, /stats",
        );
    };
    counts.searches[search as usize].fetch_add(1, Relaxed);
    tokio::time::sleep(search.takes()).await;
    found(search, request)
}

/// What a search finds.
fn found<B>(search: Search, request: &Request<B>) -> Response<Full<Bytes>> {
    let query = request.uri().query().unwrap_or_default();
    let question = Question::parse(query);
    let records = match search {
        Search::Pcp => question.physicians(),
        Search::Allergy => question.allergies(),
    };
    let Ok(records) = records else {
        return problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the records could not be written",
        );
    };
    let tag = format!("\"{}\"", &blake3::hash(&records).to_hex()[..16]);
    let mut response = json(records);
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::try_from(&tag) {
        headers.insert(ETAG, tag);
    }
    let seen = &query.as_bytes()[..query.len().min(SEEN_QUERY_MAX)];
    if let Ok(seen) = HeaderValue::from_bytes(seen) {
        headers.insert(SEEN_QUERY, seen);
    }
    if question.keyword == "today" {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=1"));
    }
    let known = request.headers().get_all(IF_NONE_MATCH);
    if known.iter().any(|tags| names(tags, &tag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Full::default();
    }
    response
}

/// Whether an `If-None-Match` field names `tag`, compared weakly (RFC 9110 §13.1.2). Our tags hold
/// no comma, so the list may be cut at each.
fn names(tags: &HeaderValue, tag: &str) -> bool {
    let tags = tags.to_str().unwrap_or_default();
    tags.split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

fn json(body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn problem(status: StatusCode, error: &str) -> Response<Full<Bytes>> {
    let mut response = json(serde_json::json!({ "error": error }).to_string());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::time::Clock;

    async fn ask(counts: &Counts, uri: &str, known: Option<&str>) -> Response<Full<Bytes>> {
        let mut request = Request::get(uri);
        if let Some(tags) = known {
            request = request.header(IF_NONE_MATCH, tags);
        }
        answer(counts, &request.body(()).unwrap()).await
    }

    #[tokio::test(start_paused = true)]
    async fn searches_take_as_long_as_the_real_ones() {
        let counts = Counts::default();
        for (search, milliseconds) in [(Search::Pcp, 2_192), (Search::Allergy, 3_758)] {
            let asked = Clock::System.instant();
            ask(&counts, search.path(), None).await;
            assert_eq!((Clock::System.instant() - asked).as_millis(), milliseconds);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_search_is_counted() {
        let counts = Counts::default();
        for uri in [
            "/search/pcp",
            "/search/pcp?Page=2",
            "/search/allergy",
            "/elsewhere",
        ] {
            ask(&counts, uri, None).await;
        }
        assert_eq!((counts.of(Search::Pcp), counts.of(Search::Allergy)), (2, 1));
        let stats = ask(&counts, "/stats", None)
            .await
            .into_body()
            .collect()
            .await
            .unwrap();
        assert_eq!(
            stats.to_bytes(),
            "{\"connections\":0,\"requests\":{\"/search/allergy\":1,\"/search/pcp\":2}}\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn only_today_names_a_lifetime() {
        let counts = Counts::default();
        let usual = ask(&counts, "/search/pcp?Keyword=smi", None).await;
        assert!(!usual.headers().contains_key(CACHE_CONTROL));
        let today = ask(&counts, "/search/pcp?Keyword=today", None).await;
        assert_eq!(today.headers()[CACHE_CONTROL], "max-age=1");
    }

    #[tokio::test(start_paused = true)]
    async fn a_known_tag_is_not_modified() {
        let counts = Counts::default();
        let full = ask(&counts, "/search/pcp?Keyword=smi", None).await;
        let tag = full.headers()[ETAG].to_str().unwrap();
        let list = format!("\"other\", W/{tag}");
        let again = ask(&counts, "/search/pcp?Keyword=smi", Some(&list)).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        let other = ask(&counts, "/search/pcp?Keyword=smi", Some("\"other\"")).await;
        assert_eq!(other.status(), StatusCode::OK);
    }

    #[tokio::test(start_paused = true)]
    async fn the_query_is_shown_as_it_arrived() {
        let counts = Counts::default();
        let response = ask(&counts, "/search/pcp?Keyword=smi&DeviceId=7", None).await;
        assert_eq!(response.headers()[SEEN_QUERY], "Keyword=smi&DeviceId=7");
    }
}
