//! The entries of one part of the index, each in its place, and the queues they stand in.
//!
//! An entry never moves: its place is a number for as long as it is there, which the table of
//! keys, its neighbours in the queue and a walk over all entries know it by. Places come in
//! blocks, so that one more entry copies none of those that are there.

use std::{
    ops::Index,
    sync::atomic::{AtomicU8, Ordering},
};

use super::variants::Variants;
use crate::policy::Key;

/// How many places a block has: 1,792 bytes of them, which the allocator hands out as they are.
pub(super) const BLOCK: usize = 32;

/// No place.
const NOWHERE: u32 = u32::MAX;

/// The hits that an entry remembers.
const HITS_MAX: u8 = 3;

/// A key and what is stored under it.
#[derive(Debug)]
pub(super) struct Entry {
    /// In halves, which pack closer than the whole.
    key: [u64; 2],
    /// `None` in a place that nobody has.
    variants: Option<Variants>,
    /// What they took together when they were put here, in bytes.
    weight: u64,
    /// Its neighbours in its queue; in a place that nobody has, the next such place.
    older: u32,
    newer: u32,
    /// Hits that nobody took account of so far. Written by whoever finds it.
    hits: AtomicU8,
    /// Which queue it stands in.
    pub(super) line: Line,
}

const _: () = assert!(size_of::<Entry>() == 56);

/// The queues of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// What is new, and has yet to be asked for again.
    New,
    /// What was.
    Wanted,
}

impl Entry {
    fn new(key: Key, variants: Variants, line: Line) -> Self {
        Self {
            key: halves(key),
            weight: variants.cost(),
            variants: Some(variants),
            older: NOWHERE,
            newer: NOWHERE,
            hits: AtomicU8::new(0),
            line,
        }
    }

    /// Its key.
    pub(super) const fn key(&self) -> Key {
        Key((self.key[1] as u128) << 64 | self.key[0] as u128)
    }

    pub(super) fn has(&self, key: Key) -> bool {
        self.key == halves(key)
    }

    /// What is stored under its key; it has something unless it is nobody's place.
    pub(super) const fn variants(&self) -> Option<&Variants> {
        self.variants.as_ref()
    }

    /// What it is counted for, in bytes.
    pub(super) const fn weight(&self) -> u64 {
        self.weight
    }

    /// Remembers that it was asked for. A load for what is asked for over and over: its line of
    /// the processor's cache stays with everyone who does.
    pub(super) fn hit(&self) {
        let hits = self.hits.load(Ordering::Relaxed);
        if hits < HITS_MAX {
            // Of two at once one may be lost.
            self.hits.store(hits + 1, Ordering::Relaxed);
        }
    }

    /// Forgets one hit; how many there were.
    pub(super) fn take_hit(&mut self) -> u8 {
        let hits = self.hits.get_mut();
        let before = *hits;
        *hits = before.saturating_sub(1);
        before
    }

    /// Forgets all hits.
    pub(super) fn forget_hits(&mut self) {
        *self.hits.get_mut() = 0;
    }

    /// Puts `variants` in the place of those that are here, and returns these. Weighs them once:
    /// a coding that comes meanwhile is counted by whoever brings it.
    pub(super) fn replace(&mut self, variants: Variants) -> Option<Variants> {
        self.weight = variants.cost();
        self.variants.replace(variants)
    }
}

const fn halves(key: Key) -> [u64; 2] {
    [key.0 as u64, (key.0 >> 64) as u64]
}

/// All places.
#[derive(Debug)]
pub(super) struct Entries {
    blocks: Vec<Vec<Entry>>,
    /// A place that nobody has, which knows the next one.
    free: u32,
}

impl Default for Entries {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            free: NOWHERE,
        }
    }
}

impl Entries {
    /// Gives these variants a place, in no queue so far.
    pub(super) fn add(&mut self, key: Key, variants: Variants, line: Line) -> u32 {
        let entry = Entry::new(key, variants, line);
        let free = self.free;
        if free != NOWHERE {
            let vacant = self.at(free);
            let next = vacant.newer;
            *vacant = entry;
            self.free = next;
            return free;
        }
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let before = (self.blocks.len() - 1) * BLOCK;
        // There is always a block with room by now.
        let block = self.blocks.last_mut().map_or(0, |block| {
            block.push(entry);
            block.len() - 1
        });
        // Entries for all numbers would take 240 GB beside what they are about.
        (before + block) as u32
    }

    /// Takes away what is at `place`, which is in no queue; the place is another's then.
    pub(super) fn take(&mut self, place: u32) -> Option<Variants> {
        let free = self.free;
        let entry = self.at(place);
        entry.newer = free;
        let variants = entry.variants.take();
        self.free = place;
        variants
    }

    /// The entries of a block, the first of which has the number 0, in the order of their
    /// places; `None` behind the last block.
    pub(super) fn block(&self, number: usize) -> Option<impl Iterator<Item = &Entry>> {
        let block = self.blocks.get(number)?;
        Some(block.iter().filter(|entry| entry.variants.is_some()))
    }

    /// The entry at `place`.
    pub(super) fn at(&mut self, place: u32) -> &mut Entry {
        &mut self.blocks[place as usize / BLOCK][place as usize % BLOCK]
    }
}

impl Index<u32> for Entries {
    type Output = Entry;

    #[inline]
    fn index(&self, place: u32) -> &Entry {
        &self.blocks[place as usize / BLOCK][place as usize % BLOCK]
    }
}

/// A queue of entries; who was put in last is the newest.
#[derive(Debug)]
pub(super) struct Queue {
    oldest: u32,
    newest: u32,
    weight: u64,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            oldest: NOWHERE,
            newest: NOWHERE,
            weight: 0,
        }
    }
}

impl Queue {
    /// The place of the oldest; `None` where the queue is empty.
    pub(super) fn oldest(&self) -> Option<u32> {
        (self.oldest != NOWHERE).then_some(self.oldest)
    }

    /// What all in it weigh, in bytes.
    pub(super) const fn weight(&self) -> u64 {
        self.weight
    }

    /// What one in it weighs is not `before` any more but `now`.
    pub(super) const fn reweigh(&mut self, before: u64, now: u64) {
        self.weight = self.weight - before + now;
    }

    /// Puts the entry at `place`, which is in no queue, behind all others.
    pub(super) fn push(&mut self, entries: &mut Entries, place: u32) {
        let entry = entries.at(place);
        (entry.older, entry.newer) = (self.newest, NOWHERE);
        self.weight += entry.weight;
        match self.newest {
            NOWHERE => self.oldest = place,
            newest => entries.at(newest).newer = place,
        }
        self.newest = place;
    }

    /// Takes the entry at `place`, which is in this queue, out of it.
    pub(super) fn leave(&mut self, entries: &mut Entries, place: u32) {
        let entry = entries.at(place);
        let (older, newer) = (entry.older, entry.newer);
        self.weight -= entry.weight;
        match older {
            NOWHERE => self.oldest = newer,
            older => entries.at(older).newer = newer,
        }
        match newer {
            NOWHERE => self.newest = older,
            newer => entries.at(newer).older = older,
        }
    }
}
