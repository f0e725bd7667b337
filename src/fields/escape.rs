//! Percent-escapes and their normal form (RFC 3986 §6.2.2).
//!
//! Only escapes of unreserved characters are equal to the character itself;
//! `%2F` and `/` name different resources and stay apart.

/// One escape in normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// It stood for this unreserved character, which should be written plainly.
    Plain(u8),
    /// It stays an escape, of this byte; see [`spelled`].
    Kept(u8),
}

/// Reads the two hexadecimal digits after a `%`; `None` when they are not.
pub(super) fn read(digits: &[u8]) -> Option<Escape> {
    let &[high, low, ..] = digits else {
        return None;
    };
    let byte = hex(high)? << 4 | hex(low)?;
    Some(if is_unreserved(byte) {
        Escape::Plain(byte)
    } else {
        Escape::Kept(byte)
    })
}

/// Whether every `%` in `text` begins an escape.
pub(super) fn all_complete(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
        rest = &rest[at + 1..];
        if read(rest).is_none() {
            return false;
        }
    }
    true
}

/// `%XX`, its digits in upper case.
pub(super) fn spelled(byte: u8) -> [u8; 3] {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    [
        b'%',
        HEX[usize::from(byte >> 4)],
        HEX[usize::from(byte & 0xf)],
    ]
}

/// ALPHA, DIGIT, `-`, `.`, `_` and `~` (RFC 3986 §2.3).
pub(super) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_lose_their_escape() {
        assert_eq!(read(b"7e"), Some(Escape::Plain(b'~')));
        assert_eq!(read(b"41x"), Some(Escape::Plain(b'A')));
        assert_eq!(read(b"2f"), Some(Escape::Kept(b'/')));
        assert_eq!(read(b"+1"), None);
        assert_eq!(read(b"4"), None);
        assert_eq!(read(b""), None);
    }

    #[test]
    fn every_byte_reads_back_as_spelled() {
        for byte in 0..=u8::MAX {
            let seen = read(&spelled(byte)[1..]);
            assert!(matches!(seen, Some(Escape::Plain(b) | Escape::Kept(b)) if b == byte));
        }
    }
}
