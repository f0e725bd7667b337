//! The pieces of a query string, in the one form that key and origin both see.
//!
//! Only `&` separates pieces. A `;` is data (security: an origin that splits on
//! it would see parameters that the key does not know), repeated names are
//! separate pieces, and nothing is reordered here. Two queries get one
//! canonical form only when RFC 3986 §6.2.2 says that they are the same:
//! merging more would let one viewer choose another's answer.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::escape::{self, Escape};

/// The non-empty pieces between `&`, in order. `query` is without its `?`.
pub fn pieces(query: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = query;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let seen = seen::<true>(rest);
            let (raw, after) = rest.split_at(seen.end);
            rest = after.get(1..).unwrap_or_default();
            if !raw.is_empty() {
                return Some(Piece { raw, ..seen.piece });
            }
        }
        None
    })
}

/// What one look at each byte says of a text.
struct Seen<'a> {
    end: usize,
    /// All but its text.
    piece: Piece<'a>,
}

/// What there is up to the end, or up to the first `&` where that `SPLITS`.
fn seen<const SPLITS: bool>(text: &str) -> Seen<'static> {
    let (mut name_end, mut escaped) = (None, false);
    let mut end = text.len();
    // By bytes: searches in blocks are for longer texts.
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'&' if SPLITS => {
                end = at;
                break;
            }
            b'=' => name_end = name_end.or(Some(at)),
            b'%' | b'+' => escaped = true,
            _ => {}
        }
    }
    let piece = Piece {
        raw: "",
        name_end,
        escaped,
    };
    Seen { end, piece }
}

/// One `name`, `name=` or `name=value` of a query string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The piece as the viewer wrote it.
    pub raw: &'a str,
    /// Where its first `=` is.
    name_end: Option<usize>,
    /// Whether it has a `%` or a `+`.
    escaped: bool,
}

impl<'a> Piece<'a> {
    /// The piece that is all of `raw`.
    pub fn new(raw: &'a str) -> Self {
        Self {
            raw,
            ..seen::<false>(raw).piece
        }
    }

    /// Whether a byte of it may stand for something else: it has a `%` or a `+`.
    pub fn is_escaped(&self) -> bool {
        self.escaped
    }

    /// What the name says: up to the first `=`, decoded once, `+` as a space.
    ///
    /// This is for comparing with configured names, where case counts. It may
    /// be empty (`=1`) and need not be UTF-8; an escape that is malformed
    /// stands for itself.
    pub fn name(&self) -> Cow<'a, [u8]> {
        let end = self.name_end.unwrap_or(self.raw.len());
        self.decoded(&self.raw.as_bytes()[..end])
    }

    /// What the value says, decoded like [`Piece::name`]; `None` without a `=`.
    pub fn value(&self) -> Option<Cow<'a, [u8]>> {
        let end = self.name_end?;
        Some(self.decoded(&self.raw.as_bytes()[end + 1..]))
    }

    fn decoded(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if self.escaped {
            decoded(text)
        } else {
            Cow::Borrowed(text)
        }
    }

    /// Hands the piece to `put`, bit by bit, with unreserved characters unescaped and the other
    /// escapes in upper case; nothing else changes (RFC 3986 §6.2.2).
    ///
    /// `+` and `%20` stay different, as do `a` and `a=`. A piece with a malformed
    /// escape is copied whole: in `%4%31` the stray `%4` would otherwise be
    /// completed into `%41`, which is another piece's name.
    pub fn write_canonical(&self, mut put: impl FnMut(&[u8])) {
        let mut rest = self.raw.as_bytes();
        if !escape::all_complete(rest) {
            return put(rest);
        }
        while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
            let (plain, escaped) = rest.split_at(at);
            put(plain);
            match escape::read(&escaped[1..]) {
                Some(Escape::Plain(byte)) => put(&[byte]),
                Some(Escape::Kept(byte)) => put(&escape::spelled(byte)),
                None => break,
            }
            rest = &escaped[3..];
        }
        put(rest);
    }
}

fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let spaced: Vec<u8> = text
        .iter()
        .map(|&byte| if byte == b'+' { b' ' } else { byte })
        .collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(piece: Piece<'_>) -> String {
        let mut out = Vec::new();
        piece.write_canonical(|bytes| out.extend_from_slice(bytes));
        String::from_utf8(out).unwrap()
    }

    #[track_caller]
    fn check(query: &str, wanted: &[&str]) {
        let seen: Vec<_> = pieces(query).map(canonical).collect();
        assert_eq!(seen, wanted, "{query}");
    }

    #[test]
    fn only_ampersands_separate() {
        check("q=1;page=evil", &["q=1;page=evil"]);
        check("q=1&q=2", &["q=1", "q=2"]);
        check("&&a&&b&", &["a", "b"]);
        check("", &[]);
        check("a&a=&=a&=", &["a", "a=", "=a", "="]);
        check("a%26b=1", &["a%26b=1"]);
    }

    #[test]
    fn canonical_form_changes_escapes_only() {
        check("%71=%2d%2E%7e", &["q=-.~"]);
        check("q%5b%5D=1&Q=1", &["q%5B%5D=1", "Q=1"]);
        check("a=b+c&a=b%20c", &["a=b+c", "a=b%20c"]);
        check("a=%&a=%2&a=%zz", &["a=%", "a=%2", "a=%zz"]);
        check("a=é&a=%c3%a9", &["a=é", "a=%C3%A9"]);
        check("a=%2541", &["a=%2541"]);
    }

    #[test]
    fn a_malformed_escape_is_never_completed() {
        check("%4%31=1&%%341&%41=1", &["%4%31=1", "%%341", "A=1"]);
    }

    #[test]
    fn names_and_values_are_decoded_once() {
        #[track_caller]
        fn check(raw: &str, name: &[u8], value: Option<&[u8]>) {
            let piece = Piece::new(raw);
            assert_eq!(
                (&*piece.name(), piece.value().as_deref()),
                (name, value),
                "{raw}"
            );
        }
        check("q=1", b"q", Some(b"1"));
        check("q", b"q", None);
        check("=1", b"", Some(b"1"));
        check("q=a=b", b"q", Some(b"a=b"));
        check("%71+x%3D=%2B+", b"q x=", Some(b"+ "));
        check("%2571=%ff%zz", b"%71", Some(b"\xff%zz"));
    }

    proptest! {
        #[test]
        fn canonical_form_is_stable_and_means_the_same(query in "[a%+=;0-9A-F&é]{0,24}") {
            for piece in pieces(&query) {
                prop_assert_eq!(piece, Piece::new(piece.raw));
                let once = canonical(piece);
                let again = Piece::new(&once);
                prop_assert_eq!(piece.name(), again.name());
                prop_assert_eq!(piece.value(), again.value());
                prop_assert_eq!(&canonical(again), &once);
            }
        }

        #[test]
        fn no_query_panics(query: String) {
            for piece in pieces(&query) {
                let _ = (piece.name(), piece.value(), canonical(piece));
            }
        }
    }
}
