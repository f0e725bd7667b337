//! The body of a response, read as it is asked for.

use std::{
    io,
    pin::pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use tokio::io::AsyncReadExt;

use crate::origin::{
    error::Cause,
    patience::Patience,
    plain::{Plain, broke_off, chunked::Chunks},
};

/// How much is read at once, at first and at most. What is waited for has a buffer, of which
/// there are `EXCHANGES_MAX`: 1,024 × 64 KiB = 64 MiB of bodies that all come fast.
const PIECE_BYTES: usize = 16 << 10;
const PIECE_BYTES_MAX: usize = 64 << 10;

/// A response's body.
pub(in crate::origin) enum Body {
    /// It came with the head; the connection was free at once.
    Whole(Bytes),
    /// More is to come.
    Coming(Box<Coming>),
}

/// A body, and the connection it comes over. Dropping it closes that.
pub(in crate::origin) struct Coming {
    connection: Plain,
    /// Whether the connection goes on behind it.
    keeps: bool,
    end: End,
    /// Read, and not passed on.
    read: Bytes,
    /// Where the next piece goes; empty, and made when it is needed.
    space: BytesMut,
    piece: usize,
    /// Why it has no proper end, before that is said.
    broken: Option<Cause>,
}

/// What is yet to come.
#[derive(Debug)]
pub(super) enum End {
    /// So many bytes.
    After(u64),
    Chunked(Chunks),
    /// What comes before the end of the connection.
    Close,
    /// Nothing.
    Reached,
}

impl Body {
    /// The next piece of data, or the trailers; `None` behind the end.
    pub(in crate::origin) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        match self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => {
                let data = std::mem::take(bytes);
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Self::Coming(coming) => coming.poll_frame(cx).map(Result::transpose),
        }
    }

    /// Whether all of it was passed on.
    pub(in crate::origin) fn has_ended(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Coming(coming) => matches!(coming.end, End::Reached),
        }
    }

    /// How much of it is to come, where that is known.
    pub(in crate::origin) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Coming(coming) => match coming.end {
                End::After(left) => SizeHint::with_exact(left),
                End::Reached => SizeHint::with_exact(0),
                End::Chunked(_) | End::Close => SizeHint::default(),
            },
        }
    }

    /// What its connection waits with.
    pub(in crate::origin) fn patience(&mut self) -> Patience {
        match self {
            Self::Whole(_) => Patience::default(),
            Self::Coming(coming) => coming.connection.patience(),
        }
    }

    /// Its connection, if that goes on: the body has ended, and nothing came behind it.
    pub(in crate::origin) fn into_connection(self) -> Option<Plain> {
        match self {
            Self::Whole(_) => None,
            Self::Coming(coming) => {
                let ended = matches!(coming.end, End::Reached) && coming.read.is_empty();
                (ended && coming.keeps).then_some(coming.connection)
            }
        }
    }
}

impl Coming {
    /// A body of which `read` came with the head; the connection goes on behind it if it
    /// `keeps`.
    pub(super) fn new(connection: Plain, keeps: bool, end: End, read: Bytes) -> Self {
        Self {
            connection,
            keeps,
            end,
            read,
            space: BytesMut::new(),
            piece: PIECE_BYTES,
            broken: None,
        }
    }

    /// The next frame. What came before an error goes on its way first: whoever writes to a
    /// viewer drops what it has not written when it hears of one.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Cause>> {
        if let Some(cause) = self.broken.take() {
            return Poll::Ready(Err(cause));
        }
        match self.poll_next(cx) {
            Poll::Ready(Err(cause)) => {
                self.broken = Some(cause);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            polled => polled,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Cause>> {
        loop {
            if let Some(frame) = self.next()? {
                return Poll::Ready(Ok(Some(frame)));
            }
            if matches!(self.end, End::Reached) {
                return Poll::Ready(Ok(None));
            }
            if ready!(self.poll_more(cx))? == 0 {
                if !matches!(self.end, End::Close) {
                    return Poll::Ready(Err(broke_off("the connection closed within the body")));
                }
                self.end = End::Reached;
                self.keeps = false;
            }
        }
    }

    /// Takes a frame off what was read.
    fn next(&mut self) -> Result<Option<Frame<Bytes>>, Cause> {
        let frame = match &mut self.end {
            End::After(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX);
                let data = self.read.split_to(here.min(self.read.len()));
                *left -= data.len() as u64;
                (!data.is_empty()).then(|| Frame::data(data))
            }
            End::Chunked(chunks) => chunks.next(&mut self.read)?,
            End::Close => {
                let data = std::mem::take(&mut self.read);
                (!data.is_empty()).then(|| Frame::data(data))
            }
            End::Reached => None,
        };
        let reached = match &self.end {
            End::After(left) => *left == 0,
            End::Chunked(chunks) => chunks.has_ended(),
            End::Close | End::Reached => false,
        };
        if reached {
            self.end = End::Reached;
        }
        Ok(frame)
    }

    /// Reads more, now that what was read is used up; how much, 0 at the end of the connection.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let wanted = match self.end {
            // With room for one more: a read that fills its buffer says that there may be more.
            End::After(left) => usize::try_from(left)
                .map_or(self.piece, |left| self.piece.min(left.saturating_add(1))),
            _ => self.piece,
        };
        // The same room again, where whoever had it is through with it. It is not made to grow,
        // which would copy what was there.
        if self.space.capacity() < wanted.div_ceil(2) && !self.space.try_reclaim(wanted) {
            self.space = BytesMut::with_capacity(wanted);
        }
        let room = self.space.capacity();
        let read = pin!(self.connection.0.stream.read_buf(&mut self.space));
        let bytes = ready!(read.poll(cx))?;
        if bytes == room {
            self.piece = PIECE_BYTES_MAX.min(self.piece * 2);
        }
        self.read = self.space.split().freeze();
        Poll::Ready(Ok(bytes))
    }
}
