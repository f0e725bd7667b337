//! The body of a request, on its way to an origin.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::time::Clock;

/// How long a viewer may be waited for in all until it has sent [`LEAST_BYTES`] more: as long
/// as the listener lets HTTP/1 take, which cannot tell one HTTP/2 stream from another. One that
/// sends nothing at all is given up on sooner.
const LEAST_WITHIN: Duration = Duration::from_secs(60);

/// What has to come in that time, in bytes.
const LEAST_BYTES: u64 = 1024;

/// A request's body: nothing, or what a viewer is sending.
///
/// Nothing can be sent again; a viewer's body only until its first byte is taken.
#[derive(Debug, Default)]
pub struct Sent {
    incoming: Option<Incoming>,
    /// What its announced length still lacks.
    left: Option<u64>,
    upload: Option<Arc<Upload>>,
}

/// How long the viewer was waited for, and what it sent meanwhile.
#[derive(Debug, Default)]
struct Pace {
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// Whether the viewer is too slow, now that `bytes` have come after a wait.
    fn is_too_slow(&mut self, waited: Duration, bytes: u64) -> bool {
        self.waited += waited;
        self.bytes += bytes;
        if self.bytes >= LEAST_BYTES {
            *self = Self::default();
        }
        self.waited >= LEAST_WITHIN
    }
}

/// Why a viewer's body ended early.
#[derive(Debug)]
pub enum BrokenUpload {
    /// The viewer broke off, or broke the protocol.
    Viewer(hyper::Error),
    /// The response was complete, so that the rest is not wanted.
    Stopped,
    /// The viewer sends so little that it would hold its place at the origin for hours.
    TooSlow,
}

impl fmt::Display for BrokenUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Viewer(_) => "the body of the request broke off",
            Self::Stopped => "the response came before the end of the request",
            Self::TooSlow => "the body of the request came too slowly",
        })
    }
}

impl Error for BrokenUpload {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Viewer(error) => Some(error),
            Self::Stopped | Self::TooSlow => None,
        }
    }
}

impl Sent {
    /// No body.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The body that a viewer is sending. One that is empty already is no body.
    pub fn viewer(incoming: Incoming) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        Self {
            left: incoming.size_hint().exact(),
            incoming: Some(incoming),
            ..Self::default()
        }
    }

    /// Whether it can be sent again.
    pub fn replayable(&self) -> bool {
        self.incoming.is_none()
    }

    /// What becomes of it; `None` when there is nothing to watch.
    pub(super) fn watched(&mut self, clock: Clock) -> Option<Arc<Upload>> {
        self.incoming.as_ref()?;
        let upload = self
            .upload
            .get_or_insert_with(|| Arc::new(Upload::new(clock)));
        Some(Arc::clone(upload))
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = BrokenUpload;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenUpload>>> {
        let this = self.get_mut();
        let Some(incoming) = &mut this.incoming else {
            return Poll::Ready(None);
        };
        if let Some(upload) = &this.upload
            && upload.stopped_or_wakes(cx)
        {
            return Poll::Ready(Some(Err(BrokenUpload::Stopped)));
        }
        let polled = Pin::new(&mut *incoming).poll_frame(cx);
        let state = match &polled {
            Poll::Pending => State::AwaitsViewer,
            Poll::Ready(None) => State::Ended,
            Poll::Ready(Some(Err(_))) => State::Broken,
            Poll::Ready(Some(Ok(frame))) => {
                let taken = frame.data_ref().map_or(0, Buf::remaining) as u64;
                this.left = this.left.map(|left| left.saturating_sub(taken));
                if let Some(upload) = &this.upload
                    && upload.is_too_slow(taken)
                {
                    upload.note(State::Broken);
                    return Poll::Ready(Some(Err(BrokenUpload::TooSlow)));
                }
                // hyper asks no further once the announced length is written.
                if this.left == Some(0) || incoming.is_end_stream() {
                    State::Ended
                } else {
                    State::AwaitsOrigin
                }
            }
        };
        if let Some(upload) = &this.upload {
            upload.note(state);
        }
        polled.map_err(BrokenUpload::Viewer)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// What became of a body that is being sent: written by the connection that takes it,
/// read by the exchange that waits.
#[derive(Debug)]
pub(super) struct Upload {
    clock: Clock,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    state: State,
    /// When it last came forward.
    last: Instant,
    /// Since when the viewer is waited for.
    waits_since: Option<Instant>,
    pace: Pace,
    stopped: bool,
    waker: Option<Waker>,
}

/// Where an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The viewer has not sent more yet.
    AwaitsViewer,
    /// The connection has not asked for more yet.
    AwaitsOrigin,
    /// All of it was handed over.
    Ended,
    /// The viewer broke off.
    Broken,
}

impl Upload {
    fn new(clock: Clock) -> Self {
        let progress = Progress {
            state: State::AwaitsOrigin,
            last: clock.instant(),
            waits_since: None,
            pace: Pace::default(),
            stopped: false,
            waker: None,
        };
        Self {
            clock,
            progress: Mutex::new(progress),
        }
    }

    /// Where it is, and since when it has not come forward.
    pub(super) fn state(&self) -> (State, Instant) {
        let progress = self.progress();
        (progress.state, progress.last)
    }

    /// Ends it: the response is complete, and its connection is not kept.
    pub(super) fn stop(&self) {
        let waker = {
            let mut progress = self.progress();
            progress.stopped = true;
            progress.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn stopped_or_wakes(&self, cx: &Context<'_>) -> bool {
        let mut progress = self.progress();
        if !progress.stopped
            && !progress
                .waker
                .as_ref()
                .is_some_and(|w| w.will_wake(cx.waker()))
        {
            progress.waker = Some(cx.waker().clone());
        }
        progress.stopped
    }

    /// Whether the viewer, which sent `bytes` now, is too slow; what the origin took to ask for
    /// them does not count.
    fn is_too_slow(&self, bytes: u64) -> bool {
        let mut progress = self.progress();
        let since = progress.waits_since.take();
        let now = self.clock.instant();
        let waited = since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        progress.pace.is_too_slow(waited, bytes)
    }

    fn note(&self, state: State) {
        let mut progress = self.progress();
        progress.state = state;
        if state == State::AwaitsViewer {
            progress
                .waits_since
                .get_or_insert_with(|| self.clock.instant());
        } else {
            progress.last = self.clock.instant();
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
