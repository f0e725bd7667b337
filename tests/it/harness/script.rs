//! A script: the rule it proves, and the steps that prove it.

use std::{mem, time::Duration};

use super::line::{Body, Field, Line, duration, size};

/// A named list of steps.
#[derive(Debug)]
pub(crate) struct Script {
    /// The rule, as the script's first line says it.
    pub(crate) title: String,
    /// Where the title stands, from 1.
    pub(crate) line: usize,
    /// What happens, in order.
    pub(crate) steps: Vec<Step>,
    /// The text, from the title on.
    pub(crate) text: Vec<String>,
}

/// One thing that happens or is seen.
#[derive(Debug)]
pub(crate) struct Step {
    /// Where it stands, from 1.
    pub(crate) line: usize,
    /// The viewer, or the exchange with the origin.
    pub(crate) lane: u32,
    /// What it is.
    pub(crate) act: Act,
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum Act {
    /// Another configuration.
    Config(toml::Table),
    /// Time passes.
    Wait(Duration),
    /// A viewer acts.
    Viewer(ViewerAct),
    /// The origin acts, or is looked at.
    Origin(OriginAct),
    /// A viewer is looked at.
    Expect(Expected),
}

/// What a viewer does.
#[derive(Debug)]
pub(crate) enum ViewerAct {
    /// Sends a request.
    Ask(Request),
    /// Sends more of its body.
    More(Body),
    /// Sends these bytes, whatever they are.
    Raw(Vec<u8>),
    /// Closes its connection.
    Leave,
    /// Stops reading.
    Pause,
    /// Reads on.
    Resume,
}

/// A viewer's request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: String,
    /// Whether the connection it opens counts as TLS.
    pub(crate) scheme: warmfront::policy::Scheme,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Option<Body>,
}

/// What the origin does, or how it is looked at.
#[derive(Debug)]
pub(crate) enum OriginAct {
    /// Looks at the request that waits.
    Asked(Asked),
    /// The edge has given this request up.
    Gone,
    /// Waits before what comes next.
    Stall(Duration),
    /// Closes after so many bytes of the next answer's body.
    Cut(usize),
    /// Sends a head that is not the last.
    Interim(Answer),
    /// Answers.
    Answer(Answer),
    /// Sends more of the answer's body.
    More(Body),
    /// Ends the answer's body with these.
    Trailers(Vec<Field>),
    /// Sends these bytes, whatever they are.
    Raw(Vec<u8>),
    /// Closes the connection under the request.
    Close,
    /// Closes every kept connection that is idle.
    Hangup,
    /// Refuses the next connections.
    Refuse(usize),
    /// Lets the next connections hang.
    Hang(usize),
}

/// What a request must look like at the origin.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Method and target.
    pub(crate) line: Option<String>,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Option<Body>,
}

/// A response of the origin.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Option<Body>,
}

/// What a viewer must see.
#[derive(Debug)]
pub(crate) enum Expected {
    /// A response.
    Response(Answer),
    /// More of its body.
    More(Body),
    /// The end of its body, with these.
    Trailers(Vec<Field>),
    /// A body that ends too early.
    Broken,
    /// A connection that we closed.
    Closed,
    /// Nothing, so far.
    Pending,
}

/// A line that says nothing known.
#[derive(Debug)]
pub(crate) struct Mistake {
    /// Where it stands, from 1.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) said: String,
}

/// Reads every script of a file, or every mistake in it.
pub(crate) fn read(text: &str) -> Result<Vec<Script>, Vec<Mistake>> {
    let mut reader = Reader::default();
    let lines: Vec<_> = text.lines().collect();
    let mut at = 0;
    while at < lines.len() {
        let length = reader.take(at + 1, &lines[at..]);
        if let Some(script) = reader.scripts.last_mut() {
            script
                .text
                .extend(lines[at..at + length].iter().map(|&line| line.to_owned()));
        }
        at += length;
    }
    for script in &reader.scripts {
        if script.steps.is_empty() {
            reader.mistakes.push(Mistake {
                line: script.line,
                said: "no steps".to_owned(),
            });
        }
    }
    if reader.mistakes.is_empty() {
        Ok(reader.scripts)
    } else {
        Err(reader.mistakes)
    }
}

#[derive(Default)]
struct Reader {
    scripts: Vec<Script>,
    mistakes: Vec<Mistake>,
}

impl Reader {
    /// Reads what begins at `lines[0]`; how many lines that was.
    fn take(&mut self, line: usize, lines: &[&str]) -> usize {
        if lines[0].trim().is_empty() || lines[0].starts_with("##") {
            return 1;
        }
        if let Some(title) = lines[0].strip_prefix('#') {
            self.title(line, title.trim());
            return 1;
        }
        let (length, steps) = if lines[0].starts_with("config {") {
            config_block(lines)
        } else {
            let continued = |line: &&&str| line.starts_with(' ') && !line.trim().is_empty();
            let length = 1 + lines[1..].iter().take_while(continued).count();
            (length, acts(&lines[..length]))
        };
        match (steps, self.scripts.last_mut()) {
            (Err(said), _) => self.mistakes.push(Mistake { line, said }),
            (Ok(_), None) => {
                let said = "a step before the first `# Title.`".to_owned();
                self.mistakes.push(Mistake { line, said });
            }
            (Ok(steps), Some(script)) => script.steps.extend(
                steps
                    .into_iter()
                    .map(|(lane, act)| Step { line, lane, act }),
            ),
        }
        length
    }

    /// A title's first line begins a script; further ones go on with it.
    fn title(&mut self, line: usize, title: &str) {
        match self.scripts.last_mut() {
            Some(script) if script.steps.is_empty() => {
                script.title = format!("{} {title}", script.title);
            }
            _ => self.scripts.push(Script {
                title: title.to_owned(),
                line,
                steps: Vec::new(),
                text: Vec::new(),
            }),
        }
    }
}

type Acts = Result<Vec<(u32, Act)>, String>;

/// `config {`, lines of TOML, `}`.
fn config_block(lines: &[&str]) -> (usize, Acts) {
    let Some(end) = lines.iter().position(|&line| line == "}") else {
        return (
            lines.len(),
            Err("`config {` without its `}` on a line of its own".to_owned()),
        );
    };
    (end + 1, config(&lines[1..end].join("\n")))
}

fn config(text: &str) -> Acts {
    match text.parse() {
        Ok(table) => Ok(vec![(1, Act::Config(table))]),
        Err(error) => Err(format!("config: {error}")),
    }
}

/// What a line, its continuations included, tells to do.
fn acts(lines: &[&str]) -> Acts {
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
            "invalidate" => return Err("`invalidate` is not built yet".to_owned()),
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
    let Some(words) = line.word() else {
        let body = line.body.take();
        return body
            .map(OriginAct::More)
            .ok_or_else(|| "`origin` says nothing".to_owned());
    };
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let count = |text: &str| text.parse().map_err(|_| format!("`{text}` is no number"));
    Ok(match words[..] {
        ["stall", time] => OriginAct::Stall(duration(time)?),
        ["cut", bytes] => OriginAct::Cut(size(bytes)?),
        ["interim", status] => OriginAct::Interim(line.answer(status)?),
        ["trailers"] => OriginAct::Trailers(line.fields()),
        ["raw"] => OriginAct::Raw(raw(line)?),
        ["close"] => OriginAct::Close,
        ["hangup"] => OriginAct::Hangup,
        ["refuse"] => OriginAct::Refuse(1),
        ["refuse", times] => OriginAct::Refuse(count(times)?),
        ["hang"] => OriginAct::Hang(1),
        ["hang", times] => OriginAct::Hang(count(times)?),
        [status] => OriginAct::Answer(line.answer(status)?),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuse(text: &str, line: usize, part: &str) {
        let mistakes = read(text).unwrap_err();
        assert_eq!(mistakes[0].line, line, "{mistakes:?}");
        assert!(mistakes[0].said.contains(part), "{mistakes:?}");
    }

    #[test]
    fn a_title_starts_a_script() {
        let text = "## About.\n\n# One rule,\n# in two lines.\nwait 1s\n\n## Why.\nviewer GET /\n\n\
                    # Another.\nwait 2s\n";
        let scripts = read(text).unwrap();
        let seen: Vec<_> = scripts
            .iter()
            .map(|one| (one.title.as_str(), one.line, one.steps.len()))
            .collect();
        assert_eq!(
            seen,
            [("One rule, in two lines.", 3, 2), ("Another.", 10, 1)]
        );
        assert_eq!(scripts[0].steps[1].line, 8);
    }

    #[test]
    fn configuration_is_toml() {
        let text = "# A.\nconfig ttl.default = \"10s\"  cache = false\n\
                    # B.\nconfig {\nttl.default = \"10s\"\ncache = false\n}\n";
        let scripts = read(text).unwrap();
        let table = |script: &Script| match &script.steps[0].act {
            Act::Config(table) => table.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(table(&scripts[0]), table(&scripts[1]));
        refuse("# A.\nconfig {\na = \n}\n", 2, "config");
        refuse("# A.\nconfig {\na = 1\n", 2, "without its `}`");
    }

    #[test]
    fn every_mistake_names_its_line() {
        refuse("viewer GET /\n", 1, "before the first");
        refuse("# A.\n\nviwer GET /\n", 3, "`viwer` is no verb");
        refuse("# A.\nviewer GET\n", 2, "METHOD and target");
        refuse("# A.\nviewer GET /  HTTPS\n", 2, "does not take `HTTPS`");
        refuse("# A.\norigin  2oo\n", 2, "`origin 2oo` is not known");
        refuse("# A.\norigin stall long\n", 2, "no duration");
        refuse("# A.\nexpect pending  | x\n", 2, "does not take a body");
        refuse(
            "# A.\norigin close  x: y\n",
            2,
            "does not take the field `x`",
        );
        refuse("# A.\ninvalidate /a*\n", 2, "not built yet");
        refuse("# A.\n# B.\n", 1, "no steps");
        assert_eq!(read("# A.\nx\ny\n").unwrap_err().len(), 3);
    }

    #[test]
    fn raw_bytes_are_written_as_lines() {
        let scripts = read("# A.\nviewer raw  | GET / HTTP/1.1\n  | X: a\\x07b\\\\\n  | \\\n");
        let act = scripts.unwrap().remove(0).steps.remove(0).act;
        let Act::Viewer(ViewerAct::Raw(bytes)) = act else {
            panic!("{act:?}")
        };
        assert_eq!(bytes, b"GET / HTTP/1.1\r\nX: a\x07b\\\r\n");
    }
}
