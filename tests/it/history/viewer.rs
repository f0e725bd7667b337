//! A drawn viewer: what it asks, and with which credentials, conditions and range.

use tokio::io::DuplexStream;

use super::{
    dice::Dice,
    facts::Question,
    rules::Rules,
    talk::{Heard, Manner, talk},
    witness::Witness,
};
use crate::harness::wire::{self, Head};

/// What is asked for. The first two are never anything but shareable.
pub(super) const PATHS: &[&str] = &["/steady/a", "/steady/b", "/c", "/d", "/e", "/f"];

impl Question {
    /// Any question about `path`.
    pub(super) fn drawn(path: &'static str, rules: Rules, known: usize, dice: &mut Dice) -> Self {
        let method = match dice.below(100) {
            0..4 => "POST",
            4..9 => "HEAD",
            _ => "GET",
        };
        let first = dice.one(&[0, 0, 1]) * dice.below(60);
        let range = (first, first + dice.below(60));
        let holds = known.checked_sub(1 + dice.below(6) as usize);
        Self {
            method,
            path,
            rules,
            language: dice.one(&[None, None, Some("de"), Some("en"), Some("EN")]),
            bearer: dice.percent(12),
            cookie: dice.percent(10),
            range: (method == "GET" && dice.percent(20)).then_some(range),
            holds: holds.filter(|_| method != "POST" && dice.percent(15)),
            ..Self::default()
        }
    }

    fn fields(&self, number: usize) -> Vec<(String, String)> {
        let range = self
            .range
            .map(|(first, last)| format!("bytes={first}-{last}"));
        let fields = [
            ("host", Some("example.test".to_owned())),
            ("x-request-id", Some(format!("v{number}"))),
            ("accept-language", self.language.map(str::to_owned)),
            (
                "authorization",
                self.bearer.then(|| format!("Bearer {number}")),
            ),
            ("cookie", self.cookie.then(|| format!("s={number}"))),
            ("range", range),
            (
                "if-none-match",
                self.holds.map(|fetch| format!("\"f{fetch}\"")),
            ),
            (
                "content-length",
                (self.method == "POST").then(|| "3".to_owned()),
            ),
        ];
        let sent = fields.into_iter();
        sent.filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        for (name, value) in self.fields(0) {
            match name.as_str() {
                "host" | "x-request-id" | "content-length" => {}
                "authorization" | "cookie" => write!(f, ", {name}")?,
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
    let mut request = wire::head(
        &format!("{} {} HTTP/1.1", question.method, question.path),
        &question.fields(number),
    );
    if question.method == "POST" {
        request.extend_from_slice(b"new");
    }
    let arrived = |head: &Head| witness.answered(number, head);
    match talk(pipe, &request, question.method, manner, arrived).await {
        Heard::Left => witness.left(number),
        Heard::Nothing => witness.unanswered(number),
        Heard::Answer(head, body, end) => witness.read(number, &head, &body, end),
    }
}
