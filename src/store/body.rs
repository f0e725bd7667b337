//! A stored body where it lies: in a block, behind the lines of a head.

use std::ops::{Deref, Range};

use bytes::{Buf, Bytes};

use super::Head;

/// A stored body. To look at it costs nothing; to share it, a counter.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    block: &'a Bytes,
    start: usize,
}

/// The body of an object whose head is in another block: the block that it came in, with the
/// head that it came with.
#[derive(Debug)]
pub(super) struct Apart {
    block: Bytes,
    start: usize,
}

impl<'a> Body<'a> {
    /// What lies in `block` from `start` on, which is within it.
    pub(super) const fn new(block: &'a Bytes, start: usize) -> Self {
        Self { block, start }
    }

    /// What lies behind `head`, or `apart` from it.
    #[inline]
    pub(super) fn of(head: &'a Head, apart: Option<&'a Apart>) -> Self {
        match apart {
            None => head.body(),
            Some(apart) => Self::new(&apart.block, apart.start),
        }
    }

    /// All of it, shared.
    #[inline]
    pub fn share(self) -> Bytes {
        let mut body = self.block.clone();
        body.advance(self.start);
        body
    }

    /// The bytes of it in `range`, which is within it, shared.
    pub fn slice(self, range: Range<usize>) -> Bytes {
        let within = self.start + range.start..self.start + range.end;
        self.block.slice(within)
    }

    /// The same for another head.
    pub(super) fn apart(self) -> Apart {
        Apart {
            block: self.block.clone(),
            start: self.start,
        }
    }

    /// What the block takes that it is in, in bytes.
    pub(super) const fn apart_bytes(self) -> usize {
        self.block.len()
    }
}

impl Deref for Body<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.block[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use http::StatusCode;

    use crate::{
        policy::{
            Key,
            marks::Sequence,
            settle::{self, Times},
            tests::{NOW, ask, fields, rules},
        },
        store::{Object, Store},
    };

    fn keep(store: &Store, body: &'static [u8]) -> Arc<Object> {
        let headers = fields(&[("cache-control", "max-age=60"), ("etag", "\"1\"")]);
        let times = Times {
            asked: NOW,
            received: NOW,
            born: Sequence::default(),
        };
        let meta = settle::meta(&ask("/a"), &rules(), StatusCode::OK, &headers, times).unwrap();
        let parts = [Bytes::from_static(body)];
        store.keep(Key(1), (meta, &headers), &parts, NOW).unwrap()
    }

    fn refresh(store: &Store, old: &Object) -> Arc<Object> {
        let headers = fields(&[("cache-control", "max-age=90")]);
        let head = (old.meta.clone(), &headers);
        store.refresh(Key(1), old, head, NOW).unwrap()
    }

    #[test]
    fn a_body_is_shared_and_cut_without_copying() {
        let store = Store::new(1 << 20, 1 << 16);
        let object = keep(&store, b"0123456789");
        let body = object.body();
        assert_eq!((&*body, body.len()), (&b"0123456789"[..], 10));
        assert_eq!(body.share(), "0123456789");
        assert_eq!(body.share().as_ptr(), body.as_ptr());
        assert_eq!(body.slice(3..5), "34");
        assert_eq!(body.slice(3..5).as_ptr(), body[3..].as_ptr());
        assert_eq!(body.slice(10..10), "");
        assert!(keep(&store, b"").body().share().is_empty());
    }

    #[test]
    fn a_refreshed_object_shares_the_body_and_pays_for_the_block_that_it_is_in() {
        let store = Store::new(1 << 20, 1 << 16);
        let first = keep(&store, &[b'x'; 5_000]);
        let second = refresh(&store, &first);
        let third = refresh(&store, &second);
        assert_eq!(third.head.lines(), b"cache-control: max-age=90\r\n");
        assert_eq!(third.body().as_ptr(), first.body().as_ptr());
        assert_eq!(*third.body(), [b'x'; 5_000]);
        assert!(second.cost() > first.cost());
        assert_eq!(third.cost(), second.cost());
    }
}
