//! What each line of a script tells to do.

use std::mem;

use warmfront::policy::marks::Mode;

use super::{
    super::line::{Field, Line, Rest, duration, size},
    Act, Answer, Asked, Expected, Invalidate, Item, OriginAct, Reply, Request, ViewerAct,
};

/// The steps of a line, each with its number.
pub(super) type Acts = Result<Vec<(u32, Act)>, String>;

/// The configuration that `text`, which is TOML, asks for.
pub(super) fn config(text: &str) -> Acts {
    match text.parse() {
        Ok(table) => Ok(vec![(1, Act::Config(table))]),
        Err(error) => Err(format!("config: {error}")),
    }
}
/// What a line, its continuations included, tells to do.
pub(super) fn acts(lines: &[&str]) -> Acts {
    if let Some(keys) = lines[0].strip_prefix("config ") {
        let keys = std::iter::once(keys).chain(lines[1..].iter().copied());
        return config(
            &keys
                .flat_map(|keys| keys.split("  "))
                .collect::<Vec<_>>()
                .join("\n"),
        );
    }
    let act = |mut line: Line| {
        let act = match line.verb.as_str() {
            "viewer" => Act::Viewer(viewer(&mut line)?),
            "leave" => Act::Viewer(ViewerAct::Leave),
            "pause" => Act::Viewer(ViewerAct::Pause),
            "resume" => Act::Viewer(ViewerAct::Resume),
            "origin" => Act::Origin(origin(&mut line)?),
            "origin?" => Act::Origin(asked(&mut line)?),
            "expect" => Act::Expect(expect(&mut line)?),
            "wait" => Act::Wait(duration(&line.words.pop().unwrap_or_default())?),
            "invalidate" => Act::Invalidate(invalidate(&mut line)?),
            verb => return Err(format!("`{verb}` is no verb")),
        };
        line.is_used_up()?;
        Ok((line.lane, act))
    };
    Line::read(lines)?.into_iter().map(act).collect()
}

impl Line {
    /// The next word, split at its spaces.
    fn word(&mut self) -> Option<Vec<String>> {
        let next = (!self.words.is_empty()).then(|| self.words.remove(0))?;
        Some(next.split(' ').map(str::to_owned).collect())
    }

    fn fields(&mut self) -> Vec<Field> {
        mem::take(&mut self.fields)
    }

    /// Whether the verb took all that was written.
    fn is_used_up(&self) -> Result<(), String> {
        match (self.words.first(), self.fields.first(), &self.body) {
            (None, None, None) => Ok(()),
            (Some(word), _, _) => Err(format!("`{}` does not take `{word}`", self.verb)),
            (_, Some(field), _) => Err(format!(
                "`{}` does not take the field `{}`",
                self.verb,
                field.name()
            )),
            (_, _, Some(_)) => Err(format!("`{}` does not take a body", self.verb)),
        }
    }

    /// A status, fields and a body.
    fn answer(&mut self, status: &str) -> Result<Answer, String> {
        match status.parse() {
            Ok(status @ 100..=999) => Ok(Answer {
                status,
                fields: self.fields(),
                body: self.body.take(),
            }),
            _ => Err(format!("`{} {status}` is not known", self.verb)),
        }
    }
}

fn invalidate(line: &mut Line) -> Result<Invalidate, String> {
    let mut mode = Mode::Hard;
    let mut items = Vec::new();
    while let Some(words) = line.word() {
        let mut words: Vec<_> = words.iter().map(String::as_str).collect();
        if items.is_empty() && words[0] == "soft" {
            mode = Mode::Soft;
            words.remove(0);
        }
        items.push(match words[..] {
            [path] if path.starts_with('/') => Item::Path(path.to_owned()),
            ["tag", tag] => Item::Tag(tag.to_owned()),
            ["where", path, parameter] => {
                let wrong = || format!("`{parameter}` is no `Name=value`");
                let (name, value) = parameter.split_once('=').ok_or_else(wrong)?;
                Item::Where {
                    path: path.to_owned(),
                    name: name.to_owned(),
                    value: value.to_owned(),
                }
            }
            _ => return Err(format!("`invalidate` does not take `{}`", words.join(" "))),
        });
    }
    if items.is_empty() {
        return Err("`invalidate` is about nothing".to_owned());
    }
    Ok(Invalidate { mode, items })
}

fn viewer(line: &mut Line) -> Result<ViewerAct, String> {
    let Some(words) = line.word() else {
        let body = line.body.take();
        return body
            .map(ViewerAct::More)
            .ok_or_else(|| "`viewer` asks for nothing".to_owned());
    };
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let [method, target] = words[..] else {
        return match words[..] {
            ["raw"] => Ok(ViewerAct::Raw(raw(line)?)),
            _ => Err(format!("`{}` is no METHOD and target", words.join(" "))),
        };
    };
    let mut request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        version: "HTTP/1.1".to_owned(),
        scheme: warmfront::policy::Scheme::Http,
        fields: line.fields(),
        body: line.body.take(),
    };
    while let Some(words) = line.word() {
        match words.join(" ").as_str() {
            "https" => request.scheme = warmfront::policy::Scheme::Https,
            version if version.starts_with("HTTP/") => request.version = version.to_owned(),
            word => return Err(format!("`viewer` does not take `{word}`")),
        }
    }
    Ok(ViewerAct::Ask(request))
}

fn origin(line: &mut Line) -> Result<OriginAct, String> {
    let words = line.words.first().cloned().unwrap_or_default();
    let count = |text: &str| text.parse().map_err(|_| format!("`{text}` is no number"));
    let act = match words.split(' ').collect::<Vec<_>>()[..] {
        ["hangup"] => OriginAct::Hangup,
        ["refuse"] => OriginAct::Refuse(1),
        ["refuse", times] => OriginAct::Refuse(count(times)?),
        ["hang"] => OriginAct::Hang(1),
        ["hang", times] => OriginAct::Hang(count(times)?),
        _ => return reply(line).map(OriginAct::Reply),
    };
    line.word();
    Ok(act)
}

fn reply(line: &mut Line) -> Result<Reply, String> {
    let Some(words) = line.word() else {
        let body = line.body.take();
        return body
            .map(Reply::More)
            .ok_or_else(|| "`origin` says nothing".to_owned());
    };
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    Ok(match words[..] {
        ["stall", time] => Reply::Stall(duration(time)?),
        ["cut", bytes] => Reply::Cut(size(bytes)?),
        ["interim", status] => Reply::Interim(line.answer(status)?),
        ["trailers"] => Reply::Trailers(line.fields()),
        ["raw"] => {
            let rest = line.body.as_ref().map_or(Rest::Ends, |body| body.rest);
            Reply::Raw(raw(line)?, rest)
        }
        ["close"] => Reply::Close,
        [status] => Reply::Answer(line.answer(status)?),
        _ => return Err(format!("`origin {}` is not known", words.join(" "))),
    })
}

fn asked(line: &mut Line) -> Result<OriginAct, String> {
    let words = line.word().map(|words| words.join(" "));
    if words.as_deref() == Some("gone") {
        return Ok(OriginAct::Gone);
    }
    if let Some(other) = words
        .as_deref()
        .filter(|words| words.split(' ').count() != 2)
    {
        return Err(format!("`{other}` is no METHOD and target"));
    }
    let asked = Asked {
        line: words,
        fields: line.fields(),
        body: line.body.take(),
    };
    Ok(OriginAct::Asked(asked))
}

fn expect(line: &mut Line) -> Result<Expected, String> {
    let Some(words) = line.word() else {
        let body = line.body.take();
        return body
            .map(Expected::More)
            .ok_or_else(|| "`expect` wants nothing".to_owned());
    };
    Ok(match words.join(" ").as_str() {
        "broken" => Expected::Broken,
        "closed" => Expected::Closed,
        "pending" => Expected::Pending,
        "trailers" => Expected::Trailers(line.fields()),
        status => Expected::Response(line.answer(status)?),
    })
}

/// The bytes of a raw body: each line ends with CRLF; `\r`, `\n`, `\t`, `\\` and `\x07` are bytes.
/// A line that ends with `\` has no CRLF.
fn raw(line: &mut Line) -> Result<Vec<u8>, String> {
    let body = line
        .body
        .take()
        .ok_or_else(|| "`raw` without a body".to_owned())?;
    let mut bytes = Vec::new();
    for line in body.text.split('\n') {
        let (line, end) = match line.strip_suffix('\\') {
            Some(line) if !line.ends_with('\\') => (line, ""),
            _ => (line, "\r\n"),
        };
        let mut rest = line;
        while let Some((plain, escaped)) = rest.split_once('\\') {
            bytes.extend_from_slice(plain.as_bytes());
            let (byte, length) = escape(escaped)?;
            bytes.push(byte);
            rest = &escaped[length..];
        }
        bytes.extend_from_slice(rest.as_bytes());
        bytes.extend_from_slice(end.as_bytes());
    }
    Ok(bytes)
}

/// The byte that `text`, after its backslash, stands for; how long it was.
fn escape(text: &str) -> Result<(u8, usize), String> {
    let wrong = || format!("`\\{text}` is no escape");
    match text.bytes().next().ok_or_else(wrong)? {
        b'r' => Ok((b'\r', 1)),
        b'n' => Ok((b'\n', 1)),
        b't' => Ok((b'\t', 1)),
        b'\\' => Ok((b'\\', 1)),
        b'x' => {
            let digits = text.get(1..3).ok_or_else(wrong)?;
            Ok((u8::from_str_radix(digits, 16).map_err(|_| wrong())?, 3))
        }
        _ => Err(wrong()),
    }
}
