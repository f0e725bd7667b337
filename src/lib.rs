//! Warmfront, a self-hosted caching edge.

pub mod admin;
pub mod config;
pub mod cli;
pub mod fields;
pub mod flight;
pub mod observe;
pub mod policy;
pub mod site;
pub mod store;
pub mod time;
