//! Warmfront, a self-hosted caching edge.

pub mod config;
pub mod fields;
pub mod flight;
pub mod policy;
pub mod site;
pub mod store;
pub mod time;
