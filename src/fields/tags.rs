//! Cache tags: names that an origin gives its responses to invalidate them by.
//!
//! Three fields carry them, and all that are there count. `Cache-Tag` parts them with
//! commas, `Surrogate-Key` with spaces, and `Cache-Groups` is "a List of Strings" (RFC 9875
//! §2). A tag is any other bytes, compared as they are; quotes mean nothing in the first two.

use http::{HeaderMap, HeaderName, HeaderValue, header::GetAll};

use super::{
    structured::{self, Item},
    trim,
};

/// `Cache-Tag`.
pub const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
/// `Surrogate-Key`.
pub const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
/// `Cache-Groups` (RFC 9875 §2).
pub const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");

/// The fields that carry tags.
pub static FIELDS: [HeaderName; 3] = [CACHE_TAG, SURROGATE_KEY, CACHE_GROUPS];

/// The most tags of one response: each is looked for when something is invalidated.
pub const TAGS_MAX: usize = 1_000;

/// The most bytes that the fields of one response may have for tags, in sum.
pub const TAG_BYTES_MAX: usize = 64 << 10;

/// More tags than [`TAGS_MAX`], or more bytes of them than [`TAG_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// The tags of a response with `headers`, each field's by itself in the order of [`FIELDS`],
/// repetitions included.
///
/// They are all or none: whoever misses some would not be reached by an invalidation. A
/// `Cache-Groups` in error has none: "implementations MUST ignore the field" then.
pub fn tags(headers: &HeaderMap) -> Result<[Vec<Vec<u8>>; 3], TooMany> {
    let lines = || FIELDS.iter().flat_map(|name| headers.get_all(name));
    if lines().map(HeaderValue::len).sum::<usize>() > TAG_BYTES_MAX {
        return Err(TooMany);
    }
    let tags = [
        parted(headers.get_all(CACHE_TAG), |byte| byte == b','),
        parted(headers.get_all(SURROGATE_KEY), |byte| {
            matches!(byte, b' ' | b'\t')
        }),
        groups(headers.get_all(CACHE_GROUPS))?,
    ];
    if tags.iter().map(Vec::len).sum::<usize>() > TAGS_MAX {
        return Err(TooMany);
    }
    Ok(tags)
}

/// Takes the fields away: they are for us, and tell strangers how to name what we store.
pub fn strip(headers: &mut HeaderMap) {
    // Most have none; looking at each name costs less than a search for each field.
    if headers.keys().any(|name| FIELDS.contains(name)) {
        for name in &FIELDS {
            headers.remove(name);
        }
    }
}

/// What stands between separators, trimmed; empty ones are skipped.
fn parted(lines: GetAll<'_, HeaderValue>, separates: fn(u8) -> bool) -> Vec<Vec<u8>> {
    let parts = |line: &'_ HeaderValue| {
        let parts = line.as_bytes().split(|&byte| separates(byte)).map(trim);
        let parts: Vec<_> = parts
            .filter(|tag| !tag.is_empty())
            .map(<[u8]>::to_vec)
            .collect();
        parts
    };
    lines.iter().flat_map(parts).collect()
}

fn groups(lines: GetAll<'_, HeaderValue>) -> Result<Vec<Vec<u8>>, TooMany> {
    // Counted before they are read: a list too long to be read is not one in error.
    let members =
        |line: &HeaderValue| 1 + line.as_bytes().iter().filter(|&&byte| byte == b',').count();
    if lines.iter().map(members).sum::<usize>() > TAGS_MAX {
        return Err(TooMany);
    }
    let name = |item| match item {
        Item::String(name) => Some(name),
        _ => None,
    };
    let members = structured::list(lines).unwrap_or_default();
    let names: Option<_> = members.into_iter().map(name).collect();
    Ok(names.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(fields: &[(HeaderName, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        map
    }

    #[track_caller]
    fn check(fields: &[(HeaderName, &str)], wanted: &[&str]) {
        let wanted: Vec<_> = wanted.iter().map(|tag| tag.as_bytes().to_vec()).collect();
        let seen = tags(&map(fields)).map(|tags| tags.concat());
        assert_eq!(seen, Ok(wanted), "{fields:?}");
    }

    #[test]
    fn each_field_has_its_own_separator() {
        check(&[(CACHE_TAG, "a, b c ,,\td")], &["a", "b c", "d"]);
        check(&[(SURROGATE_KEY, " a  b,c\td ")], &["a", "b,c", "d"]);
        check(&[(CACHE_GROUPS, "\"a\", \"b, c\"")], &["a", "b, c"]);
        check(&[(CACHE_TAG, "a\"b,c\"")], &["a\"b", "c\""]);
    }

    #[test]
    fn all_fields_and_lines_count() {
        let fields = [
            (CACHE_GROUPS, "\"g\""),
            (SURROGATE_KEY, "s"),
            (CACHE_TAG, "a"),
            (CACHE_TAG, "b"),
        ];
        check(&fields, &["a", "b", "s", "g"]);
        check(&[], &[]);
    }

    #[test]
    fn groups_in_error_are_none() {
        check(&[(CACHE_GROUPS, "a, \"b\"")], &[]);
        check(&[(CACHE_GROUPS, "\"a\", 1"), (CACHE_TAG, "t")], &["t"]);
    }

    #[test]
    fn too_many_are_refused_and_never_cut() {
        let of = |name: HeaderName, one: &str, count| {
            tags(&map(&[(name, &vec![one; count].concat())])).map(|tags| tags.concat().len())
        };
        assert_eq!(of(CACHE_TAG, "a,", TAGS_MAX), Ok(TAGS_MAX));
        assert_eq!(of(CACHE_TAG, "a,", TAGS_MAX + 1), Err(TooMany));
        assert_eq!(of(SURROGATE_KEY, "a ", TAGS_MAX + 1), Err(TooMany));
        assert_eq!(of(CACHE_TAG, "x", TAG_BYTES_MAX), Ok(1));
        assert_eq!(of(CACHE_TAG, "x", TAG_BYTES_MAX + 1), Err(TooMany));
        let groups = |count| vec!["\"a\""; count].join(", ");
        let of = |count| tags(&map(&[(CACHE_GROUPS, &groups(count))])).map(|tags| tags[2].len());
        assert_eq!(of(TAGS_MAX), Ok(TAGS_MAX));
        assert_eq!(of(TAGS_MAX + 1), Err(TooMany));
        // Also where it is more than the list's own reader takes.
        assert_eq!(of(2 * TAGS_MAX), Err(TooMany));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(line in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                for name in &FIELDS {
                    let _ = tags(&HeaderMap::from_iter([(name.clone(), value.clone())]));
                }
            }
        }
    }
}
