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
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        info::Info,
    },
    registry::{Metric, Registry},
};

use super::{Count, Histogram};

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
    pub(super) const EVICTIONS: Name = (
        "cache_evictions",
        "Objects that left the store to make room for others",
    );
    pub(super) const CACHE_BYTES: Name = (
        "cache_bytes",
        "Memory held by stored objects, index included",
    );
    pub(super) const CACHE_OBJECTS: Name = ("cache_objects", "Objects in the store");
    pub(super) const CONNECTIONS: Name = ("viewer_connections", "Open connections of viewers");
    pub(super) const PANICS: Name = (
        "panics",
        "Panics caught; each is a defect, and ended one request or one worker",
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
    pub(super) const BUILD: Name = ("build", "The program");
}

/// Everything that is counted, apart from what is only read on a scrape.
#[derive(Debug, Default)]
pub(super) struct Families {
    pub(super) requests: Family<RequestLabels, Counter>,
    pub(super) unrouted: Count,
    pub(super) viewer_bytes: Family<BehaviourLabels, Counter>,
    pub(super) coalesced: Family<BehaviourLabels, Counter>,
    pub(super) first_byte: Family<OriginLabels, Histogram>,
    pub(super) origin_failures: Family<FailureLabels, Counter>,
    pub(super) not_stored: Family<ReasonLabels, Counter>,
    pub(super) evictions: Count,
    pub(super) panics: Count,
    pub(super) reloads: Family<ResultLabels, Counter>,
    pub(super) last_reload_ok: Gauge<i64, AtomicI64>,
    pub(super) generation: Gauge<u64, AtomicU64>,
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
        add(&mut registry, names::FIRST_BYTE, self.first_byte.clone());
        add(
            &mut registry,
            names::ORIGIN_FAILURES,
            self.origin_failures.clone(),
        );
        add(&mut registry, names::NOT_STORED, self.not_stored.clone());
        add(&mut registry, names::EVICTIONS, self.evictions.0.clone());
        add(&mut registry, names::PANICS, self.panics.0.clone());
        add(&mut registry, names::RELOADS, self.reloads.clone());
        add(
            &mut registry,
            names::LAST_RELOAD,
            self.last_reload_ok.clone(),
        );
        add(&mut registry, names::GENERATION, self.generation.clone());
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        add(&mut registry, names::BUILD, Info::new(version));
        registry.register_collector(Box::new(sources));
        registry
    }
}

fn add(registry: &mut Registry, (name, help): names::Name, metric: impl Metric) {
    registry.register(name, help, metric);
}

/// A gauge that is read when it is scraped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Bytes the store holds.
    CacheBytes,
    /// Objects the store holds.
    CacheObjects,
    /// Open connections of viewers.
    ViewerConnections,
}

impl Source {
    const ALL: [Self; 3] = [
        Self::CacheBytes,
        Self::CacheObjects,
        Self::ViewerConnections,
    ];

    const fn name(self) -> names::Name {
        match self {
            Self::CacheBytes => names::CACHE_BYTES,
            Self::CacheObjects => names::CACHE_OBJECTS,
            Self::ViewerConnections => names::CONNECTIONS,
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
            let gauge = ConstGauge::new(read());
            let (name, help) = source.name();
            let help = format!("{help}.");
            gauge.encode(encoder.encode_descriptor(name, &help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
