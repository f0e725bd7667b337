//! A stored answer: what is remembered of it, its head and its body.
//!
//! An object never changes; a refresh makes a new one that shares the body. Head
//! and body lie in one block of memory, so that an object is few allocations and
//! a hit touches few cache lines.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::Charge;
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
const ALLOCATION_BYTES: usize = 16 + 24 + 3 * 16;

impl Object {
    /// What an object of these parts takes in all, in bytes.
    pub(super) fn cost_of(meta: &Meta, headers: &HeaderMap, body_bytes: u64) -> u64 {
        let lines: usize = headers.iter().map(|(_, value)| value.len()).sum();
        let fields = headers.len() * size_of::<Field>();
        let marks = meta.marks.heap_bytes();
        let varying = meta
            .varying
            .as_ref()
            .map_or(0, |varying| varying.heap_bytes());
        let fixed = size_of::<Self>() + INDEX_BYTES + ALLOCATION_BYTES;
        (fixed + lines + fields + varying + marks) as u64 + body_bytes
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
        let lines: usize = headers.iter().map(|(_, value)| value.len()).sum();
        let length: usize = body.clone().map(<[u8]>::len).sum();
        let mut block = Vec::with_capacity(lines + length);
        let fields = write(headers, &mut block);
        body.for_each(|part| block.extend_from_slice(part));
        let block = Bytes::from(block);
        let (values, body) = (block.slice(..lines), block.slice(lines..));
        let head = Head {
            status: meta.status,
            values,
            fields,
        };
        Self {
            judged: AtomicU64::new(meta.born.0 << 1),
            meta,
            head,
            body,
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

    /// What it takes in all, in bytes.
    pub(super) fn cost(&self) -> u64 {
        self.charge.bytes()
    }

    /// The same body under a new head.
    pub(super) fn refreshed(&self, meta: Meta, headers: &HeaderMap, charge: Charge) -> Self {
        let mut values = Vec::new();
        let fields = write(headers, &mut values);
        let head = Head {
            status: meta.status,
            values: values.into(),
            fields,
        };
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
            charge,
        }
    }
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
