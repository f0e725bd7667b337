//! An HTTP/2 connection to an origin: exchanges side by side, each on a stream of its own.
//!
//! Spoken through the `h2` crate and not through hyper's client, which skips interim
//! responses unseen. What hyper did besides is done here: `drive` runs the connection and
//! asks a silent one for life, `exchange` sends a request and waits for the final head,
//! `upload` sends its body within what the origin's windows allow, `body` reads the
//! response's, and `wire` bounds what is read before anybody looks.
//!
//! A connection lives until its last user lets go of it, or the origin does.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use tokio::{runtime::Handle, time::Instant};

use crate::{
    origin::{connection::HEAD_BYTES_MAX, dial::Io, error::Cause},
    time::Clock,
};

mod body;
mod drive;
mod exchange;
mod upload;
mod wire;

pub(super) use self::body::Body;

use self::wire::Wire;

/// How many streams one HTTP/2 connection carries, less where the origin says so. Above
/// it another one is opened: a lost packet stops all streams of a connection.
pub const STREAMS_MAX: usize = 128;

/// How many it carries before the origin has said: "It is recommended that this value be no
/// smaller than 100" (RFC 9113 §6.5.2).
const STREAMS_MAX_AT_FIRST: usize = 100;

/// What an origin may send on one stream before somebody reads it.
const STREAM_WINDOW: u32 = 1 << 20;

/// The same for the whole connection; `EXCHANGES_MAX` streams in 8 connections hold at
/// most 8 × 4 MiB = 32 MiB.
const CONNECTION_WINDOW: u32 = 4 << 20;

/// What one stream buffers of an upload.
const SEND_BUFFER_BYTES_MAX: usize = 128 << 10;

/// An HTTP/2 connection, as those see it who send over it. Dropping it closes it.
pub(super) struct Shared {
    sender: SendRequest<Bytes>,
    life: Arc<Life>,
}

/// What a connection's users and its task know of each other.
struct Life {
    /// Written by the users.
    streams: Mutex<Streams>,
    /// There are no users left; written by the last of them.
    left: AtomicBool,
    /// Something came from the origin; written where it is read, and taken back by `drive`.
    heard: AtomicBool,
    /// It did not answer a ping; written by its task, which then ends.
    lost: AtomicBool,
}

struct Streams {
    open: usize,
    /// When the last of them ended.
    idle_since: Instant,
}

impl Life {
    fn new(now: Instant) -> Self {
        Self {
            streams: Mutex::new(Streams {
                open: 0,
                idle_since: now,
            }),
            left: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            lost: AtomicBool::new(false),
        }
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> bool {
        self.streams().open == 0
    }
}

impl Shared {
    /// Speaks HTTP/2 over `stream`. Does not wait for the origin's settings.
    pub(super) async fn open(
        stream: Box<dyn Io>,
        runtime: &Handle,
        clock: Clock,
    ) -> Result<Arc<Self>, h2::Error> {
        let life = Arc::new(Life::new(clock.instant()));
        let wire = Wire::new(stream, Arc::clone(&life));
        let (sender, connection) = Builder::new()
            .enable_push(false)
            .initial_max_send_streams(STREAMS_MAX_AT_FIRST)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEAD_BYTES_MAX as u32)
            .max_send_buffer_size(SEND_BUFFER_BYTES_MAX)
            .handshake(wire)
            .await?;
        runtime.spawn(drive::run(connection, Arc::clone(&life), clock));
        Ok(Arc::new(Self { sender, life }))
    }

    /// A stream for the exchange that opened the connection, whatever its bounds.
    pub(super) fn first(self: &Arc<Self>, clock: Clock) -> Stream {
        self.life.streams().open += 1;
        Stream {
            on: Arc::clone(self),
            clock,
            kept: false,
        }
    }

    /// One more stream, if there is room: above the origin's bound it would wait unseen.
    pub(super) fn another(self: &Arc<Self>, clock: Clock) -> Option<Stream> {
        let allowed = self.sender.current_max_send_streams().min(STREAMS_MAX);
        let mut streams = self.life.streams();
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
        // A new handle has nothing to wait for, so that nobody needs to be woken.
        let mut waker = Context::from_waker(Waker::noop());
        matches!(
            self.sender.clone().poll_ready(&mut waker),
            Poll::Ready(Err(_))
        )
    }

    /// Since when it has no stream; `None` while it has.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let streams = self.life.streams();
        (streams.open == 0).then_some(streams.idle_since)
    }

    /// What `error` of one of its streams comes from.
    fn cause(&self, error: h2::Error) -> Cause {
        if error.is_io() && self.life.lost.load(Ordering::Relaxed) {
            // The library only knows that the connection is gone.
            let lost = "the connection did not answer a ping";
            return Cause::Io(io::Error::new(io::ErrorKind::TimedOut, lost));
        }
        Cause::Http2(error)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The sender, dropped after this, wakes the task.
        self.life.left.store(true, Ordering::Relaxed);
    }
}

/// A stream of an HTTP/2 connection. Dropping it makes room for another.
pub(super) struct Stream {
    on: Arc<Shared>,
    clock: Clock,
    kept: bool,
}

impl Stream {
    /// Whether the connection has carried an exchange before.
    pub(super) fn kept(&self) -> bool {
        self.kept
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let now = self.clock.instant();
        let mut streams = self.on.life.streams();
        streams.open = streams.open.saturating_sub(1);
        streams.idle_since = now;
    }
}
