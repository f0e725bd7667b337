//! The head of a response, from its bytes.
//!
//! The grammar is httparse's, which hyper uses too. Beyond it, every line ends in a carriage
//! return and a line feed (`heads` says why that matters).

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};
use httparse::{Header, ParserConfig, Status};

use crate::origin::{
    connection::{FIELDS_MAX, HEAD_BYTES_MAX},
    error::Cause,
    plain::names::{Alike, Names},
};

/// The longest body there may be: 2^63 - 1 bytes. hyper's bound is a bit above it, and serves as
/// a sign of something else beyond that.
const LENGTH_MAX: u64 = u64::MAX >> 1;

/// Room for the fields that a response gets on its way to the viewer, so that none of them
/// makes the map move.
const OURS: usize = 5;

/// A head, and what it says about what follows.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: Response<()>,
    /// Whether the connection goes on after it (RFC 9112 §9.3).
    pub(super) keeps: bool,
    pub(super) length: Length,
    /// Whether it has a `Transfer-Encoding`.
    pub(super) coded: bool,
}

/// What its `Content-Length` fields come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// There is none.
    Unsaid,
    /// All say this.
    Is(u64),
    /// One is no number, or they differ.
    Unclear,
}

/// The head that `bytes` begin with, and how long it is; its values share them. `None` while its
/// end is not there.
///
/// # Errors
///
/// When it is none, or cannot become one.
pub(super) fn read(bytes: &Bytes, names: &mut Names) -> Result<Option<(Head, usize)>, Cause> {
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS_MAX];
    let mut found = httparse::Response::new(&mut []);
    let end = ParserConfig::default()
        .parse_response_with_uninit_headers(&mut found, bytes, &mut fields)
        .map_err(ungrammatical)?;
    let (seen, room) = match end {
        Status::Complete(end) => (&bytes[..end], HEAD_BYTES_MAX),
        Status::Partial => (&bytes[..], HEAD_BYTES_MAX - 1),
    };
    if has_bare_feed(seen) {
        return Err(Cause::Seen("a line of the head ends in a line feed alone"));
    }
    if seen.len() > room {
        return Err(Cause::Seen("the head is too large"));
    }
    match end {
        Status::Complete(end) => Ok(Some((head(bytes, &found, names)?, end))),
        Status::Partial => Ok(None),
    }
}

/// Whether a line of `seen` ends in a line feed alone. In what the grammar has let pass, a line
/// feed follows each carriage return, so that none is alone if there are as many of both.
fn has_bare_feed(seen: &[u8]) -> bool {
    let surplus = |byte: &u8| i8::from(*byte == b'\r') - i8::from(*byte == b'\n');
    // In chunks that a byte can count, many bytes at a time.
    let returns: isize = seen
        .chunks(112)
        .map(|chunk| isize::from(chunk.iter().map(surplus).sum::<i8>()))
        .sum();
    returns != isize::from(seen.last() == Some(&b'\r'))
}

fn ungrammatical(error: httparse::Error) -> Cause {
    Cause::Seen(match error {
        httparse::Error::HeaderName => "a name of a field is invalid",
        httparse::Error::HeaderValue => "a value of a field is invalid",
        httparse::Error::Status => "the status is invalid",
        httparse::Error::TooManyHeaders => "too many fields",
        httparse::Error::Version => "the version is not HTTP/1",
        httparse::Error::NewLine | httparse::Error::Token => "what came is no HTTP/1",
    })
}

fn head(
    bytes: &Bytes,
    found: &httparse::Response<'_, '_>,
    names: &mut Names,
) -> Result<Head, Cause> {
    let status = found
        .code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or(Cause::Seen("the status is invalid"))?;
    let version = match found.version {
        Some(1) => Version::HTTP_11,
        _ => Version::HTTP_10,
    };
    let mut fields = HeaderMap::with_capacity(found.headers.len() + OURS);
    let mut length = Length::Unsaid;
    let (mut coded, mut closes, mut stays) = (false, false, version == Version::HTTP_11);
    let mut alike = Alike::default();
    for field in found.headers.iter() {
        let name = names.next(field.name.as_bytes(), &mut alike)?;
        if name == CONTENT_LENGTH {
            length = length.and(field.value);
        } else if name == TRANSFER_ENCODING {
            coded = true;
        } else if name == CONNECTION {
            closes |= has(field.value, b"close");
            stays |= has(field.value, b"keep-alive");
        }
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value))
            .map_err(|_| ungrammatical(httparse::Error::HeaderValue))?;
        fields.append(name, value);
    }
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = version;
    *response.headers_mut() = fields;
    Ok(Head {
        response,
        keeps: stays && !closes,
        length,
        coded,
    })
}

/// Whether `list` has this option (RFC 9110 §7.6.1).
fn has(list: &[u8], option: &[u8]) -> bool {
    list.split(|&byte| byte == b',')
        .any(|one| one.trim_ascii().eq_ignore_ascii_case(option))
}

impl Length {
    /// What this and another `Content-Length` come to: a list of one value said again "MUST
    /// either reject the message as invalid or replace the duplicated field values with a
    /// single valid Content-Length" (RFC 9110 §8.6).
    fn and(self, value: &[u8]) -> Self {
        value.split(|&byte| byte == b',').fold(self, |sum, one| {
            match (sum, number(one.trim_ascii())) {
                (Self::Unsaid, Some(length)) => Self::Is(length),
                (Self::Is(before), Some(length)) if before == length => sum,
                _ => Self::Unclear,
            }
        })
    }
}

/// "Content-Length = 1*DIGIT" (RFC 9110 §8.6), as far as [`LENGTH_MAX`].
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let length = digits.iter().try_fold(0_u64, |sum, digit| match digit {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    });
    length.filter(|length| *length <= LENGTH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Option<(Head, usize)>, Cause> {
        let mut names = Names::default();
        read(&Bytes::copy_from_slice(text.as_bytes()), &mut names)
    }

    /// Where the head ends, and not before; `None` where it is none.
    #[track_caller]
    fn ends(text: &str, expected: Option<&str>) {
        let end = expected.map_or(text.len(), str::len);
        for there in 0..end {
            if let Ok(read) = read_text(&text[..there]) {
                assert!(read.is_none(), "{text:?} ends at {there}");
            }
        }
        let whole = read_text(text).ok().flatten();
        assert_eq!(whole.map(|(_, end)| &text[..end]), expected, "{text:?}");
    }

    #[test]
    fn s17_lines_of_a_head_end_in_both() {
        let head = "HTTP/1.1 200 OK\r\na: b\r\n\r\n";
        ends(head, Some(head));
        ends(&format!("{head}body\nand\n\nmore"), Some(head));
        ends(&format!("\r\n{head}"), Some(&format!("\r\n{head}")));
        ends("HTTP/1.1 200 OK\na: b\r\n\r\n", None);
        ends("HTTP/1.1 200 OK\r\na: b\nset-cookie: c\r\n\r\n", None);
        ends("HTTP/1.1 200 OK\r\na: b\r\n\n", None);
        ends("HTTP/1.1 200 OK\r\na: b\n\n", None);
        ends("\nHTTP/1.1 200 OK\r\n\r\n", None);
        ends("\r\nHTTP/1.1 200 OK\r\n", None);
    }

    #[test]
    fn what_is_no_head_is_not_waited_for() {
        for text in [
            "SSH-2.0-",
            "HTTP/2",
            "HTTP/1.1 2x",
            "HTTP/1.1 200 OK\r\na b: c\r\n",
            "HTTP/1.1 200 OK\r\na: b\n",
            "HTTP/1.1 200 OK\n",
        ] {
            assert!(read_text(text).is_err(), "{text}");
        }
        assert!(read_text("HTTP/1.1 200 O").unwrap().is_none());
    }

    fn head_of(text: &str) -> Result<Head, Cause> {
        read_text(text).map(|read| read.unwrap().0)
    }

    #[track_caller]
    fn length(fields: &str, expected: Length) {
        let head = head_of(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).unwrap();
        assert_eq!(head.length, expected, "{fields:?}");
    }

    #[test]
    fn lengths_agree_or_are_none() {
        length("", Length::Unsaid);
        length("content-length: 5\r\n", Length::Is(5));
        length(
            "content-length: 5, 5\r\ncontent-length: 5\r\n",
            Length::Is(5),
        );
        length(
            "content-length: 9223372036854775807\r\n",
            Length::Is(LENGTH_MAX),
        );
        length("content-length: 9223372036854775808\r\n", Length::Unclear);
        length("content-length: 18446744073709551616\r\n", Length::Unclear);
        length(
            "content-length: 5\r\ncontent-length: 6\r\n",
            Length::Unclear,
        );
        for none in ["", "+5", "-1", "5,", "0x5", "5 5", "5.0"] {
            length(&format!("content-length: {none}\r\n"), Length::Unclear);
        }
    }

    #[test]
    fn a_connection_goes_on_unless_the_head_says_otherwise() {
        let keeps = |version: &str, fields: &str| {
            let text = format!("HTTP/{version} 200 OK\r\n{fields}\r\n");
            head_of(&text).unwrap().keeps
        };
        assert!(keeps("1.1", ""));
        assert!(!keeps("1.1", "connection: Close\r\n"));
        assert!(!keeps(
            "1.1",
            "connection: x, close\r\nconnection: keep-alive\r\n"
        ));
        assert!(!keeps("1.0", ""));
        assert!(keeps("1.0", "connection: Keep-Alive\r\n"));
        assert!(!keeps(
            "1.0",
            "connection: keep-alive\r\nconnection: close\r\n"
        ));
    }

    #[test]
    fn a_field_that_goes_on_in_the_next_line_is_none() {
        assert!(head_of("HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n").is_err());
        assert!(head_of("HTTP/1.1 200 OK\r\na : b\r\n\r\n").is_err());
        assert!(head_of("HTTP/1.1 099 OK\r\n\r\n").is_err());
    }
}
