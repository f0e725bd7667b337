//! Who is connected to one worker.

use std::{
    iter::Sum,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::Notify;

use super::{
    census::Seat,
    overdue::Tick,
    vitals::{Order, Vitals},
    watch::Watch,
};

/// A worker's connections: how many, and the vitals of each.
#[derive(Debug, Default)]
pub struct Roll {
    entries: Mutex<Vec<Watch>>,
    open: AtomicUsize,
    /// Told when the last connection leaves.
    emptied: Notify,
    accepted: AtomicU64,
    turned_away: AtomicU64,
    overdue: AtomicU64,
    panicked: AtomicU64,
    handshakes_failed: AtomicU64,
    flooded: AtomicU64,
    /// Sweeps so far.
    swept: AtomicU32,
}

/// What happened at one worker's doors since it started, or at all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that were accepted and served.
    pub accepted: u64,
    /// Connections that were closed at once, since too many were open, or of one address.
    pub turned_away: u64,
    /// Connections that were closed because a bound had passed, idle ones included.
    pub overdue: u64,
    /// Requests whose answer panicked before its head.
    pub panicked: u64,
    /// TLS handshakes that failed; those that took too long are overdue.
    pub handshakes_failed: u64,
    /// HTTP/2 connections ended because their viewer made us work for nothing.
    pub flooded: u64,
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |sum, one| Self {
            accepted: sum.accepted + one.accepted,
            turned_away: sum.turned_away + one.turned_away,
            overdue: sum.overdue + one.overdue,
            panicked: sum.panicked + one.panicked,
            handshakes_failed: sum.handshakes_failed + one.handshakes_failed,
            flooded: sum.flooded + one.flooded,
        })
    }
}

impl Roll {
    /// Takes a connection in; it is on the roll until its [`Place`] is dropped.
    pub fn admit(self: &Arc<Self>) -> Place {
        self.open.fetch_add(1, Relaxed);
        self.accepted.fetch_add(1, Relaxed);
        let vitals = Arc::new(Vitals::since(self.swept.load(Relaxed)));
        self.entries().push(Watch::new(Arc::clone(&vitals)));
        Place {
            vitals,
            roll: Arc::clone(self),
            seat: None,
        }
    }

    /// How many connections are open, upgraded ones included.
    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// What happened so far.
    pub fn tally(&self) -> Tally {
        Tally {
            accepted: self.accepted.load(Relaxed),
            turned_away: self.turned_away.load(Relaxed),
            overdue: self.overdue.load(Relaxed),
            panicked: self.panicked.load(Relaxed),
            handshakes_failed: self.handshakes_failed.load(Relaxed),
            flooded: self.flooded.load(Relaxed),
        }
    }

    /// Lets every connection end with what is under way, or with the one request that
    /// comes next: a viewer that is about to send it is not hung up on. Returns when
    /// all are gone; dropping it only stops the wait.
    pub async fn last(&self) {
        self.order(Order::Last);
        self.emptied().await;
    }

    /// Lets every connection finish what is under way and close; the idle ones
    /// close at once. Returns when all are gone; dropping it only stops the wait.
    pub async fn retire(&self) {
        self.order(Order::Retire);
        self.emptied().await;
    }

    async fn emptied(&self) {
        while self.open() > 0 {
            self.emptied.notified().await;
        }
    }

    /// Closes every connection now; how many there were.
    pub fn cut(&self) -> usize {
        self.order(Order::Cut);
        self.open()
    }

    fn order(&self, order: Order) {
        for entry in self.entries().iter() {
            entry.vitals().give(order);
        }
    }

    pub(super) fn entries(&self) -> MutexGuard<'_, Vec<Watch>> {
        // A panic while the list was locked cannot have left it half changed.
        self.entries
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn turned_away(&self) {
        self.turned_away.fetch_add(1, Relaxed);
    }

    pub(super) fn closed_overdue(&self) {
        self.overdue.fetch_add(1, Relaxed);
    }

    /// A sweep begins.
    pub(super) fn sweep(&self, now: Tick) {
        self.swept.store(now.0, Relaxed);
    }

    pub(super) fn flooded(&self) {
        self.flooded.fetch_add(1, Relaxed);
    }

    pub(super) fn handshake_failed(&self) {
        self.handshakes_failed.fetch_add(1, Relaxed);
    }

    pub(super) fn panicked(&self) {
        self.panicked.fetch_add(1, Relaxed);
    }
}

/// A connection's place on the [`Roll`]; dropping it takes the connection off.
#[derive(Debug)]
pub struct Place {
    vitals: Arc<Vitals>,
    roll: Arc<Roll>,
    /// Held for as long as the connection.
    seat: Option<Seat>,
}

impl Place {
    /// Gives `seat` up together with this place.
    pub(super) fn with(mut self, seat: Seat) -> Self {
        self.seat = Some(seat);
        self
    }

    pub(super) fn vitals(&self) -> &Arc<Vitals> {
        &self.vitals
    }

    pub(super) fn roll(&self) -> &Arc<Roll> {
        &self.roll
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.vitals.close();
        if self.roll.open.fetch_sub(1, Relaxed) == 1 {
            self.roll.emptied.notify_one();
        }
    }
}
