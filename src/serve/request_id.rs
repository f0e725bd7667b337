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
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 16];
    for (place, digit) in text.iter_mut().rev().enumerate() {
        *digit = DIGITS[(number >> (4 * place)) as usize & 15];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_distinct() {
        let (one, other) = (RequestIds::new(), RequestIds::new());
        let ids = [one.make(), one.make(), other.make()];
        assert!(ids.iter().all(|id| id.len() == 32));
        assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
    }
}
