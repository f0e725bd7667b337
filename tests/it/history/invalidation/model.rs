//! What may be served after an invalidation, and what must be: the rules.
//!
//! Everything happens in one order. A call has taken effect when it has answered; whoever
//! asks after that gets nothing of what it covers that the origin was asked for before the
//! call was made. An answer is what its last confirmation says, and as old as that.

use warmfront::policy::marks::Mode;

use super::facts::{Fetch, Made, Question, Told};
use crate::{
    harness::wire::{End, Head},
    history::facts::seconds,
};

/// How much of its lifetime an answer must still have for the edge to have no reason not to
/// serve it, in seconds: what waiting for the origin and rounding may take.
const SLACK: u64 = 2;

/// All that happened, as far as it matters.
#[derive(Default)]
pub(super) struct Model {
    pub(super) questions: Vec<Question>,
    pub(super) fetches: Vec<Fetch>,
    pub(super) calls: Vec<Made>,
    /// Whether the store has room for all there is.
    pub(super) roomy: bool,
    /// The edge that answers now.
    pub(super) life: usize,
    /// The number of the last call.
    pub(super) sequence: u64,
    /// Questions answered with what a soft call covers, and these calls.
    pub(super) softly: Vec<(usize, usize)>,
}

/// What an answer was, as far as invalidations matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing that was invalidated after it was asked for was about it.
    Current,
    /// The same, and something else had been invalidated after it was asked for.
    Spared,
    /// A soft call covers it.
    Softly,
}

impl Model {
    /// Whether the answer of fetch `from` may be the answer to question `to`.
    pub(super) fn answered(&mut self, (to, from): (usize, usize), told: Told) -> Judged {
        let (question, fetch) = (&self.questions[to], &self.fetches[from]);
        let asker = &self.questions[fetch.asker];
        if question.page.text != asker.page.text {
            return Err("an answer for another page".to_owned());
        }
        let varies = question.page.varies && matches!(fetch.status, 200 | 206 | 304);
        if varies && question.language != asker.language {
            return Err("another variant".to_owned());
        }
        if question.life != asker.life {
            return Err("an answer from before the restart".to_owned());
        }
        let mut softly = None;
        let since = |call: &&Made| fetch.begun < call.began && call.answered < question.order;
        for call in self.calls_of(question.life).filter(since) {
            if !self.covers(call, from) {
                continue;
            }
            self.may_serve(from, call, told)?;
            softly = Some(call.answered);
        }
        if let Some(call) = softly {
            self.softly.push((to, call));
            return Ok(Kind::Softly);
        }
        let between = self.calls_of(question.life).any(|call| since(&call));
        Ok(if between && told.hit {
            Kind::Spared
        } else {
            Kind::Current
        })
    }

    /// Whether the answer of fetch `from`, which `call` covers, may be served like this.
    fn may_serve(&self, from: usize, call: &Made, told: Told) -> Result<(), String> {
        let fetch = &self.fetches[from];
        let because = |what: &str| Err(format!("{what}, and {} at {}", call.call, call.began));
        match call.call.mode {
            Mode::Hard => because("asked for before it was invalidated"),
            Mode::Soft if told.for_error => because("softly invalidated, for an error"),
            Mode::Soft if !told.hit || told.collapsed => {
                because("asked for before it was softly invalidated")
            }
            Mode::Soft if fetch.ended.is_none_or(|ended| ended > call.began) => {
                because("not stored when it was softly invalidated")
            }
            Mode::Soft if fetch.word.is_strict() => {
                because("strict, and not confirmed since it was softly invalidated")
            }
            Mode::Soft => {
                let longest = fetch.word.while_revalidate.unwrap_or(0).max(1) as i64;
                match told.ttl {
                    Some(ttl) if (1 - longest..=0).contains(&ttl) => Ok(()),
                    ttl => because(&format!("softly invalidated, with ttl {ttl:?}")),
                }
            }
        }
    }

    /// Whether fetch `id` should have been made.
    pub(super) fn fetched(&self, id: usize) -> Result<(), String> {
        let fetch = &self.fetches[id];
        let asker = &self.questions[fetch.asker];
        if let Some(old) = fetch.validates {
            let begun = self.fetches[old].begun;
            let mut gone = self.calls_of(asker.life).filter(|call| {
                let hard = call.call.mode == Mode::Hard;
                hard && begun < call.began && call.answered < asker.order
            });
            if let Some(call) = gone.find(|call| self.covers(call, old)) {
                return Err(format!("validates f{old}, and {}", call.call));
            }
        }
        match self.stored_for(asker) {
            Some(stored) if self.roomy => Err(format!("f{stored} is stored, and not covered")),
            _ => Ok(()),
        }
    }

    /// After a step: what was served softly covered is being confirmed, or was.
    pub(super) fn settled(&mut self) -> Result<(), String> {
        for (to, call) in std::mem::take(&mut self.softly) {
            let question = &self.questions[to];
            let confirming = |fetch: &Fetch| {
                let asker = &self.questions[fetch.asker];
                let same = asker.life == question.life && asker.page.text == question.page.text;
                same && (fetch.begun > call || !fetch.over)
            };
            if !self.fetches.iter().any(confirming) {
                return Err(format!("v{to} got what is stale, and nobody confirms it"));
            }
        }
        Ok(())
    }

    /// Whether `body` may be what question `to` got of its answer.
    pub(super) fn read(&self, to: usize, head: &Head, body: &[u8], end: End) -> Result<(), String> {
        let question = &self.questions[to];
        let Some(from) = question.from else {
            return Ok(());
        };
        if head.all("content-encoding").next().is_some() {
            return Ok(());
        }
        let version = &self.fetches[self.fetches[from].version];
        let whole = match (head.status(), question.method) {
            (304, _) | (_, "HEAD") => b"",
            (206, _) => &version.body[..version.body.len().min(10)],
            (416, _) => body,
            _ => &version.body[..],
        };
        match end {
            End::Whole if body != whole => Err("another body".to_owned()),
            End::Broken if !whole.starts_with(body) => Err("the start of another body".to_owned()),
            End::Whole | End::Broken => Ok(()),
        }
    }

    /// How many viewers wait, and how many fetches are under way.
    pub(super) fn open(&self) -> (usize, usize) {
        let waiting = self.questions.iter().filter(|question| !question.over);
        let open = self.fetches.iter().filter(|fetch| !fetch.over);
        (waiting.count(), open.count())
    }

    /// Whether the answer of fetch `from` has no business in the store any more.
    pub(super) fn is_gone(&self, from: usize) -> bool {
        let fetch = &self.fetches[from];
        let life = self.questions[fetch.asker].life;
        self.calls_of(life).any(|call| {
            let hard = call.call.mode == Mode::Hard && fetch.begun < call.began;
            hard && self.covers(call, from)
        })
    }

    /// The answer that was certainly stored, fresh, and not covered when `question` was asked.
    ///
    /// Only where nothing else happened to the page since that was asked for.
    fn stored_for(&self, question: &Question) -> Option<usize> {
        if question.bearer || question.wish.is_some() {
            return None;
        }
        let here = |fetch: &&Fetch| {
            let asker = &self.questions[fetch.asker];
            asker.life == question.life && asker.page.text == question.page.text
        };
        let mine = |fetch: &Fetch| {
            let asker = &self.questions[fetch.asker];
            !question.page.varies || asker.language == question.language
        };
        let kept = |fetch: &Fetch| fetch.ended.is_some_and(|ended| ended < question.order);
        let mut all = self.fetches.iter().enumerate();
        let (id, fetch) = all
            .rfind(|(_, fetch)| here(fetch) && mine(fetch) && fetch.begun < question.order)
            .filter(|(_, fetch)| kept(fetch))?;
        let asker = &self.questions[fetch.asker];
        let plain = asker.method == "GET" && fetch.whole && !asker.bearer && asker.wish.is_none();
        let lasting = matches!(fetch.status, 200 | 304 | 404) && !fetch.word.no_cache;
        let lifetime = fetch.word.max_age.filter(|_| plain && lasting)?;
        let fresh = seconds(fetch.asked, question.at) + SLACK < lifetime;
        // Another variant of the page leaves this one where it is.
        let harmless = |other: &Fetch| {
            let whole = other.whole && matches!(other.status, 200 | 304);
            other.begun == fetch.begun || whole && other.over && !mine(other)
        };
        let meanwhile =
            |other: &&Fetch| here(other) && other.ended.is_none_or(|ended| ended > fetch.begun);
        let alone = self.fetches.iter().filter(meanwhile).all(harmless);
        let covered = self
            .calls_of(question.life)
            .any(|call| call.answered > asker.order && self.covers(call, id));
        (fresh && alone && !covered).then_some(id)
    }

    fn calls_of(&self, life: usize) -> impl Iterator<Item = &Made> {
        self.calls.iter().filter(move |call| call.life == life)
    }

    /// Whether `call` is about the answer of fetch `id`: as it is, or as it was when that call
    /// was made and the answer was to be confirmed.
    fn covers(&self, call: &Made, id: usize) -> bool {
        let fetch = &self.fetches[id];
        let page = self.questions[fetch.asker].page;
        let meanwhile = fetch.headed.is_none_or(|headed| call.began < headed);
        let confirmed = fetch.goes_on().filter(|_| meanwhile);
        call.call.covers(page, &self.tags(id))
            || confirmed.is_some_and(|old| call.call.covers(page, &self.tags(old)))
    }

    /// The tags of the answer of fetch `id`: where a confirmation names none, they stay.
    fn tags(&self, id: usize) -> Vec<&'static str> {
        let of = |field: usize| {
            let mut at = id;
            loop {
                let fetch = &self.fetches[at];
                match (&fetch.tags[field], fetch.goes_on()) {
                    (Some(tags), _) => return tags.clone(),
                    (None, Some(old)) => at = old,
                    (None, None) => return Vec::new(),
                }
            }
        };
        [of(0), of(1)].concat()
    }
}

/// What an answer was, or what is wrong with it.
pub(super) type Judged = Result<Kind, String>;
