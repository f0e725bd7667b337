//! What a request asks for, in origin form (RFC 9112 §3.2.1).

use http::uri::PathAndQuery;

/// A path, and a query where there is a `?`; what [`PathAndQuery`] takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    text: Box<str>,
    /// Where the path ends, in bytes.
    path: usize,
    /// One look showed that the path is canonical.
    canonical: bool,
}

impl Target {
    /// Reads a target as it came, without its fragment; `None` where the library takes none.
    pub fn parse(text: &str) -> Option<Self> {
        Self::plain(text).or_else(|| Some((&PathAndQuery::try_from(text).ok()?).into()))
    }

    /// The same of what most are: of letters, digits and what RFC 3986 §3.3 lets stand beside
    /// them. One look at each byte tells where its path ends, and whether that is canonical.
    pub fn plain(text: &str) -> Option<Self> {
        let (mut path, mut seen, mut before) = (text.len(), 0, 0);
        for (at, byte) in text.bytes().enumerate() {
            let kind = KINDS[usize::from(byte)];
            if kind == QUESTION {
                path = at;
                break;
            }
            let begins = before == SLASH;
            seen |= if begins { kind } else { kind & !(SLASH | DOT) };
            before = kind;
        }
        let query = text.as_bytes()[path..].iter();
        let query = query.fold(0, |seen, byte| seen | KINDS[usize::from(*byte)]);
        let plain = text.starts_with('/') && (seen | query) & STRANGE == 0;
        (plain && text.len() < LENGTH_MAX).then(|| Self {
            text: text.into(),
            path,
            canonical: seen == 0,
        })
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its path, as it came.
    pub fn path(&self) -> &str {
        &self.text[..self.path]
    }

    /// What follows the first `?`.
    pub fn query(&self) -> Option<&str> {
        self.text[self.path..].strip_prefix('?')
    }

    /// The same as the library has it.
    pub fn for_uri(&self) -> PathAndQuery {
        let target = PathAndQuery::try_from(self.as_str());
        target.expect("nothing is a target that the library does not take")
    }

    /// Whether [`super::path::canonical`] has nothing to do for its path; false where that was
    /// not found out.
    pub fn is_canonical(&self) -> bool {
        self.canonical
    }
}

impl From<&PathAndQuery> for Target {
    fn from(target: &PathAndQuery) -> Self {
        let (text, path) = (target.as_str(), target.path());
        Self::plain(text).unwrap_or_else(|| Self {
            // The path of `?a=1` is `/`.
            text: match text.starts_with(path) {
                true => text.into(),
                false => format!("{path}{text}").into(),
            },
            path: path.len(),
            canonical: false,
        })
    }
}

/// From this length on the library is asked, and takes none, in bytes.
const LENGTH_MAX: usize = u16::MAX as usize;

/// What a byte is to [`Target::plain`]; zero where it is nothing but itself.
const KINDS: [u8; 256] = {
    let mut kinds = [STRANGE; 256];
    let mut byte = 0;
    while byte < kinds.len() {
        kinds[byte] = match byte as u8 {
            b'/' => SLASH,
            b'.' => DOT,
            b'%' => ESCAPE,
            b'?' => QUESTION,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => 0,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => 0,
            b':' | b'@' => 0,
            _ => STRANGE,
        };
        byte += 1;
    }
    kinds
};
const SLASH: u8 = 1;
const DOT: u8 = 2;
const ESCAPE: u8 = 4;
const QUESTION: u8 = 8;
const STRANGE: u8 = 16;

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;
    use crate::fields::path;

    #[track_caller]
    fn check(text: &str, path: &str, query: Option<&str>, canonical: bool) {
        let target = Target::parse(text).unwrap();
        let seen = (target.path(), target.query(), target.is_canonical());
        assert_eq!(seen, (path, query, canonical));
    }

    #[test]
    fn a_target_is_a_path_and_a_query() {
        check("/a/b.c", "/a/b.c", None, true);
        check("/a/?b=../c?d", "/a/", Some("b=../c?d"), true);
        check("/a?", "/a", Some(""), true);
        check("/a//b", "/a//b", None, false);
        check("/a/.b", "/a/.b", None, false);
        check("/a%2fb", "/a%2fb", None, false);
        check("/{a}?b#c", "/{a}", Some("b"), false);
        check("?a=1", "/", Some("a=1"), false);
        assert_eq!(Target::parse("?a=1").unwrap().for_uri(), "/?a=1");
        assert_eq!(Target::parse("/a b"), None);
    }

    proptest! {
        #[test]
        fn a_target_is_what_the_library_reads(text in "/[a/.%2?\"{|\\\\#é&;=@~^`\\[<]{0,12}") {
            let (target, wanted) = (Target::parse(&text), PathAndQuery::try_from(text.as_str()));
            prop_assert_eq!(target.is_some(), wanted.is_ok());
            if let (Some(target), Ok(wanted)) = (target, wanted) {
                prop_assert_eq!(target.as_str(), wanted.as_str());
                prop_assert_eq!(&target.for_uri(), &wanted);
                prop_assert_eq!(target.path(), wanted.path());
                prop_assert_eq!(target.query(), wanted.query());
                let same = matches!(path::canonical(wanted.path()), Ok(Cow::Borrowed(_)));
                prop_assert!(same || !target.is_canonical());
            }
        }
    }
}
