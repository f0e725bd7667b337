//! The plain heads of one connection, whose fields are read once while they stay the same.
//!
//! A viewer says much the same of itself with each of its requests, and many say the very same.
//! Fields that come again byte for byte mean what they meant: only the line before them is read,
//! and they are shared, not copied.

use super::{head, protocol::HEAD_MAX};
use crate::{
    fields::{host::Host, section::Section, target::Target},
    serve::PlainHead,
};

/// The longest fields that are kept, in bytes; most viewers send less. With the names and the
/// places of as many as a plain head may have, an idle connection holds four times that at worst.
const KEPT_MAX: usize = 2 * 1024;

/// After so many heads in a row whose fields were new, no more are kept: the next are new as well.
const NEW_MAX: u8 = 4;

/// What is known of a connection's heads.
#[derive(Default)]
pub(super) struct Heads {
    kept: Option<Box<Kept>>,
    /// How many came since the last whose fields were those.
    new: u8,
}

/// Fields, and the host that they name.
struct Kept {
    host: Option<Host>,
    headers: Section,
}

impl Heads {
    /// The head that `bytes` are, as [`head::plain`] reads it.
    pub(super) fn plain(&mut self, bytes: &[u8]) -> Option<PlainHead> {
        if let Some(head) = self.kept.as_deref().and_then(|kept| kept.again(bytes)) {
            self.new = 0;
            return Some(head);
        }
        let head = head::plain(bytes)?;
        self.keep(&head);
        Some(head)
    }

    /// Keeps the fields of `head` if those of the head before were new too. So nothing is kept of
    /// a viewer that asks once, and one head of another kind replaces nothing.
    fn keep(&mut self, head: &PlainHead) {
        let text = head.headers.text();
        let same = |kept: &Kept| kept.headers.text() == text;
        if self.new == NEW_MAX || text.len() > KEPT_MAX || self.kept.as_deref().is_some_and(same) {
            return;
        }
        if self.new > 0 {
            let (host, headers) = (head.host.clone(), head.headers.clone());
            self.kept = Some(Box::new(Kept { host, headers }));
        }
        self.new += 1;
    }
}

impl Kept {
    /// The head that `bytes` are if these are its fields, and its target an ordinary one.
    fn again(&self, bytes: &[u8]) -> Option<PlainHead> {
        let line = bytes.strip_suffix(self.headers.text())?;
        let target = line.strip_prefix(b"GET ")?.strip_suffix(b" HTTP/1.1\r\n")?;
        let target = Target::plain(str::from_utf8(target).ok()?)?;
        (bytes.len() <= HEAD_MAX).then(|| PlainHead {
            target,
            host: self.host.clone(),
            headers: self.headers.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a head says.
    fn said(head: Option<PlainHead>) -> Option<String> {
        let head = head?;
        let fields: Vec<_> = head.headers.iter().collect();
        Some(format!("{:?} {:?} {fields:?}", head.target, head.host))
    }

    fn get(fields: &str) -> String {
        format!("GET /a HTTP/1.1\r\n{fields}\r\n")
    }

    /// Whether the fields are kept after these heads.
    fn keeps<'a>(heads: impl IntoIterator<Item = &'a str>, fields: &str) -> bool {
        let mut known = Heads::default();
        for fields in heads {
            known.plain(get(fields).as_bytes());
        }
        let text = get(fields);
        known
            .kept
            .is_some_and(|kept| kept.again(text.as_bytes()).is_some())
    }

    #[test]
    fn fields_are_kept_from_the_second_head_on() {
        let (one, other) = ("a: 1\r\n", "a: 2\r\n");
        assert!(!keeps([one], one));
        assert!(keeps([one, one], one));
        assert!(keeps([one, one, one, other], one));
        assert!(keeps([one, one, one, other, other], other));
    }

    #[test]
    fn fields_that_are_never_the_same_are_not_kept() {
        let new: Vec<String> = (0..9).map(|trace| format!("trace: {trace}\r\n")).collect();
        let heads = || new.iter().map(String::as_str);
        assert!(keeps(heads().take(4), &new[3]));
        assert!(!keeps(heads(), &new[8]));
        // Until they are.
        assert!(keeps(heads().chain([&*new[3], &new[8], &new[8]]), &new[8]));
    }

    #[test]
    fn fields_are_not_new_because_their_target_is_read_whole() {
        let mut known = Heads::default();
        for _ in 0..9 {
            let head = get("a: 1\r\n").replace("/a", "/{a}");
            assert!(known.plain(head.as_bytes()).is_some());
        }
        let other = get("a: 2\r\n");
        for _ in 0..2 {
            known.plain(other.as_bytes());
        }
        assert!(
            known
                .kept
                .is_some_and(|kept| kept.again(other.as_bytes()).is_some())
        );
    }

    #[test]
    fn long_fields_are_not_kept() {
        let fields = |bytes: usize| format!("a: {}\r\n", "x".repeat(bytes - 7));
        let (longest, longer) = (fields(KEPT_MAX), fields(KEPT_MAX + 1));
        assert!(keeps([&*longest; 2], &longest));
        assert!(!keeps([&*longer; 2], &longer));
    }

    proptest! {
        #[test]
        fn a_head_is_read_as_if_it_were_the_first(
            heads in proptest::collection::vec(
                (
                    prop_oneof![
                        4 => "GET /[ab]?(\\?a=1)? HTTP/1\\.1\r\n",
                        1 => "(GET|HEAD) [/a]/?[a?é{ ]{0,2}( HTTP/1\\.1\r\n[ab]:)? HTTP/1\\.[01]\r?\n",
                    ],
                    prop_oneof![
                        4 => "host: a\r\n([ab]: 1\r\n)?\r\n",
                        1 => "(host: [ab]\r\n){0,2}([ab]: ?[1 ]?\r?\n){0,2}(te: x\r\n)?(\r?\n)?",
                    ],
                ),
                0..40,
            ),
        ) {
            let mut known = Heads::default();
            for (line, fields) in heads {
                let bytes = line + &fields;
                prop_assert_eq!(said(known.plain(bytes.as_bytes())), said(head::plain(bytes.as_bytes())));
            }
        }
    }
}
