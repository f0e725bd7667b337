//! The body of a response, on its way from an origin.
//!
//! It ends well or with an error, never short: "A message that uses a valid Content-Length
//! is incomplete if the size of the message body received (in octets) is less than the
//! value given by Content-Length", and a chunked one without its last chunk
//! (RFC 9112 §8). What is incomplete must not be stored as if it were whole.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use crate::{
    origin::{
        connection::Lent,
        error::{Cause, Failed, FetchError},
        incoming::Incoming,
        patience::Patience,
        pool::Pool,
        sent::{State, Upload},
    },
    policy::failover::{Blame, Phase},
    site::Origin,
};

/// A response's body, with the connection it comes over.
///
/// At a clean end the connection is kept for the next exchange. Dropped before that, an
/// HTTP/1.1 connection is closed and an HTTP/2 stream is reset. An error ends it; nothing
/// follows. Must be polled within the runtime that sent the request.
pub struct Received {
    /// `None` once it has ended.
    incoming: Option<Incoming>,
    /// What its announced length still lacks.
    left: Option<u64>,
    framing: Framing,
    origin: Arc<Origin>,
    held: Option<Held>,
    upload: Option<Arc<Upload>>,
    /// The connection's, which it gets back in the end.
    patience: Patience,
    /// While the origin is silent: how long it may be.
    silent_until: Option<Instant>,
}

/// What an exchange holds until its body has ended.
pub(super) struct Held {
    /// `None` where the body has it.
    pub(super) lent: Option<Lent>,
    pub(super) pool: Arc<Pool>,
    pub(super) permit: OwnedSemaphorePermit,
}

/// What marks the end of a body (RFC 9112 §6.3, RFC 9113 §8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none: the request or the status says so.
    None,
    /// Its length, or its last chunk.
    Marked,
    /// The end of its stream.
    Stream,
    /// The end of the connection, which a broken one looks like.
    Close,
}

impl Received {
    pub(super) fn new(
        mut incoming: Incoming,
        framing: Framing,
        origin: &Arc<Origin>,
        mut held: Option<Held>,
        upload: Option<Arc<Upload>>,
    ) -> Box<Self> {
        let left = match framing {
            Framing::None => Some(0),
            Framing::Marked | Framing::Stream => incoming.size_hint().exact(),
            Framing::Close => None,
        };
        let ended = framing == Framing::None || incoming.is_end_stream();
        let lent = held.as_mut().and_then(|held| held.lent.as_mut());
        let patience = lent.map_or_else(|| incoming.patience(), Lent::patience);
        let mut received = Box::new(Self {
            incoming: Some(incoming),
            left,
            framing,
            origin: Arc::clone(origin),
            held,
            upload,
            patience,
            silent_until: None,
        });
        if ended {
            // An empty body is often not even asked for its end.
            received.end();
        }
        received
    }

    /// Whether its end can be told from a broken connection; if not, it must not be stored.
    /// Known before the first byte.
    ///
    /// "there is no way to distinguish a successfully completed, close-delimited response
    /// message from a partially received message interrupted by network failure"
    /// (RFC 9112 §6.3).
    pub fn framed(&self) -> bool {
        self.framing != Framing::Close
    }

    /// It came to its proper end.
    fn end(&mut self) {
        let incoming = self.incoming.take();
        if let Some(upload) = self.upload.take()
            && upload.state().0 != State::Ended
        {
            // The rest of the request is not wanted any more, and on a kept connection it
            // would be taken for the beginning of the next.
            upload.stop();
            self.held = None;
        }
        if let Some(Held { lent, pool, permit }) = self.held.take()
            && let Some(mut lent) = lent.or_else(|| incoming.and_then(Incoming::into_lent))
        {
            lent.keep_patience(std::mem::take(&mut self.patience));
            let now = pool.clock().instant();
            pool.give_back(lent, permit, now);
        }
    }

    fn broke(&mut self, failed: Failed) -> FetchError {
        self.incoming = None;
        self.held = None;
        failed.of(&self.origin)
    }

    /// Counts `frame`, and ends with it when nothing can follow.
    fn took(&mut self, frame: &Frame<Bytes>) {
        self.silent_until = None;
        let bytes = frame.data_ref().map_or(0, Buf::remaining) as u64;
        self.left = self.left.map(|left| left.saturating_sub(bytes));
        let last = self.incoming.as_ref().is_some_and(Body::is_end_stream);
        if last || frame.is_trailers() {
            self.end();
        }
    }

    /// Nothing more comes; is that the end?
    fn finished(&mut self) -> Option<Result<Frame<Bytes>, FetchError>> {
        if self.left.is_some_and(|left| left > 0) {
            let cause = Cause::Seen("ended before its announced length");
            return Some(Err(self.broke(Failed::new(
                Blame::Network,
                Phase::Body,
                cause,
            ))));
        }
        self.end();
        None
    }

    /// Waits no longer than the origin may be silent.
    fn poll_silence(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<FetchError> {
        let allowed = self.origin.response_timeout;
        let deadline = self.silent_until.get_or_insert(now + allowed);
        loop {
            ready!(self.patience.poll_until(cx, *deadline));
            // An origin that answers while it reads may be waiting for us.
            if let Some((state, last)) = self.upload.as_ref().map(|upload| upload.state())
                && state != State::Ended
                && last + allowed > now
            {
                *deadline = last + allowed;
                continue;
            }
            return Poll::Ready(self.broke(Failed::timed_out(Blame::Origin, Phase::Body, allowed)));
        }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = FetchError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, FetchError>>> {
        let this = self.get_mut();
        let Some(incoming) = &mut this.incoming else {
            return Poll::Ready(None);
        };
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.took(&frame);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let blame = if error.broke_protocol() {
                    Blame::Origin
                } else {
                    Blame::Network
                };
                Poll::Ready(Some(Err(this.broke(Failed::new(
                    blame,
                    Phase::Body,
                    error,
                )))))
            }
            Poll::Ready(None) => Poll::Ready(this.finished()),
            Poll::Pending => {
                let Some(now) = this.held.as_ref().map(|held| held.pool.clock().instant()) else {
                    return Poll::Pending;
                };
                let error = ready!(this.poll_silence(cx, now));
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if let Some(upload) = &self.upload {
            upload.stop();
        }
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("framing", &self.framing)
            .field("left", &self.left)
            .field("ended", &self.incoming.is_none())
            .finish()
    }
}
