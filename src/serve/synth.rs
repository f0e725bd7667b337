//! The answers we make ourselves: small JSON, never stored by anyone.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Response, StatusCode, Version, header};

use super::{Edge, ReplyBody, Site, Way, ask::Malformed, reply::Meter};
use crate::{
    fields::section::Section,
    observe::CacheResult,
    policy::{
        Ask, Failure, answer,
        deliver::{CacheStatus, Outcome, Report, Timing},
        intent::Refusal,
        protocol, rate,
    },
};

const NOSNIFF: HeaderName = header::X_CONTENT_TYPE_OPTIONS;

/// What an answer of ours says.
struct Told {
    status: StatusCode,
    /// The `error` member, and the detail of `Cache-Status`; a token.
    error: &'static str,
    /// Why the origin was asked, where it was.
    fwd: Option<&'static str>,
    /// Whether more bytes of this connection could be misread as a request.
    close: bool,
    /// How long the viewer waited, where the answer is to say so.
    timing: Option<Timing>,
}

/// The message was no request.
pub(super) fn malformed(
    edge: &Edge,
    site: &Site,
    why: Malformed,
    headers: &Section,
) -> Response<ReplyBody> {
    site.meters.unrouted().one();
    let request_id = edge.request_id(headers);
    let told = Told {
        status: why.status,
        error: why.error,
        fwd: None,
        close: true,
        timing: None,
    };
    tell(told, request_id, Meter::none(site))
}

/// No distribution answers for the host: "the request was directed at a server that is
/// unable or unwilling to produce an authoritative response" (RFC 9110 §15.5.20).
pub(super) fn no_such_host(site: &Site, ask: &Ask, request_id: HeaderValue) -> Response<ReplyBody> {
    unrouted(
        site,
        ask,
        request_id,
        StatusCode::MISDIRECTED_REQUEST,
        "no_such_host",
    )
}

/// The certificate of the connection does not speak for the host: "A server can provide this
/// response […] if the request was received over a connection for which the server does not
/// have authority" of the target (RFC 9110 §15.5.20, RFC 9113 §9.1.2). Viewers that share one
/// connection among hosts ask again over another.
pub(super) fn misdirected(site: &Site, ask: &Ask, request_id: HeaderValue) -> Response<ReplyBody> {
    unrouted(
        site,
        ask,
        request_id,
        StatusCode::MISDIRECTED_REQUEST,
        "certificate_mismatch",
    )
}

/// The distribution has no behaviour for the path.
pub(super) fn no_such_path(site: &Site, ask: &Ask, request_id: HeaderValue) -> Response<ReplyBody> {
    unrouted(
        site,
        ask,
        request_id,
        StatusCode::NOT_FOUND,
        "no_such_behaviour",
    )
}

fn unrouted(
    site: &Site,
    ask: &Ask,
    request_id: HeaderValue,
    status: StatusCode,
    error: &'static str,
) -> Response<ReplyBody> {
    site.meters.unrouted().one();
    let told = Told {
        status,
        error,
        fwd: None,
        close: unread(ask),
        timing: None,
    };
    tell(told, request_id, Meter::none(site))
}

/// The behaviour does not serve such a request.
pub(super) fn refused(way: &Way, why: Refusal) -> Response<ReplyBody> {
    way.count(CacheResult::Error);
    let (status, error) = why.answer();
    let told = Told {
        status,
        error,
        fwd: None,
        close: unread(&way.ask),
        timing: way.timing(),
    };
    let mut answer = tell(told, way.request_id.clone(), way.meter());
    if status == StatusCode::METHOD_NOT_ALLOWED {
        // "The origin server MUST generate an Allow header field in a 405" (RFC 9110 §15.5.6).
        answer.headers_mut().insert(
            header::ALLOW,
            HeaderValue::from_static("GET, HEAD, OPTIONS"),
        );
    }
    answer
}

/// The behaviour is served over TLS: the viewer is sent there, with `status`.
pub(super) fn redirected(way: &Way, status: StatusCode) -> Response<ReplyBody> {
    let Some(location) = protocol::location(&way.ask) else {
        return refused(way, Refusal::HttpsOnly);
    };
    way.count(CacheResult::Redirect);
    let mut answer = bare(way, status, Outcome::Redirect, "redirect_to_https");
    answer.headers_mut().insert(header::LOCATION, location);
    answer
}

/// A browser asks whether a page of another site may ask. What it may, `finish` says.
pub(super) fn preflight(way: &Way) -> Response<ReplyBody> {
    way.count(CacheResult::Hit);
    bare(way, StatusCode::NO_CONTENT, Outcome::Hit, "cors_preflight")
}

/// The viewer asked too much, and may ask again after `wait` (RFC 6585 §4).
pub(super) fn limited(way: &Way, wait: Duration) -> Response<ReplyBody> {
    way.count(CacheResult::Error);
    let told = Told {
        status: StatusCode::TOO_MANY_REQUESTS,
        error: "rate_limited",
        fwd: None,
        close: unread(&way.ask),
        timing: way.timing(),
    };
    let mut answer = tell(told, way.request_id.clone(), way.meter());
    let headers = answer.headers_mut();
    headers.insert(header::RETRY_AFTER, rate::retry_after(wait));
    answer
}

/// An answer without content that nobody was asked for.
fn bare(
    way: &Way,
    status: StatusCode,
    outcome: Outcome,
    detail: &'static str,
) -> Response<ReplyBody> {
    let mut answer = Response::new(ReplyBody::empty(way.meter()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    if unread(&way.ask) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let status = CacheStatus {
        detail: Some(detail),
        ..CacheStatus::default()
    };
    way.report(outcome, status, None).write(headers);
    answer
}

/// The origin failed, and nothing stands in for it.
pub(super) fn failed(way: &Way, fwd: &'static str, failure: &Failure) -> Response<ReplyBody> {
    way.count(CacheResult::Error);
    let answer::Answer { status, error, .. } = answer::answer(failure);
    let told = Told {
        status,
        error,
        fwd: Some(fwd),
        close: unread(&way.ask),
        timing: way.timing(),
    };
    tell(told, way.request_id.clone(), way.meter())
}

/// Nothing usable is stored, and the viewer wants nothing else (RFC 9111 §5.2.1.7).
pub(super) fn not_cached(way: &Way) -> Response<ReplyBody> {
    way.count(CacheResult::Error);
    let told = Told {
        status: StatusCode::GATEWAY_TIMEOUT,
        error: "only_if_cached",
        fwd: None,
        close: false,
        timing: way.timing(),
    };
    tell(told, way.request_id.clone(), way.meter())
}

/// Something of ours broke; the cause is in the log.
pub(super) fn broke(way: &Way, fwd: &'static str) -> Response<ReplyBody> {
    way.count(CacheResult::Error);
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    let told = Told {
        status,
        error: "internal",
        fwd: Some(fwd),
        close: true,
        timing: way.timing(),
    };
    tell(told, way.request_id.clone(), way.meter())
}

/// Whether the request's body is still unread: the connection cannot go on then.
fn unread(ask: &Ask) -> bool {
    ask.has_body && ask.version < Version::HTTP_2
}

fn tell(told: Told, request_id: HeaderValue, meter: Meter) -> Response<ReplyBody> {
    // Both are plain: one is ours, the other was checked or made.
    let id = request_id.to_str().unwrap_or_default();
    let body = format!("{{\"error\":\"{}\",\"request_id\":\"{id}\"}}\n", told.error);
    let mut answer = Response::new(ReplyBody::whole(body.into(), meter));
    *answer.status_mut() = told.status;
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    if told.close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let status = CacheStatus {
        fwd: told.fwd,
        detail: Some(told.error),
        ..CacheStatus::default()
    };
    Report {
        outcome: Outcome::Error,
        status,
        age: None,
        request_id,
        timing: told.timing,
    }
    .write(headers);
    answer
}
