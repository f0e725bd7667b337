//! Entity tags: how they are written, and how they compare (RFC 9110 §8.8.3).

use std::fmt;

use smallvec::SmallVec;

use super::trim;

/// An entity tag, borrowed from its field. Equality is of both parts; for the
/// comparisons of the standard see [`EntityTag::strong_eq`] and `weak_eq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag<'a> {
    /// Whether it is prefixed by `W/`.
    pub weak: bool,
    /// What lies between the quotes; nothing in it is escaped.
    pub opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// Reads exactly one entity tag: `"…"` or `W/"…"`, the `W` in upper case.
    ///
    /// `None` for anything else. Between the quotes stand `etagc`: visible
    /// characters but `"`, and the bytes from 0x80; a backslash is one of them.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (weak, quoted) = match text.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let opaque = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let is_etagc = |&byte: &u8| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..);
        opaque.iter().all(is_etagc).then_some(Self { weak, opaque })
    }

    /// "two entity tags are equivalent if both are not weak and their
    /// opaque-tags match character-by-character."
    pub fn strong_eq(&self, other: &EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// "two entity tags are equivalent if their opaque-tags match
    /// character-by-character, regardless of either or both being tagged as
    /// 'weak'."
    pub fn weak_eq(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }
}

impl fmt::Display for EntityTag<'_> {
    /// As the field has it; bytes that are not UTF-8 are replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.weak { "W/" } else { "" };
        write!(f, "{prefix}\"{}\"", String::from_utf8_lossy(self.opaque))
    }
}

/// What an If-Match or If-None-Match field asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition<'a> {
    /// `*`, alone: any current representation.
    Any,
    /// One of these, in order. Empty when nothing in the field could be read:
    /// then nothing matches.
    Tags(SmallVec<[EntityTag<'a>; 2]>),
}

impl<'a> Condition<'a> {
    /// Reads all lines of an If-Match or If-None-Match field.
    ///
    /// `None` when there is no line. Members that are not entity tags, a `*`
    /// beside others included, are skipped.
    pub fn parse(
        values: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + ?Sized + 'a)>,
    ) -> Option<Self> {
        let mut values = values.into_iter();
        let first = values.next()?;
        let mut rest = values.peekable();
        if rest.peek().is_none() && trim(first.as_ref()) == b"*" {
            return Some(Self::Any);
        }
        Some(Self::Tags(
            tags(std::iter::once(first).chain(rest)).collect(),
        ))
    }

    /// Whether it is met by a representation with this tag, compared weakly,
    /// as If-None-Match wants it (RFC 9110 §13.1.2). `*` is met by any.
    pub fn weak_match(&self, current: Option<&EntityTag<'_>>) -> bool {
        self.matches(current, EntityTag::weak_eq)
    }

    /// Whether it is met by a representation with this tag, compared strongly,
    /// as If-Match wants it (RFC 9110 §13.1.1). `*` is met by any.
    pub fn strong_match(&self, current: Option<&EntityTag<'_>>) -> bool {
        self.matches(current, EntityTag::strong_eq)
    }

    fn matches(
        &self,
        current: Option<&EntityTag<'_>>,
        equal: fn(&EntityTag<'a>, &EntityTag<'_>) -> bool,
    ) -> bool {
        match (self, current) {
            (Self::Any, _) => true,
            (Self::Tags(_), None) => false,
            (Self::Tags(tags), Some(current)) => tags.iter().any(|tag| equal(tag, current)),
        }
    }
}

/// The entity tags of a list over all lines, in order; other members are skipped.
///
/// A comma between quotes is part of its tag. Unlike in other lists a backslash
/// is too, so `"a\", "b"` are two tags.
pub fn tags<'a>(
    values: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + ?Sized + 'a)>,
) -> impl Iterator<Item = EntityTag<'a>> {
    values
        .into_iter()
        .flat_map(|value| line_tags(value.as_ref()))
}

fn line_tags(line: &[u8]) -> impl Iterator<Item = EntityTag<'_>> {
    let mut quoted = false;
    line.split(move |&byte| {
        quoted ^= byte == b'"';
        byte == b',' && !quoted
    })
    .filter_map(|member| EntityTag::parse(trim(member)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn strong(opaque: &[u8]) -> EntityTag<'_> {
        EntityTag {
            weak: false,
            opaque,
        }
    }

    fn weak(opaque: &[u8]) -> EntityTag<'_> {
        EntityTag { weak: true, opaque }
    }

    #[test]
    fn a_tag_is_quoted_and_may_be_weak() {
        #[track_caller]
        fn check(text: &[u8], wanted: Option<EntityTag<'_>>) {
            assert_eq!(EntityTag::parse(text), wanted);
        }
        check(br#""a""#, Some(strong(b"a")));
        check(br#"W/"a""#, Some(weak(b"a")));
        check(br#""""#, Some(strong(b"")));
        check(b"\"\xe9\xff\"", Some(strong(b"\xe9\xff")));
        check(br#""a,b\""#, Some(strong(br"a,b\")));
        for text in [
            "", "\"", "a", "*", "w/\"a\"", "W\\\"a\"", "W\"a\"", "\"a", "\"a\"b\"", " \"a\"",
        ] {
            check(text.as_bytes(), None);
        }
        check(b"\"a b\"", None);
        check(b"\"a\x7f\"", None);
    }

    #[test]
    fn comparison_follows_the_table_of_the_standard() {
        #[track_caller]
        fn check(a: EntityTag<'_>, b: EntityTag<'_>, strongly: bool, weakly: bool) {
            assert_eq!((a.strong_eq(&b), a.weak_eq(&b)), (strongly, weakly));
            assert_eq!((b.strong_eq(&a), b.weak_eq(&a)), (strongly, weakly));
        }
        check(weak(b"1"), weak(b"1"), false, true);
        check(weak(b"1"), weak(b"2"), false, false);
        check(weak(b"1"), strong(b"1"), false, true);
        check(strong(b"1"), strong(b"1"), true, true);
    }

    #[track_caller]
    fn check_list(lines: &[&str], wanted: Option<&Condition<'_>>) {
        let values: Vec<HeaderValue> = lines.iter().map(|line| line.parse().unwrap()).collect();
        let (seen, wanted) = (Condition::parse(&values), wanted.cloned());
        assert_eq!(format!("{seen:?}"), format!("{wanted:?}"), "{lines:?}");
    }

    fn any_of<'a>(tags: &[EntityTag<'a>]) -> Condition<'a> {
        Condition::Tags(tags.iter().copied().collect())
    }

    #[test]
    fn a_condition_is_a_star_or_a_list() {
        check_list(&[], None);
        check_list(&["*"], Some(&Condition::Any));
        check_list(
            &["\"a\"", "W/\"b\""],
            Some(&any_of(&[strong(b"a"), weak(b"b")])),
        );
        check_list(
            &["\"a\"  ,,\"b\""],
            Some(&any_of(&[strong(b"a"), strong(b"b")])),
        );
        check_list(&["\"a, b\", \"c\""], Some(&any_of(&[strong(b"c")])));
        check_list(
            &["\"a,b\",\"c\""],
            Some(&any_of(&[strong(b"a,b"), strong(b"c")])),
        );
        check_list(
            &["\"a\\\", \"b\""],
            Some(&any_of(&[strong(b"a\\"), strong(b"b")])),
        );
        check_list(&["a, \"b\""], Some(&any_of(&[strong(b"b")])));
        check_list(&["*, \"b\""], Some(&any_of(&[strong(b"b")])));
        check_list(&["*", "*"], Some(&any_of(&[])));
        check_list(&[""], Some(&any_of(&[])));
    }

    #[test]
    fn a_condition_is_met_by_one_of_its_tags() {
        let list = any_of(&[strong(b"1"), weak(b"2")]);
        assert!(list.weak_match(Some(&strong(b"2"))) && !list.strong_match(Some(&strong(b"2"))));
        assert!(list.strong_match(Some(&strong(b"1"))) && list.weak_match(Some(&weak(b"1"))));
        assert!(!list.weak_match(Some(&strong(b"3"))) && !list.weak_match(None));
        assert!(Condition::Any.weak_match(None) && Condition::Any.strong_match(None));
    }

    proptest! {
        #[test]
        fn tags_read_back_as_printed(wanted in prop::collection::vec((any::<bool>(), "[!#-~]{0,6}"), 0..5)) {
            let wanted: Vec<_> = wanted
                .iter()
                .map(|(weak, opaque)| EntityTag { weak: *weak, opaque: opaque.as_bytes() })
                .collect();
            let line = wanted.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            prop_assert_eq!(line_tags(line.as_bytes()).collect::<Vec<_>>(), wanted);
        }

        #[test]
        fn no_bytes_panic(text: Vec<u8>) {
            let _ = (EntityTag::parse(&text), line_tags(&text).count());
        }
    }
}
