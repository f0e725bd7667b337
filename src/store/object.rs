//! A stored answer: what is remembered of it, its head and its body.
//!
//! An object never changes; a refresh makes a new one that shares the body. Head
//! and body lie in one block of memory, so that an object is few allocations and
//! a hit touches few cache lines.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{Charge, Recodings};
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
    /// Its body.
    pub body: Bytes,
    /// Its body in other codings, where there may be any.
    pub recodings: Option<Box<Recodings>>,
    /// Up to which invalidation it was judged, times two; odd once one of them made it stale.
    /// At first when it was asked for. Only grows; written by whoever judges it.
    judged: AtomicU64,
    charge: Charge,
}

/// The bytes that an object's entry in the index takes beside the object: moka's node,
/// its place in two queues and the key. Measured at 237 for a 16-byte key.
const INDEX_BYTES: usize = 256;

/// The counters before what an `Arc` or a shared `Bytes` points to, and the allocator's
/// rounding of three allocations.
pub(super) const ALLOCATION_BYTES: usize = 16 + 24 + 3 * 16;

impl Object {
    /// What an object of these parts takes in all, in bytes.
    pub(super) fn cost_of(meta: &Meta, headers: &HeaderMap, body_bytes: u64) -> u64 {
        let head = head_bytes(headers);
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
        let (head, body) = block(meta.status, headers, body);
        let recodings = meta.recodable.map(|_| Box::default());
        Self {
            judged: AtomicU64::new(meta.born.0 << 1),
            meta,
            head,
            body,
            recodings,
            charge,
        }
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
        let head = Head::new(meta.status, headers);
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
            body: self.body.clone(),
            recodings,
            charge,
        }
    }
}

/// A head and a body in one block of memory.
pub(super) fn block<'a>(
    status: StatusCode,
    headers: &HeaderMap,
    body: impl Iterator<Item = &'a [u8]> + Clone,
) -> (Head, Bytes) {
    let lines = lines_of(headers);
    let length: usize = body.clone().map(<[u8]>::len).sum();
    let mut block = Vec::with_capacity(lines + length);
    let fields = write(headers, &mut block);
    body.for_each(|part| block.extend_from_slice(part));
    let block = Bytes::from(block);
    let (values, body) = (block.slice(..lines), block.slice(lines..));
    let head = Head {
        status,
        values,
        fields,
    };
    (head, body)
}

/// The bytes of all values.
fn lines_of(headers: &HeaderMap) -> usize {
    headers.iter().map(|(_, value)| value.len()).sum()
}

/// What a head of these fields takes, in bytes.
pub(super) fn head_bytes(headers: &HeaderMap) -> usize {
    lines_of(headers) + headers.len() * size_of::<Field>()
}

/// A status and fields, compactly: 40 bytes a field beside its value.
#[derive(Clone, Debug)]
pub struct Head {
    status: StatusCode,
    values: Bytes,
    fields: Box<[Field]>,
}

/// A field: its name, and where its value lies.
#[derive(Clone, Debug)]
struct Field {
    name: HeaderName,
    start: u32,
    end: u32,
}

/// Appends the values to `out`; the fields say where.
fn write(headers: &HeaderMap, out: &mut Vec<u8>) -> Box<[Field]> {
    let mut place = |(name, value): (&HeaderName, &HeaderValue)| {
        let start = out.len() as u32;
        out.extend_from_slice(value.as_bytes());
        Field {
            name: name.clone(),
            start,
            end: out.len() as u32,
        }
    };
    headers.iter().map(&mut place).collect()
}

impl Head {
    /// A head in a block of its own.
    pub(super) fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        block(status, headers, std::iter::empty()).0
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// How many fields there are, repeated names counted.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The fields, in order, without copying.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, HeaderValue)> {
        self.fields
            .iter()
            .map(|field| (&field.name, self.value(field)))
    }

    /// The bytes of the first value of `name`.
    pub fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        let field = self.fields.iter().find(|field| field.name == name)?;
        Some(&self.values[field.start as usize..field.end as usize])
    }

    /// All fields as a map.
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.len());
        map.extend(self.iter().map(|(name, value)| (name.clone(), value)));
        map
    }

    fn value(&self, field: &Field) -> HeaderValue {
        let bytes = self.values.slice(field.start as usize..field.end as usize);
        // They were a value when they were stored.
        HeaderValue::from_maybe_shared(bytes).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}
