//! Which stored variant answers a request (RFC 9111 §4.1).
//!
//! A variant remembers the names in its `Vary` and a hash of the values that
//! its own request had for them, normalised so that spellings which mean the
//! same select the same variant.

use http::{HeaderMap, HeaderName, header};
use smallvec::SmallVec;

use super::{
    Ask, Rules,
    recode::{self, Recodable, WhyAsIs},
};
use crate::fields::{encoding::Codings, language, list, section::Section};

/// The most variants one key may have.
pub const VARIANTS_MAX: usize = 64;

/// The most names one `Vary` may have; more are treated as `*`.
const NAMES_MAX: usize = 32;

/// A `Vary` that no request ever matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Star;

/// What a stored response varies by, and the values it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Varying {
    /// Sorted, without repetition.
    names: Box<[HeaderName]>,
    values: u128,
    /// Where it varies by language and says which one it has.
    language: Option<Box<Language>>,
}

/// The language of a response, and the values of what else it varies by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Language {
    tag: Box<[u8]>,
    others: u128,
}

/// The names in a response's `Vary`, sorted; [`Star`] for `*` anywhere, and for what
/// cannot be a field name.
pub fn names(headers: &HeaderMap) -> Result<SmallVec<[HeaderName; 4]>, Star> {
    let mut names = SmallVec::new();
    for member in list::members(headers.get_all(header::VARY)) {
        let name = HeaderName::from_bytes(member).map_err(|_| Star)?;
        if name.as_str() == "*" || names.len() == NAMES_MAX {
            return Err(Star);
        }
        names.push(name);
    }
    names.sort_by(|a: &HeaderName, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    Ok(names)
}

impl Varying {
    /// What the response with `headers` to `ask` varies by; `None` when it does not.
    ///
    /// One of which the edge makes the codings does not vary by Accept-Encoding, nor does one
    /// of which there is none worth making: [`recode::parts`].
    pub fn of(
        headers: &HeaderMap,
        ask: &Ask,
        rules: &Rules,
        recodable: Result<Recodable, WhyAsIs>,
    ) -> Result<Option<Box<Self>>, Star> {
        let mut names = names(headers)?;
        if !recode::parts(recodable) {
            names.retain(|name| *name != header::ACCEPT_ENCODING);
        }
        if names.is_empty() {
            return Ok(None);
        }
        let values = values(&names, ask, rules);
        let language = names.contains(&header::ACCEPT_LANGUAGE).then(|| {
            let mut tags = list::members(headers.get_all(header::CONTENT_LANGUAGE));
            let tag = tags.next().filter(|_| tags.next().is_none())?;
            let others = others(&names, ask, rules);
            Some(Box::new(Language {
                tag: tag.into(),
                others,
            }))
        });
        let (names, language) = (names.into_vec().into(), language.flatten());
        Ok(Some(Box::new(Self {
            names,
            values,
            language,
        })))
    }

    /// "When a cache receives a request that can be satisfied by a stored response and
    /// that stored response contains a Vary header field, the cache MUST NOT use that
    /// stored response without revalidation unless all the presented request header
    /// fields nominated by that Vary field value match".
    ///
    /// Languages match too when the response is in the very language that the request
    /// wants most: "normalizing ... in a way that is known to have identical semantics".
    pub fn matches(&self, ask: &Ask, rules: &Rules) -> bool {
        values(&self.names, ask, rules) == self.values || self.speaks(ask, rules)
    }

    fn speaks(&self, ask: &Ask, rules: &Rules) -> bool {
        self.language.as_ref().is_some_and(|language| {
            let wanted = language::most_wanted(ask.headers.get_all(header::ACCEPT_LANGUAGE));
            wanted.is_some_and(|wanted| wanted.eq_ignore_ascii_case(&language.tag))
                && others(&self.names, ask, rules) == language.others
        })
    }

    /// Whether `other` was made for the same requests.
    pub fn is_like(&self, other: &Self) -> bool {
        self.names == other.names && self.values == other.values
    }

    /// A hash of what `ask` has for these names.
    pub fn values_of(&self, ask: &Ask, rules: &Rules) -> u128 {
        values(&self.names, ask, rules)
    }

    /// The names, sorted.
    pub fn names(&self) -> &[HeaderName] {
        &self.names
    }

    /// What it takes beside itself, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let language = self
            .language
            .as_ref()
            .map_or(0, |language| size_of::<Language>() + language.tag.len());
        size_of::<Self>() + size_of_val(&*self.names) + language
    }
}

/// A hash of the codings that `ask` accepts; the same for all spellings that we treat alike,
/// no field among them.
pub fn accepting(ask: &Ask) -> u128 {
    let codings = Codings::parse(ask.headers.get_all(header::ACCEPT_ENCODING));
    super::key::hash(codings.normalised().as_bytes())
}

/// The hash of the values of all names but `Accept-Language`.
fn others(names: &[HeaderName], ask: &Ask, rules: &Rules) -> u128 {
    let others: SmallVec<[HeaderName; 4]> = names
        .iter()
        .filter(|name| **name != header::ACCEPT_LANGUAGE)
        .cloned()
        .collect();
    values(&others, ask, rules)
}

/// One hash over the normalised values of `names`; a field that the behaviour does not
/// forward is absent, since the origin never saw it.
fn values(names: &[HeaderName], ask: &Ask, rules: &Rules) -> u128 {
    let mut canonical = SmallVec::<[u8; 256]>::new();
    for name in names {
        let start = canonical.len();
        canonical.extend_from_slice(&[0; 4]);
        if super::forward::passes(name, rules) && ask.headers.has(name) {
            canonical.push(1);
            normalise(name, &ask.headers, &mut canonical);
        }
        let length = (canonical.len() - start - 4) as u32;
        canonical[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }
    super::key::hash(&canonical)
}

/// "The header fields from two requests are defined to match if and only if those in the
/// first request can be transformed to those in the second request by: adding or removing
/// whitespace, where allowed in the header field's syntax; combining multiple header field
/// lines with the same field name; normalizing both header field values in a way that is
/// known to have identical semantics, according to the header field's specification".
fn normalise(name: &HeaderName, headers: &Section, out: &mut SmallVec<[u8; 256]>) {
    let lines = headers.get_all(name);
    if *name == header::ACCEPT_ENCODING {
        out.extend_from_slice(Codings::parse(lines).normalised().as_bytes());
        return;
    }
    let mut members: SmallVec<[SmallVec<[u8; 32]>; 8]> =
        list::members(lines).map(SmallVec::from_slice).collect();
    if *name == header::ACCEPT_LANGUAGE {
        // Ranges compare without case, and their order only means what `q` says (RFC 4647 §2,
        // RFC 9110 §12.5.4).
        for member in &mut members {
            member.retain(|byte| !matches!(byte, b' ' | b'\t'));
            member.make_ascii_lowercase();
        }
        members.sort();
    }
    for member in &members {
        out.extend_from_slice(member);
        out.push(b',');
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::policy::tests::{ask, fields, rules};

    const AS_IS: Result<Recodable, WhyAsIs> = Err(WhyAsIs::Off);

    #[track_caller]
    fn check(vary: &'static str, name: &'static str, one: &[&str], other: &[&str], same: bool) {
        let with = |values: &[&str]| {
            let mut ask = ask("/a");
            for value in values {
                let name = HeaderName::from_static(name);
                let value = HeaderValue::from_str(value).unwrap();
                ask.headers.append(name, value);
            }
            ask
        };
        let rules = rules();
        let varying = Varying::of(&fields(&[("vary", vary)]), &with(one), &rules, AS_IS)
            .unwrap()
            .unwrap();
        assert_eq!(
            varying.matches(&with(other), &rules),
            same,
            "{one:?} and {other:?}"
        );
    }

    #[test]
    fn absent_matches_only_absent() {
        check("X-A", "x-a", &[], &[], true);
        check("X-A", "x-a", &["1"], &["1"], true);
        check("X-A", "x-a", &["1"], &[], false);
        check("X-A", "x-a", &[""], &[], false);
        check("X-A", "x-a", &["1"], &["2"], false);
    }

    #[test]
    fn lines_combine_and_list_whitespace_does_not_count() {
        check("X-A", "x-a", &["1, 2"], &["1,2"], true);
        check("X-A", "x-a", &["1", "2"], &["1 ,  2"], true);
        check("X-A", "x-a", &["1, 2"], &["2, 1"], false);
    }

    #[test]
    fn languages_compare_by_meaning() {
        let name = "accept-language";
        check("Accept-Language", name, &["en, de"], &["EN,de"], true);
        check("Accept-Language", name, &["en, de"], &["de, en"], true);
        check("Accept-Language", name, &["en;q=0.5"], &["en; q=0.5"], true);
        check("Accept-Language", name, &["en, de"], &["en"], false);
    }

    #[test]
    fn a_response_in_the_language_wanted_most_matches() {
        let with = |wanted: &str| {
            let mut ask = ask("/a");
            ask.headers = fields(&[("accept-language", wanted)]).into();
            ask
        };
        let headers = fields(&[("vary", "Accept-Language"), ("content-language", "de")]);
        let rules = rules();
        let varying = Varying::of(&headers, &with("en, de"), &rules, AS_IS)
            .unwrap()
            .unwrap();
        assert!(varying.matches(&with("fr;q=0.5, de;q=1.0"), &rules));
        assert!(!varying.matches(&with("fr, de;q=0.5"), &rules));
        assert!(!varying.matches(&with("fr, de"), &rules));
    }

    #[test]
    fn encodings_part_only_what_the_edge_leaves_alone() {
        let mut gzip = ask("/a");
        gzip.headers = fields(&[("accept-encoding", "gzip")]).into();
        let headers = fields(&[("vary", "Accept-Encoding")]);
        let by = |why| Varying::of(&headers, &gzip, &rules(), Err(why)).unwrap();
        assert!(by(WhyAsIs::Type).is_none() && by(WhyAsIs::TooSmall).is_none());
        assert!(
            !by(WhyAsIs::NoTransform)
                .unwrap()
                .matches(&ask("/a"), &rules())
        );
    }

    #[test]
    fn a_star_never_matches() {
        let star = |vary| names(&fields(&[("vary", vary)])) == Err(Star);
        assert!(star("*") && star("foo, *") && star("*, *") && star("a b"));
        assert!(!star("foo, bar"));
        assert_eq!(names(&HeaderMap::new()).unwrap().len(), 0);
    }

    #[test]
    fn p14_a_field_that_is_not_forwarded_is_absent() {
        let mut narrow = rules();
        narrow.forward.headers = crate::policy::Selection::None;
        let mut with = ask("/a");
        with.headers = fields(&[("x-a", "1")]).into();
        let headers = fields(&[("vary", "X-A")]);
        let varying = Varying::of(&headers, &with, &narrow, AS_IS)
            .unwrap()
            .unwrap();
        assert!(varying.matches(&ask("/a"), &narrow));
    }
}
