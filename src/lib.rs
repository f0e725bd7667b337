//! Warmfront, a self-hosted caching edge.

pub mod admin;
pub mod cli;
pub mod config;
pub mod fields;
pub mod flight;
pub mod listen;
pub mod observe;
pub mod origin;
pub mod policy;
pub mod serve;
pub mod site;
pub mod store;
pub mod time;
