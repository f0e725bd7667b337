//! A viewer's message as an [`Ask`], or why it is none.

use std::borrow::Cow;

use http::{
    Method, Request, StatusCode, Uri, Version, header, request,
    uri::{Authority, PathAndQuery},
};
use http_body::Body as _;
use hyper::{body::Incoming, upgrade::OnUpgrade};

use super::{PlainHead, Viewer};
use crate::{
    fields::{
        host::{BadHost, Host},
        list, path,
        section::Section,
        target::Target,
    },
    policy::{Ask, intent},
    time::Timestamp,
};

/// The longest target, in bytes (CloudFront: maximum length of a URL).
pub const URL_BYTES_MAX: usize = 8_192;

/// A checked request, and what still hangs from its connection.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) ask: Ask,
    /// `None` where there is no content.
    pub(super) body: Option<Incoming>,
    /// Where the viewer asks to change protocols.
    pub(super) upgrade: Option<OnUpgrade>,
}

/// Why a message is refused before anything is decided about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The status it is answered with.
    pub status: StatusCode,
    /// The name of the error in the answer's body.
    pub error: &'static str,
}

const fn bad(error: &'static str) -> Malformed {
    Malformed {
        status: StatusCode::BAD_REQUEST,
        error,
    }
}

/// "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message
/// that lacks a Host header field and to any request message that contains more than one Host
/// header field line or a Host header field with an invalid field value" (RFC 9112 §3.2).
const NO_HOST: Malformed = bad("bad_host");

/// Checks `request`, which arrived at `at`; a refused one comes back with its fields.
pub(super) fn asked(
    mut request: Request<Incoming>,
    viewer: &Viewer,
    at: Timestamp,
) -> Result<Asked, (Malformed, Section)> {
    let upgrade = intent::asks_for_websocket(request.method(), request.headers())
        .then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    let body = Some(body).filter(|body| !body.is_end_stream());
    let ask = checked(head, body.is_some(), viewer, at)?;
    Ok(Asked { ask, body, upgrade })
}

/// Checks the head of a message; a refused one comes back with its fields.
pub fn checked(
    mut head: request::Parts,
    has_body: bool,
    viewer: &Viewer,
    at: Timestamp,
) -> Result<Ask, (Malformed, Section)> {
    let headers = Section::from(std::mem::take(&mut head.headers));
    let uri = &head.uri;
    let found = understood(&head, &headers)
        .and_then(|()| host(uri.authority(), &headers, head.version))
        .and_then(|host| Ok((host, target(&head.method, uri)?)));
    let (host, (target, rewritten)) = match found {
        Ok(found) => found,
        Err(why) => return Err((why, headers)),
    };
    Ok(Ask {
        method: head.method,
        scheme: viewer.scheme,
        host,
        target,
        rewritten,
        headers,
        has_body,
        version: head.version,
        viewer: viewer.address,
        peer: viewer.address.ip(),
        at,
    })
}

/// The same for a plain request, in which there is less to check.
pub(super) fn plain(
    head: PlainHead,
    viewer: &Viewer,
    at: Timestamp,
) -> Result<Ask, (Malformed, Section)> {
    let PlainHead {
        target,
        host,
        headers,
    } = head;
    let Some(host) = host else {
        return Err((NO_HOST, headers));
    };
    let rewritten = match rewritten(&target) {
        Ok(rewritten) => rewritten,
        Err(why) => return Err((why, headers)),
    };
    Ok(Ask {
        method: Method::GET,
        scheme: viewer.scheme,
        host,
        target,
        rewritten,
        headers,
        has_body: false,
        version: Version::HTTP_11,
        viewer: viewer.address,
        peer: viewer.address.ip(),
        at,
    })
}

/// Refuses what we could only misunderstand.
fn understood(head: &request::Parts, headers: &Section) -> Result<(), Malformed> {
    // "A server that receives a request message with a transfer coding it does not
    // understand SHOULD respond with 501" (RFC 9112 §6.1).
    let codings = headers.get_all(header::TRANSFER_ENCODING);
    if !list::members(codings).all(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
        let status = StatusCode::NOT_IMPLEMENTED;
        return Err(Malformed {
            status,
            error: "unknown_transfer_coding",
        });
    }
    // "A server that receives an Expect field value containing a member other than
    // 100-continue MAY respond with a 417" (RFC 9110 §10.1.1).
    let expected = headers.get_all(header::EXPECT);
    if !list::members(expected).all(|member| member.eq_ignore_ascii_case(b"100-continue")) {
        let status = StatusCode::EXPECTATION_FAILED;
        return Err(Malformed {
            status,
            error: "unknown_expectation",
        });
    }
    // The authority form is "only used for CONNECT requests" (RFC 9112 §3.2.3).
    if head.uri.scheme().is_none()
        && head.uri.authority().is_some()
        && head.method != Method::CONNECT
    {
        return Err(bad("bad_target"));
    }
    Ok(())
}

/// The host that was asked for: one, and the same wherever it is named.
fn host(
    authority: Option<&Authority>,
    headers: &Section,
    version: Version,
) -> Result<Host, Malformed> {
    let parse = |text: &[u8]| {
        let known: Result<(Host, Option<u16>), BadHost> = Host::parse_authority(text);
        known.map_err(|_| NO_HOST)
    };
    let mut lines = headers.get_all(header::HOST);
    let (line, more) = (lines.next(), lines.next());
    if more.is_some() {
        return Err(NO_HOST);
    }
    match (authority, line) {
        (Some(authority), Some(line)) if version >= Version::HTTP_2 => {
            let (named, repeated) = (parse(authority.as_str().as_bytes())?, parse(line)?);
            // "An intermediary ... MUST NOT ... if it differs" (RFC 9113 §8.3.1).
            if named == repeated {
                Ok(named.0)
            } else {
                Err(NO_HOST)
            }
        }
        // "the origin server MUST ignore the received Host header field (if any) and instead
        // use the host information of the request-target" (RFC 9112 §3.2.2).
        (Some(authority), _) => Ok(parse(authority.as_str().as_bytes())?.0),
        (None, Some(line)) => Ok(parse(line)?.0),
        (None, None) => Err(NO_HOST),
    }
}

/// The target as sent, and its canonical path where that differs.
fn target(method: &Method, uri: &Uri) -> Result<(Target, Option<Box<str>>), Malformed> {
    let root = PathAndQuery::from_static("/");
    // An absolute form may leave the path out (RFC 9112 §3.2.2).
    let target = uri.path_and_query().unwrap_or(&root);
    if *method == Method::CONNECT {
        // It has no path; it is refused further on, by its method.
        return Ok(((&root).into(), None));
    }
    let target = Target::from(target);
    let rewritten = rewritten(&target)?;
    Ok((target, rewritten))
}

/// The canonical path of `target`, where that differs.
fn rewritten(target: &Target) -> Result<Option<Box<str>>, Malformed> {
    if target.as_str().len() > URL_BYTES_MAX {
        return Err(Malformed {
            status: StatusCode::URI_TOO_LONG,
            error: "url_too_long",
        });
    }
    if target.is_canonical() {
        return Ok(None);
    }
    match path::canonical(target.path()) {
        Ok(Cow::Borrowed(_)) => Ok(None),
        Ok(Cow::Owned(path)) => Ok(Some(path.into())),
        Err(_) => Err(bad("bad_path")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        target: &'static str,
        host: &[&'static str],
        version: Version,
    ) -> Result<Host, Malformed> {
        let mut headers = Section::default();
        for line in host {
            headers.append(header::HOST, http::HeaderValue::from_static(line));
        }
        super::host(Uri::from_static(target).authority(), &headers, version)
    }

    #[track_caller]
    fn check(
        target: &'static str,
        host: &[&'static str],
        version: Version,
        expected: Option<&str>,
    ) {
        let seen = of(target, host, version);
        assert_eq!(
            seen.as_ref().ok().map(Host::as_str),
            expected,
            "{target} {host:?}"
        );
    }

    #[test]
    fn p8_an_absolute_form_wins_over_host() {
        check("http://evil/a", &["good"], Version::HTTP_11, Some("evil"));
        check("/a", &["good"], Version::HTTP_11, Some("good"));
    }

    #[test]
    fn p9_a_request_has_one_sound_host() {
        check("/a", &[], Version::HTTP_11, None);
        check("/a", &["good", "evil"], Version::HTTP_11, None);
        check("/a", &["good, evil"], Version::HTTP_11, None);
        check("/a", &["good:99999"], Version::HTTP_11, None);
        check("/a", &["good@evil"], Version::HTTP_11, None);
    }

    #[test]
    fn p11_authority_and_host_agree() {
        check("http://good/a", &["good"], Version::HTTP_2, Some("good"));
        check("http://good/a", &["evil"], Version::HTTP_2, None);
        check("http://good/a", &[], Version::HTTP_2, Some("good"));
    }

    #[test]
    fn a_target_has_a_length_and_one_path() {
        let get = |text: &str| target(&Method::GET, &text.parse().unwrap());
        assert_eq!(get("/a/../b").unwrap().1.as_deref(), Some("/b"));
        assert_eq!(get("/b?x=../y").unwrap().1, None);
        assert_eq!(get("/a%00").unwrap_err().error, "bad_path");
        let long = format!("/{}", "a".repeat(URL_BYTES_MAX));
        assert_eq!(get(&long).unwrap_err().status, StatusCode::URI_TOO_LONG);
        assert_eq!(get("http://example.test").unwrap().0.path(), "/");
    }
}
