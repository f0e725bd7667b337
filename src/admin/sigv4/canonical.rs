//! The one spelling that signer and verifier give a path, a query and a field's value.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// "Normalize URI paths according to RFC 3986. Remove redundant and relative path
/// components. Each path segment must be URI-encoded twice": once it is already.
pub(super) fn path(path: &str) -> String {
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let mut text = String::with_capacity(path.len());
    for segment in &kept {
        text.push('/');
        encode(segment.as_bytes(), &mut text);
    }
    if kept.is_empty() || path.ends_with('/') {
        text.push('/');
    }
    text
}

/// "URI-encode each parameter name and value": what was sent is decoded first, so
/// that every spelling of a query has one signature, as it has one meaning.
pub(super) fn query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (recoded(name), recoded(value))
        })
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

fn recoded(text: &str) -> String {
    let decoded: Cow<'_, [u8]> = percent_decode_str(text).into();
    let mut out = String::with_capacity(text.len());
    encode(&decoded, &mut out);
    out
}

/// "URI encode every byte except the unreserved characters: 'A'-'Z', 'a'-'z',
/// '0'-'9', '-', '.', '_', and '~'."
fn encode(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// A value without the spaces around it, and every run of spaces inside as one.
pub(super) fn value(value: &[u8]) -> impl Iterator<Item = u8> {
    let words = value.split(|byte| matches!(byte, b' ' | b'\t'));
    let words = words.filter(|word| !word.is_empty());
    words.enumerate().flat_map(|(place, word)| {
        let space = (place > 0).then_some(b' ');
        space.into_iter().chain(word.iter().copied())
    })
}
