//! How long something took, counted in buckets without a lock.
//!
//! The library's own histogram takes a mutex for each observation, which the
//! workers would share; this one takes two relaxed additions. A scrape between
//! the two sees a sum that is one observation behind, which no graph can show.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric},
};

/// Upper bounds in microseconds, from a cache in the same rack to CloudFront's
/// response timeout of 30 s; what is slower falls into the last, open bucket.
const BOUNDS: [u64; 14] = [
    1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 20_000_000, 30_000_000,
];

/// Durations in fixed buckets; clones count into the same ones.
#[derive(Clone, Debug, Default)]
pub struct Histogram(Arc<Buckets>);

/// What a histogram says in a few numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// How many durations were counted.
    pub count: u64,
    /// Their mean.
    pub mean: Duration,
    /// At most half of them took longer; the upper bound of a bucket.
    pub median: Duration,
    /// At most one in a hundred took longer; the upper bound of a bucket.
    pub p99: Duration,
}

/// Written by every worker, read by scrapes.
#[derive(Debug, Default)]
struct Buckets {
    counts: [AtomicU64; BOUNDS.len() + 1],
    /// 2^64 microseconds are half a million years of waiting.
    sum_micros: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|&bound| bound < micros);
        self.0.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.0
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }

    /// What was counted, in a few numbers, as if `quick` more had taken no time. What is in
    /// the open bucket is told as its lower bound.
    pub fn waits(&self, quick: u64) -> Waits {
        let mut counts: [u64; BOUNDS.len() + 1] =
            std::array::from_fn(|at| self.0.counts[at].load(Ordering::Relaxed));
        counts[0] += quick;
        let count: u64 = counts.iter().sum();
        let sum = Duration::from_micros(self.0.sum_micros.load(Ordering::Relaxed));
        let beyond = |share: u64| {
            // The first bucket that, with those before, holds all but 1 in `share`.
            let mut above = count;
            let at = counts.iter().position(|in_bucket| {
                above -= in_bucket;
                above <= count / share
            });
            let at = at.unwrap_or_default().min(BOUNDS.len() - 1);
            Duration::from_micros(BOUNDS[at])
        };
        match count {
            0 => Waits::default(),
            _ => Waits {
                count,
                mean: sum.div_f64(count as f64),
                median: beyond(2),
                p99: beyond(100),
            },
        }
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let bounds = BOUNDS.iter().copied().map(seconds).chain([f64::INFINITY]);
        let counts = self
            .0
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        // From the same reading as the buckets, so that "+Inf" and "_count" agree.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = seconds(self.0.sum_micros.load(Ordering::Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// Exact up to 2^53 microseconds, 285 years.
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_on_a_bound_belongs_to_that_bucket() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_millis(5));
        histogram.observe(Duration::from_micros(5_001));
        let at = |bucket: usize| histogram.0.counts[bucket].load(Ordering::Relaxed);
        assert_eq!((at(0), at(1), at(2)), (0, 1, 1));
    }

    #[test]
    fn the_longest_duration_is_counted_in_the_open_bucket() {
        let histogram = Histogram::default();
        histogram.observe(Duration::MAX);
        assert_eq!(histogram.0.counts[BOUNDS.len()].load(Ordering::Relaxed), 1);
        assert_eq!(histogram.count(), 1);
    }

    #[test]
    fn the_numbers_say_how_long_most_took() {
        let histogram = Histogram::default();
        assert_eq!(histogram.waits(0), Waits::default());
        for _ in 0..2 {
            histogram.observe(Duration::from_millis(2_000));
        }
        let waits = histogram.waits(0);
        assert_eq!((waits.count, waits.mean), (2, Duration::from_secs(2)));
        assert_eq!(waits.median, Duration::from_millis(2_500));
        let waits = histogram.waits(198);
        assert_eq!((waits.count, waits.mean), (200, Duration::from_millis(20)));
        let quick = Duration::from_millis(1);
        assert_eq!((waits.median, waits.p99), (quick, quick));
    }
}
