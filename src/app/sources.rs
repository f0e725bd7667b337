//! What scrapes read from those who count it anyway.

use std::sync::Arc;

use crate::{
    flight::Flights,
    ledger::{Ledger, LedgerUsage},
    listen::Workers,
    observe::{Events, Source},
    serve::Arrival,
    store::{Store, Usage},
};

/// Lets `events` read the numbers of these parts.
///
/// The workers are held weakly: they hold the events, and would never end otherwise.
pub(super) fn show(
    events: &Events,
    workers: &Arc<Workers>,
    store: Store,
    ledger: Ledger,
    flights: Flights<Arrival>,
) {
    let of_workers = |source, read: fn(&Workers) -> u64| {
        let workers = Arc::downgrade(workers);
        events.source(source, move || {
            workers.upgrade().map_or(0, |workers| read(&workers))
        });
    };
    of_workers(Source::Connections, |workers| workers.connections() as u64);
    of_workers(Source::ConnectionsAccepted, |workers| {
        workers.tally().accepted
    });
    of_workers(Source::ConnectionsTurnedAway, |workers| {
        workers.tally().turned_away
    });
    of_workers(Source::ConnectionsOverdue, |workers| {
        workers.tally().overdue
    });
    of_workers(Source::ConnectionsFlooding, |workers| {
        workers.tally().flooded
    });
    of_workers(Source::HandshakesFailed, |workers| {
        workers.tally().handshakes_failed
    });
    let of_store = |source, read: fn(&Usage) -> u64| {
        let store = store.clone();
        events.source(source, move || read(&store.usage()));
    };
    of_store(Source::CacheBytes, |usage| usage.bytes);
    of_store(Source::CacheKeys, |usage| usage.keys);
    of_store(Source::CacheEvictions, |usage| usage.evictions);
    let of_ledger = |source, read: fn(&LedgerUsage) -> u64| {
        let ledger = ledger.clone();
        events.source(source, move || read(&ledger.usage()));
    };
    of_ledger(Source::LedgerNotes, |usage| usage.entries);
    of_ledger(Source::LedgerBytes, |usage| usage.bytes);
    of_ledger(Source::LedgerRaises, |usage| usage.raises);
    events.source(Source::Flights, move || flights.len() as u64);
}
