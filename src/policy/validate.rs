//! How a stored response is validated, and what a 304 changes (RFC 9111 §4.3, §3.2).

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::fields::{etag::EntityTag, hop};

/// The conditions that validate a stored response: "one or more precondition header
/// fields containing the validator(s) from the stored response" (RFC 9111 §4.3.1). Empty
/// when it has none, and then a plain request replaces it.
pub fn conditions(stored: &HeaderMap) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let of = |validator, condition| Some((condition, stored.get(validator)?.clone()));
    let tag = of(header::ETAG, header::IF_NONE_MATCH);
    let date = of(header::LAST_MODIFIED, header::IF_MODIFIED_SINCE);
    tag.into_iter().chain(date)
}

/// Whether a 304 with `fresh` is about the response with `stored`: "if the new response
/// contains one or more strong validators, then each of those strong validators identifies
/// a selected representation for update" (RFC 9111 §4.3.4).
pub fn confirms(stored: &HeaderMap, fresh: &HeaderMap) -> bool {
    let tag = |headers: &HeaderMap| headers.get(header::ETAG).cloned();
    let Some(named) = tag(fresh) else { return true };
    let Some(named) = EntityTag::parse(named.as_bytes()).filter(|tag| !tag.weak) else {
        return true;
    };
    let own = tag(stored);
    let own = own
        .as_ref()
        .and_then(|own| EntityTag::parse(own.as_bytes()));
    own.is_some_and(|own| own.opaque == named.opaque)
}

/// Whether a 200 to HEAD with `fresh` is about the stored response with `stored` and
/// `length` bytes: "if the stored response and HEAD response have matching values for any
/// received validator fields ... and, if the HEAD response has a Content-Length header
/// field, the value of Content-Length matches that of the stored response" (RFC 9111
/// §4.3.5).
pub fn confirmed_by_head(stored: &HeaderMap, length: u64, fresh: &HeaderMap) -> bool {
    let same = |name: HeaderName| {
        fresh
            .get(&name)
            .is_none_or(|new| stored.get(&name) == Some(new))
    };
    let length = fresh
        .get(header::CONTENT_LENGTH)
        .is_none_or(|new| *new == length.to_string());
    same(header::ETAG) && same(header::LAST_MODIFIED) && length
}

/// The fields of `stored` after a 304 with `fresh`: "the cache MUST update its header
/// fields with the header fields provided in the 304", each name replaced as a whole.
pub fn merged(stored: &HeaderMap, fresh: &HeaderMap) -> HeaderMap {
    let mut merged = stored.clone();
    for name in fresh.keys().filter(|name| updates(name)) {
        merged.remove(name);
    }
    for (name, value) in fresh.iter().filter(|(name, _)| updates(name)) {
        merged.append(name, value.clone());
    }
    // Its age was that of the response before; the 304's own counts, even when it has none.
    if !fresh.contains_key(header::AGE) {
        merged.remove(header::AGE);
    }
    merged
}

/// Whether a 304's field replaces the stored one (RFC 9111 §3.2): not those "that the
/// cache treats as hop-by-hop", nor "the Content-Length header field", nor those that
/// describe the stored bytes rather than the selected representation.
fn updates(name: &HeaderName) -> bool {
    !hop::is_hop_by_hop(name)
        && !matches!(
            *name,
            header::CONTENT_LENGTH | header::CONTENT_ENCODING | header::CONTENT_RANGE
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::fields;

    #[test]
    fn both_validators_are_asked_with() {
        let stored = fields(&[("etag", "W/\"1\""), ("last-modified", "x"), ("x-a", "1")]);
        let conditions: Vec<_> = conditions(&stored).collect();
        assert_eq!(conditions.len(), 2);
        assert_eq!(
            conditions[0],
            (header::IF_NONE_MATCH, "W/\"1\"".parse().unwrap())
        );
        assert_eq!(conditions[1].0, header::IF_MODIFIED_SINCE);
        assert_eq!(super::conditions(&HeaderMap::new()).count(), 0);
    }

    #[test]
    fn a_304_with_another_strong_tag_confirms_nothing() {
        let stored = fields(&[("etag", "\"1\"")]);
        let by = |tag| confirms(&stored, &fields(&[("etag", tag)]));
        assert!(by("\"1\"") && by("W/\"2\"") && confirms(&stored, &HeaderMap::new()));
        assert!(!by("\"2\""));
    }

    #[test]
    fn a_head_confirms_what_has_its_validators_and_length() {
        let stored = fields(&[("etag", "\"1\""), ("last-modified", "x")]);
        let by = |named: &[(&'static str, &str)]| confirmed_by_head(&stored, 10, &fields(named));
        assert!(by(&[]) && by(&[("etag", "\"1\""), ("content-length", "10")]));
        assert!(!by(&[("etag", "\"2\"")]) && !by(&[("content-length", "11")]));
        assert!(!by(&[("last-modified", "y")]));
    }

    #[test]
    fn a_304_replaces_what_it_names_and_adds_what_is_new() {
        let stored = fields(&[("x-a", "1"), ("x-a", "2"), ("x-b", "1"), ("age", "50")]);
        let merged = merged(&stored, &fields(&[("x-a", "3"), ("x-c", "4")]));
        assert_eq!(merged.get_all("x-a").iter().count(), 1);
        assert_eq!(merged["x-a"], "3");
        assert_eq!(
            (&merged["x-b"], &merged["x-c"]),
            (&"1".parse().unwrap(), &"4".parse().unwrap())
        );
        assert!(!merged.contains_key("age"));
    }

    #[test]
    fn a_304_never_changes_the_length_or_the_connection() {
        let stored = fields(&[("content-length", "10"), ("content-type", "text/plain")]);
        let fresh = [
            ("content-length", "0"),
            ("connection", "close"),
            ("content-type", "a/b"),
        ];
        let merged = merged(&stored, &fields(&fresh));
        assert_eq!(merged["content-length"], "10");
        assert_eq!(merged["content-type"], "a/b");
        assert!(!merged.contains_key("connection"));
    }
}
