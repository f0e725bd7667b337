//! Exchanges over HTTP/1.1 through the HTTP library, all of them.
#![allow(
    clippy::duplicate_mod,
    reason = "the same rules hold whichever way an exchange goes"
)]

use super::*;

#[path = "bodies.rs"]
mod bodies;
#[path = "heads.rs"]
mod heads;
#[path = "reuse.rs"]
mod reuse;
#[path = "timeouts.rs"]
mod timeouts;
#[path = "uploads.rs"]
mod uploads;

fn origin() -> Origin {
    origin_of(false)
}

fn world() -> World {
    World::of(origin())
}
