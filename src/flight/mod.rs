//! One fetch per key: who asks the origin, and who waits for that answer.
//!
//! The first to [`Flights::join`] leads and holds a [`Lease`]; the others follow with a
//! [`Ticket`] and are woken, all at once, when the leader announces what arrived. A lease
//! that is dropped without a word is an outcome with a name, too. What arrives is the
//! caller's type; this module knows nothing of stores or origins.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};

use crate::{policy::Key, time::Timestamp};

mod unshared;

use unshared::Unshared;

/// How a flight went, as its followers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Landed<T> {
    /// This arrived.
    With(T),
    /// The leader died or gave up; nobody is fetching now.
    Abandoned,
    /// The follower's own patience ended; the flight may still be going.
    Overdue,
}

/// What joining a key's flight makes of a request.
#[derive(Debug)]
pub enum Join<T> {
    /// It fetches, for itself and for those who come meanwhile.
    Lead(Lease<T>),
    /// Another request fetches.
    Follow(Ticket<T>),
    /// It fetches for itself: answers to this key turned out not to be shareable lately.
    Alone,
}

/// The flights of one process; clones share them.
#[derive(Debug)]
pub struct Flights<T>(Arc<Table<T>>);

/// The flights under way, each with what its followers wait for.
type Open<T> = HashMap<Key, watch::Receiver<Option<Landed<T>>>>;

#[derive(Debug)]
struct Table<T> {
    open: Mutex<Open<T>>,
    unshared: Unshared,
}

impl<T> Clone for Flights<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        let open = Mutex::new(HashMap::new());
        Self(Arc::new(Table {
            open,
            unshared: Unshared::default(),
        }))
    }
}

impl<T: Clone> Flights<T> {
    /// Joins the flight of `key`, or starts one.
    pub fn join(&self, key: Key, now: Timestamp) -> Join<T> {
        if self.0.unshared.holds(key, now) {
            return Join::Alone;
        }
        let mut open = self.0.open();
        if let Some(landed) = open.get(&key) {
            return Join::Follow(Ticket(landed.clone()));
        }
        Join::Lead(self.opened(key, &mut open))
    }

    /// Starts the flight of `key`, however shareable its answers were lately: for whoever
    /// fetches on nobody's behalf. `None` while one is open.
    pub fn lead(&self, key: Key) -> Option<Lease<T>> {
        let mut open = self.0.open();
        (!open.contains_key(&key)).then(|| self.opened(key, &mut open))
    }

    fn opened(&self, key: Key, open: &mut Open<T>) -> Lease<T> {
        let (landed, followers) = watch::channel(None);
        open.insert(key, followers);
        Lease {
            key,
            landed,
            flights: self.clone(),
        }
    }

    /// Follows the flight of `key`, if one is open.
    pub fn follow(&self, key: Key) -> Option<Ticket<T>> {
        self.0.open().get(&key).cloned().map(Ticket)
    }

    /// Remembers that answers to `key` are not shareable, so that nobody waits for one.
    pub fn mark_unshared(&self, key: Key, now: Timestamp) {
        self.0.unshared.mark(key, now);
    }

    /// Takes that back: an answer to `key` was shareable after all.
    pub fn mark_shared(&self, key: Key) {
        self.0.unshared.clear(key);
    }

    /// How many flights are under way.
    pub fn len(&self) -> usize {
        self.0.open().len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.open().is_empty()
    }
}

impl<T> Table<T> {
    fn open(&self) -> MutexGuard<'_, Open<T>> {
        // No code panics while it holds the lock.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right, and the duty, to fetch one key. Dropping it ends the flight: abandoned, if
/// nothing was announced.
#[derive(Debug)]
pub struct Lease<T> {
    key: Key,
    landed: watch::Sender<Option<Landed<T>>>,
    flights: Flights<T>,
}

impl<T> Lease<T> {
    /// Tells the followers what arrived. The flight stays open for those who come later,
    /// until the lease is dropped.
    pub fn announce(&self, arrived: T) {
        self.landed.send_replace(Some(Landed::With(arrived)));
    }

    /// The followers that wait, or may still ask, now.
    pub fn followers(&self) -> usize {
        // One receiver is the table's own.
        self.landed.receiver_count().saturating_sub(1)
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        // Leave the table first: a follower that looks again starts a new flight.
        self.flights.0.open().remove(&self.key);
        self.landed.send_if_modified(|how| {
            let abandoned = how.is_none();
            if abandoned {
                *how = Some(Landed::Abandoned);
            }
            abandoned
        });
    }
}

/// A place among the followers of a flight.
#[derive(Debug)]
pub struct Ticket<T>(watch::Receiver<Option<Landed<T>>>);

impl<T: Clone> Ticket<T> {
    /// Waits for the leader's word, at most `max`. Dropping the future stops only this wait.
    pub async fn wait(mut self, max: Duration) -> Landed<T> {
        match timeout(max, self.0.wait_for(Option::is_some)).await {
            Ok(Ok(landed)) => landed.clone().unwrap_or(Landed::Abandoned),
            Ok(Err(_)) => Landed::Abandoned,
            Err(_) => Landed::Overdue,
        }
    }

    /// Waits for the end of the flight, whatever it brings, at most `max`.
    pub async fn over(mut self, max: Duration) {
        // Words that come meanwhile are not what is waited for; its end is the sender's.
        let _ = timeout(max, async { while self.0.changed().await.is_ok() {} }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key(1);
    const NOW: Timestamp = Timestamp::from_unix(1_000);
    const PATIENCE: Duration = Duration::from_secs(5);

    fn lead(flights: &Flights<u8>) -> Lease<u8> {
        match flights.join(KEY, NOW) {
            Join::Lead(lease) => lease,
            other => panic!("{other:?}"),
        }
    }

    fn follow(flights: &Flights<u8>) -> Ticket<u8> {
        match flights.join(KEY, NOW) {
            Join::Follow(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn one_leads_and_the_others_hear_what_arrived() {
        let flights = Flights::default();
        let lease = lead(&flights);
        let (early, waiting) = (follow(&flights), follow(&flights));
        let waiting = tokio::spawn(waiting.wait(PATIENCE));
        lease.announce(7);
        assert_eq!(early.wait(PATIENCE).await, Landed::With(7));
        assert_eq!(waiting.await.unwrap(), Landed::With(7));
        assert_eq!(follow(&flights).wait(PATIENCE).await, Landed::With(7));
        drop(lease);
        assert!(flights.is_empty());
    }

    #[tokio::test]
    async fn a_dropped_lease_is_abandoned_and_its_place_is_free() {
        let flights = Flights::default();
        let lease = lead(&flights);
        let ticket = follow(&flights);
        drop(lease);
        assert_eq!(ticket.wait(PATIENCE).await, Landed::Abandoned);
        lead(&flights);
    }

    #[tokio::test(start_paused = true)]
    async fn a_follower_waits_no_longer_than_its_patience() {
        let flights = Flights::default();
        let _lease = lead(&flights);
        assert_eq!(follow(&flights).wait(PATIENCE).await, Landed::Overdue);
    }

    #[test]
    fn nobody_queues_behind_what_cannot_be_shared() {
        let flights: Flights<u8> = Flights::default();
        flights.mark_unshared(KEY, NOW);
        assert!(matches!(flights.join(KEY, NOW), Join::Alone));
        flights.mark_shared(KEY);
        lead(&flights);
    }

    #[test]
    fn what_is_fetched_for_nobody_is_one_flight_whatever_can_be_shared() {
        let flights: Flights<u8> = Flights::default();
        flights.mark_unshared(KEY, NOW);
        let lease = flights.lead(KEY).expect("there is no flight");
        assert!(flights.lead(KEY).is_none());
        assert!(matches!(flights.join(KEY, NOW), Join::Alone));
        drop(lease);
        assert!(flights.lead(KEY).is_some() && flights.is_empty());
    }
}
