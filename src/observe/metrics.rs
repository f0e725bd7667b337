//! Every metric: its name, its help, its labels.
//!
//! Names begin with `warmfront_`, units are base units, and the library appends
//! `_total` to counters.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet},
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::{Metric, Registry},
};

use super::{Count, Histogram, spread::Spread};

/// Every name (without `warmfront_` before it and `_total` after a counter's)
/// and its help, in the order of the exposition.
mod names {
    pub(super) type Name = (&'static str, &'static str);

    pub(super) const REQUESTS: Name = (
        "requests",
        "Requests answered, by behaviour and what became of them at the cache",
    );
    pub(super) const UNROUTED: Name = (
        "requests_unrouted",
        "Requests that no distribution or behaviour answers for",
    );
    pub(super) const VIEWER_BYTES: Name = ("viewer_body_bytes", "Bytes of bodies sent to viewers");
    pub(super) const COALESCED: Name = (
        "coalesced_waits",
        "Requests that waited for another request's fetch",
    );
    pub(super) const RATE_LIMITED: Name = (
        "rate_limited",
        "Requests refused because their viewer asked too much",
    );
    pub(super) const FIRST_BYTE: Name = (
        "origin_first_byte_seconds",
        "From sending a request to an origin until the head of its answer",
    );
    pub(super) const ORIGIN_FAILURES: Name = (
        "origin_failures",
        "Failed attempts at an origin, by what was under way",
    );
    pub(super) const NOT_STORED: Name = (
        "not_stored",
        "Responses on cached behaviours that were not stored, by reason",
    );
    pub(super) const SAVED_BYTES: Name = (
        "compression_saved_bytes",
        "Bytes that viewers were not sent, since they got a smaller coding of a stored body",
    );
    pub(super) const RECODINGS: Name = (
        "recodings",
        "Stored bodies put into another coding, by that coding and how it went",
    );
    pub(super) const CACHE_BYTES: Name = (
        "cache_bytes",
        "Memory of the store in use: objects, their index, and answers being read",
    );
    pub(super) const CACHE_KEYS: Name = ("cache_keys", "Keys the store has objects for");
    pub(super) const EVICTIONS: Name = (
        "cache_evictions",
        "Keys that left the store to make room for others",
    );
    pub(super) const LEDGER_NOTES: Name = (
        "invalidation_notes",
        "Marks and prefixes remembered as invalidated",
    );
    pub(super) const LEDGER_BYTES: Name = (
        "invalidation_notes_bytes",
        "Memory of what is remembered as invalidated",
    );
    pub(super) const LEDGER_RAISES: Name = (
        "invalidation_overflows",
        "Times that everything stored was invalidated for want of room to remember less",
    );
    pub(super) const FLIGHTS: Name = (
        "fetches_shared",
        "Fetches under way that requests may share",
    );
    pub(super) const CONNECTIONS: Name = ("viewer_connections", "Open connections of viewers");
    pub(super) const ACCEPTED: Name = (
        "viewer_connections_accepted",
        "Connections of viewers that were served",
    );
    pub(super) const TURNED_AWAY: Name = (
        "viewer_connections_turned_away",
        "Connections closed at once, since too many were open",
    );
    pub(super) const OVERDUE: Name = (
        "viewer_connections_overdue",
        "Connections closed by a time limit, idle ones included",
    );
    pub(super) const FLOODING: Name = (
        "viewer_connections_flooding",
        "HTTP/2 connections ended because they made us work for nothing",
    );
    pub(super) const HANDSHAKES_FAILED: Name = (
        "viewer_handshakes_failed",
        "TLS handshakes of viewers that failed",
    );
    pub(super) const PANICS: Name = (
        "panics",
        "Panics; each is a defect, and ended one request or one thread",
    );
    pub(super) const RELOADS: Name = ("config_reloads", "Attempts to load a new configuration");
    pub(super) const LAST_RELOAD: Name = (
        "config_last_reload_ok",
        "1 if the configuration on disk is the one running, 0 if it was refused",
    );
    pub(super) const GENERATION: Name = (
        "config_generation",
        "The configuration that is running, counted from 1",
    );
    pub(super) const VIEWER_HEAD: Name = (
        "viewer_head_seconds",
        "From a viewer's request until the head of its answer, where that waited for something",
    );
    pub(super) const ORIGIN_WAIT: Name = (
        "behaviour_origin_seconds",
        "From sending a request to the origin until the head of its answer, by behaviour",
    );
    pub(super) const INVALIDATIONS: Name = (
        "invalidations",
        "Invalidations asked for through the admin API, by what became of them",
    );
    pub(super) const ADMIN_REFUSED: Name = (
        "admin_refused",
        "Calls of the admin API that were refused, by reason",
    );
    pub(super) const BUILD: Name = ("build", "The program");
}

/// Everything that is counted, apart from what is only read on a scrape.
#[derive(Debug, Default)]
pub(super) struct Families {
    pub(super) requests: Family<RequestLabels, Counter<u64, Spread>>,
    pub(super) unrouted: Count,
    pub(super) viewer_bytes: Family<BehaviourLabels, Counter<u64, Spread>>,
    pub(super) coalesced: Family<BehaviourLabels, Counter<u64, Spread>>,
    pub(super) rate_limited: Family<BehaviourLabels, Counter<u64, Spread>>,
    pub(super) first_byte: Family<OriginLabels, Histogram>,
    pub(super) origin_failures: Family<FailureLabels, Counter>,
    pub(super) not_stored: Family<ReasonLabels, Counter>,
    pub(super) saved_bytes: Family<BehaviourLabels, Counter<u64, Spread>>,
    pub(super) recodings: Family<CodingLabels, Counter>,
    pub(super) panics: Count,
    pub(super) reloads: Family<ResultLabels, Counter>,
    pub(super) last_reload_ok: Gauge<i64, AtomicI64>,
    pub(super) generation: Gauge<u64, AtomicU64>,
    pub(super) viewer_head: Family<BehaviourLabels, Histogram>,
    pub(super) origin_wait: Family<BehaviourLabels, Histogram>,
    pub(super) invalidations: Family<ResultLabels, Counter>,
    pub(super) admin_refused: Family<ReasonLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct BehaviourLabels {
    pub(super) distribution: String,
    pub(super) behaviour: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RequestLabels {
    pub(super) distribution: String,
    pub(super) behaviour: String,
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OriginLabels {
    pub(super) origin: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct FailureLabels {
    pub(super) origin: String,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabels {
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CodingLabels {
    pub(super) coding: &'static str,
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ResultLabels {
    pub(super) result: &'static str,
}

impl Families {
    /// A registry that shows these and `sources`.
    pub(super) fn registry(&self, sources: impl Collector) -> Registry {
        let mut registry = Registry::with_prefix("warmfront");
        add(&mut registry, names::REQUESTS, self.requests.clone());
        add(&mut registry, names::UNROUTED, self.unrouted.0.clone());
        add(
            &mut registry,
            names::VIEWER_BYTES,
            self.viewer_bytes.clone(),
        );
        add(&mut registry, names::COALESCED, self.coalesced.clone());
        add(
            &mut registry,
            names::RATE_LIMITED,
            self.rate_limited.clone(),
        );
        add(&mut registry, names::FIRST_BYTE, self.first_byte.clone());
        add(
            &mut registry,
            names::ORIGIN_FAILURES,
            self.origin_failures.clone(),
        );
        add(&mut registry, names::NOT_STORED, self.not_stored.clone());
        add(&mut registry, names::SAVED_BYTES, self.saved_bytes.clone());
        add(&mut registry, names::RECODINGS, self.recodings.clone());
        add(&mut registry, names::PANICS, self.panics.0.clone());
        add(&mut registry, names::RELOADS, self.reloads.clone());
        add(
            &mut registry,
            names::LAST_RELOAD,
            self.last_reload_ok.clone(),
        );
        add(&mut registry, names::GENERATION, self.generation.clone());
        add(&mut registry, names::VIEWER_HEAD, self.viewer_head.clone());
        add(&mut registry, names::ORIGIN_WAIT, self.origin_wait.clone());
        add(
            &mut registry,
            names::INVALIDATIONS,
            self.invalidations.clone(),
        );
        add(
            &mut registry,
            names::ADMIN_REFUSED,
            self.admin_refused.clone(),
        );
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        add(&mut registry, names::BUILD, Info::new(version));
        registry.register_collector(Box::new(sources));
        registry
    }
}

fn add(registry: &mut Registry, (name, help): names::Name, metric: impl Metric) {
    registry.register(name, help, metric);
}

/// What is read when it is scraped, from whoever counts it anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Bytes of the store in use.
    CacheBytes,
    /// Keys in the store.
    CacheKeys,
    /// Keys evicted since the start.
    CacheEvictions,
    /// Marks and prefixes in the ledger.
    LedgerNotes,
    /// Bytes of the ledger in use.
    LedgerBytes,
    /// Times the ledger was too full, since the start.
    LedgerRaises,
    /// Fetches that requests may share, now.
    Flights,
    /// Open connections of viewers.
    Connections,
    /// Connections served since the start.
    ConnectionsAccepted,
    /// Connections refused since the start, because too many were open.
    ConnectionsTurnedAway,
    /// Connections closed by a time limit since the start.
    ConnectionsOverdue,
    /// HTTP/2 connections ended since the start because they made us work for nothing.
    ConnectionsFlooding,
    /// TLS handshakes of viewers that failed since the start.
    HandshakesFailed,
}

impl Source {
    const ALL: [Self; 13] = [
        Self::CacheBytes,
        Self::CacheKeys,
        Self::CacheEvictions,
        Self::LedgerNotes,
        Self::LedgerBytes,
        Self::LedgerRaises,
        Self::Flights,
        Self::Connections,
        Self::ConnectionsAccepted,
        Self::ConnectionsTurnedAway,
        Self::ConnectionsOverdue,
        Self::ConnectionsFlooding,
        Self::HandshakesFailed,
    ];

    const fn describe(self) -> (names::Name, MetricType) {
        match self {
            Self::CacheBytes => (names::CACHE_BYTES, MetricType::Gauge),
            Self::CacheKeys => (names::CACHE_KEYS, MetricType::Gauge),
            Self::CacheEvictions => (names::EVICTIONS, MetricType::Counter),
            Self::LedgerNotes => (names::LEDGER_NOTES, MetricType::Gauge),
            Self::LedgerBytes => (names::LEDGER_BYTES, MetricType::Gauge),
            Self::LedgerRaises => (names::LEDGER_RAISES, MetricType::Counter),
            Self::Flights => (names::FLIGHTS, MetricType::Gauge),
            Self::Connections => (names::CONNECTIONS, MetricType::Gauge),
            Self::ConnectionsAccepted => (names::ACCEPTED, MetricType::Counter),
            Self::ConnectionsTurnedAway => (names::TURNED_AWAY, MetricType::Counter),
            Self::ConnectionsOverdue => (names::OVERDUE, MetricType::Counter),
            Self::ConnectionsFlooding => (names::FLOODING, MetricType::Counter),
            Self::HandshakesFailed => (names::HANDSHAKES_FAILED, MetricType::Counter),
        }
    }
}

type Read = Box<dyn Fn() -> u64 + Send + Sync>;

/// How to read each [`Source`]; those nobody registered are not shown.
#[derive(Default)]
pub(super) struct Sources(Mutex<[Option<Read>; Source::ALL.len()]>);

impl Sources {
    pub(super) fn set(&self, source: Source, read: Read) {
        let mut reads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reads[source as usize] = Some(read);
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources")
    }
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let reads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for source in Source::ALL {
            let Some(read) = &reads[source as usize] else {
                continue;
            };
            let ((name, help), kind) = source.describe();
            // As the registry does for those it knows.
            let help = format!("{help}.");
            let mut metric = encoder.encode_descriptor(name, &help, None, kind)?;
            match kind {
                MetricType::Counter => {
                    metric.encode_counter::<NoLabelSet, _, f64>(&read(), None)?
                }
                _ => metric.encode_gauge(&read())?,
            }
        }
        Ok(())
    }
}
