//! Targeted cache control, such as CDN-Cache-Control (RFC 9213 §2).
//!
//! "Targeted fields are Dictionary Structured Fields": the same directives as in
//! Cache-Control, in a strict grammar (RFC 8941) instead of a tolerant one. One
//! mistake voids the whole field, and then Cache-Control counts again.

use http::HeaderValue;

use super::{
    DELTA_SECONDS_MAX,
    cache_control::{Directives, Scope},
    is_tchar,
};

/// The most members of a field that is read. The registry of directives has
/// some twenty; the bound keeps the search for duplicates below 64² steps.
const MEMBERS_MAX: usize = 64;

/// Reads all lines of a targeted field.
///
/// `None` when it is to be treated as absent: "If a targeted field in a given
/// response is empty, or a parsing error is encountered, that field MUST be
/// ignored by the cache". A lifetime that is not an Integer counts as an error
/// too, but what forbids something does so with any value but false; a negative
/// lifetime is zero. Unknown directives and all parameters are ignored. So is a
/// field of more than 64 members.
pub fn parse<'a>(values: impl IntoIterator<Item = &'a HeaderValue>) -> Option<Directives> {
    let lines = values
        .into_iter()
        .map(HeaderValue::as_bytes)
        .filter(|line| !line.is_empty());
    let combined = lines.collect::<Vec<_>>().join(&b", "[..]);
    let mut text = Text(combined.trim_ascii_start());
    // "If duplicate keys are encountered, all but the last instance are ignored."
    let mut members: Vec<(&[u8], Item)> = Vec::new();
    loop {
        let key = text.key()?;
        let item = if text.eat(b'=') {
            text.item_or_list()?
        } else {
            Item::Boolean(true)
        };
        text.parameters()?;
        members.retain(|(earlier, _)| *earlier != key);
        if members.len() == MEMBERS_MAX {
            return None;
        }
        members.push((key, item));
        text.skip(|byte| byte == b' ' || byte == b'\t');
        if text.0.is_empty() {
            break;
        }
        if !text.eat(b',') {
            return None;
        }
        text.skip(|byte| byte == b' ' || byte == b'\t');
    }
    let mut seen = Directives::default();
    for (key, item) in &members {
        take(&mut seen, key, item)?;
    }
    Some(seen)
}

/// A value, as far as a directive cares.
enum Item {
    Integer(i64),
    Boolean(bool),
    String(Vec<u8>),
    /// A decimal, token, byte sequence or inner list.
    Other,
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
            Item::Boolean(true) | Item::Integer(_) | Item::Other => seen.forbid(key, Scope::All),
        }
    }
    Some(())
}

/// What is left to parse (RFC 8941 §4.2). Each step eats what it read, or is
/// `None` when the field is in error.
struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    fn eat(&mut self, byte: u8) -> bool {
        match self.0.strip_prefix(&[byte]) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn skip(&mut self, is_part: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self
            .0
            .iter()
            .position(|&byte| !is_part(byte))
            .unwrap_or(self.0.len());
        let (skipped, rest) = self.0.split_at(length);
        self.0 = rest;
        skipped
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        let starts_well = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'*';
        self.0.first().filter(|byte| starts_well(byte))?;
        Some(self.skip(|byte| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || matches!(byte, b'_' | b'-' | b'.' | b'*')
        }))
    }

    fn parameters(&mut self) -> Option<()> {
        while self.eat(b';') {
            self.skip(|byte| byte == b' ');
            self.key()?;
            if self.eat(b'=') {
                self.item()?;
            }
        }
        Some(())
    }

    fn item_or_list(&mut self) -> Option<Item> {
        if !self.eat(b'(') {
            return self.item();
        }
        loop {
            self.skip(|byte| byte == b' ');
            if self.eat(b')') {
                return Some(Item::Other);
            }
            self.item()?;
            self.parameters()?;
            if !matches!(self.0.first()?, b' ' | b')') {
                return None;
            }
        }
    }

    fn item(&mut self) -> Option<Item> {
        match *self.0.first()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'?' => self.boolean(),
            b':' => self.byte_sequence(),
            byte if byte.is_ascii_alphabetic() || byte == b'*' => {
                self.skip(|byte| is_tchar(byte) || byte == b':' || byte == b'/');
                Some(Item::Other)
            }
            _ => None,
        }
    }

    /// Up to 15 digits, or up to 12 and a fraction of 1 to 3.
    fn number(&mut self) -> Option<Item> {
        let sign = if self.eat(b'-') { -1 } else { 1 };
        let whole = self.skip(|byte| byte.is_ascii_digit());
        if self.eat(b'.') {
            let fraction = self.skip(|byte| byte.is_ascii_digit());
            let is_decimal = (1..=12).contains(&whole.len()) && (1..=3).contains(&fraction.len());
            return is_decimal.then_some(Item::Other);
        }
        let digits = super::digits(whole).filter(|_| whole.len() <= 15)?;
        Some(Item::Integer(sign * i64::try_from(digits).ok()?))
    }

    fn string(&mut self) -> Option<Item> {
        self.eat(b'"');
        let mut said = Vec::new();
        loop {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            match byte {
                b'"' => return Some(Item::String(said)),
                b'\\' => {
                    let (&escaped, rest) = self.0.split_first()?;
                    self.0 = rest;
                    said.push(Some(escaped).filter(|byte| matches!(byte, b'"' | b'\\'))?);
                }
                b' '..=b'~' => said.push(byte),
                _ => return None,
            }
        }
    }

    fn boolean(&mut self) -> Option<Item> {
        self.eat(b'?');
        if self.eat(b'1') {
            Some(Item::Boolean(true))
        } else {
            self.eat(b'0').then_some(Item::Boolean(false))
        }
    }

    fn byte_sequence(&mut self) -> Option<Item> {
        self.eat(b':');
        self.skip(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
        self.eat(b':').then_some(Item::Other)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use proptest::prelude::*;

    use super::*;

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
