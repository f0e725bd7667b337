//! What is wrong with a configuration, told so that it can be put right.
//!
//! A [`Problem`] knows the file, the line, the key, what was seen and what would
//! do. It never holds the value of a secret, and neither does the source it is
//! rendered with.

use std::{cmp::Reverse, fmt, ops::Range, sync::Arc};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// Everything found wrong with one file, in the file's order.
///
/// As the error of a load it holds at least one [`Severity::Error`], and the
/// warnings too. It prints one line per problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct Problems(Vec<Problem>);

/// One thing that is wrong, or that an operator should know.
///
/// It prints as `file:line: key: what`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    severity: Severity,
    source: Arc<Source>,
    place: Place,
    what: String,
    hint: Option<String>,
}

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file works; somebody may be surprised by how.
    Warning,
}

/// Whether rendered problems are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Off,
    /// With terminal escapes.
    On,
}

/// A place in a file: a key, and the bytes that say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The path of the key, `distribution[0].behaviour[2].origin`; empty for the whole file.
    pub(super) key: String,
    /// The bytes of its value; `None` when the file does not say it.
    pub(super) span: Option<Range<usize>>,
}

/// A file's name and the text it is shown with, secrets blotted out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

/// What has been found so far. Checks write to it and go on.
#[derive(Debug)]
pub(super) struct Findings {
    source: Arc<Source>,
    found: Vec<Problem>,
}

impl Problems {
    /// The problems, in the file's order.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Problem {
    /// Whether it refuses the file.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The file, as it was named to us.
    pub fn file(&self) -> &str {
        &self.source.name
    }

    /// The line, from 1; `None` when it is about the file as a whole.
    pub fn line(&self) -> Option<usize> {
        self.place
            .span
            .as_ref()
            .map(|span| self.source.line(span.start))
    }

    /// The column in characters, from 1; `None` when it is about the file as a whole.
    pub fn column(&self) -> Option<usize> {
        self.place
            .span
            .as_ref()
            .map(|span| self.source.column(span.start))
    }

    /// The path of the key, `distribution[0].behaviour[2].origin`; empty for the whole file.
    pub fn key(&self) -> &str {
        &self.place.key
    }

    /// What was seen, and why it will not do.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What would do.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Several lines for a human: what is wrong, the line that says it with the
    /// spot marked, and what would do. Ends without a newline.
    pub fn render(&self, colour: Colour) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = match (&*self.place.key, &self.place.span) {
            ("", None) => format!("{}: {}", self.source.name, self.what),
            ("", Some(_)) => self.what.clone(),
            (key, Some(_)) => format!("{key}: {}", self.what),
            (key, None) => format!("{}: {key}: {}", self.source.name, self.what),
        };
        let mut report = Group::with_title(level.primary_title(title));
        if let Some(span) = &self.place.span {
            let mark = AnnotationKind::Primary.span(self.source.first_line(span));
            let snippet = Snippet::source(&self.source.text).path(&self.source.name);
            report = report.element(snippet.annotation(mark));
        }
        if let Some(hint) = &self.hint {
            report = report.element(Level::HELP.message(hint));
        }
        let renderer = match colour {
            Colour::Off => Renderer::plain(),
            Colour::On => Renderer::styled(),
        };
        renderer.render(&[report])
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file())?;
        if let Some(line) = self.line() {
            write!(f, ":{line}")?;
        }
        if !self.key().is_empty() {
            write!(f, ": {}", self.key())?;
        }
        write!(f, ": {}", self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl Place {
    /// The place of `name` inside this one.
    pub(super) fn join(&self, name: &str, span: Range<usize>) -> Self {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let name = match name.chars().all(bare) && !name.is_empty() {
            true => name.to_owned(),
            false => format!("{name:?}"),
        };
        let key = if self.key.is_empty() {
            name
        } else {
            format!("{}.{name}", self.key)
        };
        Self {
            key,
            span: Some(span),
        }
    }

    /// The place of element `index` of this list.
    pub(super) fn element(&self, index: usize, span: Range<usize>) -> Self {
        Self {
            key: format!("{}[{index}]", self.key),
            span: Some(span),
        }
    }

    /// The place where `name` would stand, were it not missing.
    pub(super) fn missing(&self, name: &str) -> Self {
        Self {
            span: self.span.clone(),
            ..self.join(name, 0..0)
        }
    }
}

impl Source {
    fn line(&self, at: usize) -> usize {
        self.before(at).matches('\n').count() + 1
    }

    fn column(&self, at: usize) -> usize {
        let before = self.before(at);
        before[before.rfind('\n').map_or(0, |newline| newline + 1)..]
            .chars()
            .count()
            + 1
    }

    /// As much of `span` as stands on its first line: tables go on for pages.
    fn first_line(&self, span: &Range<usize>) -> Range<usize> {
        let rest = self.text.get(span.clone()).unwrap_or_default();
        span.start..span.start + rest.lines().next().unwrap_or_default().len()
    }

    fn before(&self, at: usize) -> &str {
        self.text.get(..at).unwrap_or(&self.text)
    }
}

impl Findings {
    /// Nothing found yet.
    pub(super) fn new(source: Source) -> Self {
        Self {
            source: Arc::new(source),
            found: Vec::new(),
        }
    }

    /// Notes what refuses the file; [`Findings::hint`] adds what would do.
    pub(super) fn error(&mut self, place: &Place, what: impl Into<String>) -> &mut Self {
        self.note(Severity::Error, place, what.into())
    }

    /// Notes what may surprise somebody.
    pub(super) fn warn(&mut self, place: &Place, what: impl Into<String>) -> &mut Self {
        self.note(Severity::Warning, place, what.into())
    }

    /// Says what would do, of the problem noted last.
    pub(super) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        if let Some(last) = self.found.last_mut() {
            last.hint = Some(hint.into());
        }
        self
    }

    /// The line that `place` is on, for messages that point at a second place.
    pub(super) fn line(&self, place: &Place) -> usize {
        place
            .span
            .as_ref()
            .map_or(1, |span| self.source.line(span.start))
    }

    /// Whether something was noted about the key of `place` already.
    pub(super) fn covers(&self, place: &Place) -> bool {
        self.found
            .iter()
            .any(|problem| problem.place.key == place.key)
    }

    /// Whether the file is refused.
    pub(super) fn refused(&self) -> bool {
        self.found
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    /// Everything found, in the file's order; errors before warnings at one place.
    pub(super) fn finish(mut self) -> Problems {
        self.found.sort_by_key(|problem| {
            let at = problem.place.span.as_ref().map(|span| span.start);
            (at, Reverse(problem.severity == Severity::Error))
        });
        Problems(self.found)
    }

    fn note(&mut self, severity: Severity, place: &Place, what: String) -> &mut Self {
        let (source, place) = (self.source.clone(), place.clone());
        self.found.push(Problem {
            severity,
            source,
            place,
            what,
            hint: None,
        });
        self
    }
}

fn lines(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(Problem::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source {
            name: "x.toml".to_owned(),
            text: "a = 1\nb\u{e9}b = 2\n".to_owned(),
        }
    }

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let mut findings = Findings::new(source());
        findings
            .error(
                &Place {
                    key: "b".to_owned(),
                    span: Some(13..14),
                },
                "is odd",
            )
            .hint("use 3");
        let problems = findings.finish();
        let problem = problems.iter().next().unwrap();
        assert_eq!((problem.line(), problem.column()), (Some(2), Some(7)));
        assert_eq!(problem.to_string(), "x.toml:2: b: is odd; use 3");
    }

    #[test]
    fn keys_that_are_not_bare_are_quoted() {
        let place = Place::default().join("a b\n", 0..1);
        assert_eq!(
            place.element(2, 0..1).join("c", 0..1).key,
            "\"a b\\n\"[2].c"
        );
    }

    #[test]
    fn a_problem_without_a_place_names_the_file() {
        let mut findings = Findings::new(source());
        findings.error(&Place::default(), "the file is empty");
        let problems = findings.finish();
        assert_eq!(problems.to_string(), "x.toml: the file is empty");
        let rendered = problems.iter().next().unwrap().render(Colour::Off);
        assert_eq!(rendered, "error: x.toml: the file is empty");
    }
}
