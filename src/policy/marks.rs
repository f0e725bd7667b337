//! What a stored response can be invalidated by.
//!
//! A mark is a hash of one such thing: the response's target (RFC 9111 §4.4), its page, a
//! tag, a parameter. Tags and the target are hashed when it is stored. Page and parameters
//! follow from the text of its path and query, which is kept for prefixes anyway, and are
//! hashed when somebody asks: most never are.
//!
//! To be covered by too much costs a miss, by too little the promise. So parameters are
//! compared decoded, and a response that answers other queries than its own says so.

use http::{HeaderMap, HeaderName};

use super::{
    Ask, KeySpec, Rules, WhyNot,
    key::{self, digest},
    pattern::PATTERN_BYTES_MAX,
    search::Search,
};
use crate::fields::{groups::groups, query, tags};

/// `Cache-Group-Invalidation` (RFC 9875 §3).
pub const CACHE_GROUP_INVALIDATION: HeaderName =
    HeaderName::from_static("cache-group-invalidation");

/// How much an invalidation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// What it covers is stale: it may serve while it is revalidated.
    Soft,
    /// What it covers is as if it were not there.
    Hard,
}

impl Mode {
    /// `"soft"` or `"hard"`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Hard => "hard",
        }
    }
}

/// A place in the order of invalidations; 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// One thing that can be invalidated: 64 bits of a cryptographic hash, the lowest of which
/// say of what kind.
///
/// Two things of a kind share their mark once in 2^61. That costs a miss, like all that
/// covers too much: among ten million marks of what is stored and as many invalidated, one
/// time in twenty thousand. Who searches for the like of a mark can invalidate what he could
/// have named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark(u64);

/// What a mark is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A target: scheme, host, path and query of one behaviour (RFC 9111 §4.4).
    Target,
    /// A path and query of a distribution.
    Page,
    /// A tag, as the origin wrote it.
    Tag,
    /// A tag that has capital letters, without them.
    Folded,
    /// A group of RFC 9875.
    Group,
    /// A query parameter with its value.
    Parameter,
}

impl Kind {
    /// How many kinds there are.
    pub const COUNT: usize = 6;
}

/// The lowest bits of a mark, which hold its kind.
const KIND_BITS: u64 = 0b111;

impl Mark {
    /// The mark of a thing of this kind; `hash` must depend on all that tells it from others.
    pub const fn new(kind: Kind, hash: u128) -> Self {
        Self(hash as u64 & !KIND_BITS | kind as u64)
    }

    /// What it is about.
    pub const fn kind(self) -> Kind {
        match self.0 & KIND_BITS {
            0 => Kind::Target,
            1 => Kind::Page,
            2 => Kind::Tag,
            3 => Kind::Folded,
            4 => Kind::Group,
            // No mark is made with more.
            _ => Kind::Parameter,
        }
    }

    /// Its bits.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// What a stored response can be invalidated by; one allocation.
///
/// In this order: flags, the length of the behaviour's pattern, how many marks each field's
/// tags have if any has; the marks; the pattern; the text, which is the distribution, NUL, the
/// path, and `?` with the kept query where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks(Box<[u8]>);

/// The numbers in front: the flags, a length of one byte, and three counts of two bytes.
const FRONT_BYTES: usize = 1 + 1;
const COUNTS_BYTES: usize = 3 * 2;
const MARK_BYTES: usize = size_of::<u64>();

/// A flag: it answers other queries than its own.
const LOOSE: u8 = 1 << 0;
/// A flag: there are counts, and marks of tags.
const NAMED: u8 = 1 << 1;

/// The length of a pattern is one byte.
const _: () = assert!(PATTERN_BYTES_MAX <= u8::MAX as usize);

/// The marks that come from each of [`tags::FIELDS`].
type Named = [Vec<Mark>; 3];

impl Marks {
    /// What is known before any answer: the marks of `ask` itself.
    pub fn asked(ask: &Ask, rules: &Rules) -> Self {
        Self::build(ask, rules, &HeaderMap::new(), &Named::default())
    }

    /// The marks of the answer to `ask` with `headers`; errs when it has too many tags.
    pub fn of(ask: &Ask, rules: &Rules, headers: &HeaderMap) -> Result<Self, WhyNot> {
        let named = named(ask, rules, headers)?;
        Ok(Self::build(ask, rules, headers, &named))
    }

    /// The marks of the same answer once a 304 to `ask` has made its fields `merged`: each
    /// field of tags is replaced as a whole where there is one now, and what those that are
    /// not stored named is kept where there is none (RFC 9111 §3.2).
    pub fn refreshed(&self, ask: &Ask, rules: &Rules, merged: &HeaderMap) -> Result<Self, WhyNot> {
        let mut named = named(ask, rules, merged)?;
        for (at, marks) in named.iter_mut().enumerate() {
            if !merged.contains_key(&tags::FIELDS[at]) {
                *marks = self.of_field(at).collect();
            }
        }
        if named.iter().map(Vec::len).sum::<usize>() > NAMED_MAX {
            return Err(WhyNot::TooManyTags);
        }
        Ok(Self::build(ask, rules, merged, &named))
    }

    fn build(ask: &Ask, rules: &Rules, headers: &HeaderMap, named: &Named) -> Self {
        let scope = &rules.key.scope;
        let marks: usize = 1 + named.iter().map(Vec::len).sum::<usize>();
        let text_bytes = scope.distribution.len() + 2 + ask.target.as_str().len();
        let front_bytes = FRONT_BYTES + COUNTS_BYTES;
        let bytes = front_bytes + marks * MARK_BYTES + scope.behaviour.len() + text_bytes;
        let mut block = Vec::with_capacity(bytes);
        let loose = Search::of(ask, rules, headers).map_or(0, |_| LOOSE);
        block.push(loose | if marks > 1 { NAMED } else { 0 });
        // At most `PATTERN_BYTES_MAX`.
        block.push(scope.behaviour.len() as u8);
        for marks in named.iter().filter(|_| marks > 1) {
            // At most `NAMED_MAX`.
            block.extend_from_slice(&(marks.len() as u16).to_le_bytes());
        }
        let target = target(ask, rules);
        for mark in std::iter::once(&target).chain(named.iter().flatten()) {
            block.extend_from_slice(&mark.0.to_le_bytes());
        }
        block.extend_from_slice(scope.behaviour.as_bytes());
        block.extend_from_slice(scope.distribution.as_bytes());
        block.push(0);
        write_page(&rules.key, ask.path(), ask.query(), &mut block);
        Self(block.into())
    }

    /// All of a kind that is `wanted`, each hashed only then.
    pub fn iter(&self, wanted: impl Fn(Kind) -> bool) -> impl Iterator<Item = Mark> {
        let page = wanted(Kind::Page).then(|| page(self.text()));
        let parameters = wanted(Kind::Parameter).then(|| self.parameters());
        let hashed = self.hashed(0, self.count());
        let hashed = hashed.filter(move |mark| wanted(mark.kind()));
        hashed.chain(page).chain(parameters.into_iter().flatten())
    }

    /// The distribution, NUL, the path, and `?` with the kept query where there is one.
    pub fn text(&self) -> &[u8] {
        &self.0[self.marks_end() + self.behaviour_bytes()..]
    }

    /// The path, and the kept query where there is one.
    pub fn page(&self) -> &[u8] {
        let text = self.text();
        let end = text.iter().position(|&byte| byte == 0);
        end.map_or(text, |end| &text[end + 1..])
    }

    /// Whether it may answer other queries than its own: then what is about any query may be
    /// about it.
    pub fn is_loose(&self) -> bool {
        self.0[0] & LOOSE != 0
    }

    /// What they take beside themselves, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.0.len()
    }

    fn parameters(&self) -> impl Iterator<Item = Mark> {
        let (text, start) = (self.text(), self.marks_end());
        let behaviour = &self.0[start..start + self.behaviour_bytes()];
        let (distribution, page) = match text.iter().position(|&byte| byte == 0) {
            Some(end) => (&text[..end], &text[end + 1..]),
            None => (text, &[][..]),
        };
        let query = page.iter().position(|&byte| byte == b'?');
        // It was text when it was written.
        let query = query.and_then(|at| str::from_utf8(&page[at + 1..]).ok());
        query::pieces(query.unwrap_or_default()).map(move |piece| {
            let value = piece.value().unwrap_or_default();
            parameter([distribution, behaviour], &piece.name(), &value)
        })
    }

    /// The marks from the `first` on, `count` of them; the target's is before those of tags.
    fn hashed(&self, first: usize, count: usize) -> impl Iterator<Item = Mark> {
        let start = self.front_bytes() + first * MARK_BYTES;
        let (marks, _) = self.0[start..start + count * MARK_BYTES].as_chunks();
        marks.iter().map(|bytes| Mark(u64::from_le_bytes(*bytes)))
    }

    /// The marks from the field at this place in [`tags::FIELDS`].
    fn of_field(&self, at: usize) -> impl Iterator<Item = Mark> {
        let before: usize = (0..at).map(|field| self.field_count(field)).sum();
        self.hashed(1 + before, self.field_count(at))
    }

    fn field_count(&self, at: usize) -> usize {
        if self.0[0] & NAMED == 0 {
            return 0;
        }
        let at = FRONT_BYTES + 2 * at;
        usize::from(u16::from_le_bytes([self.0[at], self.0[at + 1]]))
    }

    /// How many marks there are, the target's included.
    fn count(&self) -> usize {
        1 + (0..3).map(|at| self.field_count(at)).sum::<usize>()
    }

    fn behaviour_bytes(&self) -> usize {
        usize::from(self.0[1])
    }

    fn front_bytes(&self) -> usize {
        FRONT_BYTES
            + if self.0[0] & NAMED == 0 {
                0
            } else {
                COUNTS_BYTES
            }
    }

    fn marks_end(&self) -> usize {
        self.front_bytes() + self.count() * MARK_BYTES
    }
}

/// The most marks that tags make: each has one as it is, one without capital letters, and
/// one as a group.
const NAMED_MAX: usize = 3 * tags::TAGS_MAX;

fn named(ask: &Ask, rules: &Rules, headers: &HeaderMap) -> Result<Named, WhyNot> {
    let distribution = &rules.key.scope.distribution;
    let of_tags = |tags: Vec<Vec<u8>>| {
        let marks = |tag: Vec<u8>| {
            let capital = tag.iter().any(u8::is_ascii_uppercase);
            let folded = capital.then(|| folded(distribution, &tag));
            std::iter::once(self::tag(distribution, &tag)).chain(folded)
        };
        tags.into_iter().flat_map(marks).collect::<Vec<_>>()
    };
    let tags = tags::tags(headers).map_err(|_| WhyNot::TooManyTags)?;
    let mut named = tags.map(of_tags);
    if rules.cache_groups {
        let names = groups(headers.get_all(tags::CACHE_GROUPS));
        named[2].extend(names.iter().map(|name| group(ask, name)));
    }
    Ok(named)
}

/// Appends `path`, and what `spec` keeps of `query` in its canonical form.
pub(super) fn write_page(spec: &KeySpec, path: &str, query: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(path.as_bytes());
    let mut separator = b'?';
    spec.visit_query(query.unwrap_or_default(), &mut |_, piece| {
        out.push(separator);
        out.extend_from_slice(piece);
        separator = b'&';
    });
}

/// The mark of the page with this text: distribution, NUL, path and kept query.
pub(super) fn page(text: &[u8]) -> Mark {
    Mark::new(Kind::Page, key::hash(text))
}

/// The mark of every answer to the target of `ask`.
pub fn target(ask: &Ask, rules: &Rules) -> Mark {
    Mark::new(Kind::Target, rules.key.target(ask).0)
}

/// The mark of every answer with this tag.
pub fn tag(distribution: &str, tag: &[u8]) -> Mark {
    Mark::new(Kind::Tag, digest([b"tag", distribution.as_bytes(), tag]))
}

/// The mark of every answer with a tag that has capital letters and is this one without.
pub fn folded(distribution: &str, tag: &[u8]) -> Mark {
    let tag = tag.to_ascii_lowercase();
    Mark::new(
        Kind::Folded,
        digest([b"folded", distribution.as_bytes(), &tag]),
    )
}

/// The mark of every answer in a group: "two responses are in the same group if they have the
/// same origin and share a group" (RFC 9875 §2); the origin is the viewer's.
pub fn group(ask: &Ask, name: &[u8]) -> Mark {
    let parts = [
        b"group",
        ask.scheme.as_str().as_bytes(),
        ask.host.as_str().as_bytes(),
        name,
    ];
    Mark::new(Kind::Group, digest(parts))
}

/// The mark of every answer of a behaviour for requests with this parameter, decoded; the
/// scope is the distribution and the behaviour's pattern.
pub(super) fn parameter(scope: [&[u8]; 2], name: &[u8], value: &[u8]) -> Mark {
    let [distribution, behaviour] = scope;
    let parts = [b"parameter", distribution, behaviour, name, value];
    Mark::new(Kind::Parameter, digest(parts))
}

/// The groups that an answer to an unsafe request invalidates: the field is "ignored in
/// responses to requests with safe methods" (RFC 9875 §3), and so is one on an error, which
/// changed nothing.
pub fn invalidated_groups(ask: &Ask, headers: &HeaderMap) -> Vec<Mark> {
    let names = groups(headers.get_all(CACHE_GROUP_INVALIDATION));
    names.iter().map(|name| group(ask, name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{
        Selection,
        tests::{ask, fields, rules},
    };

    fn all(marks: &Marks) -> Vec<Mark> {
        marks.iter(|_| true).collect()
    }

    fn of_kind(marks: &Marks, kind: Kind) -> Vec<Mark> {
        marks.iter(|one| one == kind).collect()
    }

    #[test]
    fn a_target_is_the_same_whatever_fields_are_keyed() {
        let mut rules = rules();
        rules.key.headers = vec![http::header::ACCEPT_LANGUAGE];
        let (one, mut other) = (ask("/a?x=1"), ask("/a?x=1"));
        other.headers = fields(&[("accept-language", "de")]).into();
        assert_ne!(rules.key.key(&one), rules.key.key(&other));
        assert_eq!(target(&one, &rules), target(&other, &rules));
        assert_ne!(target(&one, &rules), target(&ask("/a?x=2"), &rules));
        rules.key.query = Selection::None;
        assert_eq!(target(&one, &rules), target(&ask("/a?x=2"), &rules));
    }

    #[test]
    fn groups_are_of_one_origin() {
        let (one, mut other) = (ask("/a"), ask("/b"));
        assert_eq!(group(&one, b"g"), group(&other, b"g"));
        other.scheme = crate::policy::Scheme::Https;
        assert_ne!(group(&one, b"g"), group(&other, b"g"));
    }

    #[test]
    fn groups_count_where_the_behaviour_wants_them_and_are_tags_anywhere() {
        let headers = fields(&[("cache-groups", "\"g\", \"h\"")]);
        let mut rules = rules();
        let marks = Marks::of(&ask("/a"), &rules, &headers).unwrap();
        assert_eq!(of_kind(&marks, Kind::Group).len(), 2);
        assert_eq!(of_kind(&marks, Kind::Tag).len(), 2);
        rules.cache_groups = false;
        let marks = Marks::of(&ask("/a"), &rules, &headers).unwrap();
        assert_eq!(of_kind(&marks, Kind::Group).len(), 0);
        assert_eq!(of_kind(&marks, Kind::Tag).len(), 2);
    }

    #[test]
    fn a_tag_with_capital_letters_is_found_without_them_too() {
        let headers = fields(&[("surrogate-key", "Ab c")]);
        let marks = all(&Marks::of(&ask("/a"), &rules(), &headers).unwrap());
        assert!(marks.contains(&tag("test", b"Ab")) && marks.contains(&folded("test", b"ab")));
        assert!(marks.contains(&tag("test", b"c")) && !marks.contains(&folded("test", b"c")));
        assert!(!marks.contains(&tag("test", b"ab")) && !marks.contains(&tag("other", b"c")));
    }

    #[test]
    fn the_text_is_path_and_kept_query() {
        let mut rules = rules();
        let text = |rules: &Rules, target| Marks::asked(&ask(target), rules).text().to_vec();
        assert_eq!(text(&rules, "/a"), b"test\0/a");
        assert_eq!(text(&rules, "/a?b=2&&a=%7e"), b"test\0/a?a=~&b=2");
        rules.key.query = Selection::Only(vec![b"a".to_vec()]);
        assert_eq!(text(&rules, "/a?b=2&a=1"), b"test\0/a?a=1");
        assert_eq!(text(&rules, "/a?b=2"), b"test\0/a");
        assert_eq!(Marks::asked(&ask("/a?a=1"), &rules).page(), b"/a?a=1");
    }

    #[test]
    fn parameters_are_what_they_say_however_they_are_spelled() {
        let rules = rules();
        let of = |target| of_kind(&Marks::asked(&ask(target), &rules), Kind::Parameter);
        let wanted = parameter([b"test", b"*"], b"a b", b"c d");
        for spelling in ["/x?a%20b=c+d", "/x?q&a+b=c%20d", "/y?%61+b=%63+d"] {
            assert!(of(spelling).contains(&wanted), "{spelling}");
        }
        assert!(!of("/x?a+b=c+d+").contains(&wanted));
        assert_eq!(of("/x?q"), of("/x?q="));
        assert_eq!(of("/x"), []);
    }

    #[test]
    fn a_304_replaces_the_fields_it_has_and_keeps_the_others() {
        let (ask, rules) = (ask("/a"), rules());
        let old = fields(&[
            ("cache-tag", "t"),
            ("surrogate-key", "s"),
            ("cache-groups", "\"g\""),
        ]);
        let old = Marks::of(&ask, &rules, &old).unwrap();
        let refreshed =
            |named: &[(&'static str, &str)]| old.refreshed(&ask, &rules, &fields(named)).unwrap();
        assert_eq!(refreshed(&[]), old);
        let new = refreshed(&[("cache-tag", "u, v"), ("cache-groups", "")]);
        let wanted = fields(&[("cache-tag", "u, v"), ("surrogate-key", "s")]);
        assert_eq!(new, Marks::of(&ask, &rules, &wanted).unwrap());
    }

    #[test]
    fn a_response_with_too_many_tags_is_not_stored() {
        let tags = |count: usize| vec!["t"; count].join(" ");
        let of = |count| {
            Marks::of(
                &ask("/a"),
                &rules(),
                &fields(&[("surrogate-key", &tags(count))]),
            )
        };
        assert!(of(tags::TAGS_MAX).is_ok());
        assert_eq!(of(tags::TAGS_MAX + 1), Err(WhyNot::TooManyTags));
    }

    #[test]
    fn only_what_is_wanted_is_there() {
        let headers = fields(&[("cache-tag", "t")]);
        let marks = Marks::of(&ask("/a?b=1"), &rules(), &headers).unwrap();
        assert_eq!(all(&marks).len(), 4);
        for mark in all(&marks) {
            assert_eq!(of_kind(&marks, mark.kind()), [mark]);
        }
        assert_eq!(marks.iter(|_| false).count(), 0);
    }
}
