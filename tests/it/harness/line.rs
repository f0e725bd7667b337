//! One line of a script: a verb, whom it is about, its words, its fields and its body.

use std::time::Duration;

/// A line, its continuations joined to it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// What is done; `origin?` keeps its question mark.
    pub(crate) verb: String,
    /// The viewer's or the exchange's number; 1 where none is written.
    pub(crate) lane: u32,
    /// What stands there and is no field: `GET /a`, `200`, `stall 3s`.
    pub(crate) words: Vec<String>,
    /// `name: value` and `!name`, in order.
    pub(crate) fields: Vec<Field>,
    /// What follows `|`.
    pub(crate) body: Option<Body>,
}

/// A header field as a script writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// `name: value`
    Is(String, String),
    /// `!name`: must be absent, or is not added.
    Not(String),
}

impl Field {
    /// The name, as written.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Is(name, _) | Self::Not(name) => name,
        }
    }

    /// Reads one item of a line; `None` when it is no field.
    fn read(item: &str) -> Option<Self> {
        if let Some(name) = item.strip_prefix('!') {
            return is_token(name).then(|| Self::Not(name.to_owned()));
        }
        let (name, value) = item.split_once(':')?;
        let ends = value.is_empty() || value.starts_with(' ');
        (is_token(name) && ends).then(|| Self::Is(name.to_owned(), value.trim().to_owned()))
    }
}

/// Bytes of a message's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    /// The text.
    pub(crate) text: String,
    /// Whether it ends there.
    pub(crate) rest: Rest,
}

/// What comes after a piece of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing: it was the last piece.
    Ends,
    /// `|+`: more of it.
    Follows,
}

impl Line {
    /// Reads a line and its continuations, which begin with a space. `verb#1-3` makes three
    /// lines, and `{n}` is the number of each.
    pub(crate) fn read(text: &[&str]) -> Result<Vec<Self>, String> {
        let (whom, _) = cut_verb(text[0]);
        let Some((_, lanes)) = whom.split_once('#') else {
            return Ok(vec![Self::one(text)?]);
        };
        let (first, last) = lanes.split_once('-').unwrap_or((lanes, lanes));
        let number = |text: &str| match text.parse::<u32>() {
            Ok(number @ 1..=1000) => Ok(number),
            _ => Err(format!(
                "`{whom}` is no number from 1 to 1000, nor two as in `#1-9`"
            )),
        };
        let one = |n: u32| {
            let text: Vec<_> = text
                .iter()
                .map(|line| line.replace("{n}", &n.to_string()))
                .collect();
            Self::one(&text.iter().map(String::as_str).collect::<Vec<_>>())
                .map(|line| Self { lane: n, ..line })
        };
        (number(first)?..=number(last)?).map(one).collect()
    }

    fn one(text: &[&str]) -> Result<Self, String> {
        let (whom, rest) = cut_verb(text[0]);
        let verb = whom.split('#').next().unwrap_or(whom).to_owned();
        let mut line = Self {
            verb,
            lane: 1,
            words: Vec::new(),
            fields: Vec::new(),
            body: None,
        };
        for part in std::iter::once(rest).chain(text[1..].iter().copied()) {
            line.take(part.trim_start())?;
        }
        Ok(line)
    }

    /// Adds what one line of text says.
    fn take(&mut self, text: &str) -> Result<(), String> {
        let (items, body) = match text.strip_prefix('|') {
            Some(body) => ("", Some(body)),
            None => match text.split_once("  |") {
                Some((items, body)) => (items, Some(body)),
                None => (text, None),
            },
        };
        let items = repeated(items)?;
        for item in items
            .split("  ")
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            match Field::read(item) {
                _ if self.body.is_some() => return Err(format!("`{item}` after the body")),
                _ if item.contains(" | ") => {
                    return Err(format!("two spaces are wanted before `|` in `{item}`"));
                }
                Some(field) => self.fields.push(field),
                None => self.words.push(item.to_owned()),
            }
        }
        let Some(body) = body else { return Ok(()) };
        let body = Body::read(body)?;
        match &mut self.body {
            None => self.body = Some(body),
            Some(before) => {
                before.text = format!("{}\n{}", before.text, body.text);
                before.rest = body.rest;
            }
        }
        Ok(())
    }
}

impl Body {
    /// Reads what follows `|`: an optional `+`, an optional `*1000`, a space, the text.
    fn read(text: &str) -> Result<Self, String> {
        let (rest, text) = match text.strip_prefix('+') {
            Some(text) => (Rest::Follows, text),
            None => (Rest::Ends, text),
        };
        let (times, text) = match text.strip_prefix('*') {
            None => (1, text),
            Some(text) => {
                let (times, text) = text.split_once(' ').unwrap_or((text, ""));
                let times = times
                    .parse()
                    .map_err(|_| format!("`*{times}` repeats no number"))?;
                (times, text)
            }
        };
        let text = match text.strip_prefix(' ') {
            Some(text) => text,
            None if times != 1 || text.is_empty() => text,
            None => return Err(format!("a space is wanted between `|` and `{text}`")),
        };
        Ok(Self {
            text: text.repeat(times),
            rest,
        })
    }
}

/// `text` with `{3*ab}` as `ababab`.
fn repeated(text: &str) -> Result<String, String> {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, after) = after.split_once('}').ok_or("`{` without its `}`")?;
        whole.push_str(before);
        match inside
            .split_once('*')
            .map(|(times, text)| (times.parse::<usize>(), text))
        {
            Some((Ok(times), text)) => whole.push_str(&text.repeat(times)),
            _ => return Err(format!("`{{{inside}}}` is not as in `{{3*ab}}`")),
        }
        rest = after;
    }
    whole.push_str(rest);
    Ok(whole)
}

/// Reads `250ms`, `3s`, `2m`, `1h`, `365d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration such as `250ms`, `3s`, `2m`, `1h`, `365d`");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    match &text[digits..] {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number * 60)),
        "h" => Ok(Duration::from_secs(number * 3_600)),
        "d" => Ok(Duration::from_secs(number * 86_400)),
        _ => Err(wrong()),
    }
}

/// Reads `100B`, `64KiB`, `1MiB`.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let wrong = || format!("`{text}` is no size such as `100B`, `64KiB`, `1MiB`");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: usize = text[..digits].parse().map_err(|_| wrong())?;
    match &text[digits..] {
        "B" => Ok(number),
        "KiB" => Ok(number << 10),
        "MiB" => Ok(number << 20),
        _ => Err(wrong()),
    }
}

fn cut_verb(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

fn is_token(text: &str) -> bool {
    let special = |c| "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || special(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Line {
        let lines: Vec<_> = text.lines().collect();
        Line::read(&lines).unwrap().remove(0)
    }

    #[test]
    fn two_spaces_part_words_and_fields() {
        let line = one("viewer#2 GET /a?b=c:d  HTTP/1.0  accept: a, b  !host  x:");
        assert_eq!((line.verb.as_str(), line.lane), ("viewer", 2));
        assert_eq!(line.words, ["GET /a?b=c:d", "HTTP/1.0"]);
        let is = |name: &str, value: &str| Field::Is(name.to_owned(), value.to_owned());
        let not = Field::Not("host".to_owned());
        assert_eq!(line.fields, [is("accept", "a, b"), not, is("x", "")]);
    }

    #[test]
    fn a_body_is_what_follows_the_bar() {
        let body = |text| one(text).body.unwrap();
        let ends = |text: &str| Body {
            text: text.to_owned(),
            rest: Rest::Ends,
        };
        assert_eq!(
            body("origin  200  | one  two: | three"),
            ends("one  two: | three")
        );
        assert_eq!(body("origin  200  |*3 ab"), ends("ababab"));
        assert_eq!(body("origin  200  |"), ends(""));
        assert_eq!(
            body("origin  200\n        | one\n        | two"),
            ends("one\ntwo")
        );
        assert_eq!(
            body("origin |+ x"),
            Body {
                text: "x".to_owned(),
                rest: Rest::Follows
            }
        );
    }

    #[test]
    fn braces_repeat() {
        let line = one("viewer GET /{3*ab}c  x: {2*-}  | {3*x}");
        assert_eq!(line.words, ["GET /abababc"]);
        assert_eq!(line.fields, [Field::Is("x".to_owned(), "--".to_owned())]);
        assert_eq!(line.body.unwrap().text, "{3*x}");
        Line::read(&["viewer GET /{n}"]).unwrap_err();
    }

    #[test]
    fn a_range_is_as_many_lines() {
        let lines = Line::read(&["viewer#3-5 GET /{n}"]).unwrap();
        let seen: Vec<_> = lines
            .iter()
            .map(|line| (line.lane, line.words[0].as_str()))
            .collect();
        assert_eq!(seen, [(3, "GET /3"), (4, "GET /4"), (5, "GET /5")]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in [
            "origin  200 | x",
            "origin  200  |x",
            "origin  200  |*many x",
            "viewer#0 GET /",
        ] {
            Line::read(&[text]).unwrap_err();
        }
        Line::read(&["origin  200  | x", "  y: z"]).unwrap_err();
        for text in ["3", "s", "3 s", "1y"] {
            duration(text).unwrap_err();
        }
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(size("64KiB"), Ok(65_536));
    }
}
