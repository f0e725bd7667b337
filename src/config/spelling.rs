//! The name somebody probably meant.

/// The one of `names` that `seen` is most likely a slip of, if any is close enough.
pub(super) fn nearest<'a>(seen: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // One slip in short names, one per three letters in long ones.
    let slips_max = (seen.chars().count() / 3).clamp(1, 3);
    names
        .into_iter()
        .map(|name| (slips(seen, name), name))
        .filter(|(slips, name)| *slips <= slips_max || begins(name, seen) || begins(seen, name))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, name)| name)
}

/// Whether `long` goes on after `short`, and `short` says enough.
fn begins(long: &str, short: &str) -> bool {
    short.len() >= 3 && long.starts_with(short)
}

/// How many letters have to be added, dropped, replaced or swapped with their
/// neighbour to get from one to the other (optimal string alignment); `-` and
/// `_` are one letter, and so are capitals and small ones.
fn slips(one: &str, other: &str) -> usize {
    let letters = |text: &str| -> Vec<char> {
        text.chars()
            .map(|c| {
                if c == '-' {
                    '_'
                } else {
                    c.to_ascii_lowercase()
                }
            })
            .collect()
    };
    let (one, other) = (letters(one), letters(other));
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, wanted) in other.iter().enumerate() {
            let replaced = above[column] + usize::from(letter != wanted);
            let mut best = replaced.min(above[column + 1] + 1).min(current[column] + 1);
            let swapped =
                row > 0 && column > 0 && *letter == other[column - 1] && one[row - 1] == *wanted;
            if swapped {
                best = best.min(before[column - 1] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_meant() {
        let names = ["alias", "aliases", "behaviour", "connect_timeout", "id"];
        let check = |seen: &str, wanted| assert_eq!(nearest(seen, names), wanted, "{seen}");
        check("aliasses", Some("aliases"));
        check("behavuor", Some("behaviour"));
        check("connect-timeout", Some("connect_timeout"));
        check("conect_timout", Some("connect_timeout"));
        check("ID", Some("id"));
        check("connect", Some("connect_timeout"));
        check("alias", Some("alias"));
        check("aliases_of", Some("aliases"));
        check("tls", None);
        check("certificate", None);
    }

    #[test]
    fn swapped_neighbours_are_one_slip() {
        assert_eq!(slips("orgiin", "origin"), 1);
        assert_eq!(slips("", "abc"), 3);
        assert_eq!(slips("abc", ""), 3);
    }
}
