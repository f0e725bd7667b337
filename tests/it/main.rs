//! The integration tests, one binary.

mod config;
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod floors;
