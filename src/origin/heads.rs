//! The heads of an HTTP/1.1 origin's answers, looked at before hyper reads them: a line ends
//! in a carriage return and a line feed.
//!
//! hyper takes a line feed alone for the end of a line. An origin that lets one of a viewer's
//! into a field would let that viewer write fields of its own, and the answer behind them,
//! which is then stored for others. "a recipient MAY recognize a single LF as a line
//! terminator" (RFC 9112 §2.2); we do not, of viewers (`listen`) or of origins.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::dial::Io;

/// How much of a status line says that its head is not the last: `HTTP/1.1 103`.
const STATUS_LINE: usize = 12;

/// Says to a connection's stream that the head of an answer comes next.
#[derive(Clone, Debug, Default)]
pub(super) struct Awaited(Arc<AtomicBool>);

impl Awaited {
    /// A request is about to be sent, and whatever was read belongs to the one before.
    pub(super) fn head(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// An origin's stream, whose reads fail within a head that could be read in two ways.
pub(super) struct Strict {
    stream: Box<dyn Io>,
    awaited: Awaited,
    /// `None` in bodies, and in what a connection was upgraded to.
    head: Option<Head>,
}

impl Strict {
    pub(super) fn new(stream: Box<dyn Io>, awaited: Awaited) -> Self {
        Self {
            stream,
            awaited,
            head: None,
        }
    }

    fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.awaited.0.swap(false, Ordering::Acquire) {
            self.head = Some(Head::default());
        }
        if let Some(head) = &mut self.head {
            match head.follow(bytes) {
                Ok(true) => self.head = None,
                Ok(false) => {}
                Err(BareLineFeed) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, BareLineFeed));
                }
            }
        }
        Ok(())
    }
}

/// Why a head is none.
#[derive(Debug, thiserror::Error)]
#[error("a line of the answer's head ends in a line feed alone")]
struct BareLineFeed;

/// How far a head has been read.
#[derive(Debug, Default)]
struct Head {
    /// How many bytes its present line has had, and the last of them.
    line: usize,
    last: u8,
    /// How its first line begins.
    status: Vec<u8>,
    begun: bool,
}

impl Head {
    /// Follows the next bytes; whether what comes behind them is no head any more.
    fn follow(&mut self, bytes: &[u8]) -> Result<bool, BareLineFeed> {
        let mut line = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            self.push(&bytes[line..end]);
            if self.last != b'\r' {
                return Err(BareLineFeed);
            }
            if self.line > 1 {
                self.begun = true;
            } else if self.begun {
                if !self.is_interim() {
                    return Ok(true);
                }
                *self = Self::default();
            } else {
                self.status.clear();
            }
            (self.line, self.last) = (0, 0);
            line = end + 1;
        }
        self.push(&bytes[line..]);
        Ok(false)
    }

    fn push(&mut self, bytes: &[u8]) {
        self.line += bytes.len();
        self.last = bytes.last().copied().unwrap_or(self.last);
        if !self.begun {
            let lacking = STATUS_LINE - self.status.len();
            self.status.extend(bytes.iter().take(lacking));
        }
    }

    /// "A 1xx response is terminated by the end of the header section" (RFC 9110 §15.2), and
    /// another head follows; after a 101 none does.
    fn is_interim(&self) -> bool {
        matches!(self.status.get(9..), Some([b'1', second, third]) if (*second, *third) != (b'0', b'1'))
    }
}

impl AsyncRead for Strict {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        Poll::Ready(this.look(&buffer.filled()[before..]))
    }
}

impl AsyncWrite for Strict {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the head ends, however its bytes are cut; `None` where it does not, or is none.
    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        for piece in 1..=text.len() {
            let (mut head, mut read) = (Head::default(), 0);
            let mut end = None;
            for bytes in text.as_bytes().chunks(piece) {
                read += bytes.len();
                match head.follow(bytes) {
                    Ok(true) => {
                        end = Some(read);
                        break;
                    }
                    Ok(false) => {}
                    Err(BareLineFeed) => break,
                }
            }
            assert_eq!(end.is_some(), expected.is_some(), "{piece}: {text:?}");
            if let (Some(end), Some(expected), 1) = (end, expected, piece) {
                assert_eq!(&text[..end], expected);
            }
        }
    }

    #[test]
    fn s17_lines_of_a_head_end_in_both() {
        let head = "HTTP/1.1 200 OK\r\na: b\r\n\r\n";
        check(head, Some(head));
        check(&format!("{head}body\nand\n\nmore"), Some(head));
        check("HTTP/1.1 200 OK\na: b\r\n\r\n", None);
        check("HTTP/1.1 200 OK\r\na: b\nset-cookie: c\r\n\r\n", None);
        check("HTTP/1.1 200 OK\r\na: b\r\n\n", None);
        check("\nHTTP/1.1 200 OK\r\n\r\n", None);
        check("\r\nHTTP/1.1 103 x\r\n\r\n", None);
    }

    #[test]
    fn s17_heads_before_the_last_are_looked_at_too() {
        let early = "HTTP/1.1 103 Early Hints\r\n\r\n";
        let both = format!("{early}{early}HTTP/1.1 204 No\r\n\r\n");
        check(&format!("{both}\n"), Some(&both));
        check(&format!("{early}HTTP/1.1 200 OK\n\r\n\r\n"), None);
        // What follows a change of protocols is no HTTP.
        let change = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
        check(&format!("{change}\n\n"), Some(change));
    }
}
