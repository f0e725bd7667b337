//! Durations (`"250ms"`, `"10s"`, `"24h"`, `"365d"`) and sizes (`"64KiB"`, `"512MiB"`) as an operator writes them.
//!
//! One whole number and one unit; no sums, no fractions, no bare numbers, so
//! that nobody has to guess which unit was meant.

use std::time::Duration;

/// The longest duration, in seconds: a hundred years, as CloudFront's longest TTL.
/// Every deadline computed from it stays far inside 64 bits.
pub(super) const DURATION_SECONDS_MAX: u64 = 100 * 365 * 24 * 60 * 60;

/// What a duration looks like, for messages.
pub(super) const DURATION_FORM: &str =
    r#"a duration such as "250ms", "10s", "5m", "24h" or "365d""#;

/// What a size looks like, for messages.
pub(super) const SIZE_FORM: &str = r#"a size such as "64KiB", "512MiB" or "2GiB""#;

/// Why a text is no duration or size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadUnit {
    /// It does not start with digits.
    #[error("it does not start with a whole number")]
    NoNumber,
    /// It is a bare number.
    #[error("it has no unit")]
    NoUnit,
    /// It ends in something else.
    #[error("its unit is not known")]
    Unknown,
    /// It is larger than what can be meant.
    #[error("it is too large")]
    TooLarge,
}

/// Reads a duration.
pub(super) fn duration(text: &str) -> Result<Duration, BadUnit> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "ms" => {
            let span = Duration::from_millis(number);
            return if span.as_secs() > DURATION_SECONDS_MAX {
                Err(BadUnit::TooLarge)
            } else {
                Ok(span)
            };
        }
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(BadUnit::Unknown),
    };
    match number.checked_mul(seconds) {
        Some(seconds) if seconds <= DURATION_SECONDS_MAX => Ok(Duration::from_secs(seconds)),
        _ => Err(BadUnit::TooLarge),
    }
}

/// Reads a size, in bytes.
pub(super) fn size(text: &str) -> Result<u64, BadUnit> {
    let (number, unit) = split(text)?;
    let bytes = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(BadUnit::Unknown),
    };
    number.checked_mul(bytes).ok_or(BadUnit::TooLarge)
}

/// `span` in the largest unit that says it exactly, as [`duration`] reads it.
pub fn show_duration(span: Duration) -> String {
    if span.subsec_millis() != 0 {
        return format!("{}ms", span.as_millis());
    }
    let seconds = span.as_secs();
    let units = [(24 * 60 * 60, "d"), (60 * 60, "h"), (60, "m")];
    match units
        .iter()
        .find(|(unit, _)| seconds != 0 && seconds.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

/// `bytes` in the largest unit that says it exactly, as [`size`] reads it.
pub(super) fn show_size(bytes: u64) -> String {
    let units = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    match units
        .iter()
        .find(|(unit, _)| bytes != 0 && bytes.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

/// The number at the start, and what follows it.
fn split(text: &str) -> Result<(u64, &str), BadUnit> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    if digits.is_empty() {
        return Err(BadUnit::NoNumber);
    }
    let number = digits.parse().map_err(|_| BadUnit::TooLarge)?;
    if unit.is_empty() {
        Err(BadUnit::NoUnit)
    } else {
        Ok((number, unit))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        #[track_caller]
        fn check(text: &str, wanted: Result<u64, BadUnit>) {
            assert_eq!(
                duration(text),
                wanted.map(Duration::from_millis),
                "{text:?}"
            );
        }
        check("250ms", Ok(250));
        check("0s", Ok(0));
        check("10s", Ok(10_000));
        check("5m", Ok(300_000));
        check("24h", Ok(86_400_000));
        check("365d", Ok(31_536_000_000));
        check("36500d", Ok(3_153_600_000_000));
        check("36501d", Err(BadUnit::TooLarge));
        check("18446744073709551615d", Err(BadUnit::TooLarge));
        check("99999999999999999999s", Err(BadUnit::TooLarge));
        check("", Err(BadUnit::NoNumber));
        check("s", Err(BadUnit::NoNumber));
        check("-1s", Err(BadUnit::NoNumber));
        check("30", Err(BadUnit::NoUnit));
        for text in ["30 s", "1.5s", "1h30m", "30S", "1w", "1e3s"] {
            check(text, Err(BadUnit::Unknown));
        }
    }

    #[test]
    fn a_size_is_a_number_and_a_binary_unit() {
        assert_eq!(size("0B"), Ok(0));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("512MiB"), Ok(512 << 20));
        assert_eq!(size("512MB"), Err(BadUnit::Unknown));
        assert_eq!(size("1024"), Err(BadUnit::NoUnit));
        assert_eq!(size("16777216TiB"), Err(BadUnit::TooLarge));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(millis in 0..DURATION_SECONDS_MAX * 1000, bytes: u64) {
            let span = Duration::from_millis(millis);
            prop_assert_eq!(duration(&show_duration(span)), Ok(span));
            prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = (duration(&text), size(&text));
        }
    }
}
