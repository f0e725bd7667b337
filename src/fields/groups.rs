//! Cache groups: names that responses share (RFC 9875 §2).

use super::structured::{self, Item};

/// The most groups of one field; more void it, as if it were absent. The RFC asks for at
/// least 128.
pub const GROUPS_MAX: usize = 1_000;

/// The longest group, in bytes; a longer one voids the field. The RFC asks for at least 128.
pub const GROUP_BYTES_MAX: usize = 1_024;

/// The groups that `Cache-Groups` or `Cache-Group-Invalidation` names: "a List of Strings".
///
/// Empty when there are none, and when the field is in error: "implementations MUST ignore
/// the field" then. Groups are compared byte by byte.
pub fn groups<'a>(
    values: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + ?Sized + 'a)>,
) -> Vec<Vec<u8>> {
    let members = structured::list(values).unwrap_or_default();
    if members.len() > GROUPS_MAX {
        return Vec::new();
    }
    let name = |item| match item {
        Item::String(name) if name.len() <= GROUP_BYTES_MAX => Some(name),
        _ => None,
    };
    members
        .into_iter()
        .map(name)
        .collect::<Option<_>>()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[track_caller]
    fn check(lines: &[&str], expected: &[&str]) {
        let lines: Vec<HeaderValue> = lines.iter().map(|line| line.parse().unwrap()).collect();
        let expected: Vec<Vec<u8>> = expected
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        assert_eq!(groups(&lines), expected, "{lines:?}");
    }

    #[test]
    fn groups_are_strings() {
        check(&["\"a\", \"b c\";p=1"], &["a", "b c"]);
        check(&["\"a\"", "\"b\""], &["a", "b"]);
        check(&["a, \"b\""], &[]);
        check(&["\"a\", 1"], &[]);
        check(&[], &[]);
    }

    #[test]
    fn too_many_or_too_long_is_none() {
        let many = vec!["\"a\""; GROUPS_MAX + 1].join(", ");
        check(&[&many], &[]);
        let long = format!("\"{}\"", "a".repeat(GROUP_BYTES_MAX + 1));
        check(&[&long], &[]);
    }
}
