//! HTTP dates: three ways to read one, one way to print it (RFC 9110 §5.6.7).
//!
//! The shapes are exact, because a date that is nearly right is an invalid
//! Expires and must make the response stale. Two things are lenient, as caches
//! are: letter case, and a weekday that does not belong to the date. Both rule
//! out the usual date crates.

use crate::time::Timestamp;

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DAY_SECONDS: u64 = 86_400;
/// 9999-12-31 23:59:59, the last moment that four digits of year can name.
const LAST: u64 = 253_402_300_799;

/// The moment that `text` names, as IMF-fixdate, RFC 850 date or asctime date.
///
/// `None` for anything else: another zone than GMT, a day that its month does
/// not have, a missing or an added space, surrounding whitespace. Moments before
/// 1970 become 1970. `now` settles the century of an RFC 850 date.
pub fn parse(text: &[u8], now: Timestamp) -> Option<Timestamp> {
    imf_fixdate(text)
        .or_else(|| rfc850(text, now))
        .or_else(|| asctime(text))
}

/// `moment` as IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT`; no allocation.
///
/// Moments after the year 9999 become its last second.
pub fn format(moment: Timestamp) -> [u8; 29] {
    let seconds = moment.unix().min(LAST);
    let (days, clock) = (seconds / DAY_SECONDS, seconds % DAY_SECONDS);
    let (year, month, day) = civil(days);
    let mut out = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    // 1970-01-01 was a Thursday.
    out[..3].copy_from_slice(&DAYS[((days + 4) % 7) as usize].as_bytes()[..3]);
    out[5..7].copy_from_slice(&two_digits(day));
    out[8..11].copy_from_slice(MONTHS[(month - 1) as usize].as_bytes());
    out[12..14].copy_from_slice(&two_digits(year / 100));
    out[14..16].copy_from_slice(&two_digits(year % 100));
    out[17..19].copy_from_slice(&two_digits(clock / 3600));
    out[20..22].copy_from_slice(&two_digits(clock / 60 % 60));
    out[23..25].copy_from_slice(&two_digits(clock % 60));
    out
}

/// `moment` as `1994-11-06T08:49:37Z` (RFC 3339 §5.6), for what is no field of HTTP.
///
/// Moments after the year 9999 become its last second.
pub fn rfc3339(moment: Timestamp) -> String {
    let seconds = moment.unix().min(LAST);
    let (year, month, day) = civil(seconds / DAY_SECONDS);
    let clock = seconds % DAY_SECONDS;
    let (hour, minute, second) = (clock / 3_600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn imf_fixdate(text: &[u8]) -> Option<Timestamp> {
    let &[
        w1,
        w2,
        w3,
        b',',
        b' ',
        d1,
        d2,
        b' ',
        m1,
        m2,
        m3,
        b' ',
        y1,
        y2,
        y3,
        y4,
        b' ',
        ref end @ ..,
    ] = text
    else {
        return None;
    };
    short_weekday([w1, w2, w3])?;
    let (day, month) = (number([d1, d2])?, month([m1, m2, m3])?);
    moment(number([y1, y2, y3, y4])?, month, day, clock(zoned(end)?)?)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`.
///
/// "Recipients of a timestamp value in rfc850-date format, which uses a
/// two-digit year, MUST interpret a timestamp that appears to be more than 50
/// years in the future as representing the most recent year in the past that
/// had the same last two digits."
fn rfc850(text: &[u8], now: Timestamp) -> Option<Timestamp> {
    let comma = text.iter().position(|&byte| byte == b',')?;
    let (weekday, rest) = text.split_at(comma);
    if !DAYS
        .iter()
        .any(|name| name.as_bytes().eq_ignore_ascii_case(weekday))
    {
        return None;
    }
    let &[
        b',',
        b' ',
        d1,
        d2,
        b'-',
        m1,
        m2,
        m3,
        b'-',
        y1,
        y2,
        b' ',
        ref end @ ..,
    ] = rest
    else {
        return None;
    };
    let (day, month) = (number([d1, d2])?, month([m1, m2, m3])?);
    let (two_digits, clock) = (number([y1, y2])?, clock(zoned(end)?)?);

    let now = now.unix().min(LAST);
    let (this_year, this_month, this_day) = civil(now / DAY_SECONDS);
    let horizon = since_epoch(this_year + 50, this_month, this_day) + now % DAY_SECONDS;
    // The latest year that ends so and is at most 50 years ahead.
    let year = this_year + 50 - (this_year + 50 + 100 - two_digits) % 100;
    if is_day(year, month, day) && since_epoch(year, month, day) + clock > horizon {
        return moment(year - 100, month, day, clock);
    }
    moment(year, month, day, clock)
}

/// `Sun Nov  6 08:49:37 1994`.
fn asctime(text: &[u8]) -> Option<Timestamp> {
    let &[
        w1,
        w2,
        w3,
        b' ',
        m1,
        m2,
        m3,
        b' ',
        d1,
        d2,
        b' ',
        ref time @ ..,
        b' ',
        y1,
        y2,
        y3,
        y4,
    ] = text
    else {
        return None;
    };
    short_weekday([w1, w2, w3])?;
    // "date3 = month SP ( 2DIGIT / ( SP 1DIGIT ))"
    let day = if d1 == b' ' {
        number([d2])?
    } else {
        number([d1, d2])?
    };
    moment(
        number([y1, y2, y3, y4])?,
        month([m1, m2, m3])?,
        day,
        clock(time)?,
    )
}

/// What comes before ` GMT`.
fn zoned(text: &[u8]) -> Option<&[u8]> {
    let (time, zone) = text.split_last_chunk::<4>()?;
    zone.eq_ignore_ascii_case(b" GMT").then_some(time)
}

/// Seconds into the day of `hh:mm:ss`. A leap second is the next minute's first.
fn clock(text: &[u8]) -> Option<u64> {
    let &[h1, h2, b':', m1, m2, b':', s1, s2] = text else {
        return None;
    };
    let (hour, minute, second) = (number([h1, h2])?, number([m1, m2])?, number([s1, s2])?);
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

fn short_weekday(name: [u8; 3]) -> Option<()> {
    DAYS.iter()
        .any(|day| day.as_bytes()[..3].eq_ignore_ascii_case(&name))
        .then_some(())
}

fn month(name: [u8; 3]) -> Option<u64> {
    let index = MONTHS
        .iter()
        .position(|month| month.as_bytes().eq_ignore_ascii_case(&name))?;
    Some(index as u64 + 1)
}

pub(super) fn number<const N: usize>(digits: [u8; N]) -> Option<u64> {
    super::digits(&digits)
}

/// The moment of a day and its seconds; `None` for a day that its month does not have.
pub(super) fn moment(year: u64, month: u64, day: u64, clock: u64) -> Option<Timestamp> {
    if !is_day(year, month, day) {
        return None;
    }
    let seconds = if year < 1970 {
        0
    } else {
        since_epoch(year, month, day) + clock
    };
    Some(Timestamp::from_unix(seconds))
}

fn is_day(year: u64, month: u64, day: u64) -> bool {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        2 => 28 + u64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1..=last).contains(&day)
}

/// Seconds from 1970 to the start of a day of the Gregorian calendar; zero for
/// days before. Years are counted from March, so that a leap day ends its year.
fn since_epoch(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 {
        year.saturating_sub(1)
    } else {
        year
    };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    days.saturating_sub(719_468) * DAY_SECONDS
}

/// Year, month and day, so many days after 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097; // 400 years
    let days = days + 719_468;
    let (era, day_of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn two_digits(value: u64) -> [u8; 2] {
    [b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    /// 2026-11-22 12:00:00.
    const NOW: Timestamp = Timestamp::from_unix(1_795_348_800);

    #[track_caller]
    fn check(text: &str, wanted: Option<u64>) {
        assert_eq!(
            parse(text.as_bytes(), NOW),
            wanted.map(Timestamp::from_unix),
            "{text}"
        );
    }

    #[test]
    fn a_moment_is_written_for_programs() {
        let written = |seconds| rfc3339(Timestamp::from_unix(seconds));
        assert_eq!(written(0), "1970-01-01T00:00:00Z");
        assert_eq!(written(951_868_799), "2000-02-29T23:59:59Z");
        assert_eq!(written(1_795_340_706), "2026-11-22T09:45:06Z");
        assert_eq!(written(u64::MAX), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn the_three_forms_are_one_moment() {
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777));
        check("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777));
        check("Sun Nov  6 08:49:37 1994", Some(784_111_777));
        check("Thu Aug 18 02:01:18 2050", Some(2_544_400_878));
    }

    #[test]
    fn case_and_weekday_do_not_matter() {
        for text in [
            "THU, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 AUG 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 gMT",
            "Mon, 18 Aug 2050 02:01:18 GMT",
            "thursday, 18-Aug-50 02:01:18 GMT",
        ] {
            check(text, Some(2_544_400_878));
        }
    }

    #[test]
    fn nearly_a_date_is_none() {
        for text in [
            "",
            "0",
            "-1",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 2050 02:01:18 +0000",
            "Thu, 18 Aug 2050 02:01:18",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18-Aug-50 02:01:18 GMT",
            "Thursday, 18-Aug-2050 02:01:18 GMT",
            "Thursday, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 18 Aug 2050 24:00:00 GMT",
            "Thu, 18 Aug 2050 02:60:00 GMT",
            "Thu, 18 Aug 2050 02:01:61 GMT",
            "Thu, 8 Aug 2050 02:01:18 GMT",
            "Thu, 00 Aug 2050 02:01:18 GMT",
            "Thu, 31 Sep 2050 02:01:18 GMT",
            "Wed, 29 Feb 2023 02:01:18 GMT",
            "Mon, 29 Feb 2100 02:01:18 GMT",
            "Xyz, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Xyz 2050 02:01:18 GMT",
            " Thu, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT ",
            "Thu Aug 8 02:01:18 2050",
            "Thu Aug  8 02:01:18 2050 GMT",
            "Thu Aug  8 02:01:18 50",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn two_digit_years_are_at_most_fifty_years_ahead() {
        #[track_caller]
        fn check_year(text: &str, now: Timestamp, wanted: &[u8; 4]) {
            let moment = parse(text.as_bytes(), now).unwrap();
            assert_eq!(&format(moment)[12..16], wanted, "{text}");
        }
        check_year("Sunday, 22-Nov-76 12:00:00 GMT", NOW, b"2076");
        check_year("Sunday, 22-Nov-76 12:00:01 GMT", NOW, b"1976");
        check_year("Sunday, 01-Jan-76 00:00:00 GMT", NOW, b"2076");
        check_year("Sunday, 01-Jan-77 00:00:00 GMT", NOW, b"1977");
        check_year("Sunday, 01-Jan-26 00:00:00 GMT", NOW, b"2026");
        let late = parse(b"Thu, 01 Jan 2099 00:00:00 GMT", NOW).unwrap();
        check_year("Sunday, 01-Jan-05 00:00:00 GMT", late, b"2105");
        check_year("Sunday, 01-Jan-49 00:00:00 GMT", late, b"2149");
        check_year("Sunday, 01-Jan-50 00:00:00 GMT", late, b"2050");
    }

    #[test]
    fn the_edges_of_time_are_clamped() {
        check("Fri, 18 Aug 1950 02:01:18 GMT", Some(0));
        check("Sat, 01 Jan 0000 00:00:00 GMT", Some(0));
        check("Tue, 19 Jan 2038 14:14:08 GMT", Some(2_147_523_248));
        check("Fri, 31 Dec 9999 23:59:60 GMT", Some(LAST + 1));
        assert_eq!(
            &format(Timestamp::from_unix(0)),
            b"Thu, 01 Jan 1970 00:00:00 GMT"
        );
        assert_eq!(
            &format(Timestamp::from_unix(u64::MAX)),
            b"Fri, 31 Dec 9999 23:59:59 GMT"
        );
        for century in 0..100 {
            let text = format!("Sunday, 29-Feb-{century:02} 00:00:00 GMT");
            let _ = parse(text.as_bytes(), Timestamp::from_unix(0));
            let _ = parse(text.as_bytes(), Timestamp::from_unix(u64::MAX));
        }
    }

    proptest! {
        #[test]
        fn a_date_reads_back_as_printed(seconds in 0..=LAST) {
            let moment = Timestamp::from_unix(seconds);
            prop_assert_eq!(parse(&format(moment), NOW), Some(moment));
        }

        #[test]
        fn printing_agrees_with_httpdate(seconds in 0..=LAST) {
            let theirs: SystemTime = UNIX_EPOCH + Duration::from_secs(seconds);
            let theirs = httpdate::fmt_http_date(theirs);
            prop_assert_eq!(&format(Timestamp::from_unix(seconds))[..], theirs.as_bytes());
        }

        #[test]
        fn no_bytes_panic(text: Vec<u8>, near in "[A-Za-z]{3,6},? [0-9]{2}[ -][A-Z][a-z]{2}[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT", now: u64) {
            let now = Timestamp::from_unix(now);
            let _ = (parse(&text, now), parse(near.as_bytes(), now));
        }
    }
}
