//! The connections of one origin: opened, lent, given back.
//!
//! The last one given back is lent first, so that those the load no longer needs grow old
//! and are closed. Age is checked when one is lent; a task that exists only while something
//! is kept closes the others. No connection has a timer for its age.
//!
//! A permit is of an exchange, not of a connection: it is taken before the first look at
//! what is kept and given back after the connection is, so that whoever waits for one
//! finds that connection, and nobody waits for a connection while holding one.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    origin::{
        connection::{Driven, Leg, Lent, Own},
        dial::{Dial, DialError, Io},
        error::{Cause, Failed},
        http2::Shared,
        kept::{IDLE_MAX, Kept},
        patience::Patience,
        plain::Plain,
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
            kept: Mutex::new(Kept::new(speaks)),
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

    /// Leave for one exchange, if it need not be waited for; and a kept connection for it, if
    /// there is one that need not be made over.
    pub(super) fn at_hand(
        &self,
        choice: Choice,
        leg: Leg,
        now: Instant,
    ) -> (Option<OwnedSemaphorePermit>, Option<Lent>) {
        let mut kept = self.kept();
        let permit = kept.permits.pop();
        let permit = permit.or_else(|| Arc::clone(&self.exchanges).try_acquire_owned().ok());
        if permit.is_none() || (choice, leg) != (Choice::Any, Leg::Plain) {
            return (permit, None);
        }
        (permit, self.lend_of(kept, leg, now))
    }

    /// Leave for one exchange; a failure of ours when there is none until `deadline`.
    pub(super) async fn permit(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Failed> {
        let busy = || Failed::timed_out(Blame::Us, Phase::Connect, self.origin.connect_timeout);
        let permit = Arc::clone(&self.exchanges).acquire_owned();
        timeout_at(deadline, permit)
            .await
            .map_err(|_| busy())?
            .map_err(|_| busy())
    }

    /// A connection for one exchange, from `now` until `deadline`; and how long opening it took,
    /// if it is new. Dropping the future gives up.
    pub(super) async fn lend(
        self: &Arc<Self>,
        choice: Choice,
        leg: Leg,
        now: Instant,
        deadline: Instant,
    ) -> Result<(Lent, Option<Duration>), Failed> {
        // Boxed: what is rare is large.
        if choice == Choice::Any
            && let Some(lent) = self.lend_kept(leg, now)
        {
            return match (lent, leg) {
                (Lent::Plain(plain), Leg::Library) => Box::pin(self.handed_over(plain))
                    .await
                    .map(|own| (own, None)),
                (lent, _) => Ok((lent, None)),
            };
        }
        Box::pin(self.lend_new(choice, leg, deadline)).await
    }

    /// A connection that we drove so far, in hyper's hands; nothing is said on it.
    async fn handed_over(&self, plain: Plain) -> Result<Lent, Failed> {
        let own = Own::open(plain.into_stream(), &self.runtime, false).await;
        let own = own.map_err(unopened)?;
        Ok(Lent::Driven(Driven::Own(own.into_kept())))
    }

    /// The same, where nothing kept was to be had, or asked for.
    async fn lend_new(
        self: &Arc<Self>,
        choice: Choice,
        leg: Leg,
        deadline: Instant,
    ) -> Result<(Lent, Option<Duration>), Failed> {
        let started = self.clock.instant();
        let lent = match choice {
            Choice::Upgrade => self.open(Offer::Http1, leg, deadline).await?,
            Choice::Any | Choice::New if self.may_share() => {
                let turn = timeout_at(deadline, self.turn.lock()).await;
                let turn = turn.map_err(|_| self.overdue(Phase::Connect))?;
                if choice == Choice::Any
                    && let Some(lent) = self.lend_kept(leg, self.clock.instant())
                {
                    return match (lent, leg) {
                        (Lent::Plain(plain), Leg::Library) => {
                            Ok((self.handed_over(plain).await?, None))
                        }
                        (lent, _) => Ok((lent, None)),
                    };
                }
                // Whoever had the turn before may have learnt that there is nothing to share.
                let held = self.may_share().then_some(turn);
                let lent = self.open(Offer::Any, leg, deadline).await?;
                drop(held);
                lent
            }
            Choice::Any | Choice::New => self.open(Offer::Any, leg, deadline).await?,
        };
        Ok((lent, Some(self.clock.instant() - started)))
    }

    /// Takes `lent` back after an exchange that ended well `now`, then its permit. A connection
    /// that is not ready again soon is closed.
    pub(super) fn give_back(
        self: &Arc<Self>,
        lent: Lent,
        permit: OwnedSemaphorePermit,
        now: Instant,
    ) {
        let mut own = match lent {
            Lent::Plain(plain) => {
                return self.keep(Lent::Plain(plain.into_kept()), Some(permit), now);
            }
            Lent::Driven(Driven::Own(own)) if own.private => return own.retire(),
            Lent::Driven(Driven::Own(own)) => own.into_kept(),
            // The connection is shared already; this was only a place on it.
            Lent::Driven(Driven::Stream(_)) => return,
        };
        if own.is_ready() {
            return self.keep(Lent::Driven(Driven::Own(own)), Some(permit), now);
        }
        let pool = Arc::clone(self);
        self.runtime.spawn(async move {
            if let Ok(Ok(())) = timeout(READY_MAX, own.ready()).await {
                pool.keep(Lent::Driven(Driven::Own(own)), None, pool.clock.instant());
            }
            drop(permit);
        });
    }

    /// Closes what is kept, and whatever is given back from now on.
    pub(super) fn close(&self) {
        let (gone, shared) = self.kept().close();
        gone.retire();
        drop(shared);
    }

    /// Whether the next connection may turn out to be one for all.
    fn may_share(&self) -> bool {
        self.kept().speaks != Some(Agreed::Http1)
    }

    fn lend_kept(&self, leg: Leg, now: Instant) -> Option<Lent> {
        self.lend_of(self.kept(), leg, now)
    }

    fn lend_of(&self, mut kept: MutexGuard<'_, Kept>, leg: Leg, now: Instant) -> Option<Lent> {
        kept.shared.retain(|shared| !shared.is_closed());
        if let Some(stream) = kept
            .shared
            .iter()
            .find_map(|shared| shared.another(self.clock))
        {
            return Some(Lent::Driven(Driven::Stream(stream)));
        }
        let (lent, gone) = kept.lend(leg, now, self.origin.keepalive);
        drop(kept);
        gone.retire();
        lent
    }

    /// Connects: name and TCP, TLS, and what HTTP says first.
    async fn open(
        self: &Arc<Self>,
        offer: Offer,
        leg: Leg,
        deadline: Instant,
    ) -> Result<Lent, Failed> {
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
        if (agreed, leg) == (Agreed::Http1, Leg::Plain) {
            return Ok(Lent::Plain(Plain::new(stream)));
        }
        let greeted = timeout_at(deadline, self.greeted(stream, agreed, private));
        let driven = greeted
            .await
            .map_err(|_| self.overdue(Phase::Connect))?
            .map_err(unopened)?;
        Ok(Lent::Driven(driven))
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
    ) -> Result<Driven, Cause> {
        Ok(match agreed {
            Agreed::Http1 => Driven::Own(Own::open(stream, &self.runtime, private).await?),
            Agreed::Http2 => {
                let shared = Shared::open(stream, &self.runtime, self.clock).await?;
                let stream = shared.first(self.clock);
                self.share(shared);
                Driven::Stream(stream)
            }
        })
    }
}

impl Pool {
    /// Keeps `lent` for the next exchange, instead of the oldest where there is no room; and
    /// `permit`, where nobody waits for one.
    fn keep(self: &Arc<Self>, lent: Lent, permit: Option<OwnedSemaphorePermit>, now: Instant) {
        let gone = {
            let mut kept = self.kept();
            // While others are free nobody waits, on the one thread that asks and gives back.
            // Taking this one again costs nothing.
            if self.exchanges.available_permits() > 0 {
                kept.permits.extend(permit);
            }
            if kept.closed || self.origin.keepalive.is_zero() {
                kept.keep(lent, now, 0)
            } else {
                self.sweep_later(&mut kept);
                kept.keep(lent, now, IDLE_MAX)
            }
        };
        gone.retire();
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

    /// Closes what has been idle for `keepalive`, or is at its end; when to look again, while
    /// anything is kept. The task of `cx` is woken sooner when there is something to close.
    fn close_aged(&self, cx: &mut Context<'_>) -> Option<Instant> {
        let now = self.clock.instant();
        let keepalive = self.origin.keepalive;
        // A busy connection is looked at again when it could have been idle for long enough.
        let busy = now + keepalive.max(READY_MAX);
        let (next, gone) = self.kept().sweep(cx, now, keepalive, busy);
        gone.retire();
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
    let mut patience = Patience::default();
    poll_fn(|cx| {
        while let Some(next) = pool.upgrade().and_then(|pool| pool.close_aged(cx)) {
            ready!(patience.poll_until(cx, next));
        }
        Poll::Ready(())
    })
    .await;
}

fn unopened(cause: impl Into<Cause>) -> Failed {
    Failed::new(Blame::Network, Phase::Connect, cause).with_retry(Retry::Unsent)
}

fn undialled(error: DialError) -> Failed {
    let phase = match error {
        DialError::Resolve(_) => Phase::Resolve,
        DialError::Connect(_) => Phase::Connect,
    };
    Failed::new(Blame::Network, phase, error).with_retry(Retry::Unsent)
}
