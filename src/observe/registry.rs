//! The process's counters, and the table of handles for each configuration.
//!
//! The text is OpenMetrics 1.0, which Prometheus reads.
//!
//! Counters survive a reload: series with equal labels are one series. The
//! series of behaviours and origins that a new configuration no longer has
//! disappear, since a daemon that is reloaded for months would otherwise report
//! everything it ever ran. Their last requests in flight go uncounted, and should
//! they return they start from zero, as after a restart.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{encoding::text, registry::Registry};

use super::{
    BehaviourMeters, ByResult, CacheResult, Count, Meters, Source, Went,
    metrics::{
        BehaviourLabels, CodingLabels, FailureLabels, Families, OriginLabels, ReasonLabels,
        RequestLabels, Sources,
    },
    quiet::Quiet,
};
use crate::{
    fields::encoding::Coding,
    policy::failover::Phase,
    site::{Behaviour, Distribution, Snapshot},
};

/// Counts and logs what happens; one per process, shared by every part of it.
#[derive(Debug)]
pub struct Events {
    registry: Registry,
    sources: Arc<Sources>,
    /// What the latest snapshot's series are called.
    shown: Mutex<Shown>,
    pub(super) families: Families,
    pub(super) quiet: Quiet,
}

#[derive(Debug, Default)]
struct Shown {
    behaviours: HashSet<BehaviourLabels>,
    origins: HashSet<String>,
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl Events {
    /// The media type of [`Events::encode`].
    pub const MEDIA_TYPE: &'static str =
        "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// A registry of its own, with nothing counted yet.
    pub fn new() -> Self {
        let (families, sources) = (Families::default(), Arc::<Sources>::default());
        let registry = families.registry(sources.clone());
        let events = Self {
            registry,
            sources,
            shown: Mutex::default(),
            families,
            quiet: Quiet::default(),
        };
        events.show_reloads();
        events.show_invalidations();
        events
    }

    /// The handles of `site`'s behaviours, and the end of the series that only
    /// earlier snapshots had; to be called when `site` is about to serve.
    pub fn meters(&self, site: &Snapshot) -> Arc<Meters> {
        let behaviours = site.distributions.iter().flat_map(|distribution| {
            distribution
                .behaviours
                .iter()
                .map(move |behaviour| (distribution, behaviour))
        });
        let mut rows: Vec<(usize, Row<'_>)> = behaviours
            .map(|(distribution, behaviour)| (behaviour.index, Row::of(distribution, behaviour)))
            .collect();
        rows.sort_by_key(|(index, _)| *index);
        Arc::new(self.table(rows.into_iter().map(|(_, row)| row)))
    }

    /// The handles of `rows`, in their order.
    fn table<'a>(&self, rows: impl Iterator<Item = Row<'a>>) -> Meters {
        let mut shown = Shown::default();
        let resolve = |row: Row<'a>| {
            shown.behaviours.insert(row.labels());
            shown.origins.insert(row.origin.to_owned());
            self.handles(&row)
        };
        let behaviours = rows.map(resolve).collect();
        self.show(shown);
        let unrouted = self.families.unrouted.clone();
        Meters {
            behaviours,
            unrouted,
            stray: BehaviourMeters::default(),
        }
    }

    fn handles(&self, row: &Row<'_>) -> BehaviourMeters {
        let names = row.labels();
        let requests = |result: CacheResult| {
            let names = requests_of(&names, result);
            Count(self.families.requests.get_or_create_owned(&names))
        };
        let origin = OriginLabels {
            origin: row.origin.to_owned(),
        };
        BehaviourMeters {
            requests: ByResult(CacheResult::ALL.map(requests)),
            viewer_bytes: Count(self.families.viewer_bytes.get_or_create_owned(&names)),
            coalesced: Count(self.families.coalesced.get_or_create_owned(&names)),
            rate_limited: Count(self.families.rate_limited.get_or_create_owned(&names)),
            saved_bytes: Count(self.families.saved_bytes.get_or_create_owned(&names)),
            origin_first_byte: self.families.first_byte.get_or_create_owned(&origin),
            origin_wait: self.families.origin_wait.get_or_create_owned(&names),
            viewer_head: self.families.viewer_head.get_or_create_owned(&names),
        }
    }

    /// Makes `now` what is shown, and removes the series of what was and is not.
    fn show(&self, now: Shown) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in shown.behaviours.difference(&now.behaviours) {
            for result in CacheResult::ALL {
                self.families.requests.remove(&requests_of(gone, result));
            }
            self.families.viewer_bytes.remove(gone);
            self.families.coalesced.remove(gone);
            self.families.rate_limited.remove(gone);
            self.families.saved_bytes.remove(gone);
            self.families.origin_wait.remove(gone);
            self.families.viewer_head.remove(gone);
        }
        for gone in shown.origins.difference(&now.origins) {
            self.families.first_byte.remove(&OriginLabels {
                origin: gone.clone(),
            });
            for reason in REASONS {
                let series = FailureLabels {
                    origin: gone.clone(),
                    reason,
                };
                self.families.origin_failures.remove(&series);
            }
        }
        *shown = now;
    }

    /// From now on, `source` is what `read` returns at the moment of a scrape.
    /// `read` must be quick and must not call back into these events.
    pub fn source(&self, source: Source, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.sources.set(source, Box::new(read));
    }

    /// A response on a cached behaviour was not stored, for a reason of ours.
    pub fn not_stored(&self, reason: &'static str) {
        self.families
            .not_stored
            .get_or_create(&ReasonLabels { reason })
            .inc();
    }

    /// A stored body was put into `coding`, or not.
    pub fn recoded(&self, coding: Coding, went: Went) {
        let (coding, result) = (coding.name(), went.as_str());
        self.families
            .recodings
            .get_or_create(&CodingLabels { coding, result })
            .inc();
    }

    /// Every metric, as text; [`Events::MEDIA_TYPE`] says which.
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(16 << 10);
        // Only the writer can fail, and a `String` does not.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

/// What names the series of one behaviour.
#[derive(Clone, Copy)]
struct Row<'a> {
    distribution: &'a str,
    behaviour: &'a str,
    origin: &'a str,
}

impl<'a> Row<'a> {
    fn of(distribution: &'a Distribution, behaviour: &'a Behaviour) -> Self {
        let path = behaviour.path.as_str();
        Self {
            distribution: &distribution.id,
            behaviour: path,
            origin: &behaviour.origin.id,
        }
    }

    fn labels(&self) -> BehaviourLabels {
        BehaviourLabels {
            distribution: self.distribution.to_owned(),
            behaviour: self.behaviour.to_owned(),
        }
    }
}

fn requests_of(names: &BehaviourLabels, result: CacheResult) -> RequestLabels {
    RequestLabels {
        distribution: names.distribution.clone(),
        behaviour: names.behaviour.clone(),
        result: result.as_str(),
    }
}

/// Every value of the `reason` label of origin failures.
const REASONS: [&str; 8] = [
    "resolve", "connect", "tls", "verify", "send", "head", "body", "timeout",
];

/// The value of the `reason` label for an attempt that failed in `phase`.
pub(super) const fn reason(phase: Phase, timed_out: bool) -> &'static str {
    match phase {
        _ if timed_out => "timeout",
        Phase::Resolve => "resolve",
        Phase::Connect => "connect",
        Phase::Tls => "tls",
        Phase::Verify => "verify",
        Phase::Send => "send",
        Phase::Head => "head",
        Phase::Body => "body",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        policy::failover::{Blame, Failure, Retry},
        time::Timestamp,
    };

    const PCP: Row<'_> = Row {
        distribution: "clinic",
        behaviour: "/search/pcp",
        origin: "api",
    };
    const REST: Row<'_> = Row {
        distribution: "clinic",
        behaviour: "*",
        origin: "api",
    };

    #[track_caller]
    fn shows(events: &Events, line: &str) {
        let text = events.encode();
        assert!(
            text.lines().any(|one| one == line),
            "no line {line:?} in:\n{text}"
        );
    }

    #[test]
    fn a_request_is_counted_under_its_behaviour_and_result() {
        let events = Events::new();
        let meters = events.table([PCP, REST].into_iter());
        meters.requests(0).count(CacheResult::Hit);
        meters.requests(0).count(CacheResult::Hit);
        meters.requests(1).count(CacheResult::Pass);
        meters.unrouted().one();
        meters.behaviour(1).viewer_bytes.more(512);
        let of = |path: &str, result: &str| {
            format!(
                "warmfront_requests_total{{distribution=\"clinic\",behaviour=\"{path}\",\
                 result=\"{result}\"}}"
            )
        };
        shows(&events, &format!("{} 2", of("/search/pcp", "hit")));
        shows(&events, &format!("{} 0", of("/search/pcp", "miss")));
        shows(&events, &format!("{} 1", of("*", "pass")));
        shows(&events, "warmfront_requests_unrouted_total 1");
        let bytes = "warmfront_viewer_body_bytes_total{distribution=\"clinic\",behaviour=\"*\"}";
        shows(&events, &format!("{bytes} 512"));
    }

    #[test]
    fn behaviours_of_one_origin_share_its_histogram() {
        let events = Events::new();
        let meters = events.table([PCP, REST].into_iter());
        meters
            .origin_first_byte(0)
            .observe(Duration::from_millis(2_192));
        meters
            .origin_first_byte(1)
            .observe(Duration::from_millis(3));
        shows(
            &events,
            "warmfront_origin_first_byte_seconds_sum{origin=\"api\"} 2.195",
        );
        shows(
            &events,
            "warmfront_origin_first_byte_seconds_count{origin=\"api\"} 2",
        );
        shows(
            &events,
            "warmfront_origin_first_byte_seconds_bucket{le=\"0.005\",origin=\"api\"} 1",
        );
        shows(
            &events,
            "warmfront_origin_first_byte_seconds_bucket{le=\"+Inf\",origin=\"api\"} 2",
        );
    }

    #[test]
    fn a_reload_keeps_counting_what_stays_and_ends_what_goes() {
        let events = Events::new();
        let before = events.table([PCP, REST].into_iter());
        before.requests(0).count(CacheResult::Miss);
        before.requests(1).count(CacheResult::Pass);
        let after = events.table([PCP].into_iter());
        after.requests(0).count(CacheResult::Miss);
        assert_eq!(before.requests(0).so_far(CacheResult::Miss), 2);
        assert!(!events.encode().contains("behaviour=\"*\""));
    }

    #[test]
    fn an_index_of_another_snapshot_is_counted_where_nobody_looks() {
        let events = Events::new();
        let meters = events.table([PCP].into_iter());
        meters.requests(7).count(CacheResult::Hit);
        assert_eq!(meters.requests(0).so_far(CacheResult::Hit), 0);
    }

    #[test]
    fn a_path_pattern_cannot_break_out_of_its_label() {
        let events = Events::new();
        drop(
            events.table(
                [Row {
                    behaviour: "/a\"} 1\\",
                    ..PCP
                }]
                .into_iter(),
            ),
        );
        assert!(events.encode().contains(r#"behaviour="/a\"} 1\\","#));
    }

    #[test]
    fn a_source_is_read_when_it_is_scraped() {
        let events = Events::new();
        assert!(!events.encode().contains("warmfront_cache_bytes"));
        let bytes = Count::default();
        let read = bytes.clone();
        events.source(Source::CacheBytes, move || read.so_far());
        shows(&events, "warmfront_cache_bytes 0");
        bytes.more(4_096);
        shows(&events, "warmfront_cache_bytes 4096");
        events.source(Source::CacheEvictions, || 3);
        shows(&events, "warmfront_cache_evictions_total 3");
    }

    #[test]
    fn an_origins_failures_are_counted_by_what_was_under_way() {
        let events = Events::new();
        let meters = events.table([PCP].into_iter());
        let failure = |phase, timed_out| Failure {
            blame: Blame::Network,
            phase,
            timed_out,
            retry: Retry::No,
        };
        let cause = std::io::Error::other("connection refused");
        let now = Timestamp::from_unix(1);
        events.origin_failed("api", &failure(Phase::Connect, false), &cause, now);
        events.origin_failed("api", &failure(Phase::Head, true), &cause, now);
        shows(
            &events,
            "warmfront_origin_failures_total{origin=\"api\",reason=\"connect\"} 1",
        );
        shows(
            &events,
            "warmfront_origin_failures_total{origin=\"api\",reason=\"timeout\"} 1",
        );
        drop(meters);
        drop(events.table([].into_iter()));
        assert!(!events.encode().contains("origin=\"api\""));
    }

    #[test]
    fn reloads_are_shown_before_the_first_one() {
        let events = Events::new();
        shows(
            &events,
            "warmfront_config_reloads_total{result=\"failed\"} 0",
        );
        shows(&events, "warmfront_config_last_reload_ok 1");
        events.configuration_refused(1, ["a.toml:3: listener: missing"]);
        shows(
            &events,
            "warmfront_config_reloads_total{result=\"failed\"} 1",
        );
        shows(&events, "warmfront_config_last_reload_ok 0");
        events.configuration_reloaded(2, "abc", 1);
        shows(&events, "warmfront_config_generation 2");
        shows(&events, "warmfront_config_last_reload_ok 1");
    }

    #[test]
    fn the_text_ends_as_its_media_type_demands() {
        assert!(Events::new().encode().ends_with("# EOF\n"));
    }
}
