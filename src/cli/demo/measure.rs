//! The measurement: the same searches asked of the clinic directly, then through the edge.
//!
//! Every sample is a whole answer over real sockets. An answer that is not
//! what it is taken for (a hit that was a miss, other bytes than the clinic's)
//! ends the demo with an error instead of a wrong number.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::StatusCode;
use rustls::ClientConfig;
use tokio::task::JoinSet;

use super::{
    clinic::{Counts, Search},
    progress::Progress,
    report::{Comparison, Direct, ThroughEdge},
    viewer::{KeptViewer, Visit, ask_anew},
};

/// Direct requests per search. They may run side by side, because the clinic waits and does not work.
const DIRECT: u32 = 5;

/// Between two direct requests, so that one's handshake does not delay another's.
const STAGGER: Duration = Duration::from_millis(100);

/// Hits per search, one after another; the p99 of 200 is the third slowest.
const HITS: u32 = 200;

/// The questions that are measured.
pub(super) const fn target(search: Search) -> &'static str {
    match search {
        Search::Pcp => "/search/pcp?Keyword=smith&Limit=10&Page=1&PracticeId=42&Zipcode=00042",
        Search::Allergy => "/search/allergy?Keyword=peanut&Limit=10&Page=1&PracticeId=42",
    }
}

/// Who is asked, and how.
pub(super) struct Course<'a> {
    pub(super) clinic: SocketAddr,
    pub(super) edge: SocketAddr,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) counts: &'a Counts,
}

impl Course<'_> {
    /// Measures both searches; takes about nine seconds. Dropping it stops asking.
    pub(super) async fn run(&self) -> anyhow::Result<Vec<Comparison>> {
        let [pcp, allergy] = Search::ALL;
        let progress = Progress::new(u64::from(2 * (DIRECT + 1 + HITS)));

        progress.stage("asking the clinic directly");
        let (direct_pcp, direct_allergy) = tokio::try_join!(
            self.directly(pcp, &progress),
            self.directly(allergy, &progress)
        )?;

        progress.stage("first requests through the edge");
        let (first_pcp, first_allergy) = tokio::try_join!(
            self.first(pcp, &direct_pcp, &progress),
            self.first(allergy, &direct_allergy, &progress),
        )?;

        progress.stage("hits");
        Ok(vec![
            self.again(first_pcp, direct_pcp, &progress).await?,
            self.again(first_allergy, direct_allergy, &progress).await?,
        ])
    }

    /// Asks the clinic itself, over a new TLS connection each time.
    async fn directly(&self, search: Search, progress: &Progress) -> anyhow::Result<Directly> {
        let before = self.counts.of(search);
        let mut asking = JoinSet::new();
        for nth in 0..DIRECT {
            let (clinic, tls) = (self.clinic, Arc::clone(&self.tls));
            asking.spawn(async move {
                tokio::time::sleep(STAGGER * nth).await;
                ask_anew(clinic, tls, target(search)).await
            });
        }
        let mut times = Vec::with_capacity(DIRECT as usize);
        let mut body = Bytes::new();
        while let Some(visit) = asking.join_next().await {
            let visit = visit.context("a direct request did not end")??;
            ensure!(
                visit.status == StatusCode::OK,
                "the clinic answered {}",
                visit.status
            );
            times.push(visit.took);
            body = visit.body;
            progress.step();
        }
        Ok(Directly {
            times: Times::new(times),
            body,
            requests: self.counts.of(search) - before,
        })
    }

    /// Asks the edge for what it cannot have yet.
    async fn first(
        &self,
        search: Search,
        direct: &Directly,
        progress: &Progress,
    ) -> anyhow::Result<First> {
        let before = self.counts.of(search);
        let mut viewer = KeptViewer::new(self.edge).await?;
        let visit = viewer.ask(target(search)).await?;
        expect(&visit, "Miss from warmfront", &direct.body)
            .with_context(|| format!("first request for {}", target(search)))?;
        progress.step();
        Ok(First {
            search,
            viewer,
            took: visit.took,
            before,
        })
    }

    /// Asks the edge again and again for what it has.
    async fn again(
        &self,
        mut first: First,
        direct: Directly,
        progress: &Progress,
    ) -> anyhow::Result<Comparison> {
        let target = target(first.search);
        let mut times = Vec::with_capacity(HITS as usize);
        for nth in 1..=HITS {
            let visit = first.viewer.ask(target).await?;
            expect(&visit, "Hit from warmfront", &direct.body)
                .with_context(|| format!("repeat {nth} of {target}"))?;
            times.push(visit.took);
            progress.step();
        }
        let hits = Times::new(times);
        Ok(Comparison {
            name: first.search.name(),
            target,
            body_bytes: direct.body.len(),
            direct: Direct {
                requests: DIRECT,
                median_ms: milliseconds(direct.times.median()),
                origin_requests: direct.requests,
            },
            edge: ThroughEdge {
                requests: 1 + HITS,
                first_ms: milliseconds(first.took),
                hit_median_ms: milliseconds(hits.median()),
                hit_p99_ms: milliseconds(hits.percentile(99)),
                origin_requests: self.counts.of(first.search) - first.before,
            },
            improvement: (direct.times.median().as_secs_f64() / hits.median().as_secs_f64())
                .round(),
        })
    }
}

/// What asking the clinic itself brought.
struct Directly {
    times: Times,
    body: Bytes,
    requests: u64,
}

/// A search the edge has answered once.
struct First {
    search: Search,
    viewer: KeptViewer,
    took: Duration,
    /// What the clinic had counted before.
    before: u64,
}

/// Errs unless the edge's answer is the clinic's and came from where `x_cache` says.
fn expect(visit: &Visit, x_cache: &str, body: &Bytes) -> anyhow::Result<()> {
    let seen = visit
        .headers
        .get("x-cache")
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    let seen = seen.as_deref().unwrap_or("none");
    ensure!(
        visit.status == StatusCode::OK,
        "the edge answered {}, X-Cache: {seen}",
        visit.status
    );
    ensure!(seen == x_cache, "X-Cache: wanted {x_cache:?}, got {seen:?}");
    ensure!(
        visit.body == *body,
        "the edge's body differs from the clinic's"
    );
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    // Whole microseconds: more digits would claim more than a loopback can tell.
    time.as_micros() as f64 / 1_000.0
}

/// Samples in order, never none.
struct Times(Vec<Duration>);

impl Times {
    fn new(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        Self(samples)
    }

    fn median(&self) -> Duration {
        self.percentile(50)
    }

    /// The smallest sample that `percent` of all do not exceed (nearest rank).
    fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(milliseconds: impl Iterator<Item = u64>) -> Times {
        Times::new(milliseconds.map(Duration::from_millis).collect())
    }

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let hundred = times((1..=100).rev());
        assert_eq!(hundred.median(), Duration::from_millis(50));
        assert_eq!(hundred.percentile(99), Duration::from_millis(99));
        assert_eq!(times(1..=200).percentile(99), Duration::from_millis(198));
        assert_eq!(
            times([7, 1, 3, 9, 5].into_iter()).median(),
            Duration::from_millis(5)
        );
        assert_eq!(
            times([4].into_iter()).percentile(99),
            Duration::from_millis(4)
        );
    }

    #[test]
    fn an_answer_that_is_no_hit_is_no_sample() {
        let visit = |x_cache: &'static str, body: &'static str| Visit {
            took: Duration::ZERO,
            status: StatusCode::OK,
            headers: [("x-cache".parse().unwrap(), x_cache.parse().unwrap())]
                .into_iter()
                .collect(),
            body: Bytes::from_static(body.as_bytes()),
        };
        let wanted = Bytes::from_static(b"records");
        let hit = "Hit from warmfront";
        assert!(expect(&visit(hit, "records"), hit, &wanted).is_ok());
        assert!(expect(&visit("Miss from warmfront", "records"), hit, &wanted).is_err());
        assert!(expect(&visit(hit, "others"), hit, &wanted).is_err());
    }
}
