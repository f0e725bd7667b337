//! Moments in the basic form of ISO 8601, in UTC, to the second: what AWS clients sign.
//!
//! No other zone, no fraction, no leap second: what is not exactly the form is not a moment.

use super::date::{moment, number, rfc3339};
use crate::time::Timestamp;

/// The moment that `text` names in the basic form, `20150830T123600Z`.
///
/// `None` for anything else, a day or hour that does not exist included. Moments
/// before 1970 become 1970.
pub fn parse_basic(text: &[u8]) -> Option<Timestamp> {
    let &[
        y1,
        y2,
        y3,
        y4,
        o1,
        o2,
        d1,
        d2,
        b'T',
        h1,
        h2,
        m1,
        m2,
        s1,
        s2,
        b'Z',
    ] = text
    else {
        return None;
    };
    let month = number([o1, o2])?;
    let (hour, minute, second) = (number([h1, h2])?, number([m1, m2])?, number([s1, s2])?);
    if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let clock = hour * 3600 + minute * 60 + second;
    moment(number([y1, y2, y3, y4])?, month, number([d1, d2])?, clock)
}

/// `moment` in the basic form, `20150830T123600Z`.
///
/// Moments after the year 9999 become its last second.
pub fn basic(moment: Timestamp) -> String {
    rfc3339(moment).replace(['-', ':'], "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_moment_is_written_and_read() {
        let moment = Timestamp::from_unix(1_440_938_160);
        assert_eq!(basic(moment), "20150830T123600Z");
        assert_eq!(parse_basic(b"20150830T123600Z"), Some(moment));
    }

    #[test]
    fn what_is_not_exactly_the_basic_form_is_no_moment() {
        for text in [
            "",
            "20150830T123600",
            "20150830T123600z",
            "20150830 123600Z",
            "2015-08-30T12:36:00Z",
            "20150830T123600.0Z",
            "20150830T243600Z",
            "20150830T126000Z",
            "20150830T123660Z",
            "20150832T123600Z",
            "20151330T123600Z",
            "20150030T123600Z",
            "20150229T123600Z",
            "+0150830T123600Z",
            " 20150830T123600Z",
            "２０150830T123600Z",
        ] {
            assert_eq!(parse_basic(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_last_second_of_four_digits_is_the_last() {
        let last = basic(Timestamp::from_unix(u64::MAX));
        assert_eq!(last, "99991231T235959Z");
        assert_eq!(basic(parse_basic(last.as_bytes()).unwrap()), last);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(seconds in 0..253_402_300_800_u64) {
            let moment = Timestamp::from_unix(seconds);
            prop_assert_eq!(parse_basic(basic(moment).as_bytes()), Some(moment));
        }

        #[test]
        fn reading_never_panics(text in any::<Vec<u8>>()) {
            let _ = parse_basic(&text);
        }
    }
}
