//! What a pool keeps: idle connections of either kind, and HTTP/2 ones, which are shared.
//!
//! An idle connection of our own has no task. It is watched by the sweep's instead: whatever
//! its origin does, its end above all, wakes that, and it is let go of. Lending it is one look
//! more, since the origin may have spoken before the sweep was there.

use std::{
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use crate::origin::{
    connection::{Driven, Leg, Lent, Own},
    http2::Shared,
    plain::Plain,
    tls::Agreed,
};

/// How many idle HTTP/1.1 connections to one origin are kept per worker; with about
/// 40 KiB for each, TLS included, that is 5 MiB.
pub const IDLE_MAX: usize = 128;

/// The connections that are kept for the next exchanges.
pub(super) struct Kept {
    /// Oldest first.
    plain: Vec<Idle<Plain>>,
    /// Oldest first.
    own: Vec<Idle<Own>>,
    pub(super) shared: Vec<Arc<Shared>>,
    /// Leave for exchanges to come.
    pub(super) permits: Vec<OwnedSemaphorePermit>,
    /// What the last connection spoke, unless that was never asked.
    pub(super) speaks: Option<Agreed>,
    pub(super) sweeping: bool,
    /// Wakes the sweep, once that has begun.
    watch: Option<Waker>,
    /// The configuration no longer knows this origin.
    pub(super) closed: bool,
}

struct Idle<T> {
    connection: T,
    since: Instant,
}

impl<T> Idle<T> {
    fn is_aged(&self, now: Instant, keepalive: Duration) -> bool {
        now >= self.since + keepalive
    }
}

/// Connections that are not kept any longer; dropping them closes them.
#[derive(Default)]
pub(super) struct Gone {
    plain: Vec<Plain>,
    own: Vec<Own>,
}

impl Gone {
    /// Lets them end with a proper goodbye. Wakes tasks, and needs no lock.
    pub(super) fn retire(self) {
        if self.plain.is_empty() && self.own.is_empty() {
            return;
        }
        self.plain.into_iter().for_each(Plain::retire);
        self.own.into_iter().for_each(Own::retire);
    }
}

impl Kept {
    /// Nothing yet of an origin that is known to speak `speaks`.
    pub(super) fn new(speaks: Option<Agreed>) -> Self {
        Self {
            plain: Vec::new(),
            own: Vec::new(),
            shared: Vec::new(),
            permits: Vec::new(),
            speaks,
            sweeping: false,
            watch: None,
            closed: false,
        }
    }

    /// The connection that was given back last, of the kind that `leg` is for if there is one;
    /// and what was too old.
    pub(super) fn lend(
        &mut self,
        leg: Leg,
        now: Instant,
        keepalive: Duration,
    ) -> (Option<Lent>, Gone) {
        let mut gone = Gone::default();
        let lent = match leg {
            Leg::Plain => self
                .lend_plain(now, keepalive, &mut gone)
                .or_else(|| self.lend_own(now, keepalive, &mut gone)),
            Leg::Library => self
                .lend_own(now, keepalive, &mut gone)
                .or_else(|| self.lend_plain(now, keepalive, &mut gone)),
        };
        (lent, gone)
    }

    fn lend_plain(&mut self, now: Instant, keepalive: Duration, gone: &mut Gone) -> Option<Lent> {
        let mut cx = Context::from_waker(Waker::noop());
        while let Some(mut idle) = self.plain.pop() {
            if !idle.is_aged(now, keepalive) && idle.connection.is_silent(&mut cx) {
                return Some(Lent::Plain(idle.connection));
            }
            gone.plain.push(idle.connection);
        }
        None
    }

    fn lend_own(&mut self, now: Instant, keepalive: Duration, gone: &mut Gone) -> Option<Lent> {
        while let Some(idle) = self.own.pop() {
            if idle.is_aged(now, keepalive) {
                gone.own.push(idle.connection);
            } else if idle.connection.is_ready() {
                return Some(Lent::Driven(Driven::Own(idle.connection)));
            }
        }
        None
    }

    /// Keeps an HTTP/1.1 connection that is idle since `now`; what there is no room for, when
    /// there is room for `max`.
    pub(super) fn keep(&mut self, lent: Lent, now: Instant, max: usize) -> Gone {
        let mut gone = Gone::default();
        match lent {
            Lent::Plain(mut connection) => {
                // A sweep that has not begun looks at it when it does.
                let silent = self
                    .watch
                    .as_ref()
                    .is_none_or(|watch| connection.is_silent(&mut Context::from_waker(watch)));
                if silent {
                    self.plain.push(Idle {
                        connection,
                        since: now,
                    });
                } else {
                    gone.plain.push(connection);
                }
            }
            Lent::Driven(Driven::Own(connection)) => self.own.push(Idle {
                connection,
                since: now,
            }),
            // It is shared, and was kept when it was opened.
            Lent::Driven(Driven::Stream(_)) => {}
        }
        self.shrink(max, &mut gone);
        gone
    }

    /// Takes out the oldest, as many as there are above `max`.
    fn shrink(&mut self, max: usize, gone: &mut Gone) {
        while self.plain.len() + self.own.len() > max {
            let (plain, own) = (self.plain.first(), self.own.first());
            let plain_first = match (plain, own) {
                (Some(plain), Some(own)) => plain.since <= own.since,
                (plain, _) => plain.is_some(),
            };
            if plain_first {
                gone.plain.push(self.plain.remove(0).connection);
            } else {
                gone.own.push(self.own.remove(0).connection);
            }
        }
    }

    /// Keeps nothing, and nothing more.
    pub(super) fn close(&mut self) -> (Gone, Vec<Arc<Shared>>) {
        self.closed = true;
        let mut gone = Gone::default();
        self.shrink(0, &mut gone);
        (gone, std::mem::take(&mut self.shared))
    }

    /// Takes out what has been idle for `keepalive`, or is at its end; what else is idle will
    /// wake the task of `cx` by its end. When to look again, while anything is kept; `busy` is
    /// when one that is shared and in use may be idle for long enough.
    pub(super) fn sweep(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        keepalive: Duration,
        busy: Instant,
    ) -> (Option<Instant>, Gone) {
        let mut gone = Gone::default();
        let aged = self
            .plain
            .partition_point(|idle| idle.is_aged(now, keepalive));
        gone.plain
            .extend(self.plain.drain(..aged).map(|idle| idle.connection));
        // What it said at its end, over TLS above all, is answered.
        let ended = self
            .plain
            .extract_if(.., |idle| !idle.connection.is_silent(cx));
        gone.plain.extend(ended.map(|idle| idle.connection));
        let aged = self
            .own
            .partition_point(|idle| idle.is_aged(now, keepalive));
        gone.own
            .extend(self.own.drain(..aged).map(|idle| idle.connection));
        self.own.retain(|idle| idle.connection.is_ready());
        self.shared.retain(|shared| {
            let aged = shared
                .idle_since()
                .is_some_and(|since| now >= since + keepalive);
            !shared.is_closed() && !aged
        });
        let plain = self.plain.first().map(|idle| idle.since + keepalive);
        let own = self.own.first().map(|idle| idle.since + keepalive);
        let shared = self.shared.iter().map(|shared| match shared.idle_since() {
            Some(since) => since + keepalive,
            None => busy,
        });
        let next = shared.chain(plain).chain(own).min();
        self.sweeping = next.is_some();
        self.watch = next.map(|_| cx.waker().clone());
        (next, gone)
    }
}
