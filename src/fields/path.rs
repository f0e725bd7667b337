//! The one path that matching, the key and the origin all see.
//!
//! An edge that matches one reading of a path and forwards another can be made
//! to store `/account` as `/static/…` (web cache deception). So there is one
//! canonical form, made once (RFC 3986 §6.2.2, §5.2.4; duplicate slashes go
//! too), and a path with two plausible readings is refused.
//!
//! Escapes of reserved characters stay: `%2F`, `%3B` and `%3F` are data to us.
//! Nothing is decoded twice.

use std::borrow::Cow;

use thiserror::Error;

use super::escape::{self, Escape};

/// Why a path has no canonical form. The answer is 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadPath {
    /// It does not begin with `/`.
    #[error("path does not begin with `/`")]
    NotAbsolute,
    /// A control character, plain or escaped (`%00` to `%1F`, `%7F`).
    #[error("path has a control character")]
    Control,
    /// A space, `?` or `#`: what follows is not part of a path.
    #[error("path has a plain space, `?` or `#`")]
    Delimiter,
    /// A plain `\`, which some origins read as `/`.
    #[error("path has a plain backslash")]
    Backslash,
    /// A `%` that two hexadecimal digits do not follow.
    #[error("path has a `%` without two hexadecimal digits")]
    Escape,
    /// A `.` or `..` that only shows once an escaped slash or backslash is
    /// decoded, or a `;parameter` cut off: `..%2F`, `a%5C..`, `..;x`.
    #[error("path hides a dot segment behind an escaped slash, backslash or a parameter")]
    HiddenDots,
}

/// The canonical form of `path`, borrowed when it is `path` itself.
///
/// In this order: unreserved characters lose their escapes and other escapes
/// become upper case; empty segments go, so `//` is `/`; `.` and `..` are
/// resolved, never above the root. A final slash counts: `/a` and `/a/` differ,
/// `/a/.` is `/a/`. Canonical forms are their own canonical form.
///
/// `path` is without its query. The `*` of OPTIONS is not a path.
pub fn canonical(path: &str) -> Result<Cow<'_, str>, BadPath> {
    if is_plainly_canonical(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let rebuilt = rebuild(path)?;
    Ok(if rebuilt == path {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(rebuilt)
    })
}

/// Whether one look at each byte shows that nothing is to be done. It may say no
/// to a canonical path with a segment that begins with a dot.
fn is_plainly_canonical(path: &[u8]) -> bool {
    let mut at_boundary = false;
    let mut rest = path;
    if rest.first() != Some(&b'/') {
        return false;
    }
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if PLAIN[usize::from(byte)] {
            at_boundary = false;
            continue;
        }
        at_boundary = match byte {
            b'/' if at_boundary => return false,
            b'/' => true,
            b'.' if at_boundary => return false,
            b'%' => {
                let Some(kept) = canonical_escape(after) else {
                    return false;
                };
                rest = &after[2..];
                // What follows an escaped separator may be a hidden dot segment.
                // That an escape is no slash makes `/%2F/` pass here.
                if matches!(kept, b'/' | b'\\') && rest.first() == Some(&b'.') {
                    return false;
                }
                false
            }
            _ if is_refused(byte) => return false,
            _ => false,
        };
    }
    true
}

/// The bytes that mean nothing but themselves.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < plain.len() {
        plain[byte] = !is_refused(byte as u8) && !matches!(byte as u8, b'/' | b'.' | b'%');
        byte += 1;
    }
    plain
};

/// The byte of an escape that stays exactly as it is.
fn canonical_escape(digits: &[u8]) -> Option<u8> {
    let Some(Escape::Kept(byte)) = escape::read(digits) else {
        return None;
    };
    (!byte.is_ascii_control() && digits.starts_with(&escape::spelled(byte)[1..])).then_some(byte)
}

const fn is_refused(byte: u8) -> bool {
    byte.is_ascii_control() || matches!(byte, b' ' | b'?' | b'#' | b'\\')
}

fn rebuild(path: &str) -> Result<String, BadPath> {
    let Some(relative) = path.strip_prefix('/') else {
        return Err(BadPath::NotAbsolute);
    };
    if let Some(byte) = relative.bytes().find(|&byte| is_refused(byte)) {
        return Err(match byte {
            b'\\' => BadPath::Backslash,
            b' ' | b'?' | b'#' => BadPath::Delimiter,
            _ => BadPath::Control,
        });
    }
    // Ends with a slash whenever a segment begins.
    let mut out = String::with_capacity(path.len());
    out.push('/');
    let mut segments = relative.split('/').peekable();
    while let Some(segment) = segments.next() {
        let segment = unescaped(segment)?;
        match &*segment {
            "" | "." => {}
            ".." => {
                let parent = out[..out.len() - 1].rfind('/').unwrap_or_default();
                out.truncate(parent + 1);
            }
            hiding if hides_dots(hiding) => return Err(BadPath::HiddenDots),
            name => {
                out.push_str(name);
                if segments.peek().is_some() {
                    out.push('/');
                }
            }
        }
    }
    Ok(out)
}

/// A segment with its escapes in normal form.
fn unescaped(segment: &str) -> Result<Cow<'_, str>, BadPath> {
    if !segment.contains('%') {
        return Ok(Cow::Borrowed(segment));
    }
    let mut out = String::with_capacity(segment.len());
    let mut parts = segment.split('%');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        match escape::read(part.as_bytes()) {
            None => return Err(BadPath::Escape),
            Some(Escape::Plain(byte)) => out.push(char::from(byte)),
            Some(Escape::Kept(byte)) if byte.is_ascii_control() => return Err(BadPath::Control),
            Some(Escape::Kept(byte)) => out.extend(escape::spelled(byte).map(char::from)),
        }
        // The two digits are ASCII, so this is a boundary.
        out.push_str(part.get(2..).unwrap_or_default());
    }
    Ok(Cow::Owned(out))
}

/// Whether an origin that decodes `%2F` or `%5C`, or cuts off `;parameters`,
/// would see a dot segment in this one.
fn hides_dots(segment: &str) -> bool {
    segment
        .split("%2F")
        .flat_map(|part| part.split("%5C"))
        .any(|part| {
            let name = part.split(';').next().unwrap_or_default();
            let name = name.split("%3B").next().unwrap_or_default();
            matches!(name, "." | "..")
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(path: &str, wanted: &str) {
        let seen = canonical(path);
        assert_eq!(seen.as_deref(), Ok(wanted), "{path}");
        let is_borrowed = matches!(seen, Ok(Cow::Borrowed(_)));
        assert_eq!(
            is_borrowed,
            path == wanted,
            "{path} is borrowed when nothing changes"
        );
    }

    #[track_caller]
    fn check_refused(path: &str, wanted: BadPath) {
        assert_eq!(canonical(path), Err(wanted), "{path:?}");
    }

    #[test]
    fn dot_segments_are_resolved() {
        check("/static/../account", "/account");
        check("/static/%2e%2e/account", "/account");
        check("/static/.%2E/account", "/account");
        check("/./account", "/account");
        check("/a/b/c/./../../g", "/a/g");
        check("/a/.", "/a/");
        check("/a/b/..", "/a/");
        check("/a/..", "/");
        check("/../../a", "/a");
        check("/..", "/");
        check("/a/...", "/a/...");
        check("/.well-known/x", "/.well-known/x");
        check("/a../.b/c.", "/a../.b/c.");
    }

    #[test]
    fn duplicate_slashes_are_merged_before_dots_are_resolved() {
        check("//account", "/account");
        check("/a//b///", "/a/b/");
        check("//", "/");
        check("/a//../b", "/b");
        check("/a/.//b", "/a/b");
    }

    #[test]
    fn a_final_slash_counts() {
        check("/", "/");
        check("/account", "/account");
        check("/account/", "/account/");
    }

    #[test]
    fn escapes_take_their_normal_form() {
        check("/%61%7E%2d", "/a~-");
        check("/caf%c3%a9", "/caf%C3%A9");
        check("/caf%C3%A9", "/caf%C3%A9");
        check("/café", "/café");
        check("/a%20b", "/a%20b");
        check("/%2561", "/%2561");
        check("/%252e%252e/a", "/%252e%252e/a");
    }

    #[test]
    fn escaped_delimiters_stay_data() {
        check("/account%2Fx.css", "/account%2Fx.css");
        check("/account%2fx.css", "/account%2Fx.css");
        check("/account;x.css", "/account;x.css");
        check("/account%3Bx.css", "/account%3Bx.css");
        check("/account%3f.css", "/account%3F.css");
        check("/account%23.css", "/account%23.css");
        check("/a%5Cb", "/a%5Cb");
        check("/%2F/", "/%2F/");
        check("/a%2F.b", "/a%2F.b");
    }

    #[test]
    fn hidden_dot_segments_are_refused() {
        for path in [
            "/static/..%2Faccount",
            "/static/..%2faccount",
            "/static/%2e%2e%2faccount",
            "/static/%2e%2e%5caccount",
            "/static/..%5Caccount",
            "/static/a%2F..%2Faccount",
            "/static/a%2F..",
            "/static/a%5C.",
            "/static/%2F..",
            "/static/..;/account",
            "/static/.;x/account",
            "/static/..;a%2Fb",
            "/static/%2e%2e%3Bx/account",
            "/a%2F..%3Bb",
        ] {
            check_refused(path, BadPath::HiddenDots);
        }
        check("/static/...;x", "/static/...;x");
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in ["", "*", "a", "http://a/b", "%2Fa"] {
            check_refused(path, BadPath::NotAbsolute);
        }
        for path in [
            "/a\0",
            "/a\n",
            "/\u{7f}",
            "/account%00.css",
            "/account%0A.css",
            "/%1f",
            "/%7F",
        ] {
            check_refused(path, BadPath::Control);
        }
        for path in ["/a b", "/a?b", "/a#b"] {
            check_refused(path, BadPath::Delimiter);
        }
        for path in ["/%", "/%4", "/%zz", "/a%/b", "/%+1", "/%é"] {
            check_refused(path, BadPath::Escape);
        }
        check_refused("/a\\b", BadPath::Backslash);
    }

    fn near_path() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("/"),
            Just("."),
            Just(".."),
            Just("a"),
            Just("%2F"),
            Just("%5c"),
            Just("%2e"),
            Just(";"),
            Just("%3b"),
            Just("%61"),
            Just("%25"),
            Just("é"),
            Just("%c3"),
            Just("%0a"),
        ];
        prop::collection::vec(part, 0..12).prop_map(|parts| format!("/{}", parts.concat()))
    }

    proptest! {
        #[test]
        fn canonical_is_idempotent(path in near_path()) {
            if let Ok(once) = canonical(&path) {
                prop_assert_eq!(canonical(&once), Ok(Cow::Borrowed(&*once)));
                for segment in once.split('/') {
                    prop_assert!(segment != "." && segment != "..");
                }
                prop_assert!(!once.contains("//"));
            }
        }

        #[test]
        fn the_quick_look_agrees_with_the_full_one(path in near_path()) {
            if is_plainly_canonical(path.as_bytes()) {
                prop_assert_eq!(rebuild(&path), Ok(path));
            }
        }

        #[test]
        fn no_path_panics(path: String) {
            let _ = canonical(&path);
            let _ = canonical(&format!("/{path}"));
        }
    }
}
