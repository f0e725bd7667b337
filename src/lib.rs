//! Warmfront, a self-hosted caching edge.

pub mod fields;
pub mod origin;
pub mod policy;
pub mod site;
pub mod time;
