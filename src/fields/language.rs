//! Accept-Language: the one language a viewer wants most (RFC 9110 §12.5.4).

use super::{list::members, trim};

/// The range with the highest quality, when there is exactly one such and it is no
/// wildcard.
///
/// Ranges of equal quality are no order of preference ("some recipients treat the order ...
/// as an indication of descending priority ... However, this behavior cannot be relied
/// upon"), so that nothing is told from them.
pub fn most_wanted<'a>(
    values: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + ?Sized + 'a)>,
) -> Option<&'a [u8]> {
    let mut best: Option<(&[u8], u16)> = None;
    let mut alone = false;
    for member in members(values) {
        let mut parts = member.split(|&byte| byte == b';');
        let range = trim(parts.next().unwrap_or_default());
        let quality = parts.find_map(|part| quality(trim(part))).unwrap_or(1_000);
        match best {
            Some((_, known)) if quality < known => {}
            Some((_, known)) if quality == known => alone = false,
            _ => (best, alone) = (Some((range, quality)), true),
        }
    }
    let (range, quality) = best?;
    (alone && quality > 0 && range != b"*").then_some(range)
}

/// `q=0.123` in thousandths; what is no quality counts as 0.
fn quality(part: &[u8]) -> Option<u16> {
    let (name, value) = part.split_at_checked(2)?;
    if !name.eq_ignore_ascii_case(b"q=") {
        return None;
    }
    let digit = |byte: &u8| u16::from(byte.wrapping_sub(b'0'));
    let thousandths = match value {
        [b'1'] | [b'1', b'.', ..] => 1_000,
        [b'0'] => 0,
        [b'0', b'.', rest @ ..] if rest.len() <= 3 && rest.iter().all(u8::is_ascii_digit) => {
            let place = [100, 10, 1];
            rest.iter()
                .zip(place)
                .map(|(byte, place)| digit(byte) * place)
                .sum()
        }
        _ => 0,
    };
    Some(thousandths)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(lines: &[&str], expected: Option<&str>) {
        let lines: Vec<HeaderValue> = lines.iter().map(|line| line.parse().unwrap()).collect();
        let seen = most_wanted(&lines).map(|range| std::str::from_utf8(range).unwrap());
        assert_eq!(seen, expected, "{lines:?}");
    }

    #[test]
    fn the_highest_quality_wins() {
        check(&["fr;q=0.5, de;q=1.0"], Some("de"));
        check(&["fr;q=0.5", "de"], Some("de"));
        check(&["de ; Q=0.25, fr;q=0.3"], Some("fr"));
    }

    #[test]
    fn a_tie_a_wildcard_or_a_refusal_is_no_wish() {
        check(&["en, de"], None);
        check(&["*"], None);
        check(&["de;q=0"], None);
        check(&["de;q=x"], None);
        check(&[], None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ -~\\t]{0,40}") {
            if let Ok(value) = text.parse::<HeaderValue>() {
                most_wanted([&value]);
            }
        }
    }
}
