//! How the daemon is: what runs, how full the store is, how long everything takes.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{Facts, Phase, json::Refusal};
use crate::{
    observe::{BehaviourMeters, CacheResult, Waits},
    serve::Site,
    site::Scope,
};

#[derive(Serialize)]
struct Status<'a> {
    version: &'static str,
    status: Phase,
    generation: u64,
    digest: &'a str,
    uptime_seconds: u64,
    cache: Cache,
    invalidations: Invalidations,
    behaviours: Vec<Behaviour<'a>>,
}

#[derive(Serialize)]
struct Cache {
    bytes: u64,
    bytes_max: u64,
    objects: u64,
    evictions: u64,
}

#[derive(Serialize)]
struct Invalidations {
    /// The number of the latest.
    sequence: u64,
    /// What the ledger still holds of them.
    entries: u64,
}

#[derive(Serialize)]
struct Behaviour<'a> {
    distribution: &'a str,
    path: &'a str,
    origin: &'a str,
    requests: u64,
    /// Answered from the store without asking the origin.
    hits: u64,
    results: BTreeMap<&'static str, u64>,
    viewer_bytes: u64,
    /// From asking the origin until the head of its answer.
    origin_latency: Latency,
    /// From the viewer's request until the head of the answer. A hit reads no clock, and
    /// counts as the quickest there is.
    viewer_latency: Latency,
}

/// Milliseconds; the median and the 99th percentile are bounds of the metrics' buckets.
#[derive(Serialize)]
struct Latency {
    count: u64,
    mean_ms: f64,
    median_ms: f64,
    p99_ms: f64,
}

impl From<Waits> for Latency {
    fn from(waits: Waits) -> Self {
        // To the microsecond.
        let ms = |wait: Duration| (wait.as_micros() as f64) / 1e3;
        Self {
            count: waits.count,
            mean_ms: ms(waits.mean),
            median_ms: ms(waits.median),
            p99_ms: ms(waits.p99),
        }
    }
}

/// `GET /v1/status`
pub(super) async fn status(
    State(facts): State<Facts>,
    request: Request,
) -> Result<Response, Refusal> {
    let (head, _) = request.into_parts();
    facts.admit(&head, &[Scope::Read])?;
    let site = facts.site.load_full();
    let (snapshot, usage) = (&site.snapshot, facts.store.usage());
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        status: facts.readiness.phase(),
        generation: snapshot.generation,
        digest: &snapshot.digest,
        uptime_seconds: facts.clock.now().since(facts.started).as_secs(),
        cache: Cache {
            bytes: usage.bytes,
            bytes_max: facts.store.memory_max(),
            objects: usage.keys,
            evictions: usage.evictions,
        },
        invalidations: Invalidations {
            sequence: facts.invalidations.head().0,
            entries: facts.invalidations.entries(),
        },
        behaviours: behaviours(&site),
    };
    Ok(Json(status).into_response())
}

fn behaviours(site: &Site) -> Vec<Behaviour<'_>> {
    let distributions = site.snapshot.distributions.iter();
    let all = distributions.flat_map(|one| one.behaviours.iter().map(move |each| (one, each)));
    all.map(|(distribution, behaviour)| {
        let meters = site.meters.behaviour(behaviour.index);
        let of = |result| meters.requests.so_far(result);
        let results = CacheResult::ALL.map(|result| (result.as_str(), of(result)));
        let requests = results.iter().map(|(_, count)| count).sum();
        Behaviour {
            distribution: &distribution.id,
            path: behaviour.path.as_str(),
            origin: &behaviour.origin.id,
            requests,
            hits: of(CacheResult::Hit) + of(CacheResult::Stale),
            results: results
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .collect(),
            viewer_bytes: meters.viewer_bytes.so_far(),
            origin_latency: meters.origin_wait.waits(0).into(),
            viewer_latency: viewers(meters, requests).into(),
        }
    })
    .collect()
}

/// How long viewers waited: those whose wait was measured, and the others, who did not wait.
fn viewers(meters: &BehaviourMeters, requests: u64) -> Waits {
    let measured = meters.viewer_head.count();
    meters.viewer_head.waits(requests.saturating_sub(measured))
}
