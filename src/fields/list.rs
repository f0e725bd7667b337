//! Comma lists over repeated field lines (RFC 9110 §5.6.1).

use super::trim;

/// The members of a comma list, trimmed, in order; empty ones are skipped.
///
/// "A recipient MUST parse and ignore a reasonable number of empty list
/// elements"; ours is bounded by the size of the head. A comma inside a
/// quoted-string is part of its member, and so is one after an escaped quote.
/// A quote that is never closed runs to the end of its own field line and no
/// further: the next line starts outside of quotes.
pub fn members<'a>(
    values: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + ?Sized + 'a)>,
) -> impl Iterator<Item = &'a [u8]> {
    values
        .into_iter()
        .flat_map(|value| line_members(value.as_ref()))
}

/// The members of one field line; see [`members`].
pub fn line_members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest.take()?;
        let end = member_end(line);
        rest = line.get(end + 1..);
        Some(trim(&line[..end]))
    })
    .filter(|member| !member.is_empty())
}

/// Where the first member ends: at its comma, or with the line.
fn member_end(line: &[u8]) -> usize {
    let mut quoted = false;
    let mut bytes = line.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => {
                bytes.next();
            }
            b',' if !quoted => return at,
            _ => {}
        }
    }
    line.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(lines: &[&str], wanted: &[&str]) {
        let seen: Vec<_> = members(lines.iter().copied())
            .map(|member| std::str::from_utf8(member).unwrap())
            .collect();
        assert_eq!(seen, wanted);
    }

    #[test]
    fn members_are_trimmed_and_empty_ones_skipped() {
        check(&["a, b ,\tc"], &["a", "b", "c"]);
        check(&[" , ,a,,b, "], &["a", "b"]);
        check(&["", " ", ","], &[]);
        check(&[], &[]);
    }

    #[test]
    fn lines_continue_one_list() {
        check(&["a, b", "c"], &["a", "b", "c"]);
    }

    #[test]
    fn a_comma_in_quotes_is_part_of_its_member() {
        check(&[r#"a="1, 2", b"#], &[r#"a="1, 2""#, "b"]);
        check(&[r#"a="1\", 2", b"#], &[r#"a="1\", 2""#, "b"]);
        check(&[r#"a\, b"#], &[r"a\", "b"]);
    }

    #[test]
    fn an_open_quote_ends_with_its_line() {
        check(&[r#"a="1, b"#, "c, d"], &[r#"a="1, b"#, "c", "d"]);
        check(&[r#""a\"#, "b"], &[r#""a\"#, "b"]);
    }

    proptest! {
        #[test]
        fn members_never_panic_or_overlap(line: Vec<u8>) {
            let total: usize = line_members(&line).map(<[u8]>::len).sum();
            prop_assert!(total <= line.len());
        }

        #[test]
        fn a_joined_list_reads_back(names in prop::collection::vec("[a-z]{1,6}(=\"[a-z,]*\")?", 0..6)) {
            let line = names.join(" ,, ");
            let seen: Vec<_> = line_members(line.as_bytes()).collect();
            let wanted: Vec<_> = names.iter().map(String::as_bytes).collect();
            prop_assert_eq!(seen, wanted);
        }
    }
}
