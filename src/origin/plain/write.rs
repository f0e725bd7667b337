//! The head of a request without a body, as text.
//!
//! What `request::for_http1` makes of a request is written without making it: the request is
//! left as it was, and can be sent again.

use http::{HeaderMap, HeaderName, Method, Request, header::HOST};

use crate::{fields::line, origin::sent::Sent};

/// The head of `request`, in origin form (RFC 9112 §3.2.1).
pub(super) fn head(request: &Request<Sent>) -> Vec<u8> {
    let (method, uri, fields) = (request.method(), request.uri(), request.headers());
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    // One that was meant for HTTP/2 before has its host there.
    let authority = uri.authority().map(|authority| authority.as_str());
    let mut text = Vec::with_capacity(length(fields) + target.len() + 64);
    text.extend_from_slice(method.as_str().as_bytes());
    text.extend_from_slice(b" ");
    text.extend_from_slice(if target.is_empty() { "/" } else { target }.as_bytes());
    text.extend_from_slice(b" HTTP/1.1\r\n");
    if let Some(authority) = authority {
        line::push_field(&mut text, "host", authority.as_bytes());
    }
    for (name, value) in fields {
        if is_ours(name) || authority.is_some() && name == HOST {
            continue;
        }
        line::push_field(&mut text, name.as_str(), value.as_bytes());
    }
    // "A user agent SHOULD send Content-Length in a request when the method defines a meaning
    // for enclosed content and it is not sending Transfer-Encoding." (RFC 9110 §8.6)
    if matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
        line::push_field(&mut text, "content-length", b"0");
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// Whether a field is of the connection, or frames a body: those are written here or not at all
/// (RFC 9110 §7.6.1, RFC 9112 §6).
fn is_ours(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "content-length" | "proxy-connection" | "transfer-encoding"
    )
}

/// How long `fields` are as text.
fn length(fields: &HeaderMap) -> usize {
    let one = |(name, value): (&HeaderName, &http::HeaderValue)| {
        name.as_str().len() + value.len() + ": \r\n".len()
    };
    fields.iter().map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, target: &str, fields: &[(&'static str, &str)], wanted: &str) {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let text = head(&request.body(Sent::empty()).unwrap());
        assert_eq!(String::from_utf8(text).unwrap(), wanted);
    }

    #[test]
    fn a_request_is_a_line_its_fields_and_an_empty_line() {
        check(
            "GET",
            "/a?b=c",
            &[
                ("host", "api.example.com:8443"),
                ("accept", "*/*"),
                ("accept", "a/b"),
            ],
            "GET /a?b=c HTTP/1.1\r\nhost: api.example.com:8443\r\naccept: */*\r\naccept: a/b\r\n\r\n",
        );
    }

    #[test]
    fn one_meant_for_http2_names_its_host_elsewhere() {
        check(
            "GET",
            "https://api.example.com/a",
            &[],
            "GET /a HTTP/1.1\r\nhost: api.example.com\r\n\r\n",
        );
    }

    #[test]
    fn fields_of_the_connection_and_of_a_body_stay_here() {
        let lies = [
            ("host", "a"),
            ("connection", "close"),
            ("keep-alive", "1"),
            ("proxy-connection", "close"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
        ];
        check("GET", "/", &lies, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        let bare = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
        check("POST", "/", &lies, bare);
    }
}
