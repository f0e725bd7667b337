//! Warmfront, a self-hosted caching edge.

pub mod admin;
pub mod fields;
pub mod observe;
pub mod policy;
pub mod site;
pub mod time;
