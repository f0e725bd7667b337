//! The head of a request that is as plain as most are, read beneath the HTTP library.
//!
//! It is read by the parser that hyper uses, into what every request is to us. Whatever says
//! something of the connection, of a body or of a protocol is left to hyper.

use std::{mem::MaybeUninit, ops::Range};

use http::{
    HeaderName,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE},
};

use super::protocol::HEAD_MAX;
use crate::{
    fields::{host::Host, section::Lines, target::Target},
    serve::PlainHead,
};

/// The most fields of a head that is read here; more than any browser sends.
const FIELDS_MAX: usize = 48;

/// The head of a GET over HTTP/1.1, for one target of this edge, that keeps its connection and
/// has no content; `None` if `bytes` are not exactly one such head.
pub(super) fn plain(bytes: &[u8]) -> Option<PlainHead> {
    if bytes.len() > HEAD_MAX {
        return None;
    }
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut read = httparse::Request::new(&mut []);
    let length = read.parse_with_uninit_headers(bytes, &mut fields).ok()?;
    if length != httparse::Status::Complete(bytes.len())
        || (read.method, read.version) != (Some("GET"), Some(1))
    {
        return None;
    }
    if !ends_as_said(bytes, &read) && has_bare_line_feed(bytes) {
        return None;
    }
    let target = read.path.filter(|target| target.starts_with('/'))?;
    let (_, line_end) = bytes.split_at_checked(place(bytes, target.as_bytes()).end)?;
    let text = &line_end[memchr::memchr(b'\n', line_end)? + 1..];
    let target = Target::parse(target)?;
    let mut headers = Lines::within(text.to_vec(), read.headers.len());
    let (mut hosts, mut host) = (0, None);
    for field in read.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        if !is_plain(&name, field.value) {
            return None;
        }
        if name == HOST {
            hosts += 1;
            host = Host::parse_authority(field.value).ok();
        }
        headers.line(name, place(text, field.value));
    }
    Some(PlainHead {
        target,
        host: host.filter(|_| hosts == 1).map(|(host, _)| host),
        headers: headers.into(),
    })
}

/// Where `part` lies in `bytes`, which it was cut from; an empty one may lie nowhere.
fn place(bytes: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().wrapping_sub(bytes.as_ptr().addr());
    start..start.wrapping_add(part.len())
}

/// Whether each line of the head that was `read` ends with its last word and `CRLF`, as most do.
fn ends_as_said(bytes: &[u8], read: &httparse::Request<'_, '_>) -> bool {
    let is_followed = |word: &[u8], by: &[u8]| {
        let rest = bytes.get(place(bytes, word).end..);
        rest.is_some_and(|rest| rest.starts_with(by))
    };
    let target = read.path.unwrap_or_default().as_bytes();
    bytes.starts_with(b"GET ")
        && is_followed(target, b" HTTP/1.1\r\n")
        && read
            .headers
            .iter()
            .all(|field| is_followed(field.value, b"\r\n"))
        && bytes.ends_with(b"\r\n\r\n")
}

/// Whether a line feed stands alone, which the parser takes for the end of a line, and others
/// do not. Looks at many bytes at a time.
fn has_bare_line_feed(bytes: &[u8]) -> bool {
    let Some((first, after)) = bytes.split_first() else {
        return false;
    };
    let bare = |before: u8, byte: u8| u8::from(byte == b'\n') & u8::from(before != b'\r');
    let pairs = bytes.iter().zip(after);
    pairs.fold(bare(0, *first), |seen, (before, byte)| {
        seen | bare(*before, *byte)
    }) != 0
}

fn is_plain(name: &HeaderName, value: &[u8]) -> bool {
    match *name {
        CONNECTION => value.eq_ignore_ascii_case(b"keep-alive"),
        CONTENT_LENGTH | EXPECT | TE | TRANSFER_ENCODING | UPGRADE => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_get_is_read_as_hyper_reads_it() {
        let text = "GET /a?b=%20c HTTP/1.1\r\nHost: example.test\r\nX-A:  1 \r\nx-a:\r\n\
                    Connection: Keep-Alive\r\n\r\n";
        let head = plain(text.as_bytes()).unwrap();
        assert_eq!(head.target.as_str(), "/a?b=%20c");
        assert_eq!(head.host.unwrap().as_str(), "example.test");
        let values: Vec<_> = head
            .headers
            .get_all(HeaderName::from_static("x-a"))
            .collect();
        assert_eq!(values, [&b"1"[..], b""]);
    }

    #[test]
    fn whatever_is_not_plain_is_left_to_hyper() {
        let fields = |fields: &str| format!("GET /a HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
        let many: String = (0..FIELDS_MAX).map(|n| format!("x-{n}: 1\r\n")).collect();
        for text in [
            fields("connection: close\r\n"),
            fields("connection: keep-alive, upgrade\r\n"),
            fields("upgrade: websocket\r\n"),
            fields("expect: 100-continue\r\n"),
            fields("content-length: 0\r\n"),
            fields("te: trailers\r\n"),
            fields("transfer-encoding: chunked\r\n"),
            fields("x y: 1\r\n"),
            fields("x-a: \u{1}\r\n"),
            fields("x-a: \u{7f}\r\n"),
            fields("x-a: 1\r2\r\n"),
            fields("x-a: 1\r\n 2\r\n"),
            fields(&many),
            fields(&format!("x-a: {}\r\n", "x".repeat(HEAD_MAX))),
            fields("") + "GET /b HTTP/1.1\r\n",
            "GET /a HTTP/1.1\r\nhost: a\r\n".into(),
            "GET /a HTTP/1.1\nhost: a\r\n\r\n".into(),
            "GET /a HTTP/1.1\r\nhost: a\n\r\n".into(),
            "GET /a HTTP/1.1\r\nhost: a\r\n\n".into(),
            "GET /a HTTP/1.1\r\nhost: a\r\nx-a: \n\r\n".into(),
            "GET /a HTTP/1.1\r\nhost: a\r\nx-a: 1 \n\r\n".into(),
            "GET /a HTTP/1.1\r\nx-a:\nhost: a\r\n\r\n".into(),
            "\nGET /a HTTP/1.1\r\nhost: a\r\n\r\n".into(),
            "GET /a HTTP/1.0\r\nhost: a\r\n\r\n".into(),
            "HEAD /a HTTP/1.1\r\nhost: a\r\n\r\n".into(),
            "GET http://a/a HTTP/1.1\r\nhost: a\r\n\r\n".into(),
            "GET a HTTP/1.1\r\nhost: a\r\n\r\n".into(),
            "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n".into(),
        ] {
            assert!(plain(text.as_bytes()).is_none(), "{text}");
        }
        assert!(plain(fields("x-a: 1\r\n").as_bytes()).is_some());
    }

    proptest! {
        #[test]
        fn every_line_of_a_plain_head_ends_with_both_its_bytes(
            lines in proptest::collection::vec(("[a-c]{1,2}:[ \t]{0,2}[x ]{0,3}", 0_u8..8), 0..5),
            first in 0_u8..8,
            last in 0_u8..8,
        ) {
            let end = |which: u8| if which == 0 { "\n" } else { "\r\n" };
            let mut text = format!("GET /a HTTP/1.1{}", end(first));
            for (line, which) in &lines {
                text = text + line + end(*which);
            }
            text += end(last);
            prop_assert_eq!(plain(text.as_bytes()).is_some(), !text.replace("\r\n", "").contains('\n'));
        }
    }
}
