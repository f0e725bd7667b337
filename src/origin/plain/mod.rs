//! An HTTP/1.1 connection for requests without a body, driven by whoever holds it.
//!
//! Most of what goes to an origin is a GET. Such an exchange is one write and, mostly, one
//! read; it runs in the task that asks, and there is nothing beside it: no task of the
//! connection, no channel, and no buffer while it is idle. Uploads and upgrades, where two
//! directions are under way at once, are left to hyper's client (`connection`).
//!
//! What an origin says is read at least as strictly as hyper reads it. Stricter is: a line of a
//! head or of trailers ends in a carriage return and a line feed; the size of a chunk has 16
//! digits at most, and what is written behind it no control characters; no body is announced to
//! be longer than 2^63 bytes.
//!
//! Nothing is read while nobody asks for it, so that a slow viewer slows its origin. An idle
//! connection is read all the same, for its end, and lives as long as it has nothing to say.

use std::{
    future::{Future, poll_fn},
    io,
    mem::MaybeUninit,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::unconstrained,
};

use crate::origin::{dial::Io, error::Cause, patience::Patience};

mod body;
mod chunked;
mod exchange;
mod head;
mod names;
mod write;

use self::names::Names;
pub(super) use self::{body::Body, exchange::Answer};

/// An HTTP/1.1 connection between exchanges, or in the hands of one. Dropping it closes it.
///
/// In a box: it goes from hand to hand.
pub(super) struct Plain(Box<Connection>);

struct Connection {
    stream: Box<dyn Io>,
    patience: Patience,
    names: Names,
    /// It has carried an exchange before, so that the origin may have closed it.
    kept: bool,
}

impl Plain {
    /// Speaks HTTP/1.1 over `stream`.
    pub(super) fn new(stream: Box<dyn Io>) -> Self {
        Self(Box::new(Connection {
            stream,
            patience: Patience::default(),
            names: Names::default(),
            kept: false,
        }))
    }

    /// The same, as one that has served before.
    pub(super) fn into_kept(mut self) -> Self {
        self.0.kept = true;
        self
    }

    /// What to wait with; given back, it costs the next exchange less.
    pub(super) fn patience(&mut self) -> Patience {
        std::mem::take(&mut self.0.patience)
    }

    /// Takes back what was waited with.
    pub(super) fn keep_patience(&mut self, patience: Patience) {
        self.0.patience = patience;
    }

    /// The stream below, between two exchanges.
    pub(super) fn into_stream(self) -> Box<dyn Io> {
        self.0.stream
    }

    /// Whether it is open and has said nothing, as an idle one does; when that changes, the
    /// task of `cx` is woken.
    ///
    /// A response that nobody asked for would be taken for that to the next request: "If an
    /// HTTP/1.1 client receives data on a connection that doesn't have any outstanding
    /// requests, the client MUST NOT consider that data to be a valid response"
    /// (RFC 9112 §9.2).
    pub(super) fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        let mut space = [MaybeUninit::uninit()];
        let mut buf = ReadBuf::uninit(&mut space);
        // Whatever the task has done before: a stream that is not looked at is not silent.
        let look = unconstrained(poll_fn(|cx| {
            Pin::new(&mut self.0.stream).poll_read(cx, &mut buf)
        }));
        pin!(look).poll(cx).is_pending()
    }

    /// Closes it with a goodbye, as far as that can be said without waiting.
    pub(super) fn retire(mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let _: Poll<_> = Pin::new(&mut self.0.stream).poll_shutdown(&mut cx);
    }
}

/// The connection ended too early: what that means depends on what it was used for.
fn broke_off(seen: &'static str) -> Cause {
    io::Error::new(io::ErrorKind::UnexpectedEof, seen).into()
}
