//! The integration tests, one binary.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod admin;
mod alloc;
mod config;
mod daemon;
mod demo;
mod exchange;
mod floors;
mod harness;
mod origin;
mod reload;
mod sockets;
