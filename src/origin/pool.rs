//! The connections of one origin: lent, given back, kept for a while.
//!
//! The last one given back is lent first, so that those the load no longer needs grow old
//! and are closed. Age is checked when one is lent; a task that exists only while something
//! is kept closes the others. No connection has a timer for its age.
//!
//! A permit is of an exchange, not of a connection: it is taken before the first look at
//! what is kept and given back after the connection is, so that whoever waits for one
//! finds that connection, and nobody waits for a connection while holding one.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until, timeout, timeout_at},
};

use crate::{
    origin::{
        connection::{Lent, Own},
        dial::{Dial, DialError, Io},
        error::{Cause, Failed},
        http2::Shared,
        tls::{Agreed, Offer, Tls, bare},
    },
    policy::failover::{Blame, Phase, Retry},
    site::{Origin, Protocol},
    time::Clock,
};

/// How many exchanges with one origin may be under way per worker. Others wait for their
/// `connect_timeout` at most. An API that answers in 100 ms has served 10,240 a second
/// by then.
pub const EXCHANGES_MAX: usize = 1_024;

/// How many idle HTTP/1.1 connections to one origin are kept per worker; with about
/// 40 KiB for each, TLS included, that is 5 MiB.
pub const IDLE_MAX: usize = 128;

/// How long a connection may take to be ready again after its response is complete.
const READY_MAX: Duration = Duration::from_secs(1);

/// The connections of one worker to one origin.
pub(super) struct Pool {
    origin: Arc<Origin>,
    dial: Arc<dyn Dial>,
    clock: Clock,
    runtime: Handle,
    tls: OnceLock<Tls>,
    exchanges: Arc<Semaphore>,
    /// Held while connecting to an origin that may speak HTTP/2: one connection will do
    /// for all who wait.
    turn: tokio::sync::Mutex<()>,
    kept: Mutex<Kept>,
}

struct Kept {
    /// Oldest first.
    idle: Vec<Idle>,
    shared: Vec<Arc<Shared>>,
    /// What the last connection spoke, unless that was never asked.
    speaks: Option<Agreed>,
    sweeping: bool,
    /// The configuration no longer knows this origin.
    closed: bool,
}

struct Idle {
    own: Own,
    since: Instant,
}

/// Which connection an exchange wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// A kept one, else a new one.
    Any,
    /// A new one: a kept one has just failed.
    New,
    /// A new one that speaks HTTP/1.1 and is nobody else's afterwards.
    Upgrade,
}

impl Pool {
    /// Nothing is opened yet. Must be called within the runtime that will drive it.
    pub(super) fn new(origin: Arc<Origin>, dial: Arc<dyn Dial>, clock: Clock) -> Self {
        let speaks = match origin.protocol {
            Protocol::Http => Some(Agreed::Http1),
            Protocol::Https => None,
        };
        Self {
            origin,
            dial,
            clock,
            runtime: Handle::current(),
            tls: OnceLock::new(),
            exchanges: Arc::new(Semaphore::new(EXCHANGES_MAX)),
            turn: tokio::sync::Mutex::default(),
            kept: Mutex::new(Kept {
                idle: Vec::new(),
                shared: Vec::new(),
                speaks,
                sweeping: false,
                closed: false,
            }),
        }
    }

    /// Whether it was made for this very origin.
    pub(super) fn is_of(&self, origin: &Arc<Origin>) -> bool {
        Arc::ptr_eq(&self.origin, origin)
    }

    /// Whether its connections may carry requests for `origin`.
    pub(super) fn serves(&self, origin: &Origin) -> bool {
        self.origin.same_connection(origin)
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// Leave for one exchange; a failure of ours when there is none until `deadline`.
    pub(super) async fn permit(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Failed> {
        if let Ok(permit) = Arc::clone(&self.exchanges).try_acquire_owned() {
            return Ok(permit);
        }
        let busy = || Failed::timed_out(Blame::Us, Phase::Connect, self.origin.connect_timeout);
        let permit = Arc::clone(&self.exchanges).acquire_owned();
        timeout_at(deadline, permit)
            .await
            .map_err(|_| busy())?
            .map_err(|_| busy())
    }

    /// A connection for one exchange, until `deadline`; and how long opening it took, if
    /// it is new. Dropping the future gives up.
    pub(super) async fn lend(
        self: &Arc<Self>,
        choice: Choice,
        deadline: Instant,
    ) -> Result<(Lent, Option<Duration>), Failed> {
        if choice == Choice::Any
            && let Some(lent) = self.lend_kept()
        {
            return Ok((lent, None));
        }
        // Boxed: it is rare, and large.
        Box::pin(self.lend_new(choice, deadline)).await
    }

    /// The same, where nothing kept was to be had, or asked for.
    async fn lend_new(
        self: &Arc<Self>,
        choice: Choice,
        deadline: Instant,
    ) -> Result<(Lent, Option<Duration>), Failed> {
        let started = self.clock.instant();
        let lent = match choice {
            Choice::Upgrade => self.open(Offer::Http1, deadline).await?,
            Choice::Any | Choice::New if self.may_share() => {
                let turn = timeout_at(deadline, self.turn.lock()).await;
                let turn = turn.map_err(|_| self.overdue(Phase::Connect))?;
                if choice == Choice::Any
                    && let Some(lent) = self.lend_kept()
                {
                    return Ok((lent, None));
                }
                // Whoever had the turn before may have learnt that there is nothing to share.
                let held = self.may_share().then_some(turn);
                let lent = self.open(Offer::Any, deadline).await?;
                drop(held);
                lent
            }
            Choice::Any | Choice::New => self.open(Offer::Any, deadline).await?,
        };
        Ok((lent, Some(self.clock.instant() - started)))
    }

    /// Takes `lent` back after an exchange that ended well, then its permit. A connection
    /// that is not ready again soon is closed.
    pub(super) fn give_back(self: &Arc<Self>, lent: Lent, permit: OwnedSemaphorePermit) {
        let mut own = match lent {
            Lent::Own(own) if own.private => return own.retire(),
            Lent::Own(own) => own.into_kept(),
            // The connection is shared already; this was only a place on it.
            Lent::Stream(_) => return,
        };
        if own.is_ready() {
            return self.keep(own);
        }
        let pool = Arc::clone(self);
        self.runtime.spawn(async move {
            if let Ok(Ok(())) = timeout(READY_MAX, own.ready()).await {
                pool.keep(own);
            }
            drop(permit);
        });
    }

    /// Closes what is kept, and whatever is given back from now on.
    pub(super) fn close(&self) {
        let (idle, shared) = {
            let mut kept = self.kept();
            kept.closed = true;
            (
                std::mem::take(&mut kept.idle),
                std::mem::take(&mut kept.shared),
            )
        };
        idle.into_iter().for_each(|idle| idle.own.retire());
        drop(shared);
    }

    /// Whether the next connection may turn out to be one for all.
    fn may_share(&self) -> bool {
        self.kept().speaks != Some(Agreed::Http1)
    }

    fn lend_kept(&self) -> Option<Lent> {
        let now = self.clock.instant();
        let mut kept = self.kept();
        kept.shared.retain(|shared| !shared.is_closed());
        if let Some(stream) = kept
            .shared
            .iter()
            .find_map(|shared| shared.another(self.clock))
        {
            return Some(Lent::Stream(stream));
        }
        while let Some(Idle { own, since }) = kept.idle.pop() {
            if now >= since + self.origin.keepalive {
                own.retire();
            } else if own.is_ready() {
                return Some(Lent::Own(own));
            }
        }
        None
    }

    /// Connects: name and TCP, TLS, and what HTTP says first.
    async fn open(self: &Arc<Self>, offer: Offer, deadline: Instant) -> Result<Lent, Failed> {
        let dialled = timeout_at(
            deadline,
            self.dial.dial(bare(&self.origin.host), self.origin.port),
        );
        let stream = dialled
            .await
            .map_err(|_| self.overdue(Phase::Connect))?
            .map_err(undialled)?;
        let (stream, agreed) = self.secured(stream, offer, deadline).await?;
        let private = offer == Offer::Http1;
        if !private {
            self.kept().speaks = Some(agreed);
        }
        let greeted = timeout_at(deadline, self.greeted(stream, agreed, private));
        greeted
            .await
            .map_err(|_| self.overdue(Phase::Connect))?
            .map_err(|error| {
                Failed::new(Blame::Network, Phase::Connect, error).with_retry(Retry::Unsent)
            })
    }

    async fn secured(
        &self,
        stream: Box<dyn Io>,
        offer: Offer,
        deadline: Instant,
    ) -> Result<(Box<dyn Io>, Agreed), Failed> {
        match self.origin.protocol {
            Protocol::Http => Ok((stream, Agreed::Http1)),
            Protocol::Https => {
                let secured = timeout_at(deadline, self.tls()?.secure(stream, offer));
                secured.await.map_err(|_| self.overdue(Phase::Tls))?
            }
        }
    }

    async fn greeted(
        self: &Arc<Self>,
        stream: Box<dyn Io>,
        agreed: Agreed,
        private: bool,
    ) -> Result<Lent, Cause> {
        Ok(match agreed {
            Agreed::Http1 => Lent::Own(Own::open(stream, &self.runtime, private).await?),
            Agreed::Http2 => {
                let shared = Shared::open(stream, &self.runtime, self.clock).await?;
                let stream = shared.first(self.clock);
                self.share(shared);
                Lent::Stream(stream)
            }
        })
    }
}

impl Pool {
    /// Keeps `own` for the next exchange, instead of the oldest where there is no room.
    fn keep(self: &Arc<Self>, own: Own) {
        let now = self.clock.instant();
        let surplus = {
            let mut kept = self.kept();
            if kept.closed || self.origin.keepalive.is_zero() {
                Some(own)
            } else {
                kept.idle.push(Idle { own, since: now });
                self.sweep_later(&mut kept);
                (kept.idle.len() > IDLE_MAX).then(|| kept.idle.remove(0).own)
            }
        };
        if let Some(own) = surplus {
            own.retire();
        }
    }

    fn share(self: &Arc<Self>, shared: Arc<Shared>) {
        let mut kept = self.kept();
        if !kept.closed {
            kept.shared.push(shared);
            self.sweep_later(&mut kept);
        }
    }

    fn sweep_later(self: &Arc<Self>, kept: &mut Kept) {
        if !std::mem::replace(&mut kept.sweeping, true) {
            self.runtime.spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes what has been idle for `keepalive`; when to look again, while anything is
    /// kept.
    fn close_aged(&self) -> Option<Instant> {
        let now = self.clock.instant();
        let keepalive = self.origin.keepalive;
        let mut kept = self.kept();
        let aged = kept
            .idle
            .partition_point(|idle| now >= idle.since + keepalive);
        kept.idle.drain(..aged).for_each(|idle| idle.own.retire());
        kept.idle.retain(|idle| idle.own.is_ready());
        kept.shared.retain(|shared| {
            let aged = shared
                .idle_since()
                .is_some_and(|since| now >= since + keepalive);
            !shared.is_closed() && !aged
        });
        // A busy connection is looked at again when it could have been idle for long enough.
        let busy = now + keepalive.max(READY_MAX);
        let shared = kept.shared.iter().map(|shared| match shared.idle_since() {
            Some(since) => since + keepalive,
            None => busy,
        });
        let next = kept
            .idle
            .first()
            .map(|idle| idle.since + keepalive)
            .into_iter()
            .chain(shared)
            .min();
        kept.sweeping = next.is_some();
        next
    }

    /// The way to verify the origin, made when it is first needed.
    fn tls(&self) -> Result<&Tls, Failed> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls);
        }
        let tls = Tls::new(&self.origin)?;
        Ok(self.tls.get_or_init(|| tls))
    }

    fn overdue(&self, phase: Phase) -> Failed {
        Failed::timed_out(Blame::Network, phase, self.origin.connect_timeout)
            .with_retry(Retry::Unsent)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes aged connections until nothing is kept, or the pool is gone.
async fn sweep(pool: Weak<Pool>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.close_aged()) {
        sleep_until(next).await;
    }
}

fn undialled(error: DialError) -> Failed {
    let phase = match error {
        DialError::Resolve(_) => Phase::Resolve,
        DialError::Connect(_) => Phase::Connect,
    };
    Failed::new(Blame::Network, phase, error).with_retry(Retry::Unsent)
}
