//! A request in the shape that HTTP/1.1 or HTTP/2 wants.
//!
//! Shaping loses nothing and may be repeated, since a request that was not sent comes
//! back in the shape of the connection it was meant for.

use http::{
    HeaderMap, HeaderValue, Method, Request, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE},
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body;

use crate::{
    origin::{
        error::{Cause, Failed},
        sent::Sent,
    },
    policy::failover::{Blame, Phase},
    site::Protocol,
};

/// Fields about one connection, which ours to the origin sets itself (RFC 9110 §7.6.1).
static OF_THE_CONNECTION: [HeaderName; 3] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    CONNECTION,
];

/// Whether `headers` ask to leave HTTP: `Upgrade`, nominated by `Connection` (RFC 9110 §7.8).
pub(super) fn asks_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
        && headers.get_all(CONNECTION).iter().any(|value| {
            value
                .as_bytes()
                .split(|&b| b == b',')
                .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        })
}

/// Origin form and `Host`, framed by its body (RFC 9112 §3.2.1, §6).
pub(super) fn for_http1(request: &mut Request<Sent>) -> Result<(), Failed> {
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str())
            .map_err(|_| unsendable("the host cannot be written"))?;
        request.headers_mut().insert(HOST, host);
    }
    let uri = request.uri();
    if uri.scheme().is_some() || uri.authority().is_some() || uri.path_and_query().is_none() {
        let target = target(uri);
        *request.uri_mut() = Uri::from(target);
    }
    *request.version_mut() = Version::HTTP_11;
    if !asks_upgrade(request.headers()) {
        strip_connection(request.headers_mut());
    }
    frame(request);
    if request.body().size_hint().exact().is_none() {
        // Without it hyper takes the body of a GET for none, and drops it.
        request
            .headers_mut()
            .insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    Ok(())
}

/// Scheme, authority and path as pseudo-fields: "Clients that generate HTTP/2 requests
/// directly MUST use the ":authority" pseudo-header field to convey authority information"
/// and not `Host` (RFC 9113 §8.3.1).
pub(super) fn for_http2(request: &mut Request<Sent>, protocol: Protocol) -> Result<(), Failed> {
    let authority = match request.headers_mut().remove(HOST) {
        Some(host) => Authority::try_from(host.as_bytes())
            .map_err(|_| unsendable("the host is no authority"))?,
        None => request
            .uri()
            .authority()
            .cloned()
            .ok_or_else(|| unsendable("the request names no host"))?,
    };
    let scheme = match protocol {
        Protocol::Http => Scheme::HTTP,
        Protocol::Https => Scheme::HTTPS,
    };
    *request.uri_mut() = Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(target(request.uri()))
        .build()
        .map_err(|_| unsendable("the target cannot be written"))?;
    *request.version_mut() = Version::HTTP_2;
    strip_for_http2(request.headers_mut());
    frame(request);
    Ok(())
}

fn target(uri: &Uri) -> PathAndQuery {
    uri.path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"))
}

fn strip_connection(headers: &mut HeaderMap) {
    // Most have none; looking at each name costs less than a search for each field.
    let about_it = |name: &HeaderName| {
        let text = name.as_str();
        OF_THE_CONNECTION.iter().any(|field| field.as_str() == text)
    };
    if headers.keys().any(about_it) {
        for name in &OF_THE_CONNECTION {
            headers.remove(name);
        }
    }
}

/// Removes the fields that make an HTTP/2 message malformed (RFC 9113 §8.2.2), for which the
/// library would refuse to send it.
///
/// "An endpoint MUST NOT generate an HTTP/2 message containing connection-specific header
/// fields. […] The only exception to this is the TE header field, which MAY be present in an
/// HTTP/2 request; when it is, it MUST NOT contain any value other than "trailers"."
pub(super) fn strip_for_http2(fields: &mut HeaderMap) {
    strip_connection(fields);
    fields.remove(UPGRADE);
    fields.remove(TRANSFER_ENCODING);
    if !fields.get_all(TE).iter().all(|te| te == "trailers") {
        fields.remove(TE);
    }
}

/// The length that is announced is the length of what is sent, whatever a viewer said:
/// two opinions about it are how requests are smuggled (RFC 9112 §11.2).
fn frame(request: &mut Request<Sent>) {
    let length = request.body().size_hint().exact();
    let wanted = match (length, request.method()) {
        // "A user agent SHOULD send Content-Length in a request when the method defines a
        // meaning for enclosed content and it is not sending Transfer-Encoding."
        // (RFC 9110 §8.6) Other methods go without.
        (Some(0), &Method::POST | &Method::PUT | &Method::PATCH) => Some(0),
        (Some(0), _) | (None, _) => None,
        (Some(bytes), _) => Some(bytes),
    };
    let headers = request.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    match wanted {
        Some(bytes) => headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes)),
        None => headers.remove(CONTENT_LENGTH),
    };
}

fn unsendable(seen: &'static str) -> Failed {
    Failed::new(Blame::Us, Phase::Send, Cause::Seen(seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, target: &str, fields: &[(&'static str, &str)]) -> Request<Sent> {
        let mut request = Request::new(Sent::empty());
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = target.parse().unwrap();
        for (name, value) in fields {
            request
                .headers_mut()
                .append(*name, HeaderValue::from_str(value).unwrap());
        }
        request
    }

    #[test]
    fn http1_wants_origin_form_and_host() {
        let mut request = request("GET", "/a?b=c", &[("host", "api.example.com:8443")]);
        for_http1(&mut request).unwrap();
        assert_eq!(request.uri(), "/a?b=c");
        assert_eq!(request.headers()[HOST], "api.example.com:8443");
        assert_eq!(request.version(), Version::HTTP_11);
    }

    #[test]
    fn http2_wants_an_authority_and_no_host() {
        let mut request = request("GET", "/a?b=c", &[("host", "api.example.com:8443")]);
        for_http2(&mut request, Protocol::Https).unwrap();
        assert_eq!(request.uri(), "https://api.example.com:8443/a?b=c");
        assert!(!request.headers().contains_key(HOST));
    }

    #[test]
    fn a_request_that_comes_back_takes_the_other_shape() {
        let mut request = request("GET", "/a", &[("host", "api.example.com")]);
        for_http2(&mut request, Protocol::Https).unwrap();
        for_http2(&mut request, Protocol::Https).unwrap();
        for_http1(&mut request).unwrap();
        assert_eq!(request.uri(), "/a");
        assert_eq!(request.headers()[HOST], "api.example.com");
    }

    #[test]
    fn a_host_that_is_no_authority_is_not_sent() {
        let mut request = request("GET", "/a", &[("host", "a b")]);
        let failed = for_http2(&mut request, Protocol::Https).unwrap_err();
        assert_eq!(
            (failed.failure.blame, failed.failure.phase),
            (Blame::Us, Phase::Send)
        );
    }

    #[test]
    fn framing_comes_from_the_body_alone() {
        let lies = [("content-length", "5"), ("transfer-encoding", "chunked")];
        let mut get = request("GET", "/a", &lies);
        for_http1(&mut get).unwrap();
        assert!(get.headers().is_empty(), "{:?}", get.headers());
        let mut post = request("POST", "/a", &lies);
        for_http1(&mut post).unwrap();
        assert_eq!(post.headers()[CONTENT_LENGTH], "0");
        assert!(!post.headers().contains_key(TRANSFER_ENCODING));
    }

    #[test]
    fn only_a_nominated_upgrade_is_one() {
        let asks =
            |fields: &[(&'static str, &str)]| asks_upgrade(request("GET", "/", fields).headers());
        assert!(asks(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket")
        ]));
        assert!(!asks(&[
            ("connection", "keep-alive"),
            ("upgrade", "websocket")
        ]));
        assert!(!asks(&[("connection", "upgrade")]));
    }

    #[test]
    fn an_http2_request_has_no_field_of_a_connection() {
        let fields = [
            ("connection", "close"),
            ("keep-alive", "1"),
            ("proxy-connection", "close"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
        ];
        let mut request = request("GET", "https://api.example.com/", &fields);
        for_http2(&mut request, Protocol::Https).unwrap();
        assert!(request.headers().is_empty(), "{:?}", request.headers());
        request
            .headers_mut()
            .insert(TE, HeaderValue::from_static("trailers"));
        for_http2(&mut request, Protocol::Https).unwrap();
        assert_eq!(request.headers()[TE], "trailers");
    }

    #[test]
    fn connection_fields_stay_here_unless_it_upgrades() {
        let mut plain = request("GET", "/", &[("connection", "close"), ("keep-alive", "1")]);
        for_http1(&mut plain).unwrap();
        assert!(plain.headers().is_empty());
        let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
        let mut upgrade = request("GET", "/", &upgrade);
        for_http1(&mut upgrade).unwrap();
        assert_eq!(upgrade.headers().len(), 2);
    }
}
