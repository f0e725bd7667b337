//! The task of an HTTP/2 connection: it moves frames, and asks a silent origin for life.
//!
//! A connection whose other end is gone without a word looks like one that is only slow.
//! While an exchange waits on it, silence is answered with a PING; silence after that ends
//! the connection, and with it every exchange that it carries.

use std::{
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use h2::{Ping, PingPong, client::Connection};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use crate::{
    origin::{dial::Io, http2::Life},
    time::Clock,
};

/// How often a busy connection that is silent is asked for life.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How long an answer to that may take, and how long a goodbye may take to be written.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// What is read in one go, in bytes, before the exchanges may look at it: an interim response
/// takes ten on the wire, so that 6,553 of them wait for the exchange that counts them.
const READ_MAX: usize = 64 << 10;

/// Runs `connection` until it ends, is lost, or nobody is left who uses it.
pub(super) async fn run(mut connection: Connection<Wire, Bytes>, life: Arc<Life>, clock: Clock) {
    let mut watch = Watch::new(connection.ping_pong(), life, clock);
    std::future::poll_fn(|cx| {
        // Whoever awaits a response or a body is told of the error.
        if Pin::new(&mut connection).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        watch.poll(cx)
    })
    .await;
}

/// Whether the origin is still there.
struct Watch {
    pings: Option<PingPong>,
    life: Arc<Life>,
    clock: Clock,
    state: State,
    /// When something last came.
    last: Instant,
    /// What the state waits for; nothing while idle.
    timer: Pin<Box<Sleep>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody waits for anything.
    Idle,
    Listening,
    /// A ping was sent.
    Asked,
    /// Only the goodbye is still to be written.
    Leaving,
}

impl Watch {
    fn new(pings: Option<PingPong>, life: Arc<Life>, clock: Clock) -> Self {
        let now = clock.instant();
        Self {
            pings,
            life,
            clock,
            state: State::Idle,
            last: now,
            timer: Box::pin(sleep_until(now)),
        }
    }

    /// Ready when the connection is to be given up.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.listen(cx);
        if self.life.left.load(Ordering::Relaxed) && self.state != State::Leaving {
            self.wait(State::Leaving, self.clock.instant() + PING_TIMEOUT);
        }
        loop {
            match self.state {
                State::Idle if self.life.idle() => return Poll::Pending,
                State::Idle => self.wait(State::Listening, self.last + PING_INTERVAL),
                State::Listening => {
                    ready!(self.timer.as_mut().poll(cx));
                    if self.life.idle() {
                        self.state = State::Idle;
                    } else if self.last + PING_INTERVAL > self.timer.deadline() {
                        self.wait(State::Listening, self.last + PING_INTERVAL);
                    } else {
                        self.ask();
                    }
                }
                State::Asked => {
                    ready!(self.timer.as_mut().poll(cx));
                    self.life.lost.store(true, Ordering::Relaxed);
                    return Poll::Ready(());
                }
                State::Leaving => return self.timer.as_mut().poll(cx),
            }
        }
    }

    /// Whatever comes is a sign of life, the answer to a ping or not.
    fn listen(&mut self, cx: &mut Context<'_>) {
        if !self.life.heard.swap(false, Ordering::Relaxed) {
            return;
        }
        self.last = self.clock.instant();
        if self.state == State::Asked {
            self.state = State::Idle;
        }
        if let Some(pings) = &mut self.pings {
            // Takes the answer, if that is what came, so that another ping may be sent.
            let _ = pings.poll_pong(cx);
        }
    }

    fn ask(&mut self) {
        if let Some(pings) = &mut self.pings {
            // Refused while an earlier one is unanswered, which will do as well.
            let _ = pings.send_ping(Ping::opaque());
        }
        self.wait(State::Asked, self.clock.instant() + PING_TIMEOUT);
    }

    fn wait(&mut self, state: State, until: Instant) {
        self.state = state;
        self.timer.as_mut().reset(until);
    }
}

/// An origin's stream that is read in portions, and says when something was.
///
/// The library reads for as long as there is something to read, and keeps what it read for
/// exchanges that cannot look meanwhile. DATA has its windows; nothing else does.
pub(super) struct Wire {
    stream: Box<dyn Io>,
    life: Arc<Life>,
    /// How much was read since the task last waited.
    read: usize,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Io>, life: Arc<Life>) -> Self {
        Self {
            stream,
            life,
            read: 0,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.read >= READ_MAX {
            this.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if polled.is_pending() {
            this.read = 0;
            return Poll::Pending;
        }
        let read = buffer.filled().len() - before;
        this.read += read;
        if read > 0 {
            this.life.heard.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::repeat;

    use super::*;

    /// An origin that never stops talking.
    struct Endless;

    impl AsyncRead for Endless {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut repeat(0)).poll_read(cx, buffer)
        }
    }

    impl AsyncWrite for Endless {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn an_origin_that_never_stops_talking_is_read_in_portions() {
        let life = Arc::new(Life::new(Clock::System.instant()));
        let mut wire = Wire::new(Box::new(Endless), Arc::clone(&life));
        let mut bytes = [0; 16 << 10];
        for _ in 0..3 {
            let mut read = 0;
            loop {
                let mut buffer = ReadBuf::new(&mut bytes);
                let mut cx = Context::from_waker(Waker::noop());
                match Pin::new(&mut wire).poll_read(&mut cx, &mut buffer) {
                    Poll::Ready(done) => done.unwrap(),
                    Poll::Pending => break,
                }
                read += buffer.filled().len();
            }
            assert_eq!(read, READ_MAX);
            assert!(life.heard.swap(false, Ordering::Relaxed));
        }
    }
}
