//! The body of a response as its connection hands it over, whatever HTTP it speaks.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::origin::{connection::Lent, error::Cause, http2, patience::Patience, plain};

/// A response's body, read from its connection. Dropping it says that no more is wanted.
pub(super) enum Incoming {
    /// From a connection of its own, which is read here.
    Plain(plain::Body),
    /// From a connection of its own, which hyper reads.
    Http1(hyper::body::Incoming),
    /// From a stream.
    Http2(http2::Body),
}

impl Incoming {
    /// What to wait for it with, where it has the connection.
    pub(super) fn patience(&mut self) -> Patience {
        match self {
            Self::Plain(body) => body.patience(),
            Self::Http1(_) | Self::Http2(_) => Patience::default(),
        }
    }

    /// Its connection, where it has one and has left it fit for another exchange.
    pub(super) fn into_lent(self) -> Option<Lent> {
        match self {
            Self::Plain(body) => body.into_connection().map(Lent::Plain),
            Self::Http1(_) | Self::Http2(_) => None,
        }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Cause;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        match self.get_mut() {
            Self::Plain(body) => body.poll_frame(cx),
            Self::Http1(incoming) => Pin::new(incoming).poll_frame(cx).map_err(Cause::from),
            Self::Http2(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.has_ended(),
            Self::Http1(incoming) => incoming.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(body) => body.size_hint(),
            Self::Http1(incoming) => incoming.size_hint(),
            Self::Http2(body) => body
                .announced()
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
