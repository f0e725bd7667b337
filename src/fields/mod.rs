//! Header grammar: bytes in, values out, for every field the edge understands.
//!
//! Every function here is *total*. It takes any bytes a peer can send, never
//! panics, and never fails in a way that loses a request: what cannot be read
//! is `None`, an empty iterator, or the most cautious value, and its docs say
//! which. Only [`host`] and [`path`] have an `Err`, because a request whose host
//! or path has two readings must be refused, and each says why in words.
//!
//! Nothing here reads a clock, allocates on a hot path without need, or decides
//! what a field *means* for a response; that is the floor above.

pub mod cache_control;
pub mod cookie;
pub mod date;
mod directive;
pub mod encoding;
mod escape;
pub mod etag;
pub mod forwarded;
pub mod groups;
pub mod hop;
pub mod host;
pub mod iso8601;
pub mod language;
pub mod line;
pub mod list;
pub mod path;
pub mod query;
pub mod range;
pub mod search;
pub mod section;
pub mod structured;
pub mod tags;
pub mod target;
pub mod targeted;
pub mod text;

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

/// Where [`delta_seconds`] saturates: 2^31, some 68 years (RFC 9111 §1.2.2).
pub const DELTA_SECONDS_MAX: u32 = 1 << 31;

/// Whether `text` is a token, that is one or more `tchar` (RFC 9110 §5.6.2).
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_tchar(byte))
}

/// Heads of so many fields are looked through sooner than searched.
const FEW: usize = 12;

/// Whether `headers` have a field `name`, which most have not.
pub fn has(headers: &HeaderMap, name: &HeaderName) -> bool {
    if headers.len() > FEW {
        return headers.contains_key(name);
    }
    headers.keys().any(|one| one == name)
}

/// `text` without the optional whitespace around it: SP and HTAB (RFC 9110 §5.6.3).
pub fn trim(text: &[u8]) -> &[u8] {
    let is_space = |&byte: &u8| byte == b' ' || byte == b'\t';
    let Some(first) = text.iter().position(|byte| !is_space(byte)) else {
        return &[];
    };
    let last = text
        .iter()
        .rposition(|byte| !is_space(byte))
        .unwrap_or(first);
    &text[first..=last]
}

/// What a quoted-string says, without its quotes and backslashes (RFC 9110 §5.6.4).
///
/// `None` unless `text` is exactly one quoted-string. Borrowed when nothing in
/// it is escaped.
pub fn unquote(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let inner = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if !inner.iter().any(|&byte| byte == b'"' || byte == b'\\') {
        return Some(Cow::Borrowed(inner));
    }
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            // The string ended here, before the last byte of `text`.
            b'"' => return None,
            // A backslash that ends `inner` had escaped the closing quote.
            b'\\' => plain.push(*bytes.next()?),
            _ => plain.push(byte),
        }
    }
    Some(Cow::Owned(plain))
}

/// A non-negative number of whole seconds (RFC 9111 §1.2.2).
///
/// Leading zeros are fine; anything but digits is `None`. "If a cache receives
/// a delta-seconds value greater than the greatest integer it can represent
/// [...] the cache MUST consider the value to be 2147483648 (2^31)".
pub fn delta_seconds(text: &[u8]) -> Option<u32> {
    let seconds = digits(text)?.min(u64::from(DELTA_SECONDS_MAX));
    u32::try_from(seconds).ok()
}

/// The value of `1*DIGIT`, saturating at the largest `u64`.
fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(value.saturating_mul(10).saturating_add(digit))
    })
}

const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_field_is_found_among_few_and_among_many() {
        let wanted = http::header::RANGE;
        for others in 0..=2 * FEW {
            let name = |number| HeaderName::try_from(format!("x-{number}")).unwrap();
            let value = http::HeaderValue::from_static("1");
            let mut headers: HeaderMap = (0..others).map(|n| (name(n), value.clone())).collect();
            assert!(!has(&headers, &wanted), "{others}");
            headers.insert(wanted.clone(), value);
            assert!(has(&headers, &wanted), "{others}");
        }
    }

    #[test]
    fn a_token_has_no_delimiters() {
        assert!(is_token(b"max-age"));
        assert!(is_token(b"'3600'"));
        for text in ["", "max age", "a,b", "a=b", "\"a\"", "a/b", "\u{e9}"] {
            assert!(!is_token(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn only_spaces_and_tabs_are_trimmed() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b" \t "), b"");
        assert_eq!(trim(b""), b"");
        assert_eq!(trim(b"\x0ba\xa0"), b"\x0ba\xa0");
    }

    #[test]
    fn a_quoted_string_is_whole_or_nothing() {
        #[track_caller]
        fn check(text: &str, wanted: Option<&str>) {
            let seen = unquote(text.as_bytes());
            assert_eq!(seen.as_deref(), wanted.map(str::as_bytes), "{text}");
        }
        check(r#""""#, Some(""));
        check(r#""a b""#, Some("a b"));
        check(r#""a\"b\\""#, Some(r#"a"b\"#));
        check(r#"""#, None);
        check(r#""a"#, None);
        check(r#"a""#, None);
        check(r#""a\""#, None);
        check(r#""a"b""#, None);
        check("a", None);
    }

    #[test]
    fn delta_seconds_are_digits_only() {
        #[track_caller]
        fn check(text: &str, wanted: Option<u32>) {
            assert_eq!(delta_seconds(text.as_bytes()), wanted, "{text:?}");
        }
        check("0", Some(0));
        check("003600", Some(3600));
        check("2147483647", Some(2_147_483_647));
        check("2147483648", Some(DELTA_SECONDS_MAX));
        check("99999999999999999999999999", Some(DELTA_SECONDS_MAX));
        for text in ["", "-1", "+1", "1.0", " 1", "1 ", "0x1", "1a", "'1'"] {
            check(text, None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(text: Vec<u8>) {
            let _ = (is_token(&text), trim(&text), unquote(&text), delta_seconds(&text));
        }

        #[test]
        fn a_number_is_read_as_printed(seconds in 0..=DELTA_SECONDS_MAX) {
            prop_assert_eq!(delta_seconds(seconds.to_string().as_bytes()), Some(seconds));
        }
    }
}
