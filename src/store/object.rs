//! A stored answer: what is remembered of it, its head and its body.
//!
//! An object never changes; a refresh makes a new one that shares the body. The lines
//! of the head and the body lie in one block of memory, so that an object is few
//! allocations and a hit touches few cache lines; only a refreshed object has its body in
//! the block that it came in.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use http::HeaderMap;

use super::{Apart, Body, Charge, Head, Recoded, Recodings, head};
use crate::{
    fields::encoding::Coding,
    policy::{
        Meta,
        marks::{Marks, Mode, Sequence},
    },
};

/// An answer in the store.
#[derive(Debug)]
pub struct Object {
    /// What decides about its use.
    pub meta: Meta,
    /// Its status and fields.
    pub head: Head,
    /// What few objects have: made once, when it is first wanted.
    beside: OnceLock<Box<Beside>>,
    /// Up to which invalidation it was judged, times two; odd once one of them made it stale.
    /// At first when it was asked for. Only grows; written by whoever judges it.
    judged: AtomicU64,
    charge: Charge,
}

/// What an object has beside its block.
#[derive(Debug)]
struct Beside {
    /// Its body, if that is not in the block of its head.
    apart: Option<Apart>,
    /// Its body in other codings.
    recodings: Recodings,
    /// For all this, where the object did not begin with it.
    charge: Option<Charge>,
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
        let fixed = size_of::<Self>() + INDEX_BYTES + ALLOCATION_BYTES;
        (fixed + head + varying + marks) as u64 + body_bytes
    }

    /// What one with the body of `old` takes in all, in bytes.
    pub(super) fn cost_of_refreshed(meta: &Meta, headers: &HeaderMap, old: &Self) -> u64 {
        let beside = size_of::<Beside>() + old.body().apart_bytes();
        Self::cost_of(meta, headers, beside as u64)
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
        Self {
            judged: AtomicU64::new(meta.born.0 << 1),
            meta,
            head,
            beside: OnceLock::new(),
            charge,
        }
    }

    /// Its body.
    pub fn body(&self) -> Body<'_> {
        let beside = self.beside.get();
        Body::of(&self.head, beside.and_then(|beside| beside.apart.as_ref()))
    }

    /// What there is of its body in `coding`; two loads.
    pub fn recoded(&self, coding: Coding) -> Recoded<'_> {
        let recodings = self.recodings();
        recodings.map_or(Recoded::NotYet, |recodings| recodings.find(coding))
    }

    /// Its body in other codings, once somebody wanted one.
    pub fn recodings(&self) -> Option<&Recodings> {
        Some(&self.beside.get()?.recodings)
    }

    /// The same, made if nobody wanted one so far; `None` where there may be none, and where
    /// there is no room for them.
    pub(super) fn with_recodings(&self) -> Option<&Recodings> {
        self.meta.recodable?;
        if self.beside.get().is_none() {
            let charge = self.charge.beside(size_of::<Beside>() as u64)?;
            // Of two at once one is the first, and the other's account is closed.
            self.beside.get_or_init(|| {
                Box::new(Beside {
                    apart: None,
                    recodings: Recodings::default(),
                    charge: Some(charge),
                })
            });
        }
        self.recodings()
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
        let beside = self.beside.get().map_or(0, |beside| {
            let own = beside.charge.as_ref().map_or(0, Charge::bytes);
            own + beside.recodings.cost()
        });
        self.charge.bytes() + beside
    }

    /// The same body, in all its codings, under a new head.
    pub(super) fn refreshed(&self, meta: Meta, headers: &HeaderMap, charge: Charge) -> Self {
        let head = Head::alone(meta.status, headers, self.body().len());
        // A new head may forbid what the old one did not.
        let same = meta.recodable.map(|one| one.own) == self.meta.recodable.map(|one| one.own);
        let old = self
            .recodings()
            .filter(|_| same && meta.recodable.is_some());
        let recodings = old.map(|old| old.under(meta.status, headers, &charge));
        let beside = Box::new(Beside {
            apart: Some(self.body().apart()),
            recodings: recodings.unwrap_or_default(),
            charge: None,
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
            beside: OnceLock::from(beside),
            charge,
        }
    }
}
