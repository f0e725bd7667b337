//! A body in chunks, from its bytes (RFC 9112 §7.1).
//!
//! ```text
//! chunked-body   = *chunk last-chunk trailer-section CRLF
//! chunk          = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
//! ```

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;

use crate::origin::{
    connection::{FIELDS_MAX, HEAD_BYTES_MAX},
    error::Cause,
};

/// How many bytes may be written behind the sizes of all chunks of a body; hyper's bound.
/// "A recipient MUST ignore unrecognized chunk extensions", and "ought to limit the total
/// length of chunk extensions received" (RFC 9112 §7.1.1).
const EXTENSION_BYTES_MAX: usize = 16 << 10;

/// How many digits the size of a chunk may have: those of 64 bits. "Recipients MUST anticipate
/// potentially large hexadecimal numerals and prevent parsing errors due to integer conversion
/// overflows" (RFC 9112 §7.1).
const SIZE_DIGITS_MAX: u8 = 16;

/// What follows a chunk in nearly every body that has come to its end.
const END: &[u8] = b"\r\n0\r\n\r\n";

/// How far a chunked body has been read.
#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    /// The size of the present chunk, then what is left of it.
    left: u64,
    extension_bytes: usize,
    /// The trailer section, as far as it has come.
    trailers: Vec<u8>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The size of a chunk, of which there were so many digits.
    Size(u8),
    /// What may pad it.
    Padding,
    Extension,
    /// The line feed behind a size.
    Feed,
    Data,
    /// The carriage return behind the data, and the line feed.
    DataReturn,
    DataFeed,
    Trailers,
    End,
}

impl Chunks {
    /// At the beginning.
    pub(super) fn new() -> Self {
        Self {
            at: At::Size(0),
            left: 0,
            extension_bytes: 0,
            trailers: Vec::new(),
        }
    }

    /// Whether the last chunk and the trailers have come.
    pub(super) fn has_ended(&self) -> bool {
        self.at == At::End
    }

    /// Takes the next piece of data, or the trailers, off `bytes`; `None` when there is neither,
    /// and all bytes of the body have been taken.
    pub(super) fn next(&mut self, bytes: &mut Bytes) -> Result<Option<Frame<Bytes>>, Cause> {
        while !bytes.is_empty() {
            match self.at {
                At::Data => return Ok(Some(Frame::data(self.data(bytes)))),
                At::Trailers => {
                    if let Some(trailers) = self.trailers(bytes)? {
                        return Ok(Some(Frame::trailers(trailers)));
                    }
                }
                At::End => return Ok(None),
                _ => {
                    let byte = bytes.get_u8();
                    self.at = self.after(byte)?;
                }
            }
        }
        Ok(None)
    }

    fn data(&mut self, bytes: &mut Bytes) -> Bytes {
        let here = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let data = bytes.split_to(here);
        self.left -= here as u64;
        if self.left == 0 {
            self.at = At::DataReturn;
            if **bytes == *END {
                // So that whoever takes this piece knows that it is the last.
                bytes.clear();
                self.at = At::End;
            }
        }
        data
    }

    /// What the byte behind `byte`, which is of the frame around the data, belongs to.
    fn after(&mut self, byte: u8) -> Result<At, Cause> {
        let invalid = |seen| Err(Cause::Seen(seen));
        match (self.at, byte) {
            (At::Size(SIZE_DIGITS_MAX), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                invalid("the size of a chunk is too large")
            }
            (At::Size(digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                // 16 digits are 64 bits.
                self.left = self.left << 4 | u64::from(digit);
                Ok(At::Size(digits + 1))
            }
            (At::Size(0), _) => invalid("a chunk has no size"),
            (At::Size(_) | At::Padding, b'\t' | b' ') => Ok(At::Padding),
            (At::Size(_) | At::Padding, b';') => Ok(At::Extension),
            (At::Size(_) | At::Padding | At::Extension, b'\r') => Ok(At::Feed),
            (At::Size(_) | At::Padding, _) => invalid("the size of a chunk is no number"),
            (At::Extension, byte) if byte.is_ascii_control() && byte != b'\t' => {
                invalid("a chunk extension has a control character")
            }
            (At::Extension, _) => {
                self.extension_bytes += 1;
                if self.extension_bytes >= EXTENSION_BYTES_MAX {
                    return invalid("the chunk extensions are too long");
                }
                Ok(At::Extension)
            }
            (At::Feed, b'\n') if self.left > 0 => Ok(At::Data),
            (At::Feed, b'\n') => Ok(At::Trailers),
            (At::DataReturn, b'\r') => Ok(At::DataFeed),
            (At::DataFeed, b'\n') => Ok(At::Size(0)),
            (At::Feed, _) => invalid("the size of a chunk ends in a carriage return alone"),
            _ => invalid("a chunk is longer than its size"),
        }
    }

    /// Takes what is there of the trailer section; its fields, if that has any and is whole.
    fn trailers(&mut self, bytes: &mut Bytes) -> Result<Option<HeaderMap>, Cause> {
        while !bytes.is_empty() {
            let feed = memchr::memchr(b'\n', bytes);
            let taken = feed.map_or(bytes.len(), |feed| feed + 1);
            if self.trailers.len() + taken > HEAD_BYTES_MAX {
                return Err(Cause::Seen("the trailers are too large"));
            }
            self.trailers.extend_from_slice(&bytes.split_to(taken));
            if !self.ends_line()? {
                break;
            }
            if self.trailers == b"\r\n" {
                self.at = At::End;
                return Ok(None);
            }
            if self.trailers.ends_with(b"\r\n\r\n") {
                self.at = At::End;
                return fields(&self.trailers).map(Some);
            }
        }
        Ok(None)
    }
}

impl Chunks {
    /// Whether the last line of the trailer section has ended, in a carriage return and a line
    /// feed; neither is anywhere else.
    fn ends_line(&self) -> Result<bool, Cause> {
        let end = self.trailers.len();
        let before = &self.trailers[..end - 1];
        let line = memchr::memrchr(b'\n', before).map_or(0, |feed| feed + 1);
        let last = &self.trailers[line..];
        match (memchr::memchr(b'\r', last), last.ends_with(b"\n")) {
            (None, false) => Ok(false),
            (Some(at), false) if at + 1 == last.len() => Ok(false),
            (Some(at), true) if at + 2 == last.len() => Ok(true),
            (None, true) => Err(Cause::Seen(
                "a line of the trailers ends in a line feed alone",
            )),
            (Some(_), _) => Err(Cause::Seen("a carriage return alone is in the trailers")),
        }
    }
}

/// The fields of a whole trailer section.
fn fields(section: &[u8]) -> Result<HeaderMap, Cause> {
    let invalid = || Cause::Seen("the trailers are invalid");
    let mut found = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let found = match httparse::parse_headers(section, &mut found) {
        Ok(httparse::Status::Complete((_, found))) => found,
        Err(httparse::Error::TooManyHeaders) => return Err(Cause::Seen("too many trailers")),
        Ok(httparse::Status::Partial) | Err(_) => return Err(invalid()),
    };
    let mut fields = HeaderMap::with_capacity(found.len());
    for field in found {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| invalid())?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| invalid())?;
        fields.append(name, value);
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a body comes to: its data, its trailers, and what is left behind it.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Read {
        data: String,
        trailers: Option<String>,
        ended: bool,
        behind: String,
    }

    /// `text` as it is read in pieces that end at `cuts`.
    fn read(text: &str, cuts: &[usize]) -> Result<Read, Cause> {
        let mut chunks = Chunks::new();
        let mut read = Read::default();
        let mut begin = 0;
        for &cut in cuts.iter().chain([&text.len()]) {
            let mut bytes = Bytes::copy_from_slice(&text.as_bytes()[begin..cut]);
            begin = cut;
            while let Some(frame) = chunks.next(&mut bytes)? {
                match frame.into_data() {
                    Ok(data) => read.data.push_str(std::str::from_utf8(&data).unwrap()),
                    Err(frame) => read.trailers = frame.into_trailers().ok().map(shown),
                }
            }
            read.behind.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        read.ended = chunks.has_ended();
        Ok(read)
    }

    fn shown(fields: HeaderMap) -> String {
        let one = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}={}", value.to_str().unwrap())
        };
        fields.iter().map(one).collect::<Vec<_>>().join(",")
    }

    /// Every way to cut `text` once and twice.
    fn cuts(text: &str) -> impl Iterator<Item = Vec<usize>> {
        let end = text.len();
        let twice = (0..=end).flat_map(move |one| (one..=end).map(move |two| vec![one, two]));
        twice.chain([(0..end).collect()])
    }

    #[track_caller]
    fn check(text: &str, data: &str, trailers: Option<&str>, behind: &str) {
        for cuts in cuts(text) {
            let wanted = Read {
                data: data.to_owned(),
                trailers: trailers.map(ToOwned::to_owned),
                ended: true,
                behind: behind.to_owned(),
            };
            assert_eq!(read(text, &cuts).unwrap(), wanted, "{text:?} {cuts:?}");
        }
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        check("0\r\n\r\n", "", None, "");
        check("3\r\none\r\n0\r\n\r\n", "one", None, "");
        check("3\r\none\r\n003\r\ntwo\r\n0\r\n\r\n", "onetwo", None, "");
        check("a \t\r\n0123456789\r\n0\r\n\r\n", "0123456789", None, "");
        check("1;a=\"b\"\r\nx\r\n0;c\r\n\r\n", "x", None, "");
        check(
            "2\r\nok\r\n0\r\na: b\r\nA: c\r\n\r\n",
            "ok",
            Some("a=b,a=c"),
            "",
        );
        check("2\r\nok\r\n0\r\n\r\nHTTP/1.1", "ok", None, "HTTP/1.1");
        check("1\r\n\n\r\n0\r\n\r\n\r\n", "\n", None, "\r\n");
    }

    #[test]
    fn the_last_piece_is_known_to_be_the_last() {
        let mut chunks = Chunks::new();
        let mut bytes = Bytes::from_static(b"3\r\none\r\n0\r\n\r\n");
        assert!(chunks.next(&mut bytes).unwrap().is_some());
        assert!(chunks.has_ended() && bytes.is_empty());
    }

    #[test]
    fn a_body_without_its_end_has_none() {
        let text = "3\r\none\r\n0\r\na: b\r\n\r\n";
        for end in 0..text.len() {
            assert!(!read(&text[..end], &[]).unwrap().ended, "{end}");
        }
    }

    #[track_caller]
    fn refuses(text: &str) {
        for cuts in cuts(text) {
            assert!(read(text, &cuts).is_err(), "{text:?} {cuts:?}");
        }
    }

    #[test]
    fn what_is_read_in_two_ways_is_refused() {
        refuses("\r\n");
        refuses("x\r\n");
        refuses("-1\r\n");
        refuses("0x1\r\n");
        refuses("1 1\r\n");
        refuses(";a\r\n");
        refuses("1\nx");
        refuses("1\rx");
        refuses("1;a\nx");
        refuses("1;a\rx");
        refuses("1;\0\r\nx");
        refuses("1\r\nxy");
        refuses("1\r\nx\n");
        refuses("1\r\nx\rx");
        refuses("0\r\n\n");
        refuses("0\r\na: b\n\r\n");
        refuses("0\r\na: b\r\r\n");
        refuses("0\r\na: b\rc");
        refuses("0\r\na: b\r\n c\r\n\r\n");
        refuses("0\r\na b\r\n\r\n");
        refuses("00000000000000000\r\n");
        refuses("10000000000000000\r\n");
    }

    #[test]
    fn what_surrounds_the_data_is_bounded() {
        let long = |bytes| format!("1;{}\r\nx\r\n", "a".repeat(bytes));
        assert!(read(&long(EXTENSION_BYTES_MAX - 1), &[]).is_ok());
        assert!(read(&long(EXTENSION_BYTES_MAX), &[]).is_err());
        assert!(read(&long(EXTENSION_BYTES_MAX / 4).repeat(4), &[]).is_err());
        let fields = |count| format!("0\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert!(read(&fields(FIELDS_MAX), &[]).is_ok());
        assert!(read(&fields(FIELDS_MAX + 1), &[]).is_err());
        let large = |bytes| format!("0\r\na: {}", "b".repeat(bytes));
        assert!(read(&large(HEAD_BYTES_MAX - 3), &[]).is_ok());
        assert!(read(&large(HEAD_BYTES_MAX - 2), &[]).is_err());
    }
}
