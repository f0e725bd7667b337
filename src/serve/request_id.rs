//! Request ids: unique among all edges, and cheap.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use http::HeaderValue;

/// Makes ids of 32 hexadecimal digits: 64 random bits of this maker, then a count.
#[derive(Debug)]
pub struct RequestIds {
    prefix: [u8; 16],
    next: AtomicU64,
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestIds {
    /// A maker whose ids no other maker makes.
    pub fn new() -> Self {
        // Two keys of 128 random bits from the system, hashed: std's own randomness.
        let prefix = hexadecimal(RandomState::new().hash_one(0u8));
        Self {
            prefix,
            next: AtomicU64::new(RandomState::new().hash_one(1u8) >> 16),
        }
    }

    /// The next id.
    pub fn make(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.text()).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }

    /// The next id, as text.
    pub(super) fn text(&self) -> [u8; 32] {
        let mut text = [0; 32];
        text[..16].copy_from_slice(&self.prefix);
        text[16..].copy_from_slice(&hexadecimal(self.next.fetch_add(1, Ordering::Relaxed)));
        text
    }
}

fn hexadecimal(number: u64) -> [u8; 16] {
    // The digits of a byte at a time.
    const DIGITS: [[u8; 2]; 256] = {
        let digits = b"0123456789abcdef";
        let mut table = [[0; 2]; 256];
        let mut byte = 0;
        while byte < table.len() {
            table[byte] = [digits[byte >> 4], digits[byte & 15]];
            byte += 1;
        }
        table
    };
    let mut text = [0; 16];
    let (pairs, _) = text.as_chunks_mut();
    for (pair, byte) in pairs.iter_mut().zip(number.to_be_bytes()) {
        *pair = DIGITS[usize::from(byte)];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_in_hexadecimal() {
        for number in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            let text = hexadecimal(number);
            assert_eq!(str::from_utf8(&text), Ok(&*format!("{number:016x}")));
        }
    }

    #[test]
    fn ids_are_distinct() {
        let (one, other) = (RequestIds::new(), RequestIds::new());
        let ids = [one.make(), one.make(), other.make()];
        assert!(ids.iter().all(|id| id.len() == 32));
        assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
    }
}
