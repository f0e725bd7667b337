//! The admin API: what operators, probes and scrapers may ask of the daemon.
//!
//! It has a listener of its own, never a viewer's, and is built to be boring:
//! HTTP/1.1, small bounded requests, few connections. Browsers are no clients of
//! it: there is no CORS, no cookie, and a page that resolves its own name to this
//! address is refused by its `Host` field. Answers are never stored and say
//! nothing of what runs here.
//!
//! | call | token | answer |
//! |---|---|---|
//! | `GET /health/live` | | 200 while the process runs |
//! | `GET /health/ready` | | 200, or 503 before it serves and while it drains |
//! | `GET /metrics` | `read`, or a loopback address | OpenMetrics text |
//! | `GET /v1/status` | `read` | what runs, and how it is |
//! | `POST /v1/reload` | `reload` | 200 with the generation; 422 with the problems |
//! | `POST /v1/invalidations` | `invalidate` | 201 once the promise holds |
//! | `GET /v1/invalidations`, `GET /v1/invalidations/{id}` | `read` or `invalidate` | the last 1,000 |
//! | `/2020-05-31/distribution/{id}/invalidation…` | an AWS signature | CloudFront's three calls for invalidations |

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{
    BoxError, Router,
    error_handling::HandleErrorLayer,
    middleware::{from_fn_with_state, map_response},
    response::Response,
    routing::{get, post},
};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS},
};
use tower::{ServiceBuilder, limit::GlobalConcurrencyLimitLayer};

use crate::{
    invalidate::Invalidations,
    observe::Events,
    serve::Site,
    store::Store,
    time::{Clock, Timestamp},
};

mod auth;
mod body;
mod cloudfront;
mod door;
mod guard;
mod health;
mod invalidations;
mod json;
mod ordered;
mod reload;
mod sigv4;
mod status;
mod tries;
mod xml;

pub use door::{CONNECTIONS_MAX, Door};
pub use health::{Phase, Readiness};
pub use reload::{Complaint, ReloadCall, Reloaded, Reloads};

/// How long a request may take, body and answer included: 16 MiB of invalidations arrive in it
/// over a line of 300 kB a second. Who may not send them is refused before the body is awaited.
const REQUEST_MAX: Duration = Duration::from_secs(60);

/// Requests that are answered at once: as many as there are connections, so that none is
/// turned away for want of a place while another waits for the disk. A scrape is the dearest,
/// at some 100 kB; bodies have a bound of their own.
const IN_FLIGHT_MAX: usize = CONNECTIONS_MAX;

/// What the routes answer from.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where the metrics come from, and what is told.
    pub events: Arc<Events>,
    /// Whether traffic may be sent here; `app` writes it.
    pub readiness: Readiness,
    /// Where the listener is bound.
    pub address: SocketAddr,
    /// The time.
    pub clock: Clock,
    /// When the daemon began to serve.
    pub started: Timestamp,
    /// What is served now; its tokens are those that count.
    pub site: Arc<ArcSwap<Site>>,
    /// What is stored.
    pub store: Store,
    /// What is invalidated.
    pub invalidations: Invalidations,
    /// Where reloads are asked for.
    pub reloads: Reloads,
    /// What callers share; new for each listener.
    pub limits: Limits,
}

/// What the callers of one listener share; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    tries: Arc<tries::Tries>,
    bodies: Arc<body::Bodies>,
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
        .layer(from_fn_with_state(facts.clone(), guard::host));
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/v1/status", get(status::status))
        .route("/v1/reload", post(reload::reload))
        .route(
            "/v1/invalidations",
            get(invalidations::list).post(invalidations::create),
        )
        .route("/v1/invalidations/{id}", get(invalidations::one))
        .merge(cloudfront::routes())
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
    json::Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "too many requests at once, or this one took too long",
    )
}

#[cfg(test)]
mod tests;
