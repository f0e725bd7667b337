//! One connection to an origin: an exchange has an HTTP/1.1 one to itself, or a stream of
//! an HTTP/2 one.
//!
//! A task drives each connection. That of an HTTP/1.1 connection ends with the exchange
//! that broke off, at once: what the origin still sends, or the viewer still uploads, is
//! nobody's. An HTTP/2 connection lives until its last user lets go of it.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{runtime::Handle, task::AbortHandle, time::Instant};

use crate::{
    origin::{
        dial::Io,
        heads::{Awaited, Strict},
        patience::Patience,
        sent::Sent,
    },
    time::Clock,
};

/// How large the head of a response may be, trailers likewise; more is an invalid response.
///
/// Also what one HTTP/1.1 connection buffers in each direction, so that
/// `EXCHANGES_MAX` of them hold at most 2 × 64 KiB × 1,024 = 128 MiB.
pub const HEAD_BYTES_MAX: usize = 64 << 10;

/// How many fields the head of a response may have; hyper's own bound for HTTP/1.1,
/// where any other costs an allocation per response.
pub const FIELDS_MAX: usize = 100;

/// How many streams one HTTP/2 connection carries, less where the origin says so. Above
/// it another one is opened: a lost packet stops all streams of a connection.
pub const STREAMS_MAX: usize = 128;

/// What an origin may send on one stream before somebody reads it.
const STREAM_WINDOW: u32 = 1 << 20;

/// The same for the whole connection; `EXCHANGES_MAX` streams in 8 connections hold at
/// most 8 × 4 MiB = 32 MiB.
const CONNECTION_WINDOW: u32 = 4 << 20;

/// What one stream buffers of an upload.
const SEND_BUFFER_BYTES_MAX: usize = 128 << 10;

/// How often, and how long, a busy HTTP/2 connection that is silent is asked for life.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection, or a part of one, for one exchange.
pub(super) enum Lent {
    /// An HTTP/1.1 connection.
    Own(Own),
    /// A stream of an HTTP/2 connection.
    Stream(Stream),
}

impl Lent {
    /// Whether it has carried an exchange before, so that the origin may have closed it.
    pub(super) fn kept(&self) -> bool {
        match self {
            Self::Own(own) => own.kept,
            Self::Stream(stream) => stream.kept,
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
    pub(super) async fn send(
        &mut self,
        request: Box<Request<Sent>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Sent>>> {
        match self {
            Self::Own(own) => {
                own.awaited.head();
                own.sender.try_send_request(*request).await
            }
            Self::Stream(stream) => stream.on.sender.clone().try_send_request(*request).await,
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

/// An HTTP/2 connection.
pub(super) struct Shared {
    sender: http2::SendRequest<Sent>,
    settings: Arc<Settings>,
    streams: Mutex<Streams>,
}

/// What the origin allows; written by the connection's task when that runs.
struct Settings {
    streams_max: AtomicUsize,
    /// Runs it.
    task: Mutex<Waker>,
}

impl Settings {
    fn run_by(&self, task: &Waker) {
        self.task().clone_from(task);
    }

    /// Has them read again, soon.
    fn refresh(&self) {
        self.task().wake_by_ref();
    }

    fn task(&self) -> MutexGuard<'_, Waker> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Streams {
    open: usize,
    /// When the last of them ended.
    idle_since: Instant,
}

impl Shared {
    /// Speaks HTTP/2 over `stream`.
    pub(super) async fn open(
        stream: Box<dyn Io>,
        runtime: &Handle,
        now: Instant,
    ) -> hyper::Result<Arc<Self>> {
        let (sender, mut connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEAD_BYTES_MAX as u32)
            .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(TokioIo::new(stream))
            .await?;
        let settings = Arc::new(Settings {
            streams_max: AtomicUsize::new(connection.current_max_send_streams()),
            task: Mutex::new(Waker::noop().clone()),
        });
        let told = Arc::clone(&settings);
        runtime.spawn(poll_fn(move |cx| {
            let polled = Pin::new(&mut connection).poll(cx);
            told.streams_max
                .store(connection.current_max_send_streams(), Ordering::Relaxed);
            told.run_by(cx.waker());
            polled
        }));
        let streams = Mutex::new(Streams {
            open: 0,
            idle_since: now,
        });
        Ok(Arc::new(Self {
            sender,
            settings,
            streams,
        }))
    }

    /// A stream for the exchange that opened the connection, whatever its bounds.
    pub(super) fn first(self: &Arc<Self>, clock: Clock) -> Stream {
        self.streams().open += 1;
        Stream {
            on: Arc::clone(self),
            clock,
            kept: false,
        }
    }

    /// One more stream, if there is room: above the origin's bound hyper would let it
    /// wait unseen.
    pub(super) fn another(self: &Arc<Self>, clock: Clock) -> Option<Stream> {
        let allowed = self
            .settings
            .streams_max
            .load(Ordering::Relaxed)
            .min(STREAMS_MAX);
        let mut streams = self.streams();
        if streams.open >= allowed {
            return None;
        }
        streams.open += 1;
        Some(Stream {
            on: Arc::clone(self),
            clock,
            kept: true,
        })
    }

    /// Whether it takes no more streams: it broke, or the origin said goodbye (GOAWAY).
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Since when it has no stream; `None` while it has.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let streams = self.streams();
        (streams.open == 0).then_some(streams.idle_since)
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream of an HTTP/2 connection. Dropping it makes room for another.
pub(super) struct Stream {
    on: Arc<Shared>,
    clock: Clock,
    kept: bool,
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.kept {
            // The origin's settings have come since; hyper runs the task only for requests.
            self.on.settings.refresh();
        }
        let now = self.clock.instant();
        let mut streams = self.on.streams();
        streams.open = streams.open.saturating_sub(1);
        streams.idle_since = now;
    }
}

/// Whether `error` is of hyper's reading what the origin sent, and not of the network.
pub(super) fn broke_protocol(error: &hyper::Error) -> bool {
    if error.is_parse() {
        return true;
    }
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            // What the peer reset, and what the library found wrong with the peer; the rest
            // is the connection going away.
            return !error.is_io() && !error.is_go_away() || error.is_library();
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
            );
        }
        source = error.source();
    }
    false
}

/// Whether the origin says of `error`'s stream that it did not look at it: "the stream is
/// being closed prior to any processing having occurred" (RFC 9113 §8.7).
pub(super) fn refused(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        }
        source = error.source();
    }
    false
}
