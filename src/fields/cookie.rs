//! The pairs of a Cookie field (RFC 6265 §4.2, read as tolerantly as servers do).

use super::trim;

/// The cookies of all field lines, in order, as name and value.
///
/// Pieces lie between semicolons, quotes or not; the first `=` splits, and both
/// sides are trimmed. A piece without `=` is the value of a cookie whose name is
/// empty, as user agents store it. Nothing is decoded and repeated names are
/// kept: which of them counts is up to the origin, so all of them do here.
pub fn pairs<'a>(
    values: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + ?Sized + 'a)>,
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    values
        .into_iter()
        .flat_map(|value| value.as_ref().split(|&byte| byte == b';'))
        .map(trim)
        .filter(|piece| !piece.is_empty())
        .map(|piece| match piece.iter().position(|&byte| byte == b'=') {
            Some(equals) => (trim(&piece[..equals]), trim(&piece[equals + 1..])),
            None => (&piece[..0], piece),
        })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(lines: &[&str], wanted: &[(&str, &str)]) {
        let seen: Vec<_> = pairs(lines.iter().copied()).collect();
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        assert_eq!(seen, wanted);
    }

    #[test]
    fn semicolons_separate_and_the_first_equals_splits() {
        check(&["a=1; b=2;c=3"], &[("a", "1"), ("b", "2"), ("c", "3")]);
        check(&["a=b=c"], &[("a", "b=c")]);
        check(&["a=1, b=2"], &[("a", "1, b=2")]);
        check(&[r#"a="1;2""#], &[("a", "\"1"), ("", "2\"")]);
    }

    #[test]
    fn repeated_names_and_lines_are_kept_in_order() {
        check(&["a=1; a=2", "a=3"], &[("a", "1"), ("a", "2"), ("a", "3")]);
    }

    #[test]
    fn odd_pieces_have_an_empty_side() {
        check(
            &[" ; ;a ; =1; b= ;=;"],
            &[("", "a"), ("", "1"), ("b", ""), ("", "")],
        );
        check(&[""], &[]);
    }

    proptest! {
        #[test]
        fn cookies_read_back(wanted in prop::collection::vec(("[a-z]{0,4}", "[a-z=]{0,6}"), 0..6)) {
            let text: Vec<_> = wanted.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let value: HeaderValue = text.join("; ").parse().unwrap();
            let seen: Vec<_> = pairs([&value]).collect();
            let wanted: Vec<_> = wanted.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
            prop_assert_eq!(seen, wanted);
        }
    }
}
