//! What may be served to whom: the rules, over all that was asked and answered.
//!
//! Times are milliseconds since the history began; ages count whole seconds of the clock,
//! as the edge does.

use super::{
    rules::{OBJECT_BYTES_MAX, RESPONSE_TIMEOUT_MS, Rules},
    word::{Vary, Word},
};
use crate::harness::wire::{End, Head};

/// How often a request looks again after a flight that was no answer for it.
const LOOKS_MAX: usize = 4;

/// How long a key whose answer could not be shared is remembered, in milliseconds.
const UNSHARED_MS: u64 = 60_000;

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
    /// Whether it was for a whole answer: GET, without a range.
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
    /// How much of the body is sent before the connection breaks.
    pub(super) cut: Option<usize>,
    /// Whether the body's end is only that of the connection.
    pub(super) unframed: bool,
    /// Whether the head tells the body's length.
    pub(super) announced: bool,
}

/// All that happened, as far as it matters.
#[derive(Default)]
pub(super) struct Model {
    pub(super) questions: Vec<Question>,
    pub(super) fetches: Vec<Fetch>,
    /// When a connection to the origin last failed.
    pub(super) unreachable: Option<u64>,
}

impl Model {
    /// "One shared fetch per key": no two requests that could share wait for a head at once.
    ///
    /// Excused are those that gave up following: behind an answer that was not shareable in
    /// the last minute, behind one that is still being read (it may have become stale or too
    /// large meanwhile), on the other side of a successful POST, after as long as an answer may take, after four answers of no use.
    /// Those whom an answer of another variant parted wait apart, those for one variant together.
    pub(super) fn fetched(&self, id: usize) -> Result<(), String> {
        let own = &self.fetches[id];
        let (asker, now) = (&self.questions[own.asker], own.asked);
        let same = |other: &&Fetch| {
            let question = &self.questions[other.asker];
            question.path == asker.path && question.could_share() && other.whole
        };
        let others = || self.fetches[..id].iter().filter(same);
        let waits = |other: &Fetch| other.headed.is_none() && other.ended.is_none();
        let Some(leader) = others().find(|other| waits(other)) else {
            return Ok(());
        };
        let theirs = &self.questions[leader.asker];
        let parted = |question: &Question| {
            let varied = |other: &Fetch| other.word.vary == Vary::Language;
            others().any(|other| varied(other) && other.order > question.order)
        };
        let apart =
            parted(asker) != parted(theirs) || parted(asker) && !asker.same_language(theirs);
        let recent = |other: &Fetch| {
            let until = other.headed.map(|at| at + UNSHARED_MS);
            until >= Some(leader.asked)
        };
        // Who asks after a change does not wait for what was asked for before it.
        let changed = self.fetches[..id].iter().any(|post| {
            let question = &self.questions[post.asker];
            let posted = question.method == "POST" && question.path == asker.path;
            posted && post.headed >= Some(theirs.at)
        });
        let excused = !asker.could_share()
            || changed
            || !own.whole
            || apart
            || others().any(|other| recent(other) && !self.is_shareable(other))
            || others().any(|other| other.headed.is_some() && other.ended.is_none())
            || now - asker.at >= RESPONSE_TIMEOUT_MS
            || leader.asked - theirs.at >= RESPONSE_TIMEOUT_MS
            || others()
                .filter(|other| other.ended >= Some(asker.at))
                .count()
                >= LOOKS_MAX;
        if excused {
            return Ok(());
        }
        Err(format!(
            "a second fetch while v{} waits for one",
            leader.asker
        ))
    }

    /// Whether the answer of fetch `from`, with `age`, may be the answer to question `to` now.
    pub(super) fn answered(
        &self,
        (to, from): (usize, usize),
        age: Option<u64>,
        now: u64,
    ) -> Result<(), String> {
        let (question, fetch) = (&self.questions[to], &self.fetches[from]);
        let asker = &self.questions[fetch.asker];
        if question.path != asker.path {
            return Err("an answer for another path".to_owned());
        }
        if fetch.asker == to {
            return Ok(());
        }
        if !question.rules.caching || !matches!(question.method, "GET" | "HEAD") {
            return Err("an answer of another's to what is not for the cache".to_owned());
        }
        if let Some(why) = self.kept_to_asker(fetch) {
            return Err(format!("{why}, and the answer to another"));
        }
        if fetch.word.vary == Vary::Language && !question.same_language(asker) {
            return Err("another variant".to_owned());
        }
        let broke = fetch.cut.and(fetch.ended).is_some_and(|ended| ended < now);
        if broke {
            return Err("an answer that broke off before".to_owned());
        }
        let stood_in = self.fresh_enough(fetch, now)?;
        self.survives_posts(question, fetch, stood_in.then_some(now))?;
        let old = fetch.word.age + seconds(fetch.asked, now);
        let told = self
            .questions
            .iter()
            .filter(|other| other.from == Some(from));
        let told = told.filter_map(|other| other.age).max();
        match age {
            None => Err("no Age on what another fetched".to_owned()),
            Some(age) if age < old => Err(format!("Age {age} on what is {old} seconds old")),
            Some(_) if age < told => Err(format!("Age {age:?} after {told:?}")),
            Some(_) => Ok(()),
        }
    }

    /// Errs when `fetch` is too old; whether it could only stand in for a failing origin.
    fn fresh_enough(&self, fetch: &Fetch, now: u64) -> Result<bool, String> {
        let (age, lifetime) = (
            fetch.word.age + seconds(fetch.asked, now),
            self.lifetime(fetch),
        );
        if age < lifetime {
            return Ok(false);
        }
        let rules = self.questions[fetch.asker].rules;
        let (stale, strict) = (age - lifetime, fetch.word.is_strict());
        let window = |named: Option<u64>, default| match strict {
            true => 0,
            false => named.unwrap_or(default).min(rules.max),
        };
        if stale < window(fetch.word.while_revalidate, rules.while_revalidate) {
            return Ok(false);
        }
        let if_error = window(fetch.word.if_error, rules.if_error);
        let path = self.questions[fetch.asker].path;
        let failed = |other: &Fetch| {
            let overdue = other.asked + RESPONSE_TIMEOUT_MS == now;
            let fails = other.failed && other.headed.or(other.ended) == Some(now);
            self.questions[other.asker].path == path && (fails || overdue)
        };
        let fails = self.unreachable == Some(now) || self.fetches.iter().any(failed);
        if if_error > 0 && stale <= if_error && fails {
            return Ok(true);
        }
        Err(format!(
            "{stale} seconds past its lifetime of {lifetime}, the origin {}",
            if fails { "failing" } else { "well" }
        ))
    }

    /// After a successful POST nothing that was stored before it is served.
    ///
    /// Excused, for now, is what was in flight at the time: an answer that arrived after the
    /// POST's, and a stale one that stands in for a failure of what was asked before it.
    fn survives_posts(
        &self,
        question: &Question,
        fetch: &Fetch,
        stood_in: Option<u64>,
    ) -> Result<(), String> {
        let path = question.path;
        let posts = self.questions.iter().filter(|post| {
            let status = post.from.map_or(0, |from| self.fetches[from].status);
            // Excused, for now, are also those made where nothing was cached.
            post.rules.caching
                && post.method == "POST"
                && post.path == path
                && (200..400).contains(&status)
        });
        for post in posts.filter_map(|post| post.replied) {
            let before = fetch.ended.is_some_and(|ended| ended < post);
            let under_way = |other: &Question| {
                let until = other.replied.unwrap_or(u64::MAX);
                other.path == path && other.at <= post && post <= until
            };
            let fetching = |other: &Fetch| {
                let until = other.ended.unwrap_or(u64::MAX);
                self.questions[other.asker].path == path && other.asked <= post && post <= until
            };
            let in_flight_then = stood_in.is_some()
                && (self.questions.iter().any(under_way) || self.fetches.iter().any(fetching));
            if before && post < question.at && !in_flight_then {
                return Err(format!("stored before the POST at {post} ms"));
            }
        }
        Ok(())
    }

    /// Why an answer is for its asker alone.
    pub(super) fn kept_to_asker(&self, fetch: &Fetch) -> Option<&'static str> {
        let (asker, word) = (&self.questions[fetch.asker], &fetch.word);
        let explicit = word.max_age.is_some() || word.gives_leave();
        let reasons = [
            (!asker.rules.caching, "fetched where nothing is cached"),
            (!fetch.whole, "no whole answer to GET"),
            (word.no_store, "no-store"),
            (word.private, "private"),
            (word.no_cache, "no-cache, not validated"),
            (word.sets_cookie, "sets a cookie"),
            (word.vary == Vary::Everything, "varies by everything"),
            (asker.bearer && !word.gives_leave(), "for one's credentials"),
            (asker.cookie && !explicit, "for one's cookie"),
            (fetch.unframed, "without an end"),
            (
                fetch.announced && fetch.body.len() as u64 > OBJECT_BYTES_MAX,
                "too large",
            ),
            (
                word.max_age.is_none() && self.lifetime(fetch) == 0,
                "without a lifetime",
            ),
        ];
        reasons.iter().find(|(is, _)| *is).map(|(_, why)| *why)
    }

    /// Whether an answer could be another request's too when its head came; the time that it
    /// took to connect makes it older.
    fn is_shareable(&self, fetch: &Fetch) -> bool {
        let asked = self.questions[fetch.asker].at;
        let waited = seconds(asked, fetch.headed.unwrap_or(asked));
        self.kept_to_asker(fetch).is_none() && fetch.word.age + waited < self.lifetime(fetch)
    }

    /// How long an answer is fresh, in seconds.
    fn lifetime(&self, fetch: &Fetch) -> u64 {
        let rules = self.questions[fetch.asker].rules;
        match (fetch.word.s_maxage.or(fetch.word.max_age), fetch.status) {
            (Some(named), _) => named.clamp(rules.min, rules.max),
            (None, 200 | 304) => rules.default.max(rules.min),
            (None, _) => rules.error,
        }
    }

    /// Whether question `of` may get no answer at all: its answer broke off at once.
    pub(super) fn unanswered(&self, of: usize, now: u64) -> Result<(), String> {
        let path = self.questions[of].path;
        let broke = |other: &Fetch| {
            let same = self.questions[other.asker].path == path;
            same && other.cut.is_some() && other.headed <= Some(now)
        };
        let broke = self.fetches.iter().any(broke);
        if broke {
            Ok(())
        } else {
            Err("no answer".to_owned())
        }
    }

    /// Whether `body` may be what `question` got of its answer.
    pub(super) fn read(&self, to: usize, head: &Head, body: &[u8], end: End) -> Result<(), String> {
        let Some(from) = self.questions[to].from else {
            return Ok(());
        };
        let version = &self.fetches[self.fetches[from].version];
        let whole: &[u8] = match (head.status(), self.questions[to].method) {
            (304 | 416 | 204, _) | (_, "HEAD") => b"",
            (206, _) => part(head, &version.body).ok_or("a part without its place")?,
            _ => &version.body,
        };
        let cut = version.cut.is_some() && !whole.is_empty();
        match end {
            End::Whole if body != whole => Err("another body".to_owned()),
            End::Whole if cut => Err("a body that broke off, as if it were whole".to_owned()),
            End::Broken if !whole.starts_with(body) => Err("the start of another body".to_owned()),
            End::Whole | End::Broken => Ok(()),
        }
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
fn seconds(from: u64, to: u64) -> u64 {
    to / 1000 - from / 1000
}

/// The bytes of `body` that a 206's `Content-Range` names.
fn part<'a>(head: &Head, body: &'a [u8]) -> Option<&'a [u8]> {
    let place = head.all("content-range").next()?.strip_prefix("bytes ")?;
    let (range, length) = place.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    (length.parse() == Ok(body.len())).then(|| body.get(first..=last))?
}
