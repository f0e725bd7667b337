//! One connection to an origin: an exchange has an HTTP/1.1 one to itself, or a stream of
//! an HTTP/2 one.
//!
//! An HTTP/1.1 connection is our own work (`plain`), or hyper's. A task drives each of hyper's,
//! and ends with the exchange that broke off, at once: what the origin still sends, or the
//! viewer still uploads, is nobody's. For those of HTTP/2 see `http2`.

use std::future::Future;

use http::{Request, Response};
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use tokio::{runtime::Handle, task::AbortHandle};

use crate::origin::{
    dial::Io,
    error::Cause,
    heads::{Awaited, Strict},
    http2::Stream,
    incoming::Incoming,
    interim::Interim,
    patience::Patience,
    plain::Plain,
    sent::Sent,
};

/// How large the head of a response may be, trailers likewise; more is an invalid response.
///
/// Also what one HTTP/1.1 connection buffers in each direction, so that
/// `EXCHANGES_MAX` of them hold at most 2 × 64 KiB × 1,024 = 128 MiB.
pub const HEAD_BYTES_MAX: usize = 64 << 10;

/// How many fields the head of a response may have; hyper's own bound for HTTP/1.1,
/// where any other costs an allocation per response.
pub const FIELDS_MAX: usize = 100;

/// Who carries an exchange over HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    /// We do, in its own task: it has no body, and asks for no upgrade.
    Plain,
    /// hyper does, in the connection's.
    Library,
}

/// A connection, or a part of one, for one exchange.
pub(super) enum Lent {
    /// An HTTP/1.1 connection that its exchange drives.
    Plain(Plain),
    /// One that a task of its own drives.
    Driven(Driven),
}

impl Lent {
    /// What to wait with for a response, or for more of one; given back, it costs the next
    /// exchange less.
    pub(super) fn patience(&mut self) -> Patience {
        match self {
            Self::Plain(plain) => plain.patience(),
            Self::Driven(driven) => driven.patience(),
        }
    }

    /// Takes back what was waited with.
    pub(super) fn keep_patience(&mut self, patience: Patience) {
        match self {
            Self::Plain(plain) => plain.keep_patience(patience),
            Self::Driven(driven) => driven.keep_patience(patience),
        }
    }
}

/// A connection that has a task, or a part of one.
pub(super) enum Driven {
    /// An HTTP/1.1 connection.
    Own(Own),
    /// A stream of an HTTP/2 connection.
    Stream(Stream),
}

impl Driven {
    /// Whether it has carried an exchange before, so that the origin may have closed it.
    pub(super) fn kept(&self) -> bool {
        match self {
            Self::Own(own) => own.kept,
            Self::Stream(stream) => stream.kept(),
        }
    }

    /// What to wait with for a response; given back, it costs the next exchange less.
    pub(super) fn patience(&mut self) -> Patience {
        match self {
            Self::Own(own) => std::mem::take(&mut own.patience),
            Self::Stream(_) => Patience::default(),
        }
    }

    /// Takes back what was waited with.
    pub(super) fn keep_patience(&mut self, patience: Patience) {
        if let Self::Own(own) = self {
            own.patience = patience;
        }
    }

    /// Sends; the request comes back within the error when none of it was written.
    ///
    /// Over HTTP/2 `interim` sees what precedes the final response; over HTTP/1.1 hyper was
    /// asked to show it, by the request.
    pub(super) async fn send(
        &mut self,
        request: Box<Request<Sent>>,
        interim: &Interim,
    ) -> Result<Response<Incoming>, Unanswered> {
        match self {
            Self::Own(own) => {
                own.awaited.head();
                let answered = own.sender.try_send_request(*request).await;
                Ok(answered?.map(Incoming::Http1))
            }
            Self::Stream(stream) => {
                let answered = stream.send(*request, interim).await;
                Ok(answered?.map(Incoming::Http2))
            }
        }
    }
}

/// Why there is no response, and the request when none of it was written.
pub(super) struct Unanswered {
    pub(super) cause: Cause,
    pub(super) unsent: Option<Box<Request<Sent>>>,
}

impl Unanswered {
    /// The same, with the request that was not sent.
    pub(super) fn unsent(self, request: Request<Sent>) -> Self {
        Self {
            unsent: Some(Box::new(request)),
            ..self
        }
    }
}

impl From<Cause> for Unanswered {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            unsent: None,
        }
    }
}

impl From<TrySendError<Request<Sent>>> for Unanswered {
    fn from(mut error: TrySendError<Request<Sent>>) -> Self {
        let unsent = error.take_message().map(Box::new);
        Self {
            cause: error.into_error().into(),
            unsent,
        }
    }
}

/// An HTTP/1.1 connection. Dropping it closes it.
pub(super) struct Own {
    sender: http1::SendRequest<Sent>,
    awaited: Awaited,
    patience: Patience,
    driver: Driver,
    kept: bool,
    /// Made for an upgrade, and never kept.
    pub(super) private: bool,
}

impl Own {
    /// Speaks HTTP/1.1 over `stream`; `private` makes it fit for an upgrade.
    pub(super) async fn open(
        stream: Box<dyn Io>,
        runtime: &Handle,
        private: bool,
    ) -> hyper::Result<Self> {
        let awaited = Awaited::default();
        let stream = Strict::new(stream, awaited.clone());
        let (sender, connection) = http1::Builder::new()
            .max_header_size(HEAD_BYTES_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        let driver = if private {
            Driver::new(runtime, connection.with_upgrades())
        } else {
            Driver::new(runtime, connection)
        };
        Ok(Self {
            sender,
            awaited,
            patience: Patience::default(),
            driver,
            kept: false,
            private,
        })
    }

    /// Whether it can take a request now, as far as is known.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready() && !self.sender.is_closed()
    }

    /// Waits until it can take a request; errs when it has closed.
    pub(super) async fn ready(&mut self) -> hyper::Result<()> {
        self.sender.ready().await
    }

    /// The same, as one that has served before.
    pub(super) fn into_kept(self) -> Self {
        Self { kept: true, ..self }
    }

    /// Lets it end in its own time: with a proper goodbye, or as what it was upgraded to.
    pub(super) fn retire(mut self) {
        self.driver.0 = None;
    }
}

/// A connection's task, which ends when this is dropped. Left to itself it would say
/// goodbye first, for as long as a peer that does not read makes it wait.
struct Driver(Option<AbortHandle>);

impl Driver {
    fn new<F>(runtime: &Handle, connection: F) -> Self
    where
        F: Future<Output = hyper::Result<()>> + Send + 'static,
    {
        let task = runtime.spawn(async move {
            // Whoever awaits a response or a body has been told of the error.
            drop(connection.await);
        });
        Self(Some(task.abort_handle()))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
