//! A file of scripts, as text.

use super::{Act, Script, Step, act};

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
            (length, act::acts(&lines[..length]))
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

/// `config {`, lines of TOML, `}`.
fn config_block(lines: &[&str]) -> (usize, act::Acts) {
    let Some(end) = lines.iter().position(|&line| line == "}") else {
        return (
            lines.len(),
            Err("`config {` without its `}` on a line of its own".to_owned()),
        );
    };
    (end + 1, act::config(&lines[1..end].join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::script::ViewerAct;

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
        refuse("# A.\ninvalidate\n", 2, "about nothing");
        refuse("# A.\ninvalidate /a  b\n", 2, "does not take `b`");
        refuse("# A.\ninvalidate where /a b\n", 2, "no `Name=value`");
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
