//! What one item of an invalidation is about.
//!
//! Every way to write the same page, parameter or prefix selects the same. Where that
//! cannot be had exactly, more is selected, never less.

use std::borrow::Cow;

use super::{
    KeySpec,
    marks::{self, Mark, Marks},
};
use crate::fields::{path, query};

/// What one item of an invalidation is about, resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    /// Everything with this mark.
    Mark(Mark),
    /// Everything whose text begins with this: the distribution, NUL, then path and kept
    /// query as far as given.
    Prefix(Box<[u8]>),
}

impl Selector {
    /// One page of a distribution, whatever host, scheme, fields and cookies it was asked
    /// with; `spec` is that of the behaviour its path belongs to.
    pub fn page(distribution: &str, spec: &KeySpec, path: &str, query: Option<&str>) -> Self {
        let mut text = start(distribution);
        let path = path::canonical(path).unwrap_or(Cow::Borrowed(path));
        marks::write_page(spec, &path, query, &mut text);
        Self::Mark(marks::page(&text))
    }

    /// Every page of a distribution that begins with `prefix`; everything of it for `""`.
    ///
    /// A prefix that reaches into the query is taken as its viewers' queries are once they
    /// are canonical: the caller leaves out parameters that the key does not hold.
    pub fn prefix(distribution: &str, prefix: &str) -> Self {
        let mut text = start(distribution);
        let (path, query) = match prefix.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (prefix, None),
        };
        // A last segment may go on, so only those before it are what they are; and in an
        // escape that is cut anything may follow.
        let end = if query.is_some() {
            path.len()
        } else {
            path.rfind('/').map_or(0, |slash| slash + 1)
        };
        let (folder, last) = path.split_at(end);
        let folder = path::canonical(folder).unwrap_or(Cow::Borrowed(folder));
        text.extend_from_slice(folder.as_bytes());
        unescaped(whole_escapes(last), &mut text);
        if let Some(query) = query {
            text.push(b'?');
            let (whole, last) = query.split_at(query.rfind('&').map_or(0, |at| at + 1));
            for piece in query::pieces(whole) {
                piece.write_canonical(|bytes| text.extend_from_slice(bytes));
                text.push(b'&');
            }
            unescaped(whole_escapes(last), &mut text);
        }
        Self::Prefix(text.into())
    }

    /// Everything of a distribution with this tag, exactly.
    pub fn tag(distribution: &str, tag: &[u8]) -> Self {
        Self::Mark(marks::tag(distribution, tag))
    }

    /// Everything of a distribution with this tag, in whatever ASCII case (CloudFront:
    /// invalidation by tag).
    pub fn tag_any_case(distribution: &str, tag: &[u8]) -> Vec<Self> {
        let tag = tag.to_ascii_lowercase();
        let folded = Self::Mark(marks::folded(distribution, &tag));
        vec![Self::tag(distribution, &tag), folded]
    }

    /// Everything of a behaviour that was asked for with this parameter, whatever its others;
    /// `behaviour` is the behaviour's pattern, `name` and `value` are decoded. Only parameters
    /// in the key select anything.
    pub fn parameter(distribution: &str, behaviour: &str, name: &[u8], value: &[u8]) -> Self {
        let scope = [distribution.as_bytes(), behaviour.as_bytes()];
        Self::Mark(marks::parameter(scope, name, value))
    }

    /// Whether it is about a response with `marks`.
    ///
    /// A response that answers other queries than its own may be covered by the ledger all
    /// the same.
    pub fn covers(&self, marks: &Marks) -> bool {
        match self {
            Self::Mark(mark) => marks
                .iter(|kind| kind == mark.kind())
                .any(|one| one == *mark),
            Self::Prefix(prefix) => marks.text().starts_with(prefix),
        }
    }
}

fn start(distribution: &str) -> Vec<u8> {
    let mut text = distribution.as_bytes().to_vec();
    text.push(0);
    text
}

/// `text` without an escape that its end cuts.
fn whole_escapes(text: &str) -> &str {
    let cut = text.len().saturating_sub(2);
    let tail = &text.as_bytes()[cut..];
    match tail.iter().position(|&byte| byte == b'%') {
        Some(at) => &text[..cut + at],
        None => text,
    }
}

/// Appends `text` as a canonical path or query has it.
fn unescaped(text: &str, out: &mut Vec<u8>) {
    query::Piece::new(text).write_canonical(|bytes| out.extend_from_slice(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{
        Selection,
        tests::{ask, fields, rules},
    };

    fn marks(target: &str) -> Marks {
        Marks::asked(&ask(target), &rules())
    }

    #[track_caller]
    fn check(selector: &Selector, covered: &[&str], spared: &[&str]) {
        for target in covered {
            assert!(selector.covers(&marks(target)), "{target} is not covered");
        }
        for target in spared {
            assert!(!selector.covers(&marks(target)), "{target} is covered");
        }
    }

    #[test]
    fn a_page_is_its_path_and_exact_query() {
        let page = |path, query| Selector::page("test", &rules().key, path, query);
        check(
            &page("/a", None),
            &["/a", "/a?"],
            &["/a?x=1", "/a/", "/ab", "/"],
        );
        let query = page("/a", Some("y=2&x=%31"));
        check(
            &query,
            &["/a?x=1&y=2", "/a?y=2&x=1"],
            &["/a", "/a?x=1", "/a?x=1&y=2&z"],
        );
        check(&page("//b/../%61", None), &["/a"], &["/b"]);
        let other = Selector::page("other", &rules().key, "/a", None);
        check(&other, &[], &["/a"]);
    }

    #[test]
    fn parameters_outside_the_key_are_no_part_of_a_page() {
        let mut rules = rules();
        rules.key.query = Selection::Only(vec![b"x".to_vec()]);
        let page = Selector::page("test", &rules.key, "/a", Some("utm=1"));
        assert!(page.covers(&Marks::asked(&ask("/a?utm=2"), &rules)));
        assert!(!page.covers(&Marks::asked(&ask("/a?x=2"), &rules)));
    }

    #[test]
    fn a_prefix_covers_whatever_follows() {
        let prefix = |prefix| Selector::prefix("test", prefix);
        check(
            &prefix("/a"),
            &["/a", "/ab", "/a/b", "/a?x=1"],
            &["/", "/b"],
        );
        check(&prefix("/a/"), &["/a/", "/a/b"], &["/a", "/ab"]);
        check(&prefix("/a?"), &["/a?x=1"], &["/a", "/a/?x=1"]);
        check(
            &prefix("/a?x=1&y"),
            &["/a?x=1&y", "/a?x=1&yz=1"],
            &["/a?x=1"],
        );
        check(&prefix(""), &["/", "/a?x=1"], &[]);
        check(&Selector::prefix("tes", ""), &[], &["/"]);
    }

    #[test]
    fn no_spelling_escapes_a_prefix() {
        let prefix = |prefix| Selector::prefix("test", prefix);
        check(&prefix("/%61//x/../b"), &["/a/b", "/a/bc"], &["/a/c"]);
        check(&prefix("/a%7"), &["/a~", "/ab"], &[]);
        check(&prefix("/a%"), &["/a%20", "/ab"], &[]);
        check(&prefix("/a%c3"), &["/a%C3%A9"], &["/a"]);
        check(&prefix("/a?q=%7"), &["/a?q=~"], &["/a?r=~"]);
        check(&prefix("/a?%71=1&r"), &["/a?q=1&r=2"], &["/a?q=2&r"]);
    }

    #[test]
    fn a_tag_is_exact_and_any_case_is_not() {
        let of = |tags| Marks::of(&ask("/a"), &rules(), &fields(&[("cache-tag", tags)])).unwrap();
        let tag = Selector::tag("test", b"ab");
        assert!(tag.covers(&of("x, ab")));
        assert!(!tag.covers(&of("a, abc, AB")));
        let any = |tags| {
            let any = Selector::tag_any_case("test", b"aB");
            any.iter().any(|selector| selector.covers(&of(tags)))
        };
        assert!(any("ab") && any("AB") && any("aB") && !any("a, abc"));
    }

    #[test]
    fn a_parameter_covers_whatever_the_others_are() {
        let parameter = Selector::parameter("test", "*", b"q", b"1 2");
        check(
            &parameter,
            &["/a?q=1+2", "/b?x&q=1%202&y=1"],
            &["/a?q=1", "/a?r=1+2", "/a"],
        );
        let other = Selector::parameter("test", "/b*", b"q", b"1 2");
        check(&other, &[], &["/b?q=1+2"]);
    }
}
