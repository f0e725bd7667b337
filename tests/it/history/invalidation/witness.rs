//! What the witness of these histories sees.

use super::{
    call::Call,
    facts::{Fetch, Made, Question, Told},
    model::{Kind, Model},
};
use crate::{
    harness::wire::{End, Head},
    history::witness::{self, FETCH, Seen},
};

/// The one witness of a history; clones are the same.
pub(super) type Witness = witness::Witness<Model>;

impl Witness {
    /// A viewer asks; the number of its question.
    pub(super) fn asks(&self, question: Question, manner: &str) -> usize {
        let (now, mut seen) = (self.now(), self.seen());
        let number = seen.model.questions.len();
        seen.line(now, &format!("v{number} {question}{manner}"));
        let question = Question {
            at: now,
            order: seen.order(),
            life: seen.model.life,
            ..question
        };
        seen.model.questions.push(question);
        number
    }

    /// The head of the answer to question `to` arrives.
    pub(super) fn answered(&self, to: usize, head: &Head) {
        let (now, mut seen) = (self.now(), self.seen());
        let said = |name| head.all(name).next().unwrap_or_default();
        let status = head.all("cache-status").last().unwrap_or_default();
        let from = said(FETCH).parse::<usize>().ok();
        let origin = from.map(|from| format!(" [f{from}]")).unwrap_or_default();
        seen.line(now, &format!("v{to} <- {} {status}{origin}", head.status()));
        let told = Told::read(status);
        let judged = match from {
            Some(from) => seen.model.answered((to, from), told).map(Some),
            // Whatever the edge says itself, and what the origin says to HEAD.
            None if head.status() >= 500 => Ok(None),
            None if seen.model.questions[to].method == "HEAD" => Ok(None),
            None => Err("an answer of nobody's".to_owned()),
        };
        if let Ok(Some(kind)) = judged {
            seen.count(head, told, kind);
        }
        seen.judge(now, &format!("v{to}"), judged.map(drop));
        seen.model.questions[to].from = from;
    }

    /// The answer to question `to` has ended.
    pub(super) fn read(&self, to: usize, head: &Head, body: &[u8], end: End) {
        let (now, mut seen) = (self.now(), self.seen());
        let judged = seen.model.read(to, head, body, end);
        seen.judge(now, &format!("v{to}"), judged);
        seen.model.questions[to].over = true;
    }

    /// Question `of` gets no answer, or no more of it.
    pub(super) fn closed(&self, of: usize, how: &str) {
        let (now, mut seen) = (self.now(), self.seen());
        seen.line(now, &format!("v{of} {how}"));
        seen.model.questions[of].over = true;
    }

    /// A request made for question `asker` reaches the origin, which would confirm the answer
    /// of the fetch it `validates`; the fetch's number.
    pub(super) fn fetched(&self, asker: usize, head: &Head, validates: Option<usize>) -> usize {
        let (asked, mut seen) = (self.now(), self.seen());
        let number = seen.model.fetches.len();
        let (line, old) = (&head.start, validates.map(|old| format!(", if not f{old}")));
        let old = old.unwrap_or_default();
        seen.line(asked, &format!("    f{number} for v{asker}: {line}{old}"));
        let fetch = Fetch {
            asker,
            asked,
            begun: seen.order(),
            whole: head.word(0) == "GET" && head.all("range").next().is_none(),
            validates,
            version: number,
            ..Fetch::default()
        };
        seen.model.fetches.push(fetch);
        let judged = seen.model.fetched(number);
        seen.judge(asked, &format!("f{number}"), judged);
        number
    }

    /// The origin sends the head of its answer to fetch `id`.
    pub(super) fn headed(&self, id: usize, told: Fetch) {
        let (now, mut seen) = (self.now(), self.seen());
        seen.line(now, &format!("    f{id} -> {told}"));
        match (told.status, seen.model.fetches[id].validates) {
            (304, _) => seen.tally("304s"),
            (206, None) => seen.tally("parts"),
            (206, Some(_)) => seen.tally("parts made whole"),
            _ => {}
        }
        let headed = Some(seen.order());
        let fetch = &mut seen.model.fetches[id];
        *fetch = Fetch {
            headed,
            asker: fetch.asker,
            asked: fetch.asked,
            begun: fetch.begun,
            whole: fetch.whole,
            validates: fetch.validates,
            ..told
        };
    }

    /// The answer to fetch `id` has ended as the origin meant it to.
    pub(super) fn ended(&self, id: usize) {
        self.over(id, "ends");
        let mut seen = self.seen();
        seen.model.fetches[id].ended = Some(seen.order());
    }

    /// Nothing more comes of fetch `id`.
    pub(super) fn over(&self, id: usize, how: &str) {
        let (now, mut seen) = (self.now(), self.seen());
        seen.line(now, &format!("    f{id} {how}"));
        seen.model.fetches[id].over = true;
    }

    /// An invalidation is about to be made; its number.
    pub(super) fn calls(&self, call: Call) -> usize {
        let (now, mut seen) = (self.now(), self.seen());
        let number = seen.model.calls.len();
        seen.line(now, &format!("!{number} {call}"));
        seen.tally(call.mode.as_str());
        for item in &call.items {
            seen.tally(item.kind());
        }
        let life = seen.model.life;
        let began = seen.order();
        seen.model.calls.push(Made {
            call,
            life,
            began,
            answered: usize::MAX,
        });
        number
    }

    /// Invalidation `number` has been made, with this place among them.
    pub(super) fn called(&self, number: usize, sequence: u64) {
        let (now, mut seen) = (self.now(), self.seen());
        seen.line(now, &format!("!{number} is the {sequence}."));
        let judged = match sequence > seen.model.sequence {
            true => Ok(()),
            false => Err(format!("{sequence} after {}", seen.model.sequence)),
        };
        seen.judge(now, &format!("!{number}"), judged);
        seen.model.sequence = sequence;
        let order = seen.order();
        seen.model.calls[number].answered = order;
    }

    /// The edge knows from where it goes on numbering, which is no call of its own.
    pub(super) fn resumed(&self, number: usize) {
        let mut seen = self.seen();
        seen.model.calls[number].answered = seen.order();
    }

    /// Another edge answers from now on.
    pub(super) fn restarts(&self) {
        self.note("-- a restart");
        let mut seen = self.seen();
        seen.model.life += 1;
        seen.tally("restarts");
    }

    /// After each step.
    pub(super) fn settled(&self) {
        let (now, mut seen) = (self.now(), self.seen());
        let judged = seen.model.settled();
        seen.judge(now, "after this step", judged);
    }

    /// Whether the page that fetch `id` is about varies.
    pub(super) fn varies(&self, id: usize) -> bool {
        let seen = self.seen();
        let asker = seen.model.fetches[id].asker;
        seen.model.questions[asker].page.varies
    }
}

impl Seen<Model> {
    /// Counts what kind of answer this is.
    fn count(&mut self, head: &Head, told: Told, kind: Kind) {
        let coded = head.all("content-encoding").next().is_some();
        let fresh = told.hit && told.ttl.is_some_and(|ttl| ttl > 0);
        let kinds = [
            (coded && told.hit, "compressed hits"),
            (told.for_error, "answers for a failing origin"),
            (told.collapsed, "collapsed answers"),
            (told.hit && !fresh && kind != Kind::Softly, "stale hits"),
            (kind == Kind::Softly, "softly invalidated hits"),
            (fresh && kind == Kind::Spared, "spared hits"),
            (told.hit && head.status() == 404, "stored errors"),
        ];
        for (_, kind) in kinds.iter().filter(|(is, _)| *is) {
            self.tally(kind);
        }
    }
}
