//! What may be served to whom: the rules, over all that was asked and answered.

use super::{
    facts::{Fetch, Question, seconds},
    rules::{OBJECT_BYTES_MAX, RESPONSE_TIMEOUT_MS},
    word::Vary,
};
use crate::harness::wire::{End, Head};

/// How often a request looks again after a flight that was no answer for it.
const LOOKS_MAX: usize = 4;

/// How long a key whose answer could not be shared is remembered, in milliseconds.
const UNSHARED_MS: u64 = 60_000;

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
    /// large meanwhile), after four answers of no use; and those on the other side of a POST.
    /// Those whom an answer of another variant parted wait apart, those for one variant together.
    pub(super) fn fetched(&self, id: usize) -> Result<(), String> {
        let own = &self.fetches[id];
        let asker = &self.questions[own.asker];
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
                || self.stood_in(question)
        };
        let apart =
            parted(asker) != parted(theirs) || parted(asker) && !asker.same_language(theirs);
        let recent = |other: &Fetch| {
            let until = other.headed.map(|at| at + UNSHARED_MS);
            until >= Some(leader.asked)
        };
        // Who asks after a change does not wait with those who asked before it.
        let changed = self.fetches[..id].iter().any(|post| {
            let question = &self.questions[post.asker];
            let posted = question.method == "POST" && question.path == asker.path;
            posted && post.headed >= Some(asker.at.min(theirs.at))
        });
        let excused = !asker.could_share()
            || changed
            || !own.whole
            || apart
            || others().any(|other| recent(other) && self.is_remembered(other))
            || others().any(|other| other.headed.is_some() && other.ended.is_none())
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

    /// Whether a stored variant stood in for a failing origin while `question` waited, which
    /// parts those who want another one.
    fn stood_in(&self, question: &Question) -> bool {
        self.questions.iter().any(|other| {
            let fetch = other.from.map(|from| &self.fetches[from]);
            let varies = fetch.is_some_and(|fetch| fetch.word.vary == Vary::Language);
            varies && other.path == question.path && other.told > question.order
        })
    }

    /// Whether the answer of fetch `from`, with `age`, may be the answer to question `to` now.
    pub(super) fn answered(
        &self,
        (to, from): (usize, usize),
        head: &Head,
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
        self.within(fetch, head)?;
        if fetch.word.vary == Vary::Language && !question.same_language(asker) {
            return Err("another variant".to_owned());
        }
        let broke = fetch.cut.and(fetch.ended).is_some_and(|ended| ended < now);
        if broke {
            return Err("an answer that broke off before".to_owned());
        }
        self.fresh_enough(fetch, now)?;
        self.survives_posts(question, fetch)?;
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

    /// Errs when an answer with `head` needs more bytes than `fetch` brought: what was asked
    /// for a range is an answer for no more than that, until it was made whole.
    fn within(&self, fetch: &Fetch, head: &Head) -> Result<(), String> {
        let Some((first, last)) = fetch.part.filter(|_| !fetch.whole && !fetch.carries_all())
        else {
            return Ok(());
        };
        let place = place(head).filter(|_| head.status() == 206);
        match place {
            Some((one, other, _)) if first <= one && other <= last => Ok(()),
            _ => Err(format!("bytes {first} to {last}, as something else")),
        }
    }

    /// Errs when `fetch` is too old to serve.
    fn fresh_enough(&self, fetch: &Fetch, now: u64) -> Result<(), String> {
        let (age, lifetime) = (
            fetch.word.age + seconds(fetch.asked, now),
            self.lifetime(fetch),
        );
        if age < lifetime {
            return Ok(());
        }
        let rules = self.questions[fetch.asker].rules;
        let (stale, strict) = (age - lifetime, fetch.word.is_strict());
        let window = |named: Option<u64>, default| match strict {
            true => 0,
            false => named.unwrap_or(default).min(rules.max),
        };
        if stale < window(fetch.word.while_revalidate, rules.while_revalidate) {
            return Ok(());
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
            return Ok(());
        }
        Err(format!(
            "{stale} seconds past its lifetime of {lifetime}, the origin {}",
            if fails { "failing" } else { "well" }
        ))
    }

    /// After a successful POST nothing is served that was asked for before it.
    fn survives_posts(&self, question: &Question, fetch: &Fetch) -> Result<(), String> {
        let posts = self.questions.iter().filter(|post| {
            let status = post.from.map_or(0, |from| self.fetches[from].status);
            let posted = post.method == "POST" && post.path == question.path;
            posted && (200..400).contains(&status)
        });
        for post in posts.filter_map(|post| post.replied) {
            if fetch.asked < post && post < question.at {
                return Err(format!("asked for before the POST at {post} ms"));
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
            (!fetch.whole && asker.method != "GET", "no answer to GET"),
            (
                !fetch.whole && !matches!(fetch.status, 200 | 206),
                "no answer to a range",
            ),
            (word.no_store, "no-store"),
            (word.private, "private"),
            (word.no_cache, "no-cache, not validated"),
            (word.sets_cookie, "sets a cookie"),
            (word.vary == Vary::Everything, "varies by everything"),
            (asker.bearer && !word.gives_leave(), "for one's credentials"),
            (asker.cookie && !explicit, "for one's cookie"),
            (fetch.unframed, "without an end"),
            (
                fetch.announced && fetch.length() as u64 > OBJECT_BYTES_MAX,
                "too large",
            ),
            (
                word.max_age.is_none() && self.lifetime(fetch) == 0,
                "without a lifetime",
            ),
        ];
        reasons.iter().find(|(is, _)| *is).map(|(_, why)| *why)
    }

    /// Whether nobody waits for such an answer again, for a while: it was of no use to others,
    /// and no error that may soon be over.
    fn is_remembered(&self, fetch: &Fetch) -> bool {
        let error = fetch.status >= 500 && self.kept_to_asker(fetch).is_some();
        !error && !self.is_shareable(fetch)
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
            (None, 200 | 206 | 304) => rules.default.max(rules.min),
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
        let fetch = &self.fetches[from];
        let version = &self.fetches[fetch.version];
        let whole: &[u8] = match (head.status(), self.questions[to].method) {
            (304 | 416 | 204, _) | (_, "HEAD") => b"",
            (206, _) => part(head, &version.body).ok_or("a part without its place")?,
            _ => &version.body,
        };
        // A version that broke off may have been made whole by parts.
        let completed =
            |other: &&Fetch| other.version == fetch.version && other.whole && other.part.is_some();
        let broke = match fetch.status {
            304 => version.cut.is_some() && !self.fetches.iter().any(|other| completed(&other)),
            _ => fetch.cut.is_some(),
        };
        let cut = broke && !whole.is_empty();
        match end {
            End::Whole if body != whole => Err("another body".to_owned()),
            End::Whole if cut => Err("a body that broke off, as if it were whole".to_owned()),
            End::Broken if !whole.starts_with(body) => Err("the start of another body".to_owned()),
            End::Whole | End::Broken => Ok(()),
        }
    }
}

/// The bytes of `body` that a 206's `Content-Range` names.
fn part<'a>(head: &Head, body: &'a [u8]) -> Option<&'a [u8]> {
    let (first, last, length) = place(head)?;
    (length == body.len()).then(|| body.get(first..=last))?
}

/// The first byte, the last, and the length of the whole, as `Content-Range` says.
fn place(head: &Head) -> Option<(usize, usize, usize)> {
    let place = head.all("content-range").next()?.strip_prefix("bytes ")?;
    let (range, length) = place.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((
        first.parse().ok()?,
        last.parse().ok()?,
        length.parse().ok()?,
    ))
}
