//! The variants of one key (RFC 9111 §4.1), newest first.

use std::sync::Arc;

use super::{Object, Unkept};
use crate::{
    policy::{reuse, variant::VARIANTS_MAX},
    time::Timestamp,
};

/// One or several objects under one key; nearly always one.
#[derive(Clone, Debug)]
pub(super) enum Variants {
    /// The only one.
    One(Arc<Object>),
    /// At least two, the newest first; behind one pointer, as wide as the other's.
    Many(Arc<Box<[Arc<Object>]>>),
}

impl Variants {
    /// All, the newest first.
    pub(super) fn as_slice(&self) -> &[Arc<Object>] {
        match self {
            Self::One(object) => std::slice::from_ref(object),
            Self::Many(objects) => objects,
        }
    }

    fn of(mut objects: Vec<Arc<Object>>) -> Option<Self> {
        match objects.len() {
            0 => None,
            1 => objects.pop().map(Self::One),
            _ => Some(Self::Many(Arc::new(objects.into()))),
        }
    }

    /// The newest that `matches`: "the cache ... MUST choose the most recent one".
    pub(super) fn find(self, matches: impl Fn(&Object) -> bool) -> Option<Arc<Object>> {
        match self {
            Self::One(object) => Some(object).filter(|object| matches(object)),
            Self::Many(objects) => objects.iter().find(|object| matches(object)).cloned(),
        }
    }

    /// With `object` as the newest, in the place of the one for the same requests.
    ///
    /// When there are as many as there may be, the oldest stale one makes room; a
    /// fresh one never does, so that made-up variants cannot push out real ones.
    pub(super) fn with(&self, object: Arc<Object>, now: Timestamp) -> Result<Self, Unkept> {
        let unlike = |other: &&Arc<Object>| match (&other.meta.varying, &object.meta.varying) {
            (Some(one), Some(other)) => !one.is_like(other),
            (one, other) => one.is_some() || other.is_some(),
        };
        let mut kept: Vec<_> = self.as_slice().iter().filter(unlike).cloned().collect();
        if kept.len() == VARIANTS_MAX {
            let stale = |object: &Arc<Object>| reuse::standing(&object.meta, now).ttl <= 0;
            let oldest = kept
                .iter()
                .rposition(stale)
                .ok_or(Unkept::TooManyVariants)?;
            kept.remove(oldest);
        }
        kept.insert(0, object.clone());
        Ok(Self::of(kept).unwrap_or(Self::One(object)))
    }

    /// Whether `object` is one of them.
    pub(super) fn has(&self, object: &Arc<Object>) -> bool {
        self.as_slice().iter().any(|one| Arc::ptr_eq(one, object))
    }

    /// Without `object`; `None` when nothing is left.
    pub(super) fn without(&self, object: &Arc<Object>) -> Option<Self> {
        let other = |one: &&Arc<Object>| !Arc::ptr_eq(one, object);
        Self::of(self.as_slice().iter().filter(other).cloned().collect())
    }

    /// What they take together, in bytes.
    pub(super) fn cost(&self) -> u64 {
        self.as_slice().iter().map(|object| object.cost()).sum()
    }
}
