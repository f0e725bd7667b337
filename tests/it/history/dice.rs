//! Chance that can be repeated: splitmix64 (Steele, Lea and Flood 2014).

/// A stream of numbers that its seed fixes.
pub(super) struct Dice(u64);

/// What dice are thrown for; each has streams of its own.
#[derive(Clone, Copy)]
pub(super) enum For {
    /// The step of this number.
    Step,
    /// The viewer's request of this number.
    Viewer,
    /// The connection to the origin of this number.
    Dial,
    /// The request at the origin for this question.
    Fetch,
    /// What a history keeps to.
    Setting,
}

impl Dice {
    /// The dice of one thing, so that what it draws does not depend on what others drew.
    pub(super) fn of(seed: u64, what: For, number: usize) -> Self {
        let mut dice = Self(seed);
        let stream = dice.next() ^ (number as u64) << 3 ^ what as u64;
        let mut dice = Self(stream);
        Self(dice.next())
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        // The bias of a remainder is far below what a test could notice.
        self.next() % end
    }

    /// A number from `low` up to and with `high`.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True so many times in a hundred.
    pub(super) fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    /// One of several.
    pub(super) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// Seconds from `low` to `high`, so many times in a hundred.
    pub(super) fn seconds(&mut self, share: u64, low: u64, high: u64) -> Option<u64> {
        let drawn = self.percent(share);
        let seconds = self.between(low, high);
        drawn.then_some(seconds)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
