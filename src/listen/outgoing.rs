//! An answer on its way to an HTTP/1.1 viewer, written beneath the HTTP library.
//!
//! The answer is one to a GET, over a connection that goes on; whoever wants trailers asked
//! hyper.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, Response, StatusCode, header};
use http_body::Body;
use smallvec::SmallVec;
use tokio::io::AsyncWrite;

use crate::{
    fields::{date, line, text::Text},
    time::Clock,
};

/// Bytes that wait for the viewer before the body is asked for more: what one write takes of
/// a socket's buffer.
const QUEUED_MAX: usize = 64 * 1024;

/// Pieces that one write takes.
const PIECES_MAX: usize = 16;

/// A first piece of the body goes into one buffer with the head up to so many bytes: copying
/// it costs less than telling the kernel of two.
const JOINED_MAX: usize = 4 * 1024;

/// Room for a head without its fields, and for the line of each, in bytes; and for a first
/// piece of the body as it is with most answers of an API.
const ROOM_BYTES: usize = 2 * 1024;
const LINE_BYTES: usize = 48;

/// An answer, and how much of it was written.
pub(super) struct Outgoing<B> {
    /// What is written next, in its order.
    queue: SmallVec<[Bytes; 2]>,
    queued: usize,
    /// What follows the queue; `None` once it is all in there.
    body: Option<B>,
    framing: Framing,
    /// The body broke off behind what is in the queue.
    broken: bool,
}

/// How the viewer is told where the body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// Its length, of which so many bytes are to come.
    Length(u64),
    Chunked,
}

impl<B> Outgoing<B> {
    /// What is left of an answer that was begun elsewhere.
    pub(super) fn rest(head: Bytes, body: Bytes) -> Self {
        let mut rest = Self {
            queue: SmallVec::new(),
            queued: 0,
            body: None,
            framing: Framing::Length(0),
            broken: false,
        };
        rest.push(head);
        rest.push(body);
        rest
    }

    fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.queued += piece.len();
            self.queue.push(piece);
        }
    }

    /// Whether there is nothing to write before the body goes on.
    pub(super) fn awaits_body(&self) -> bool {
        self.queue.is_empty() && self.body.is_some()
    }

    fn take(&mut self, mut written: usize) {
        self.queued -= written;
        let mut through = 0;
        while let Some(piece) = self
            .queue
            .get(through)
            .filter(|piece| piece.len() <= written)
        {
            written -= piece.len();
            through += 1;
        }
        self.queue.drain(..through);
        if let Some(first) = self.queue.first_mut() {
            first.advance(written);
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Outgoing<B> {
    /// `answer`, of which nothing is written.
    pub(super) fn new(answer: Response<B>, cx: &mut Context<'_>) -> Self {
        let (parts, body) = answer.into_parts();
        let framing = framing(parts.status, &parts.headers, &body);
        let mut head = head(parts.status, &parts.headers, framing);
        let framing = framing.unwrap_or(Framing::Length(0));
        let mut this = Self {
            queue: SmallVec::new(),
            queued: 0,
            body: (framing != Framing::Length(0)).then_some(body),
            framing,
            broken: false,
        };
        let first = match framing {
            Framing::Length(_) => this.poll_data(cx),
            Framing::Chunked => Poll::Pending,
        };
        match first {
            Poll::Ready(Some(first)) if first.len() > JOINED_MAX => {
                this.push(head.into());
                this.push(first);
            }
            Poll::Ready(Some(first)) => {
                head.extend_from_slice(&first);
                this.push(head.into());
            }
            Poll::Ready(None) | Poll::Pending => this.push(head.into()),
        }
        this
    }

    /// The next of the body's bytes, no more than were announced; `None` when it has ended, or
    /// broke off.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        while let Some(body) = &mut self.body {
            let data = match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                // Whoever may have trailers asked elsewhere.
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                ended => {
                    // What an error says was told where it came up.
                    self.broken = ended.is_some() || matches!(self.framing, Framing::Length(_));
                    self.body = None;
                    break;
                }
            };
            let data = self.announced(data);
            if !data.is_empty() {
                return Poll::Ready(Some(data));
            }
        }
        Poll::Ready(None)
    }

    /// As much of `data` as was announced; the body ends where no more was.
    fn announced(&mut self, mut data: Bytes) -> Bytes {
        if let Framing::Length(left) = &mut self.framing {
            data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= data.len() as u64;
            if *left == 0 {
                self.body = None;
            }
        }
        data
    }

    /// Queues what the body has, as far as there is room.
    fn fill(&mut self, cx: &mut Context<'_>) {
        while self.body.is_some() && self.queued < QUEUED_MAX && self.queue.len() < PIECES_MAX {
            let Poll::Ready(piece) = self.poll_data(cx) else {
                return;
            };
            match (self.framing, piece) {
                (_, None) if self.broken => {}
                (Framing::Length(_), piece) => self.push(piece.unwrap_or_default()),
                (Framing::Chunked, None) => self.push(Bytes::from_static(b"0\r\n\r\n")),
                (Framing::Chunked, Some(piece)) => {
                    self.push(format!("{:x}\r\n", piece.len()).into());
                    self.push(piece);
                    self.push(Bytes::from_static(b"\r\n"));
                }
            }
        }
    }

    /// Writes to `wire` what goes; ready when all of it has left.
    ///
    /// # Errors
    ///
    /// When the body breaks off, or the wire does.
    pub(super) fn poll_through<W: AsyncWrite + Unpin>(
        &mut self,
        wire: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            self.fill(cx);
            if self.queue.is_empty() {
                ready!(Pin::new(&mut *wire).poll_flush(cx))?;
                return match self.body {
                    None if self.broken => {
                        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
                    }
                    None => Poll::Ready(Ok(())),
                    Some(_) => Poll::Pending,
                };
            }
            let written = match &self.queue[..] {
                [only] => ready!(Pin::new(&mut *wire).poll_write(cx, only))?,
                queue => {
                    let mut slices = [IoSlice::new(&[]); PIECES_MAX];
                    for (slice, piece) in slices.iter_mut().zip(queue) {
                        *slice = IoSlice::new(piece);
                    }
                    let count = queue.len().min(PIECES_MAX);
                    ready!(Pin::new(&mut *wire).poll_write_vectored(cx, &slices[..count]))?
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.take(written);
        }
    }
}

/// How the end of `body` is told; `None` where the status says that there is none.
///
/// "All 1xx (Informational), 204 (No Content), and 304 (Not Modified) responses do not include
/// content" (RFC 9110 §6.4.1).
fn framing<B: Body>(status: StatusCode, headers: &HeaderMap, body: &B) -> Option<Framing> {
    if matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::SWITCHING_PROTOCOLS
    ) {
        return None;
    }
    let said = || {
        headers
            .get(header::CONTENT_LENGTH)?
            .to_str()
            .ok()?
            .parse()
            .ok()
    };
    let known = if body.is_end_stream() {
        Some(0)
    } else {
        body.size_hint().exact().or_else(said)
    };
    Some(known.map_or(Framing::Chunked, Framing::Length))
}

/// The head, as HTTP/1.1 writes it; what tells of the body's end is written here alone.
fn head(status: StatusCode, headers: &HeaderMap, framing: Option<Framing>) -> Vec<u8> {
    let mut head = Vec::with_capacity(ROOM_BYTES + headers.len() * LINE_BYTES);
    line::push_status(&mut head, status);
    let mut dated = false;
    for (name, value) in headers {
        match *name {
            header::CONTENT_LENGTH | header::TRANSFER_ENCODING => continue,
            header::DATE => dated = true,
            _ => {}
        }
        line::push_field(&mut head, name.as_str(), value.as_bytes());
    }
    match framing {
        Some(Framing::Length(length)) => {
            let mut digits = Text::<20>::default();
            digits.push_number(length);
            line::push_field(&mut head, "content-length", digits.as_bytes());
        }
        Some(Framing::Chunked) => line::push_field(&mut head, "transfer-encoding", b"chunked"),
        None => {}
    }
    // "An origin server with a clock MUST generate a Date header field in all 2xx
    // (Successful), 3xx (Redirection), and 4xx (Client Error) responses" (RFC 9110 §6.6.1).
    if !dated {
        line::push_field(&mut head, "date", &date::format(Clock::System.now()));
    }
    head.extend_from_slice(b"\r\n");
    head
}
