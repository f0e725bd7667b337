//! The parts of a key as one text that no part can forge: each has its kind and its length
//! before it.
//!
//! The text is built on the stack, where it fits; nearly every key's does.

use super::key::Part;
use crate::fields::text::Text;

/// Room on the stack, in bytes: a key with half a dozen parameters. All of it is cleared first.
const INLINE_BYTES: usize = 256;

/// Parts, one after another.
#[derive(Clone, Debug, Default)]
pub(super) struct Canonical(Text<INLINE_BYTES>);

impl Canonical {
    /// Appends the parts of another.
    #[inline]
    pub(super) fn join(&mut self, parts: &[u8]) {
        self.0.push(parts);
    }

    /// Appends a part.
    #[inline]
    pub(super) fn push(&mut self, part: Part, bytes: &[u8]) {
        if bytes.len() < 0x80
            && let Some([kind, length, text @ ..]) = self.0.room(2 + bytes.len())
        {
            (*kind, *length) = (part as u8, bytes.len() as u8);
            text.copy_from_slice(bytes);
            return;
        }
        let mut front = [part as u8; 11];
        let end = 1 + length(bytes.len() as u64, &mut front[1..]);
        self.0.push(&front[..end]);
        self.0.push(bytes);
    }

    /// All of it.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Writes a length, seven bits a byte, the lowest first; how many bytes that took.
///
/// Short parts get one byte, since what is hashed is paid for by the block of 64 bytes.
fn length(mut length: u64, out: &mut [u8]) -> usize {
    let mut at = 0;
    while length > 0x7f {
        out[at] = length as u8 | 0x80;
        length >>= 7;
        at += 1;
    }
    out[at] = length as u8;
    at + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[(Part, &[u8])]) -> Vec<u8> {
        let mut canonical = Canonical::default();
        for (part, bytes) in parts {
            canonical.push(*part, bytes);
        }
        canonical.as_bytes().to_vec()
    }

    #[test]
    fn a_part_has_its_kind_and_length_before_it() {
        assert_eq!(of(&[(Part::Path, b"/a")]), b"\x05\x02/a");
        let long = [b'x'; 300];
        let text = of(&[(Part::Query, &long)]);
        assert_eq!(text[..3], [6, 0x80 | 44, 2]);
        assert_eq!(text.len(), 303);
    }

    #[test]
    fn parts_are_the_same_on_the_stack_and_off_it() {
        let long = [b'x'; INLINE_BYTES];
        let parts: [(Part, &[u8]); 3] = [
            (Part::Path, b"/a"),
            (Part::Query, &long),
            (Part::Query, b"y"),
        ];
        let alone: Vec<u8> = parts.iter().flat_map(|part| of(&[*part])).collect();
        assert_eq!(of(&parts), alone);
    }
}
