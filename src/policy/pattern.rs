//! Path patterns: which paths a behaviour serves (CloudFront: path pattern).
//!
//! `*` stands for any characters, `/` included, and none; `?` for exactly one.
//! Nothing else is special, case counts, and a pattern matches whole paths
//! only. A leading `/` may be left out.

use std::fmt;

/// The longest pattern CloudFront takes, in bytes; ours too.
pub const PATTERN_BYTES_MAX: usize = 255;

/// A checked path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: Box<str>,
    /// The pattern with its leading `/`, as characters to match.
    parts: Box<[Part]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// These characters.
    Text(Box<str>),
    /// `?`
    One,
    /// `*`
    Any,
}

/// Why a text is no path pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// It is empty.
    #[error("the pattern is empty")]
    Empty,
    /// It is longer than [`PATTERN_BYTES_MAX`].
    #[error("the pattern has {0} bytes, at most {PATTERN_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// It holds a character that no path can hold.
    #[error("the pattern holds {0:?}, which no path can hold")]
    Character(char),
}

impl PathPattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        if text.is_empty() {
            return Err(BadPattern::Empty);
        }
        if text.len() > PATTERN_BYTES_MAX {
            return Err(BadPattern::TooLong(text.len()));
        }
        let impossible = |c: char| c.is_ascii_control() || matches!(c, ' ' | '#' | '\\');
        if let Some(c) = text.chars().find(|&c| impossible(c)) {
            return Err(BadPattern::Character(c));
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        // "images/*" is "/images/*"; before a `*` or `?` the slash would narrow it.
        if !text.starts_with(['/', '*', '?']) {
            literal.push('/');
        }
        for c in text.chars() {
            let wild = match c {
                '*' => Part::Any,
                '?' => Part::One,
                c => {
                    literal.push(c);
                    continue;
                }
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal).into()));
            }
            if !(wild == Part::Any && parts.last() == Some(&Part::Any)) {
                parts.push(wild);
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal.into()));
        }
        Ok(Self {
            text: text.into(),
            parts: parts.into(),
        })
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches the whole of `path`, a canonical path.
    ///
    /// Linear in the path for each `*`: it only ever returns to the last one.
    pub fn matches(&self, path: &str) -> bool {
        let (mut at, mut rest) = (0, path);
        // Where to go on when a later part fails: after the last `*`, one character further.
        let mut retry: Option<(usize, &str)> = None;
        loop {
            let matched = match self.parts.get(at) {
                None if rest.is_empty() => return true,
                None => None,
                Some(Part::Any) if at + 1 == self.parts.len() => return true,
                Some(Part::Any) => {
                    retry = Some((at + 1, rest));
                    Some(rest)
                }
                Some(Part::One) => skip_one(rest),
                Some(Part::Text(text)) => rest.strip_prefix(&**text),
            };
            match (matched, retry) {
                (Some(remaining), _) => (at, rest) = (at + 1, remaining),
                (None, Some((after, from))) => {
                    let Some(further) = skip_one(from) else {
                        return false;
                    };
                    retry = Some((after, further));
                    (at, rest) = (after, further);
                }
                (None, None) => return false,
            }
        }
    }

    /// Whether every path that `other` matches is matched by `self`, as far as can be told
    /// cheaply: for `*` and for patterns that end in their only wildcard.
    pub fn covers(&self, other: &Self) -> bool {
        match &*self.parts {
            [Part::Any] => true,
            [Part::Text(prefix), Part::Any] => {
                matches!(other.parts.first(), Some(Part::Text(text)) if text.starts_with(&**prefix))
            }
            _ => self.parts == other.parts,
        }
    }
}

/// `text` without its first character.
fn skip_one(text: &str) -> Option<&str> {
    let mut characters = text.chars();
    characters.next().map(|_| characters.as_str())
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let pattern = PathPattern::parse(pattern).unwrap();
        for path in matching {
            assert!(pattern.matches(path), "{pattern} should match {path}");
        }
        for path in others {
            assert!(!pattern.matches(path), "{pattern} should not match {path}");
        }
    }

    #[test]
    fn a_star_is_any_characters_with_slashes() {
        check(
            "a*.jpg",
            &["/apple.jpg", "/abra/cadabra/magic.jpg", "/a.jpg"],
            &["/b/apple.jpg"],
        );
        check("*.doc*", &["/x.doc", "/x.docx", "/x.docm"], &["/x.do"]);
        check(
            "images/*.jpg",
            &["/images/x.jpg", "/images/product1/x.jpg"],
            &["/images/x.jpeg"],
        );
        check("*", &["/", "/a/b"], &[]);
    }

    #[test]
    fn a_question_mark_is_one_character() {
        check(
            "a??.jpg",
            &["/ant.jpg", "/abe.jpg"],
            &["/ab.jpg", "/abcd.jpg"],
        );
        check("/caf?", &["/caf\u{e9}"], &["/caf"]);
    }

    #[test]
    fn the_whole_path_counts_and_so_does_case() {
        check(
            "/api/*",
            &["/api/", "/api/x"],
            &["/api", "/x/api/y", "/API/x"],
        );
        check("/API/*", &["/API/x"], &["/api/x"]);
        check(
            "/search/pcp",
            &["/search/pcp"],
            &["/search/pcp/", "/search/pcpx"],
        );
    }

    #[test]
    fn the_leading_slash_is_optional() {
        check("images/*", &["/images/a"], &["/x/images/a"]);
        check(
            "*product.jpg",
            &["/product.jpg", "/a/product.jpg"],
            &["/product.jpeg"],
        );
        check("?x", &["/x"], &["/ax"]);
    }

    #[test]
    fn impossible_patterns_are_refused() {
        assert_eq!(PathPattern::parse(""), Err(BadPattern::Empty));
        assert_eq!(PathPattern::parse("/a b"), Err(BadPattern::Character(' ')));
        assert_eq!(
            PathPattern::parse(&"a".repeat(256)),
            Err(BadPattern::TooLong(256))
        );
    }

    #[test]
    fn a_prefix_covers_what_starts_with_it() {
        let pattern = |text| PathPattern::parse(text).unwrap();
        assert!(pattern("*").covers(&pattern("/a/b*")));
        assert!(pattern("/a/*").covers(&pattern("/a/b?c")));
        assert!(!pattern("/a/*").covers(&pattern("/a*")));
        assert!(!pattern("/a/b").covers(&pattern("/a/*")));
    }

    /// One that tries every way of sharing the path out among its stars never ends here.
    #[test]
    fn r9_a_hostile_path_costs_its_length_for_each_star() {
        let hostile = format!("/{}", "a".repeat(8_000));
        let pattern = format!("{}b", "*a".repeat(127));
        assert_eq!(pattern.len(), PATTERN_BYTES_MAX);
        check(&pattern, &[], &[&hostile]);
        check(&format!("{}*", "*?".repeat(127)), &[&hostile], &["/"]);
    }

    /// The same question, answered slowly and obviously.
    fn reference(pattern: &[char], path: &[char]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            (['*', rest @ ..], path) => (0..=path.len()).any(|skip| reference(rest, &path[skip..])),
            (['?', rest @ ..], [_, path @ ..]) => reference(rest, path),
            ([c, rest @ ..], [d, path @ ..]) => c == d && reference(rest, path),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn the_matcher_agrees_with_the_reference(pattern in "/[ab*?/]{0,8}", path in "/[ab/]{0,10}") {
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = reference(&characters(&pattern), &characters(&path));
            prop_assert_eq!(PathPattern::parse(&pattern).unwrap().matches(&path), expected);
        }
    }
}
