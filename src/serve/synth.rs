//! The answers we make ourselves: small JSON, never stored by anyone.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header};

use super::{Edge, ReplyBody, Site, Way, ask::Malformed, reply::Meter};
use crate::{
    observe::CacheResult,
    policy::{
        Ask, Failure, answer,
        deliver::{self, CacheStatus, Outcome, Report},
        intent::Refusal,
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
}

/// The message was no request.
pub(super) fn malformed(
    edge: &Edge,
    site: &Site,
    why: Malformed,
    headers: &HeaderMap,
) -> Response<ReplyBody> {
    site.meters.unrouted().one();
    let request_id = deliver::request_id(headers).unwrap_or_else(|| edge.ids.make());
    let told = Told {
        status: why.status,
        error: why.error,
        fwd: None,
        close: true,
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

/// The origin failed, and nothing stands in for it.
pub(super) fn failed(way: &Way, fwd: &'static str, failure: &Failure) -> Response<ReplyBody> {
    way.count(CacheResult::Error);
    let answer::Answer { status, error, .. } = answer::answer(failure);
    let told = Told {
        status,
        error,
        fwd: Some(fwd),
        close: unread(&way.ask),
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
    }
    .write(headers);
    answer
}
