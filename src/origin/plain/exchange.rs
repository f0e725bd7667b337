//! One exchange: a request is written, and the head of its response is read.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use http::{Method, Response, StatusCode, Version};
use tokio::{
    io::{AsyncReadExt, ReadBuf},
    time::Instant,
};

use crate::{
    origin::{
        connection::HEAD_BYTES_MAX,
        dial::Io,
        error::{Cause, Failed},
        head::{framing, invalid, misframed},
        interim::Interim,
        plain::{
            Plain,
            body::{Body, Coming, End},
            broke_off,
            chunked::Chunks,
            head::{self, Head, Length},
            names::Names,
            write,
        },
        received::Framing,
        source::Source,
    },
    policy::failover::{Blame, Phase, Retry},
};

/// How much is read at first, into the stack: the whole of most answers. What came is copied
/// once, to a place of its size.
const FIRST_BYTES: usize = 16 << 10;

/// How much is read of a head that did not come at once.
const MORE_BYTES: usize = 4 << 10;

/// How often a head that comes in pieces is looked at; each time a line more is there, and a
/// valid one has two lines more than it may have fields (`FIELDS_MAX`).
const LOOKS_MAX: u8 = 200;

/// A response, and what became of its connection.
pub(in crate::origin) struct Answer {
    pub(in crate::origin) response: Response<Body>,
    pub(in crate::origin) framing: Framing,
    /// The connection, where all of the body came with the head. Otherwise the body has it, or
    /// it is closed.
    pub(in crate::origin) free: Option<Plain>,
}

impl Plain {
    /// Sends what `source` makes, without a body, and waits for the final head, at most `allowed`
    /// from `started`. Dropping the future closes the connection.
    ///
    /// # Errors
    ///
    /// When there is no answer to use; [`Retry::Unsent`] when nothing of the request was
    /// written.
    pub(in crate::origin) async fn exchange(
        mut self,
        source: &dyn Source,
        (started, allowed): (Instant, Duration),
    ) -> Result<Answer, Failed> {
        let mut exchange = Exchange::new(source);
        let (head, rest) = poll_fn(|cx| {
            if let Poll::Ready(answered) = exchange.poll_answered(&mut self, cx) {
                return Poll::Ready(answered.map_err(|cause| exchange.failed(cause, self.0.kept)));
            }
            ready!(self.0.patience.poll_until(cx, started + allowed));
            let overdue = Failed::timed_out(Blame::Origin, Phase::Head, allowed);
            Poll::Ready(Err(overdue))
        })
        .await?;
        let keeps = head.keeps && exchange.is_sent();
        self.answer(head, rest, keeps, source.method())
    }

    /// What `head` and the bytes behind it come to.
    fn answer(
        self,
        head: Head,
        mut rest: Bytes,
        keeps: bool,
        method: &Method,
    ) -> Result<Answer, Failed> {
        let sized = head.length != Length::Unsaid;
        let framing = framing(&head.response, method, head.coded, sized)?;
        if head.response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(invalid("101 Switching Protocols without being asked"));
        }
        let (whole, end) = match (framing, head.length) {
            (Framing::None, _) => (true, End::After(0)),
            // "A client MUST NOT process a message" whose framing is faulty as if it were not:
            // HTTP/1.0 has no transfer codings (RFC 9112 §6.1).
            (Framing::Marked, _) if head.coded && head.response.version() == Version::HTTP_10 => {
                return Err(invalid("Transfer-Encoding over HTTP/1.0"));
            }
            (Framing::Marked, _) if head.coded => (false, End::Chunked(Chunks::new())),
            (Framing::Marked, Length::Is(bytes)) => (bytes <= rest.len() as u64, End::After(bytes)),
            (Framing::Marked, _) => return Err(invalid("a Content-Length that is no length")),
            (Framing::Close | Framing::Stream, _) => (false, End::Close),
        };
        let keeps = keeps && !misframed(&head.response);
        if !whole {
            let body = Body::Coming(Box::new(Coming::new(self, keeps, end, rest)));
            return Ok(Answer {
                response: head.response.map(|()| body),
                framing,
                free: None,
            });
        }
        let body = match end {
            End::After(bytes) => rest.split_to(usize::try_from(bytes).unwrap_or(rest.len())),
            _ => Bytes::new(),
        };
        Ok(Answer {
            response: head.response.map(|()| Body::Whole(body)),
            framing,
            free: (keeps && rest.is_empty()).then_some(self),
        })
    }
}

/// An exchange under way.
struct Exchange<'a> {
    source: &'a dyn Source,
    text: Vec<u8>,
    written: usize,
    flushed: bool,
    /// How often the present head was looked at.
    looks: u8,
    /// What came of a head that is not whole.
    partial: BytesMut,
    /// Made when the first interim response comes.
    interim: Option<Interim>,
}

impl<'a> Exchange<'a> {
    fn new(source: &'a dyn Source) -> Self {
        Self {
            source,
            text: write::head(source),
            written: 0,
            flushed: false,
            looks: 0,
            partial: BytesMut::new(),
            interim: None,
        }
    }

    fn is_sent(&self) -> bool {
        self.flushed
    }

    /// What a failure means that ended the exchange.
    fn failed(&self, cause: Cause, kept: bool) -> Failed {
        let (blame, phase, retry) = if self.written == 0 {
            (Blame::Network, Phase::Send, Retry::Unsent)
        } else if cause.broke_protocol() {
            (Blame::Origin, Phase::Head, Retry::No)
        } else if kept {
            (Blame::Network, Phase::Head, Retry::Reused)
        } else {
            (Blame::Network, Phase::Head, Retry::No)
        };
        Failed::new(blame, phase, cause).with_retry(retry)
    }

    /// Writes what is left to write, and reads up to the end of the final head; what came
    /// behind it, too.
    fn poll_answered(
        &mut self,
        over: &mut Plain,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Head, Bytes), Cause>> {
        let refused = match self.poll_sent(&mut *over.0.stream, cx) {
            Poll::Ready(sent) => sent.err(),
            Poll::Pending => None,
        };
        if self.written == 0 {
            // An origin that closes an idle connection may have said why: that answers nothing.
            let refused = refused.map(|error| Err(error.into()));
            return refused.map_or(Poll::Pending, Poll::Ready);
        }
        // One that answers and closes before it has read everything is heard all the same.
        match (self.poll_head(over, cx), refused) {
            (Poll::Pending | Poll::Ready(Err(_)), Some(error)) => Poll::Ready(Err(error.into())),
            (head, _) => head,
        }
    }

    fn poll_sent(&mut self, stream: &mut dyn Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.text.len() {
            let rest = &self.text[self.written..];
            match ready!(Pin::new(&mut *stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        if !self.flushed {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_head(
        &mut self,
        over: &mut Plain,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Head, Bytes), Cause>> {
        loop {
            let bytes = if self.partial.is_empty() {
                Some(ready!(poll_first(&mut *over.0.stream, cx))?)
            } else {
                ready!(self.poll_more(&mut *over.0.stream, cx))?
            };
            if let Some(bytes) = bytes
                && let Some(head) = self.last_of(bytes, &mut over.0.names)?
            {
                return Poll::Ready(Ok(head));
            }
        }
    }

    /// Reads more of a head; all of it that is there, when it is worth a look.
    fn poll_more(
        &mut self,
        stream: &mut dyn Io,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Cause>> {
        let before = self.partial.len();
        if self.partial.capacity() == before {
            self.partial.reserve(MORE_BYTES);
        }
        let read = pin!(stream.read_buf(&mut self.partial));
        if ready!(read.poll(cx))? == 0 {
            return Poll::Ready(Err(broke_off("the connection closed within the head")));
        }
        let ended_line = memchr::memchr(b'\n', &self.partial[before..]).is_some();
        let look = ended_line || self.partial.len() >= HEAD_BYTES_MAX;
        Poll::Ready(Ok(look.then(|| self.partial.split().freeze())))
    }

    /// The final head, if it is there, of `bytes` that begin with a head; and what came behind
    /// it.
    fn last_of(
        &mut self,
        mut bytes: Bytes,
        names: &mut Names,
    ) -> Result<Option<(Head, Bytes)>, Cause> {
        while !bytes.is_empty() {
            self.looks += 1;
            if self.looks > LOOKS_MAX {
                return Err(Cause::Seen("the head has too many lines"));
            }
            let Some((head, end)) = head::read(&bytes, names)? else {
                break;
            };
            bytes.advance(end);
            let status = head.response.status();
            // "A 1xx response is terminated by the end of the header section" (RFC 9110 §15.2),
            // and another head follows; after a 101 none does.
            if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(Some((head, bytes)));
            }
            self.interim
                .get_or_insert_with(|| Interim::new(self.source.on_interim()))
                .saw(status, head.response.headers())?;
            self.looks = 0;
        }
        self.partial = bytes.into();
        Ok(None)
    }
}

/// Reads the beginning of a head, and what else comes with it.
fn poll_first(stream: &mut dyn Io, cx: &mut Context<'_>) -> Poll<Result<Bytes, Cause>> {
    let mut space = [const { MaybeUninit::<u8>::uninit() }; FIRST_BYTES];
    let mut buf = ReadBuf::uninit(&mut space);
    ready!(Pin::new(stream).poll_read(cx, &mut buf))?;
    if buf.filled().is_empty() {
        return Poll::Ready(Err(broke_off("the connection closed before a response")));
    }
    Poll::Ready(Ok(Bytes::copy_from_slice(buf.filled())))
}
