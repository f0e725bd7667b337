//! Structured fields: dictionaries and lists, read strictly (RFC 8941 §4.2).
//!
//! Values are kept as far as the fields that use them care: integers, booleans, strings
//! and lists of those. One mistake voids the whole field.

use super::is_tchar;

/// The most members of a field that is read; more void it. It keeps the search for
/// duplicate keys below 1,024² steps, and no field of ours needs as many.
pub(super) const MEMBERS_MAX: usize = 1_024;

/// A value, its parameters left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An integer.
    Integer(i64),
    /// A boolean.
    Boolean(bool),
    /// A string, unescaped.
    String(Vec<u8>),
    /// An inner list.
    List(Vec<Self>),
    /// A decimal, a token or a byte sequence.
    Other,
}

/// Reads all lines as one dictionary, in the order of first appearance; of duplicate keys
/// "all but the last instance are ignored". `None` when it is empty or in error.
pub fn dictionary<'a>(
    values: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + ?Sized + 'a)>,
) -> Option<Vec<(Vec<u8>, Item)>> {
    let mut members: Vec<(Vec<u8>, Item)> = Vec::new();
    read(values, |text| {
        let key = text.key()?;
        let item = if text.eat(b'=') {
            text.item_or_list()?
        } else {
            Item::Boolean(true)
        };
        members.retain(|(earlier, _)| earlier != key);
        members.push((key.to_vec(), item));
        (members.len() <= MEMBERS_MAX).then_some(())
    })?;
    Some(members)
}

/// Reads all lines as one list. `None` when it is empty or in error.
pub fn list<'a>(
    values: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + ?Sized + 'a)>,
) -> Option<Vec<Item>> {
    let mut members = Vec::new();
    read(values, |text| {
        members.push(text.item_or_list()?);
        (members.len() <= MEMBERS_MAX).then_some(())
    })?;
    Some(members)
}

/// Reads members with `member`, separated by commas; parameters are skipped.
fn read<'a>(
    values: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + ?Sized + 'a)>,
    mut member: impl FnMut(&mut Text<'_>) -> Option<()>,
) -> Option<()> {
    let lines = values
        .into_iter()
        .map(AsRef::as_ref)
        .filter(|line| !line.is_empty());
    let combined = lines.collect::<Vec<_>>().join(&b", "[..]);
    let mut text = Text(combined.trim_ascii_start());
    loop {
        member(&mut text)?;
        text.parameters()?;
        text.skip(|byte| byte == b' ' || byte == b'\t');
        if text.0.is_empty() {
            return Some(());
        }
        if !text.eat(b',') {
            return None;
        }
        text.skip(|byte| byte == b' ' || byte == b'\t');
    }
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
        let mut items = Vec::new();
        loop {
            self.skip(|byte| byte == b' ');
            if self.eat(b')') {
                return Some(Item::List(items));
            }
            items.push(self.item()?);
            if items.len() > MEMBERS_MAX {
                return None;
            }
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
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn lines(lines: &[&str]) -> Vec<HeaderValue> {
        lines.iter().map(|line| line.parse().unwrap()).collect()
    }

    #[test]
    fn a_dictionary_keeps_the_last_of_each_key() {
        let read = dictionary(&lines(&["a=1, b;x=2", "c=(\"x\" 2;q);p, a=?0"])).unwrap();
        let expected = vec![
            (b"b".to_vec(), Item::Boolean(true)),
            (
                b"c".to_vec(),
                Item::List(vec![Item::String(b"x".to_vec()), Item::Integer(2)]),
            ),
            (b"a".to_vec(), Item::Boolean(false)),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn a_list_is_read_across_lines() {
        let string = |text: &str| Item::String(text.as_bytes().to_vec());
        let read = list(&lines(&["\"a\", \"b,\\\"c\";p=1", "tok"])).unwrap();
        assert_eq!(read, vec![string("a"), string("b,\"c"), Item::Other]);
    }

    #[test]
    fn one_mistake_voids_the_field() {
        for line in [
            "", "a=1,", "a=1 b=2", "A=1", "a=(1", "a=\"x", "a=1;;", "a=:x",
        ] {
            assert_eq!(dictionary(&lines(&[line])), None, "{line}");
        }
        for line in ["\"a\",", "\"a\" \"b\"", "(", "\"\\x\""] {
            assert_eq!(list(&lines(&[line])), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ -~\\t]{0,60}") {
            if let Ok(value) = text.parse::<HeaderValue>() {
                let _ = (dictionary([&value]), list([&value]));
            }
        }
    }
}
