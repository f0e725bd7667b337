//! Invalidations from outside: checked, accepted, written down, and remembered.
//!
//! When [`Invalidations::submit`] answers, no viewer gets what the origin was asked for
//! before. What it takes to accept one does not depend on what is stored.

use std::{io, sync::Arc};

use crate::site::Snapshot;

mod order;

pub use order::{
    Caller, ITEMS_MAX, Invalidation, Mode, Offence, Order, PATH_CHARACTERS_MAX, Preview,
    REFERENCE_BYTES_MAX, Refused, SAMPLE_MAX, TAG_BYTES_MAX, Tag, TagCase, Where,
};

/// The invalidations of one process; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Invalidations;

impl Invalidations {
    /// Accepts `order` for `by`: when this returns `Ok`, the promise holds and the journal,
    /// where there is one, has it. The same reference with the same content answers the first
    /// invalidation again. Dropping the future may or may not have accepted it.
    pub async fn submit(
        &self,
        _site: &Arc<Snapshot>,
        _order: Order,
        _by: &Caller,
    ) -> Result<Arc<Invalidation>, Refused> {
        Err(Refused::Unwritable(io::Error::other("not built yet")))
    }

    /// What `order` would cover now; changes nothing.
    pub async fn preview(&self, _site: &Arc<Snapshot>, _order: &Order) -> Result<Preview, Refused> {
        Err(Refused::Busy)
    }

    /// The invalidation with this id, if it is among the last that are remembered.
    pub fn get(&self, _id: &str) -> Option<Arc<Invalidation>> {
        None
    }

    /// The last invalidations, newest first.
    pub fn list(&self) -> Vec<Arc<Invalidation>> {
        Vec::new()
    }
}
