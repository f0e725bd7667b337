//! Where the messages of an HTTP/1 connection end, followed beside hyper.
//!
//! hyper takes some bytes that another reader may split differently: lines that end in a
//! line feed alone, white space after the size of a chunk, controls in its extension, a
//! length beside a transfer coding, a coding said twice. Each such difference is how one
//! request is smuggled in another (RFC 9112 §11.2). They are refused here, without a parser
//! of our own: a byte that could be read in two ways is replaced by one that nobody can
//! read, and hyper answers 400 and closes.
//!
//! A head costs a search for its line feeds. The pass over a body's bytes is for chunked
//! ones alone, and skips their data.

use memchr::memchr;

/// Of a line that comes in pieces, what is kept of its beginning, in bytes. Long enough for
/// every length and coding there is; a longer one of these is refused.
const LINE_MAX: usize = 256;

/// The most digits of a chunk's size: 2⁶⁴ is beyond every body.
const SIZE_DIGITS_MAX: u8 = 16;

/// Never part of a request line or a field line.
const NO_LINE: u8 = 0;

/// Never part of a chunk's size or extension.
const NO_SIZE: u8 = b'\n';

/// What makes hyper look at a head that it was given a part of before: it waits until that
/// looks complete. Goes after a byte that was spoiled.
pub(super) const LOOK: &[u8] = b"\n\n";

/// How far the messages of one connection have been read.
#[derive(Debug, Default)]
pub(super) struct Messages {
    state: State,
    /// The line that has begun, where it came in pieces.
    line: Line,
    head: Head,
    /// How many heads have ended.
    heads: u32,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// Before a request line, in a head.
    #[default]
    Head,
    /// In a body of which so many bytes are left.
    Body(u64),
    /// In the size of a chunk: its digits, and what they say.
    Size(u8, u64),
    /// In the extension of a chunk of that size.
    Extension(u64),
    /// After the carriage return behind them.
    SizeEnd(u64),
    /// In the data of a chunk.
    Data(u64),
    /// Behind it, with so many bytes of its line break.
    DataEnd(usize),
    /// After the last chunk.
    Trailers,
    /// Nothing that follows is a message.
    Refused,
}

/// What a head said so far that decides where its message ends.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    /// It has a request line.
    begun: bool,
    length: Option<u64>,
    chunked: bool,
    /// It says of the end what could be read in two ways.
    doubtful: bool,
}

impl Messages {
    /// Follows the next bytes of the stream, and spoils the first of them that could be read
    /// in two ways; whether there was one.
    pub(super) fn follow(&mut self, bytes: &mut [u8]) -> bool {
        if let State::Refused = self.state {
            return false;
        }
        self.run(bytes);
        matches!(self.state, State::Refused)
    }

    /// Whether what was followed ends within a body, or within the frame around one.
    pub(super) fn is_within_body(&self) -> bool {
        !matches!(self.state, State::Head | State::Refused)
    }

    /// One head came that was read elsewhere: all that came, and no line of it could be read
    /// in two ways. Only for where the last message ended.
    pub(super) fn pass(&mut self) {
        self.heads = self.heads.wrapping_add(1);
    }

    /// How many heads were followed to their end.
    pub(super) fn heads(&self) -> u32 {
        self.heads
    }

    /// Whether what was followed ends where a message does, and the next has not begun.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.state, State::Head) && !self.head.begun && self.line.is_empty()
    }

    fn run(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &mut bytes[at..];
            at += match self.state {
                State::Head | State::Trailers => self.follow_lines(rest),
                State::Body(left) => {
                    let (read, left) = skip(rest, left);
                    self.state = match left {
                        0 => State::Head,
                        left => State::Body(left),
                    };
                    read
                }
                State::Data(left) => {
                    let (read, left) = skip(rest, left);
                    self.state = match left {
                        0 => State::DataEnd(0),
                        left => State::Data(left),
                    };
                    read
                }
                State::Refused => return,
                state => {
                    self.state = chunk(state, &mut rest[0]);
                    1
                }
            };
        }
    }

    /// Follows to the end of the lines, or of the bytes; how many that are.
    fn follow_lines(&mut self, bytes: &mut [u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let Some(length) = memchr(b'\n', &bytes[at..]) else {
                self.line.push(&bytes[at..]);
                return bytes.len();
            };
            let end = at + length;
            if !self.follow_line(&bytes[at..end]) {
                bytes[end] = NO_LINE;
                self.state = State::Refused;
            }
            at = end + 1;
            if !matches!(self.state, State::Head | State::Trailers) {
                break;
            }
        }
        at
    }

    /// Follows a line to its end, of which `bytes` are the last before the line feed; false if
    /// it could be read in two ways.
    fn follow_line(&mut self, bytes: &[u8]) -> bool {
        if self.line.is_empty() {
            return self.ends(bytes, bytes.last(), false);
        }
        let mut line = std::mem::take(&mut self.line);
        line.push(bytes);
        self.ends(&line.kept, Some(&line.last), line.is_cut)
    }

    /// A line ends, of which this is the last byte; false if it could be read in two ways.
    fn ends(&mut self, line: &[u8], last: Option<&u8>, is_cut: bool) -> bool {
        // "Although the line terminator for the start-line and fields is the sequence CRLF, a
        // recipient MAY recognize a single LF as a line terminator" (RFC 9112 §2.2): as some
        // do and others do not, we do not.
        if last != Some(&b'\r') {
            return false;
        }
        if line.len() > 1 {
            if let State::Head = self.state {
                self.head.note(line, is_cut);
            }
            return true;
        }
        if let State::Trailers = self.state {
            self.state = State::Head;
            return true;
        }
        self.end_head()
    }

    /// The line was empty; false if the head it ends should not be read.
    fn end_head(&mut self) -> bool {
        // "a server that is expecting to receive and parse a request-line SHOULD ignore at
        // least one empty line (CRLF) received prior to the request-line" (RFC 9112 §2.2).
        if !self.head.begun {
            return true;
        }
        let head = std::mem::take(&mut self.head);
        self.heads = self.heads.wrapping_add(1);
        self.state = match (head.chunked, head.length) {
            // "A server MAY reject a request that contains both Content-Length and
            // Transfer-Encoding" (RFC 9112 §6.1).
            (true, Some(_)) => return false,
            (true, None) => State::Size(0, 0),
            (false, Some(0) | None) => State::Head,
            (false, Some(length)) => State::Body(length),
        };
        !head.doubtful
    }
}

impl Head {
    /// A line, with its carriage return; the first is the request line.
    fn note(&mut self, line: &[u8], is_cut: bool) {
        if !self.begun {
            self.begun = true;
            return;
        }
        // Most lines are neither.
        if !matches!(line[0], b'c' | b'C' | b't' | b'T') {
            return;
        }
        if let Some(value) = value(line, b"content-length") {
            // "identical decimal values" may be taken for one (RFC 9112 §6.3).
            let length = number(value).filter(|_| !is_cut);
            self.doubtful |= length.is_none() || self.length.is_some_and(|one| Some(one) != length);
            self.length = length.or(self.length);
        } else if let Some(value) = value(line, b"transfer-encoding") {
            self.doubtful |= is_cut || self.chunked || !is_plain(value);
            self.chunked = true;
        }
    }
}

/// The value of the field `name`, if that is the line's.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (seen, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    seen.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

/// Digits and nothing else.
fn number(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(value).ok()?.parse().ok())?
}

/// Whether codings are listed without gaps, and `chunked` is said once.
///
/// "A sender MUST NOT apply the chunked transfer coding more than once to a message body"
/// (RFC 9112 §7.1).
fn is_plain(codings: &[u8]) -> bool {
    let mut codings = codings.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let mut chunked = 0;
    codings.all(|coding| {
        chunked += usize::from(coding.eq_ignore_ascii_case(b"chunked"));
        !coding.is_empty() && chunked <= 1
    })
}

/// Skips to the end of `left` bytes, or of `bytes`: how many that are, and what is left.
fn skip(bytes: &[u8], left: u64) -> (usize, u64) {
    let read = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
    (read, left - read as u64)
}

/// The next byte around chunks (RFC 9112 §7.1); one that does not belong there is spoiled
/// where hyper would take it.
fn chunk(state: State, byte: &mut u8) -> State {
    match (state, *byte) {
        (State::Size(digits, size), digit)
            if digit.is_ascii_hexdigit() && digits < SIZE_DIGITS_MAX =>
        {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                letter => (letter | 0x20) - b'a' + 10,
            };
            State::Size(digits + 1, size << 4 | u64::from(value))
        }
        (State::Size(1.., size) | State::Extension(size), b'\r') => State::SizeEnd(size),
        (State::Size(1.., size), b';') => State::Extension(size),
        (State::Extension(size), b'\t' | b' '..=0x7e | 0x80..) => State::Extension(size),
        (State::Size(..) | State::Extension(_), _) => {
            *byte = NO_SIZE;
            State::Refused
        }
        (State::SizeEnd(0), b'\n') => State::Trailers,
        (State::SizeEnd(size), b'\n') => State::Data(size),
        (State::DataEnd(0), b'\r') => State::DataEnd(1),
        (State::DataEnd(1), b'\n') => State::Size(0, 0),
        // These hyper refuses by itself.
        _ => State::Refused,
    }
}

/// The beginning of a line, and its last byte.
#[derive(Debug, Default)]
struct Line {
    kept: Vec<u8>,
    last: u8,
    /// It is longer than what was kept.
    is_cut: bool,
}

impl Line {
    fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    fn push(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last() {
            self.last = *last;
        }
        let taken = bytes.len().min(LINE_MAX - self.kept.len());
        self.kept.extend_from_slice(&bytes[..taken]);
        self.is_cut |= taken < bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is left of `text` after it was followed in pieces.
    fn followed(text: &[u8], piece: usize) -> Vec<u8> {
        let mut messages = Messages::default();
        let mut bytes = text.to_vec();
        for piece in bytes.chunks_mut(piece) {
            messages.follow(piece);
        }
        bytes
    }

    /// Passes as it is, in pieces of any size, and so does what follows it: the next line
    /// feed that stands alone is seen.
    #[track_caller]
    fn passes(text: &str) {
        for piece in 1..text.len() + 2 {
            assert_eq!(followed(text.as_bytes(), piece), text.as_bytes(), "{piece}");
            let bare = format!("{text}GET /\n");
            let seen = followed(bare.as_bytes(), piece);
            assert_eq!(seen.last(), Some(&NO_LINE), "{piece}: {text:?}");
        }
    }

    /// The byte at `at` is spoiled, and no other.
    #[track_caller]
    fn spoils(text: &str, at: usize) {
        for piece in 1..=text.len() {
            let seen = followed(text.as_bytes(), piece);
            let mut wanted = text.as_bytes().to_vec();
            wanted[at] = seen[at];
            assert_ne!(seen[at], text.as_bytes()[at], "{piece}: {text:?}");
            assert_eq!(seen, wanted, "{piece}: {text:?}");
        }
    }

    const POST: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";

    #[test]
    fn ordinary_messages_pass() {
        passes("GET / HTTP/1.1\r\nhost: a\r\ncookie: b\r\nte: x\r\n\r\n");
        passes("\r\n\r\nGET / HTTP/1.1\r\n\r\n");
        passes("POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\na\nb\n\nc\r\nd");
        passes("POST / HTTP/1.1\r\nContent-Length:\t2 \r\ncontent-length:2\r\n\r\n\n\n");
        passes("POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
        passes(&format!("{POST}3\r\na\nb\r\n0\r\n\r\n"));
        passes(&format!(
            "{POST}A;b=\"c d\";e\r\n\n\r\n3456789\r\n000\r\nx: y\r\n\r\n"
        ));
        passes("POST / HTTP/1.1\r\ntransfer-encoding: gzip, Chunked\r\n\r\n0\r\n\r\n");
        let long = "y".repeat(2 * LINE_MAX);
        passes(&format!("GET /{long} HTTP/1.1\r\nx: {long}\r\n\r\n"));
    }

    #[test]
    fn a_line_feed_alone_ends_no_line() {
        for text in [
            "GET / HTTP/1.1\nhost: a\n\n",
            "GET / HTTP/1.1\r\nhost: a\nb: c\r\n\r\n",
            "GET / HTTP/1.1\r\n\n",
            "\nGET / HTTP/1.1\r\n\r\n",
        ] {
            let bare = text.match_indices('\n').map(|(at, _)| at);
            let bare = bare.into_iter().find(|at| !text[..*at].ends_with('\r'));
            spoils(text, bare.unwrap());
        }
        let text = format!("{POST}0\r\nx: y\nz: a\r\n\r\n");
        spoils(&text, text.find("\nz").unwrap());
    }

    #[test]
    fn an_end_said_in_two_ways_is_none() {
        for fields in [
            "content-length: 5\r\ntransfer-encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: x",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            "transfer-encoding: identity\r\ntransfer-encoding: chunked",
            "transfer-encoding: ,chunked",
            "transfer-encoding: chunked, chunked",
            "transfer-encoding:",
            "content-length: 5\r\ncontent-length: 6",
            "content-length: +5",
            "content-length: 99999999999999999999",
        ] {
            let text = format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n");
            spoils(&text, text.len() - 1);
        }
        let wide = format!(
            "POST / HTTP/1.1\r\ncontent-length: {}5\r\n\r\n",
            " ".repeat(300)
        );
        let seen = followed(wide.as_bytes(), 100);
        assert_eq!(seen.last(), Some(&NO_LINE));
    }

    #[test]
    fn a_size_is_digits_and_its_extension_text() {
        for (chunk, at) in [
            ("5 \r\n", 1),
            ("5\t;a\r\n", 1),
            (" 5\r\n", 0),
            ("\r\n", 0),
            ("0x5\r\n", 1),
            ("5;\0a\r\n", 2),
            ("5;a\x7f\r\n", 3),
            ("11112222333344445\r\n", 16),
        ] {
            spoils(&format!("{POST}{chunk}"), POST.len() + at);
        }
    }

    proptest! {
        /// What hyper would take for a body is never changed, whatever is in it.
        #[test]
        fn bodies_pass(body: Vec<u8>, piece in 1..64_usize, extension in "(;[ -~]{0,9})?") {
            let head = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n", body.len());
            let sized = [head.as_bytes(), &body, b"GET / HTTP/1.1\r\n\r\n"].concat();
            prop_assert_eq!(&followed(&sized, piece), &sized);
            let mut chunked = POST.as_bytes().to_vec();
            for chunk in body.chunks(7) {
                chunked.extend(format!("{:x}{extension}\r\n", chunk.len()).into_bytes());
                chunked.extend(chunk);
                chunked.extend(b"\r\n");
            }
            chunked.extend(b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n");
            prop_assert_eq!(&followed(&chunked, piece), &chunked);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, near in "[GT: 0-9a;\r\nchunked-]{0,80}", piece in 1..9_usize) {
            followed(&bytes, piece);
            followed(&[POST.as_bytes(), near.as_bytes()].concat(), piece);
        }
    }
}
