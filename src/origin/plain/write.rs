//! The head of a request without a body, as text.
//!
//! It says what `request::for_http1` makes of the same request, without making a message first.

use http::{HeaderName, Method};

use crate::{fields::line, origin::source::Source};

/// Room for what most requests are, in bytes.
const ROOM_BYTES: usize = 512;

/// The head of the request that `source` makes, in origin form (RFC 9112 §3.2.1).
pub(super) fn head(source: &dyn Source) -> Vec<u8> {
    let (method, target) = (source.method(), source.target());
    let mut text = Vec::with_capacity(ROOM_BYTES + target.as_str().len());
    text.extend_from_slice(method.as_str().as_bytes());
    text.extend_from_slice(b" ");
    text.extend_from_slice(target.as_str().as_bytes());
    text.extend_from_slice(b" HTTP/1.1\r\n");
    source.each_field(&mut |name, value| {
        if let (false, Some(value)) = (is_ours(name), value.bytes()) {
            line::push_field(&mut text, name.as_str(), value);
        }
    });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fields::target::Target, origin::OnInterim, policy::outgoing::Value};

    /// A request to `target` with `fields`.
    struct Of(Method, Target, Vec<(&'static str, &'static str)>);

    impl Source for Of {
        fn method(&self) -> &Method {
            &self.0
        }

        fn target(&self) -> &Target {
            &self.1
        }

        fn asks_upgrade(&self) -> bool {
            false
        }

        fn each_field(&self, take: &mut dyn FnMut(&HeaderName, Value<'_>)) {
            for (name, value) in &self.2 {
                take(
                    &HeaderName::from_static(name),
                    Value::Bytes(value.as_bytes()),
                );
            }
        }

        fn on_interim(&self) -> Option<OnInterim> {
            None
        }
    }

    #[track_caller]
    fn check(method: Method, target: &str, fields: &[(&'static str, &'static str)], wanted: &str) {
        let text = head(&Of(method, Target::parse(target).unwrap(), fields.to_vec()));
        assert_eq!(String::from_utf8(text).unwrap(), wanted);
    }

    #[test]
    fn a_request_is_a_line_its_fields_and_an_empty_line() {
        check(
            Method::GET,
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
    fn a_value_that_would_end_its_line_is_left_out() {
        let fields = [("host", "a"), ("x-a", "b\r\nx-c: d"), ("x-e", "f\tg")];
        let wanted = "GET / HTTP/1.1\r\nhost: a\r\nx-e: f\tg\r\n\r\n";
        check(Method::GET, "/", &fields, wanted);
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
        check(Method::GET, "/", &lies, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        let bare = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
        check(Method::POST, "/", &lies, bare);
    }
}
