//! The admin API: what operators, probes and scrapers may ask of the daemon.
//!
//! It has a listener of its own, never a viewer's, and is built to be boring:
//! HTTP/1.1, small bounded requests, few connections. Browsers are no clients of
//! it: there is no CORS, no cookie, and a page that resolves its own name to this
//! address is refused by its `Host` field. Answers are never stored and say
//! nothing of what runs here.
//!
//! | call | answer |
//! |---|---|
//! | `GET /health/live` | 200 while the process runs |
//! | `GET /health/ready` | 200, or 503 before it serves and while it drains |
//! | `GET /metrics` | OpenMetrics text; only where the listener is on a loopback address |

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    BoxError, Router,
    error_handling::HandleErrorLayer,
    extract::DefaultBodyLimit,
    middleware::{from_fn, map_response},
    response::Response,
    routing::get,
};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS},
};
use tower::{ServiceBuilder, limit::GlobalConcurrencyLimitLayer};

use crate::observe::Events;

mod door;
mod guard;
mod health;
mod json;
#[allow(dead_code, reason = "the routes that use it are not there yet")]
mod sigv4;
#[allow(dead_code, reason = "the routes that use it are not there yet")]
mod xml;

pub use door::{CONNECTIONS_MAX, Door};
pub use health::{Phase, Readiness};

/// How long a request may take, body and answer included.
const REQUEST_MAX: Duration = Duration::from_secs(10);

/// Requests that are answered at once; a scrape is the dearest, at some 100 kB.
const IN_FLIGHT_MAX: usize = 16;

/// Bodies: 3,000 paths of 4 KiB would be 12 MB, so the real ones are far below
/// any sensible limit; nothing here reads one yet.
const BODY_BYTES_MAX: usize = 64 << 10;

/// What the routes answer from.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where the metrics come from.
    pub events: Arc<Events>,
    /// Whether traffic may be sent here; `app` writes it.
    pub readiness: Readiness,
    /// Where the listener is bound.
    pub address: SocketAddr,
}

/// The admin API over `facts`.
pub fn router(facts: Facts) -> Router {
    // Outermost first. Overload and slowness are told as 503, since a queue of
    // waiting probes says less than an answer.
    let bounds = ServiceBuilder::new()
        .layer(map_response(marked))
        .layer(HandleErrorLayer::new(overloaded))
        .load_shed()
        .layer(GlobalConcurrencyLimitLayer::new(IN_FLIGHT_MAX))
        .timeout(REQUEST_MAX)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(guard::host));
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .method_not_allowed_fallback(async || json::METHOD_NOT_ALLOWED)
        .fallback(async || json::NOT_FOUND)
        .layer(bounds)
        .with_state(facts)
}

/// What every answer carries, refusals included.
async fn marked(mut response: Response) -> Response {
    let fields = response.headers_mut();
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Too many at once, or too slow.
async fn overloaded(_: BoxError) -> json::Refusal {
    json::Refusal {
        status: StatusCode::SERVICE_UNAVAILABLE,
        error: "overloaded",
        message: "too many requests at once, or this one took too long",
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{Request, header::ALLOW};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    fn facts(address: &str) -> Facts {
        Facts {
            events: Arc::new(Events::new()),
            readiness: Readiness::default(),
            address: address.parse().unwrap(),
        }
    }

    async fn ask(facts: &Facts, method: &str, path: &str, host: &str) -> (Response<()>, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", host);
        let request = request.body(Body::empty()).unwrap();
        let response = router(facts.clone()).oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        (
            Response::from_parts(head, ()),
            String::from_utf8(body).unwrap(),
        )
    }

    const LOCAL: &str = "127.0.0.1:9900";

    #[tokio::test]
    async fn readiness_follows_the_phase() {
        let facts = facts(LOCAL);
        let ready = async || {
            let (head, body) = ask(&facts, "GET", "/health/ready", LOCAL).await;
            (head.status().as_u16(), body)
        };
        assert_eq!(ready().await, (503, r#"{"status":"starting"}"#.to_owned()));
        facts.readiness.enter(Phase::Ready);
        assert_eq!(ready().await, (200, r#"{"status":"ready"}"#.to_owned()));
        facts.readiness.enter(Phase::Draining);
        assert_eq!(ready().await, (503, r#"{"status":"draining"}"#.to_owned()));
        let (head, _) = ask(&facts, "GET", "/health/live", LOCAL).await;
        assert_eq!(head.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn metrics_are_text_on_a_loopback_address() {
        let (head, body) = ask(&facts(LOCAL), "GET", "/metrics", LOCAL).await;
        assert_eq!(head.headers()["content-type"], Events::MEDIA_TYPE);
        assert!(body.starts_with("# HELP warmfront_"), "{body}");
    }

    #[tokio::test]
    async fn metrics_are_refused_elsewhere_and_health_is_not() {
        let open = facts("0.0.0.0:9900");
        open.readiness.enter(Phase::Ready);
        let (head, body) = ask(&open, "GET", "/metrics", "10.0.0.7:9900").await;
        assert_eq!(head.status(), StatusCode::FORBIDDEN);
        assert!(body.contains("loopback"), "{body}");
        let (head, _) = ask(&open, "GET", "/health/ready", "10.0.0.7:9900").await;
        assert_eq!(head.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn what_is_not_named_is_404_and_other_methods_are_405() {
        let facts = facts(LOCAL);
        for path in ["/", "/health", "/health/live/", "/v1/nothing", "//metrics"] {
            let (head, body) = ask(&facts, "GET", path, LOCAL).await;
            assert_eq!(head.status(), StatusCode::NOT_FOUND, "{path}");
            assert!(
                body.starts_with(r#"{"error":"not_found","message":""#),
                "{body}"
            );
        }
        for method in ["POST", "PURGE", "OPTIONS", "DELETE"] {
            let (head, _) = ask(&facts, method, "/metrics", LOCAL).await;
            assert_eq!(head.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
            assert_eq!(head.headers()[ALLOW], "GET,HEAD", "{method}");
        }
    }

    #[tokio::test]
    async fn a_page_that_rebinds_its_name_learns_nothing() {
        for path in ["/metrics", "/health/live", "/nothing"] {
            let (head, body) = ask(&facts(LOCAL), "GET", path, "evil.example:9900").await;
            assert_eq!(head.status(), StatusCode::MISDIRECTED_REQUEST, "{path}");
            assert!(body.contains("host_not_allowed"), "{body}");
        }
    }

    #[tokio::test]
    async fn no_answer_may_be_stored_or_shared_with_a_page() {
        for (method, path) in [("GET", "/metrics"), ("GET", "/x"), ("POST", "/metrics")] {
            let (head, _) = ask(&facts(LOCAL), method, path, LOCAL).await;
            assert_eq!(head.headers()["cache-control"], "no-store", "{path}");
            assert_eq!(
                head.headers()["x-content-type-options"],
                "nosniff",
                "{path}"
            );
            assert!(
                !head.headers().contains_key("access-control-allow-origin"),
                "{path}"
            );
            assert!(!head.headers().contains_key("server"), "{path}");
        }
    }
}
