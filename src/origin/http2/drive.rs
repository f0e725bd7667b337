//! The task of an HTTP/2 connection: it moves frames, and asks a silent origin for life.
//!
//! A connection whose other end is gone without a word looks like one that is only slow.
//! While an exchange waits on it, silence is answered with a PING; silence after that ends
//! the connection, and with it every exchange that it carries.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use h2::{Ping, PingPong, client::Connection};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    origin::http2::{Life, Wire},
    time::Clock,
};

/// How often a busy connection that is silent is asked for life.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How long an answer to that may take, and how long a goodbye may take to be written.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_goodbye_that_nobody_reads_is_not_waited_for() {
        let clock = Clock::System;
        let asked = clock.instant();
        let life = Arc::new(Life::new(asked));
        let mut watch = Watch::new(None, Arc::clone(&life), clock);
        life.left.store(true, Ordering::Relaxed);
        std::future::poll_fn(|cx| watch.poll(cx)).await;
        assert_eq!((clock.instant() - asked).as_secs(), PING_TIMEOUT.as_secs());
    }
}
