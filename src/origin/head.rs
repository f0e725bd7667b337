//! What the head of a response says about its body, where hyper asks less than we do.
//!
//! hyper refuses what it cannot parse. Here is refused what it parses in one of several
//! possible ways, because whoever reads the same bytes in another is attacked through us.

use http::{
    HeaderMap, HeaderName, Method, Response, StatusCode,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};

use crate::{
    origin::{
        connection::FIELDS_MAX,
        error::{Cause, Failed},
        received::Framing,
    },
    policy::failover::{Blame, Phase},
};

/// Where the body ends (RFC 9112 §6.3), and what hyper would let pass before that.
pub(super) fn framing_http1<T>(response: &Response<T>, method: &Method) -> Result<Framing, Failed> {
    let headers = response.headers();
    let coded = headers.contains_key(TRANSFER_ENCODING);
    let sized = headers.contains_key(CONTENT_LENGTH);
    framing(response, method, coded, sized)
}

/// The same of a head that is known to have a `Transfer-Encoding` or not, `Content-Length`
/// likewise.
pub(super) fn framing<T>(
    response: &Response<T>,
    method: &Method,
    coded: bool,
    sized: bool,
) -> Result<Framing, Failed> {
    if coded {
        // "Such a message might indicate an attempt to perform request smuggling […] and
        // ought to be handled as an error." (RFC 9112 §6.3)
        if sized {
            return Err(invalid("both Transfer-Encoding and Content-Length"));
        }
        // We never ask for another coding, and nothing behind us could undo it.
        if !only(response.headers(), &TRANSFER_ENCODING, b"chunked") {
            return Err(invalid("a transfer coding other than chunked"));
        }
    }
    Ok(if bodyless(response.status(), method) {
        Framing::None
    } else if coded || sized {
        Framing::Marked
    } else {
        Framing::Close
    })
}

/// The end of the stream is the end of the body (RFC 9113 §8.1).
pub(super) fn framing_http2<T>(response: &Response<T>, method: &Method) -> Result<Framing, Failed> {
    if response.headers().len() > FIELDS_MAX {
        return Err(invalid("too many fields"));
    }
    Ok(if bodyless(response.status(), method) {
        Framing::None
    } else {
        Framing::Stream
    })
}

/// "Any response to a HEAD request and any response with a 1xx (Informational), 204 (No
/// Content), or 304 (Not Modified) status code is always terminated by the first empty line
/// after the header fields" (RFC 9112 §6.3).
fn bodyless(status: StatusCode, method: &Method) -> bool {
    method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Whether a body may follow where none can: its bytes would be the next response.
pub(super) fn misframed<T>(response: &Response<T>) -> bool {
    let headers = response.headers();
    response.status() == StatusCode::NO_CONTENT
        && (headers.contains_key(TRANSFER_ENCODING)
            || headers.contains_key(CONTENT_LENGTH) && !only(headers, &CONTENT_LENGTH, b"0"))
}

fn only(headers: &HeaderMap, name: &HeaderName, value: &[u8]) -> bool {
    let mut values = headers.get_all(name).iter();
    values
        .next()
        .is_some_and(|first| first.as_bytes().eq_ignore_ascii_case(value))
        && values.next().is_none()
}

/// A response that breaks the protocol or a bound of ours.
pub(super) fn invalid(seen: &'static str) -> Failed {
    Failed::new(Blame::Origin, Phase::Head, Cause::Seen(seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, fields: &[(&'static str, &str)]) -> Response<()> {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap()
    }

    #[track_caller]
    fn check(fields: &[(&'static str, &str)], wanted: Option<Framing>) {
        let framing = framing_http1(&response(200, fields), &Method::GET);
        assert_eq!(framing.ok(), wanted, "{fields:?}");
    }

    #[test]
    fn a_body_ends_where_exactly_one_field_says() {
        check(&[], Some(Framing::Close));
        check(&[("content-length", "5")], Some(Framing::Marked));
        check(&[("transfer-encoding", "Chunked")], Some(Framing::Marked));
        check(
            &[("transfer-encoding", "chunked"), ("content-length", "5")],
            None,
        );
        check(&[("transfer-encoding", "chunked, chunked")], None);
        check(
            &[
                ("transfer-encoding", "chunked"),
                ("transfer-encoding", "chunked"),
            ],
            None,
        );
        check(&[("transfer-encoding", "xchunked")], None);
        check(&[("transfer-encoding", "")], None);
    }

    #[test]
    fn some_responses_have_no_body_whatever_they_say() {
        let announced = [("content-length", "5")];
        for (status, method) in [(200, Method::HEAD), (204, Method::GET), (304, Method::GET)] {
            let framing = framing_http1(&response(status, &announced), &method);
            assert_eq!(framing.ok(), Some(Framing::None), "{status} to {method}");
        }
    }

    #[test]
    fn only_a_204_with_a_body_is_misframed() {
        assert!(misframed(&response(204, &[("content-length", "5")])));
        assert!(misframed(&response(
            204,
            &[("transfer-encoding", "chunked")]
        )));
        assert!(!misframed(&response(204, &[("content-length", "0")])));
        assert!(!misframed(&response(204, &[])));
        assert!(!misframed(&response(304, &[("content-length", "5")])));
    }
}
