//! What was asked, answered and invalidated, as the model remembers it.
//!
//! `order` and the like tell things apart that happen at the same millisecond: they only grow.

use std::fmt;

use super::{call::Call, pages::Page};
use crate::history::word::Word;

/// A viewer's request.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) at: u64,
    pub(super) order: usize,
    /// Which of the edges, one after the other, it is for.
    pub(super) life: usize,
    pub(super) method: &'static str,
    pub(super) page: &'static Page,
    pub(super) target: &'static str,
    pub(super) language: Option<&'static str>,
    pub(super) bearer: bool,
    /// Whether it takes gzip.
    pub(super) gzip: bool,
    pub(super) ranged: bool,
    /// Its `Cache-Control`.
    pub(super) wish: Option<&'static str>,
    /// The fetch that the head of its answer is from.
    pub(super) from: Option<usize>,
    /// Whether it is over: answered to the end, or left.
    pub(super) over: bool,
}

/// A request at the origin, and what became of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Fetch {
    /// The viewer's request that it was made for.
    pub(super) asker: usize,
    pub(super) asked: u64,
    /// When it reached the origin.
    pub(super) begun: usize,
    /// Whether it was for a whole answer: GET, without a range.
    pub(super) whole: bool,
    /// The fetch whose answer it would confirm, or whose part it would complete.
    pub(super) validates: Option<usize>,
    /// When the head of its answer was sent.
    pub(super) headed: Option<usize>,
    /// When its answer had ended as the origin meant it to.
    pub(super) ended: Option<usize>,
    /// Whether nothing more will come of it.
    pub(super) over: bool,
    pub(super) status: u16,
    pub(super) word: Word,
    /// What its fields of tags say, where they are there.
    pub(super) tags: [Option<Vec<&'static str>>; 2],
    /// The fetch whose body this is: another one's for what confirms or completes it.
    pub(super) version: usize,
    pub(super) body: Vec<u8>,
}

/// An invalidation.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) call: Call,
    pub(super) life: usize,
    /// When it was made.
    pub(super) began: usize,
    /// When it had answered.
    pub(super) answered: usize,
}

/// How the edge says it came to an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// From the store, as it was there.
    pub(super) hit: bool,
    /// With those who had asked before.
    pub(super) collapsed: bool,
    /// Because the origin failed.
    pub(super) for_error: bool,
    /// How long it is still fresh, in seconds.
    pub(super) ttl: Option<i64>,
}

impl Told {
    /// What `Cache-Status` says (RFC 9211).
    pub(super) fn read(status: &str) -> Self {
        let items: Vec<_> = status.split(';').map(str::trim).collect();
        let named = |name: &str| items.iter().find_map(|item| item.strip_prefix(name));
        Self {
            hit: items.contains(&"hit") && named("fwd=").is_none(),
            collapsed: items.contains(&"collapsed"),
            for_error: named("detail=") == Some("stale-if-error"),
            ttl: named("ttl=").and_then(|ttl| ttl.parse().ok()),
        }
    }
}

impl Fetch {
    /// The fetch whose answer this one confirmed, or completed.
    pub(super) fn goes_on(&self) -> Option<usize> {
        self.validates.filter(|_| matches!(self.status, 206 | 304))
    }
}

impl fmt::Display for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.status, self.word.cache_control())?;
        for tags in self.tags.iter().flatten() {
            write!(f, ", tags [{}]", tags.join(" "))?;
        }
        match self.status {
            304 => write!(f, ", confirms f{}", self.version),
            206 => write!(f, ", a part of f{}", self.version),
            _ => write!(f, ", {} bytes", self.body.len()),
        }
    }
}
