//! The integration tests, one binary.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod admin;
mod alloc;
mod beyond;
mod clients;
mod cloudfront;
mod compress;
mod config;
mod confine;
mod daemon;
mod demo;
mod exchange;
mod explain;
mod floors;
mod handover;
mod harness;
mod history;
mod introduced;
mod invalidate;
mod ledger;
mod origin;
mod parts;
mod properties;
mod reload;
mod security;
mod sockets;
mod tls;
