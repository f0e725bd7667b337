//! A viewer of these histories: one question, asked in some way of writing it.

use std::fmt;

use tokio::io::DuplexStream;

use super::{
    facts::Question,
    pages::{Page, SEARCH},
    witness::Witness,
};
use crate::{
    harness::wire::{self, Head},
    history::{
        dice::Dice,
        talk::{Heard, Manner, talk},
    },
};

impl Question {
    /// Any question about `page`.
    pub(super) fn drawn(page: &'static Page, dice: &mut Dice) -> Self {
        let wish = match dice.below(100) {
            0..5 => Some("no-cache"),
            5..15 => Some("max-stale=30"),
            15..18 => Some("only-if-cached"),
            _ => None,
        };
        let method = if dice.percent(4) { "HEAD" } else { "GET" };
        Self {
            at: 0,
            order: 0,
            life: 0,
            method,
            page,
            target: dice.one(page.targets),
            language: dice.one(&[None, Some("de"), Some("en")]),
            bearer: dice.percent(8),
            gzip: dice.percent(25),
            ranged: dice.percent(10) && method == "GET",
            wish: wish.filter(|_| page.behaviour == SEARCH),
            from: None,
            over: false,
        }
    }

    fn fields(&self, number: usize) -> Vec<(String, String)> {
        let fields = [
            ("host", Some("example.test".to_owned())),
            ("x-request-id", Some(format!("v{number}"))),
            ("accept-language", self.language.map(str::to_owned)),
            ("authorization", self.bearer.then(|| "Bearer 1".to_owned())),
            ("accept-encoding", self.gzip.then(|| "gzip".to_owned())),
            ("range", self.ranged.then(|| "bytes=0-9".to_owned())),
            ("cache-control", self.wish.map(str::to_owned)),
        ];
        let sent = fields.into_iter();
        sent.filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)?;
        for (name, value) in self.fields(0) {
            match name.as_str() {
                "host" | "x-request-id" => {}
                "authorization" => f.write_str(", authorization")?,
                _ => write!(f, ", {name}: {value}")?,
            }
        }
        Ok(())
    }
}

/// Asks question `number` on `pipe`, and reads the answer.
pub(super) async fn ask(
    pipe: DuplexStream,
    (number, question): (usize, Question),
    manner: Manner,
    witness: Witness,
) {
    let start = format!("{} {} HTTP/1.1", question.method, question.target);
    let request = wire::head(&start, &question.fields(number));
    let arrived = |head: &Head| witness.answered(number, head);
    match talk(pipe, &request, question.method, manner, arrived).await {
        Heard::Left => witness.closed(number, "leaves"),
        Heard::Nothing => witness.closed(number, "gets nothing"),
        Heard::Answer(head, body, end) => witness.read(number, &head, &body, end),
    }
}
