//! Targeted cache control, such as CDN-Cache-Control (RFC 9213 §2).
//!
//! "Targeted fields are Dictionary Structured Fields": the same directives as in
//! Cache-Control, in a strict grammar (RFC 8941) instead of a tolerant one. One
//! mistake voids the whole field, and then Cache-Control counts again.

use super::{
    DELTA_SECONDS_MAX,
    cache_control::{Directives, Scope},
    structured::{self, Item},
};

/// Reads all lines of a targeted field.
///
/// `None` when it is to be treated as absent: "If a targeted field in a given
/// response is empty, or a parsing error is encountered, that field MUST be
/// ignored by the cache". A lifetime that is not an Integer counts as an error
/// too, but what forbids something does so with any value but false; a negative
/// lifetime is zero. Unknown directives and all parameters are ignored. So is a
/// field of more than 1,024 members.
pub fn parse<'a>(
    values: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + ?Sized + 'a)>,
) -> Option<Directives> {
    let members = structured::dictionary(values)?;
    let mut seen = Directives::default();
    for (key, item) in &members {
        take(&mut seen, key, item)?;
    }
    Some(seen)
}

fn take(seen: &mut Directives, key: &[u8], item: &Item) -> Option<()> {
    if let Some(slot) = seen.seconds_mut(key) {
        let Item::Integer(seconds) = *item else {
            return None;
        };
        let seconds = seconds.clamp(0, i64::from(DELTA_SECONDS_MAX));
        *slot = u32::try_from(seconds).ok();
    } else if let Some(permitted) = seen.permits_mut(key) {
        *permitted = matches!(item, Item::Boolean(true));
    } else {
        match item {
            Item::Boolean(false) => {}
            Item::String(fields) => seen.forbid(key, Scope::read(fields)),
            Item::Boolean(true) | Item::Integer(_) | Item::List(_) | Item::Other => {
                seen.forbid(key, Scope::All);
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::fields::structured::MEMBERS_MAX;

    fn read(lines: &[&str]) -> Option<Directives> {
        let values: Vec<HeaderValue> = lines.iter().map(|line| line.parse().unwrap()).collect();
        parse(&values)
    }

    fn max_age(seconds: u32) -> Directives {
        Directives {
            max_age: Some(seconds),
            ..Directives::default()
        }
    }

    #[test]
    fn a_valid_field_says_what_cache_control_would() {
        #[track_caller]
        fn check(line: &str, wanted: Directives) {
            assert_eq!(read(&[line]), Some(wanted), "{line}");
        }
        check("max-age=3600", max_age(3600));
        check("  max-age=60 \t,\tfoobar  ", max_age(60));
        check("max-age=2147483648", max_age(DELTA_SECONDS_MAX));
        check("max-age=99999999999", max_age(DELTA_SECONDS_MAX));
        check("max-age=-1", max_age(0));
        check(
            "max-age=1;a;b=2.5, x=(a \"b\";c 1), y=:aGk=:, z=t/k:n;q=?0",
            max_age(1),
        );
        check("max-age=1, max-age=2", max_age(2));
        check(
            "no-store",
            Directives {
                no_store: true,
                ..Directives::default()
            },
        );
        check("no-store=?0, public=?0, foo", Directives::default());
        check(
            "public;x",
            Directives {
                public: true,
                ..Directives::default()
            },
        );
        let set_cookie = HeaderName::from_static("set-cookie");
        let private = Some(Scope::Fields(vec![set_cookie]));
        check(
            "private=\"Set-Cookie\"",
            Directives {
                private,
                ..Directives::default()
            },
        );
    }

    #[test]
    fn lines_are_one_dictionary() {
        assert_eq!(read(&["foo", "", "max-age=5"]), Some(max_age(5)));
        assert_eq!(read(&["max-age=5", "&&&"]), None);
    }

    #[test]
    fn members_are_bounded() {
        let line = |count| {
            let unknown: Vec<_> = (1..count).map(|index| format!("x{index}")).collect();
            format!("{}, max-age=5", unknown.join(", "))
        };
        assert_eq!(read(&[&line(MEMBERS_MAX)]), Some(max_age(5)));
        assert_eq!(read(&[&line(MEMBERS_MAX + 1)]), None);
    }

    #[test]
    fn a_wrong_type_of_what_forbids_still_forbids() {
        let all = Some(Scope::All);
        for line in [
            "private=set-cookie",
            "private=1",
            "private=(a)",
            "private=\"a b\"",
        ] {
            assert_eq!(read(&[line]).and_then(|seen| seen.private), all, "{line}");
        }
        assert_eq!(
            read(&["public=1, immutable=\"x\""]),
            Some(Directives::default())
        );
    }

    #[test]
    fn one_mistake_voids_the_field() {
        for line in [
            "",
            " ",
            "max-age=10000, &&&&&",
            "max-age=\"10000\"",
            "max-age",
            "max-age=1.0",
            "max-age=a",
            "max-age =100",
            "max-age= 100",
            "MaX-aGe=3600",
            "max-age=1,",
            "max-age=1,,foo",
            "max-age=1 foo",
            "max-age=1000000000000000",
            "max-age=-",
            "max-age=1.",
            "max-age=1, x=1.0000",
            "max-age=1, x=\"a",
            "max-age=1, x=\"\\a\"",
            "max-age=1, x=?2",
            "max-age=1, x=:a",
            "max-age=1, x=(a",
            "max-age=1, x=(\"a\"\"b\")",
            "max-age=1, x=",
            "max-age=1;",
            "max-age=1, x;A",
            "1=2",
        ] {
            assert_eq!(read(&[line]), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_value_panics(text: Vec<u8>, near in "[a-z0-9=\",;():?. \\\\-]{0,40}") {
            for text in [text.as_slice(), near.as_bytes()] {
                let _ = HeaderValue::from_bytes(text).map(|value| parse([&value]));
            }
        }

        #[test]
        fn integers_read_alike_in_both_grammars(seconds: u32, swr: u32) {
            let line = format!("max-age={seconds}, stale-while-revalidate={swr}, no-cache");
            let value: HeaderValue = line.parse().unwrap();
            prop_assert_eq!(parse([&value]), Some(Directives::parse([&value])));
        }
    }
}
