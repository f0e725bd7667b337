//! What is asked and what is answered, as the model remembers it.
//!
//! Times are milliseconds since the history began; ages count whole seconds of the clock,
//! as the edge does.

use super::{rules::Rules, word::Word};

/// A viewer's request.
#[derive(Clone, Debug, Default)]
pub(super) struct Question {
    pub(super) at: u64,
    /// Tells it from what else happened at that time, as a fetch's `order` does.
    pub(super) order: usize,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) rules: Rules,
    pub(super) language: Option<&'static str>,
    pub(super) bearer: bool,
    pub(super) cookie: bool,
    pub(super) range: Option<(u64, u64)>,
    /// The fetch whose tag it holds.
    pub(super) holds: Option<usize>,
    /// When the head of its answer came, and the fetch that this head is from.
    pub(super) replied: Option<u64>,
    pub(super) from: Option<usize>,
    /// When that was, among what else happened then.
    pub(super) told: usize,
    /// The age it was told.
    pub(super) age: Option<u64>,
    /// Whether it is over: answered to the end, or left.
    pub(super) over: bool,
}

/// A request at the origin, and what became of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Fetch {
    /// The viewer's request that it was made for.
    pub(super) asker: usize,
    pub(super) asked: u64,
    /// Whether it was for a whole answer: GET, without a range, or with the range that a part
    /// lacks of the whole.
    pub(super) whole: bool,
    pub(super) headed: Option<u64>,
    /// When its head was sent, among what else happened then.
    pub(super) order: usize,
    /// When its answer ended, well or not.
    pub(super) ended: Option<u64>,
    /// Whether the origin failed it: a server error, or no answer.
    pub(super) failed: bool,
    pub(super) status: u16,
    pub(super) word: Word,
    /// The fetch whose body this is: another one's for a 304.
    pub(super) version: usize,
    pub(super) body: Vec<u8>,
    /// The first and the last byte of the body that a 206 carries.
    pub(super) part: Option<(usize, usize)>,
    /// How much of the body is sent before the connection breaks.
    pub(super) cut: Option<usize>,
    /// Whether the body's end is only that of the connection.
    pub(super) unframed: bool,
    /// Whether the head tells the body's length.
    pub(super) announced: bool,
}

impl Fetch {
    /// How many bytes it carries.
    pub(super) fn length(&self) -> usize {
        self.part
            .map_or(self.body.len(), |(first, last)| last + 1 - first)
    }

    /// Whether it carries all of its body.
    pub(super) fn carries_all(&self) -> bool {
        self.length() == self.body.len()
    }
}

impl Question {
    /// Whether one fetch of a whole answer could be its and others'.
    pub(super) fn could_share(&self) -> bool {
        self.rules.caching && !self.bearer && !self.cookie
    }

    /// Ranges compare without case (RFC 4647 §2).
    pub(super) fn same_language(&self, other: &Self) -> bool {
        let lower = |question: &Self| question.language.map(str::to_ascii_lowercase);
        lower(self) == lower(other)
    }
}

/// Whole seconds of the clock between two moments.
pub(super) fn seconds(from: u64, to: u64) -> u64 {
    to / 1000 - from / 1000
}
