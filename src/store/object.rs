//! A stored answer: what is remembered of it, its head and its body.
//!
//! An object never changes; a refresh makes a new one that shares the body. The lines
//! of the head and the body lie in one block of memory, so that an object is few
//! allocations and a hit touches few cache lines; only a refreshed object has its body in
//! the block that it came in.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;

use super::{Apart, Body, Charge, Head, Recodings, head};
use crate::policy::{
    Meta,
    marks::{Marks, Mode, Sequence},
};

/// An answer in the store.
#[derive(Debug)]
pub struct Object {
    /// What decides about its use.
    pub meta: Meta,
    /// Its status and fields.
    pub head: Head,
    /// Its body, if that is not in the block of its head.
    apart: Option<Box<Apart>>,
    /// Its body in other codings, where there may be any.
    pub recodings: Option<Box<Recodings>>,
    /// Up to which invalidation it was judged, times two; odd once one of them made it stale.
    /// At first when it was asked for. Only grows; written by whoever judges it.
    judged: AtomicU64,
    charge: Charge,
}

/// The bytes that an object's entry in the index takes beside the object: the entry (56), 5 for
/// each place in a table that is half to seven eighths full, and 4 for each of what went lately,
/// which are up to twice as many.
const INDEX_BYTES: usize = 56 + 8 + 6;

/// The counters before what an `Arc` or a shared `Bytes` points to, and the allocator's
/// rounding of three allocations.
pub(super) const ALLOCATION_BYTES: usize = 16 + 24 + 3 * 16;

/// With the counters of its `Arc` it fills the allocator's class of 192 bytes; the next is 224.
const _: () = assert!(size_of::<Object>() + 16 <= 192);

impl Object {
    /// What an object of these parts takes in all, in bytes.
    pub(super) fn cost_of(meta: &Meta, headers: &HeaderMap, body_bytes: u64) -> u64 {
        let head = head::lines_bytes(headers);
        let marks = meta.marks.heap_bytes();
        let varying = meta
            .varying
            .as_ref()
            .map_or(0, |varying| varying.heap_bytes());
        let recodings = meta.recodable.map_or(0, |_| size_of::<Recodings>());
        let fixed = size_of::<Self>() + INDEX_BYTES + ALLOCATION_BYTES;
        (fixed + head + varying + marks + recodings) as u64 + body_bytes
    }

    /// Makes an object, copying fields and body into one block.
    ///
    /// `charge` was taken for [`Object::cost_of`] of the same parts.
    pub(super) fn new<'a>(
        meta: Meta,
        headers: &HeaderMap,
        body: impl Iterator<Item = &'a [u8]> + Clone,
        charge: Charge,
    ) -> Self {
        let head = Head::new(meta.status, headers, body);
        let recodings = meta.recodable.map(|_| Box::default());
        Self {
            judged: AtomicU64::new(meta.born.0 << 1),
            meta,
            head,
            apart: None,
            recodings,
            charge,
        }
    }

    /// Its body.
    pub fn body(&self) -> Body<'_> {
        Body::of(&self.head, self.apart.as_deref())
    }

    /// What it is by all invalidations up to `head`: gone, stale, or untouched. Remembers that
    /// unless it is gone, so that nothing more than a comparison is left to do when nothing
    /// was invalidated since; otherwise `covers` says what covers its marks since when.
    pub fn judge(
        &self,
        head: Sequence,
        covers: impl FnOnce(&Marks, Sequence) -> Option<Mode>,
    ) -> Option<Mode> {
        let judged = self.judged.load(Ordering::Relaxed);
        let softened = (judged & 1 == 1).then_some(Mode::Soft);
        if judged >> 1 >= head.0 {
            return softened;
        }
        let found = covers(&self.meta.marks, Sequence(judged >> 1)).max(softened);
        if found < Some(Mode::Hard) {
            // Of two who judge at once the later head wins, and at the same head the stricter.
            let judged = head.0 << 1 | u64::from(found.is_some());
            self.judged.fetch_max(judged, Ordering::Relaxed);
        }
        found
    }

    /// Whether an invalidation that it was judged by made it stale.
    pub fn is_softened(&self) -> bool {
        self.judged.load(Ordering::Relaxed) & 1 == 1
    }

    /// What it takes in all, its codings included, in bytes.
    pub(super) fn cost(&self) -> u64 {
        let recodings = self.recodings.as_ref();
        self.charge.bytes() + recodings.map_or(0, |recodings| recodings.cost())
    }

    /// The same body, in all its codings, under a new head.
    pub(super) fn refreshed(&self, meta: Meta, headers: &HeaderMap, charge: Charge) -> Self {
        let head = Head::new(meta.status, headers, std::iter::empty());
        // A new head may forbid what the old one did not.
        let same = meta.recodable.map(|one| one.own) == self.meta.recodable.map(|one| one.own);
        let recodings = meta.recodable.map(|_| {
            let old = self.recodings.as_ref().filter(|_| same);
            let kept = old.map(|old| old.under(meta.status, headers, &charge));
            Box::new(kept.unwrap_or_default())
        });
        // A head that came with no new answer leaves the answer as invalidated as it was.
        let judged = if meta.born == self.meta.born {
            self.judged.load(Ordering::Relaxed)
        } else {
            meta.born.0 << 1
        };
        Self {
            judged: AtomicU64::new(judged),
            meta,
            head,
            apart: Some(Box::new(self.body().apart())),
            recodings,
            charge,
        }
    }
}
