//! Warmfront, a self-hosted caching edge.

pub mod fields;
pub mod time;
