//! Warmfront, a self-hosted caching edge.

pub mod fields;
pub mod listen;
pub mod policy;
pub mod site;
pub mod time;
