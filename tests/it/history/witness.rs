//! Who sees all that happens, writes it down, and says when it breaks a rule.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard},
};

use warmfront::time::Clock;

use super::{
    facts::{Fetch, Question},
    model::Model,
};
use crate::harness::wire::{End, Head};

/// The field that names the fetch an answer's head is from.
pub(super) const FETCH: &str = "x-fetch";

/// What of a request to the origin is told.
const CONDITIONS: &[&str] = &["if-none-match", "if-modified-since", "range", "if-range"];

/// The one witness of a history; clones are the same.
pub(super) struct Witness<M = Model> {
    clock: Clock,
    began: tokio::time::Instant,
    seen: Arc<Mutex<Seen<M>>>,
}

/// What was seen, and the model that judges it.
#[derive(Default)]
pub(super) struct Seen<M = Model> {
    pub(super) model: M,
    /// What happened, line by line.
    pub(super) lines: Vec<String>,
    /// The first rule that was broken.
    pub(super) wrong: Option<String>,
    /// How often what happened.
    pub(super) tally: BTreeMap<&'static str, usize>,
}

impl<M> Clone for Witness<M> {
    fn clone(&self) -> Self {
        Self {
            clock: self.clock,
            began: self.began,
            seen: self.seen.clone(),
        }
    }
}

impl<M: Default> Witness<M> {
    /// A witness of what happens from now on.
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            began: clock.instant(),
            seen: Arc::default(),
        }
    }

    /// Milliseconds since the history began.
    pub(super) fn now(&self) -> u64 {
        (self.clock.instant() - self.began).as_millis() as u64
    }

    /// What was seen so far.
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen<M>> {
        self.seen.lock().unwrap()
    }

    /// Something happens that breaks no rule.
    pub(super) fn note(&self, what: &str) {
        let now = self.now();
        self.seen().line(now, what);
    }

    /// Errs with `wrong` unless it `holds`.
    pub(super) fn demand(&self, holds: bool, wrong: &str) {
        if !holds {
            let (now, mut seen) = (self.now(), self.seen());
            seen.judge(now, "after this step", Err(wrong.to_owned()));
        }
    }
}

impl Witness {
    /// A viewer asks; the number of its question.
    pub(super) fn asks(&self, question: Question, leaves: &str) -> usize {
        let (now, mut seen) = (self.now(), self.seen());
        let number = seen.model.questions.len();
        seen.line(now, &format!("v{number} {question}{leaves}"));
        let (at, order) = (now, seen.order());
        seen.model.questions.push(Question {
            at,
            order,
            ..question
        });
        number
    }

    /// The head of the answer to question `to` arrives.
    pub(super) fn answered(&self, to: usize, head: &Head) {
        let (now, mut seen) = (self.now(), self.seen());
        let said = |name| head.all(name).next().unwrap_or_default();
        let from = said(FETCH).parse::<usize>().ok();
        let age = said("age").parse().ok();
        let text = format!("v{to} <- {} {}", head.status(), said("cache-status"));
        let origin = from.map(|from| format!(" [f{from}]")).unwrap_or_default();
        let aged = age
            .map(|age: u64| format!(" age {age}"))
            .unwrap_or_default();
        seen.line(now, &format!("{text}{origin}{aged}"));
        seen.count(head, to, from);
        let question = &seen.model.questions[to];
        let judged = match from {
            Some(from) if head.status() == 304 && question.holds.is_none() => {
                Err(format!("304 [f{from}] without a condition"))
            }
            Some(from) => seen.model.answered((to, from), head, age, now),
            None if matches!(head.status(), 502..=504) => Ok(()),
            None => Err("an answer of nobody's".to_owned()),
        };
        seen.judge(now, &format!("v{to}"), judged);
        let told = seen.order();
        let question = &mut seen.model.questions[to];
        question.replied = Some(now);
        question.told = told;
        question.from = from;
        question.age = age;
    }

    /// The answer to question `to` has ended.
    pub(super) fn read(&self, to: usize, head: &Head, body: &[u8], end: End) {
        let (now, mut seen) = (self.now(), self.seen());
        seen.line(now, &format!("v{to} end {end:?}, {} bytes", body.len()));
        if end == End::Broken {
            seen.tally("broken bodies");
        }
        let judged = seen.model.read(to, head, body, end);
        seen.judge(now, &format!("v{to}"), judged);
        seen.model.questions[to].over = true;
    }

    /// The viewer of question `of` has left.
    pub(super) fn left(&self, of: usize) {
        let (now, mut seen) = (self.now(), self.seen());
        seen.line(now, &format!("v{of} leaves"));
        seen.tally("viewers that left");
        seen.model.questions[of].over = true;
    }

    /// The edge closed the connection of question `of` without an answer.
    pub(super) fn unanswered(&self, of: usize) {
        let (now, mut seen) = (self.now(), self.seen());
        let judged = seen.model.unanswered(of, now);
        seen.judge(now, &format!("v{of}"), judged);
        seen.model.questions[of].over = true;
    }

    /// A request made for question `asker` reaches the origin; the fetch's number.
    pub(super) fn fetched(&self, asker: usize, head: &Head) -> usize {
        let (asked, mut seen) = (self.now(), self.seen());
        let number = seen.model.fetches.len();
        let said: Vec<_> = CONDITIONS.iter().flat_map(|name| head.all(name)).collect();
        let (line, said) = (&head.start, said.join(", "));
        seen.line(asked, &format!("    f{number} for v{asker}: {line} {said}"));
        let ranged = head.all("range").next().is_some();
        let wanted = seen.model.questions[asker].range.is_some();
        let whole = head.word(0) == "GET" && !(ranged && wanted);
        seen.model.fetches.push(Fetch {
            asker,
            asked,
            whole,
            version: number,
            ..Fetch::default()
        });
        let judged = seen.model.fetched(number);
        seen.judge(asked, &format!("f{number}"), judged);
        number
    }

    /// The origin sends the head of its answer to fetch `id`.
    pub(super) fn headed(&self, id: usize, told: Fetch) {
        let (now, mut seen) = (self.now(), self.seen());
        seen.line(now, &format!("    f{id} -> {told}"));
        if told.status == 304 {
            seen.tally("304s");
        }
        let order = seen.order();
        let fetch = &mut seen.model.fetches[id];
        *fetch = Fetch {
            asker: fetch.asker,
            asked: fetch.asked,
            whole: fetch.whole,
            headed: Some(now),
            order,
            failed: told.status >= 500,
            ..told
        };
    }

    /// The answer to fetch `id` has ended: as the origin meant it to, or not.
    pub(super) fn ended(&self, id: usize, how: &str) {
        let (now, mut seen) = (self.now(), self.seen());
        let fetch = &mut seen.model.fetches[id];
        if fetch.ended.is_none() {
            fetch.ended = Some(now);
            fetch.failed |= fetch.headed.is_none();
            seen.line(now, &format!("    f{id} {how}"));
        }
    }

    /// A connection to the origin fails.
    pub(super) fn unreachable(&self, how: &str) {
        let (now, mut seen) = (self.now(), self.seen());
        seen.line(now, &format!("    {how}"));
        seen.model.unreachable = Some(now);
        seen.tally("failed connections");
    }
}

impl<M> Seen<M> {
    /// One more of `what`.
    pub(super) fn tally(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// Tells things apart that happen at the same time.
    pub(super) fn order(&self) -> usize {
        self.lines.len()
    }

    /// Writes down that `what` happens.
    pub(super) fn line(&mut self, now: u64, what: &str) {
        let mut line = String::new();
        let _ = write!(line, "{:>8}.{:03}  {what}", now / 1000, now % 1000);
        self.lines.push(line);
    }

    /// Writes down what is wrong with what `who` did, if anything.
    pub(super) fn judge(&mut self, now: u64, who: &str, judged: Result<(), String>) {
        if let Err(said) = judged {
            let wrong = format!("{who}: {said}");
            self.line(now, &format!("!! {wrong}"));
            self.wrong.get_or_insert(wrong);
        }
    }
}

impl Seen {
    /// Counts what kind of answer this is.
    fn count(&mut self, head: &Head, to: usize, from: Option<usize>) {
        let status = head.all("cache-status").last().unwrap_or_default();
        let refreshed = head
            .all("x-cache")
            .any(|cache| cache.starts_with("RefreshHit"));
        let another = from.is_some_and(|from| self.model.fetches[from].asker != to);
        let sliced = from.is_some_and(|from| {
            let fetch = &self.model.fetches[from];
            !fetch.whole && !fetch.carries_all()
        });
        let kinds = [
            (
                status.contains("; hit; ttl=") && !status.contains("ttl=-"),
                "fresh hits",
            ),
            (status.contains("; hit; ttl=-"), "stale hits"),
            (
                status.contains("stale-if-error"),
                "answers for a failing origin",
            ),
            (status.contains("; collapsed"), "collapsed answers"),
            (refreshed, "refreshed answers"),
            (status.contains("fwd=vary-miss"), "other variants"),
            (head.status() == 304 && another, "304s to viewers"),
            (head.status() == 206 && another, "parts"),
            (head.status() == 206 && another && sliced, "parts of parts"),
            (
                status.contains("fwd=partial; fwd-status=206"),
                "completed parts",
            ),
            (
                status.contains("fwd=partial; fwd-status=200"),
                "parts not completed",
            ),
            (from.is_none(), "errors of the edge"),
        ];
        for (_, kind) in kinds.iter().filter(|(is, _)| *is) {
            self.tally(kind);
        }
    }
}
