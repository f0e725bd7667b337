//! A stored body where it lies: in a block, behind the lines of a head.

use std::ops::{Deref, Range};

use bytes::Bytes;

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
    pub(super) fn of(head: &'a Head, apart: Option<&'a Apart>) -> Self {
        match apart {
            None => head.body(),
            Some(apart) => Self::new(&apart.block, apart.start),
        }
    }

    /// All of it, shared.
    pub fn share(self) -> Bytes {
        self.block.slice(self.start..)
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

    /// What it takes apart from its own head, in bytes.
    pub(super) const fn apart_bytes(self) -> usize {
        size_of::<Apart>() + self.block.len()
    }
}

impl Deref for Body<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.block[self.start..]
    }
}
