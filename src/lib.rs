//! Warmfront, a self-hosted caching edge.

pub mod config;
pub mod fields;
pub mod policy;
pub mod site;
pub mod time;
