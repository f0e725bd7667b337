//! How old a response is (RFC 9111 §4.2.3).
//!
//! Ages are whole seconds and never negative: clocks that disagree can make a
//! response look older, never younger than its own `Age` field says.

use http::{HeaderMap, header};

use crate::{
    fields::{date, delta_seconds, list},
    time::Timestamp,
};

/// The age of a response when its head arrived, in seconds.
///
/// `asked` is when its request was sent, `received` when its head arrived. The
/// wait between the two counts in full, since nobody can tell which part of it
/// the origin's own `Age` already covers.
pub fn initial(headers: &HeaderMap, asked: Timestamp, received: Timestamp) -> u32 {
    let date = headers
        .get(header::DATE)
        .and_then(|date| date::parse(date.as_bytes(), received));
    // "apparent_age = max(0, response_time - date_value);"
    let apparent = seconds(received, date.unwrap_or(received));
    // "corrected_age_value = age_value + response_delay;"
    let corrected = value(headers)
        .unwrap_or(0)
        .saturating_add(seconds(received, asked));
    // "corrected_initial_age = max(apparent_age, corrected_age_value);"
    apparent.max(corrected)
}

/// The `Age` field (RFC 9111 §5.1): "a recipient that receives an invalid value
/// SHOULD ignore it", and of several members the first counts.
pub fn value(headers: &HeaderMap) -> Option<u32> {
    delta_seconds(list::members(headers.get(header::AGE)).next()?)
}

/// Whole seconds from `earlier` to `later`, as ages count them.
pub fn seconds(later: Timestamp, earlier: Timestamp) -> u32 {
    u32::try_from(later.since(earlier).as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_348_800; // Sun, 22 Nov 2026 12:00:00 GMT

    #[track_caller]
    fn check(fields: &[(&'static str, &str)], waited: u64, expected: u32) {
        let mut headers = HeaderMap::new();
        for &(name, value) in fields {
            headers.append(name, value.parse().unwrap());
        }
        let (asked, received) = (
            Timestamp::from_unix(NOW - waited),
            Timestamp::from_unix(NOW),
        );
        assert_eq!(initial(&headers, asked, received), expected, "{fields:?}");
    }

    #[test]
    fn the_larger_of_both_estimates_counts() {
        check(&[], 0, 0);
        check(&[("age", "30")], 0, 30);
        check(&[("date", "Sun, 22 Nov 2026 11:59:20 GMT")], 0, 40);
        check(
            &[("date", "Sun, 22 Nov 2026 11:59:20 GMT"), ("age", "30")],
            0,
            40,
        );
        check(
            &[("date", "Sun, 22 Nov 2026 11:59:20 GMT"), ("age", "50")],
            0,
            50,
        );
    }

    #[test]
    fn the_wait_for_the_origin_counts() {
        check(&[], 3, 3);
        check(&[("age", "30")], 3, 33);
    }

    #[test]
    fn a_date_in_the_future_is_no_age() {
        check(
            &[("date", "Sun, 22 Nov 2026 12:10:00 GMT"), ("age", "5")],
            0,
            5,
        );
    }

    #[test]
    fn an_invalid_age_is_ignored_and_the_first_of_several_counts() {
        check(&[("age", "abc")], 0, 0);
        check(&[("age", "-7200")], 0, 0);
        check(&[("age", "7200.0")], 0, 0);
        check(&[("age", "10, 20")], 0, 10);
        check(&[("age", "10"), ("age", "20")], 0, 10);
        check(&[("age", "99999999999")], 0, 1 << 31);
    }
}
