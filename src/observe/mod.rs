//! Every name the daemon emits: metrics and the words of its log.
//!
//! [`Events`] is the one place that counts and speaks; there is one per process.
//! What happens often is counted through [`Meters`], whose handles are resolved
//! when a configuration is compiled: counting a request is one relaxed atomic
//! addition, without a look-up, a lock or an allocation. What happens seldom is
//! a method of [`Events`] that counts and logs in one breath, so that a dashboard
//! and a log never tell different stories.
//!
//! No name or label comes from a viewer: labels are what the operator wrote
//! (distributions, path patterns, origins) or words of ours, so the number of
//! series is bounded by the configuration.

mod audit;
mod doors;
mod events;
mod histogram;
mod lines;
mod meters;
mod metrics;
mod panics;
mod quiet;
mod registry;
mod result;
mod spread;
mod succession;
mod trace;

pub use audit::Ordered;
pub use doors::{
    cannot_accept, connection_crowded, connection_ended, connection_overdue, not_introduced,
};
pub use events::Stop;
pub use histogram::{Histogram, Waits};
pub use lines::Log;
pub use meters::{BehaviourMeters, ByResult, Count, Meters};
pub use metrics::Source;
pub use panics::log_panics;
pub use registry::Events;
pub use result::{CacheResult, Went};
pub use trace::{BadLog, Format, install};
