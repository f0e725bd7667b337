//! Ids of invalidations: `I` and 13 characters, as CloudFront's look.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

const DIGITS: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// The next id; `made` counts them. 64 random bits, so that a million ids of any number of
/// processes and restarts hold the same one twice with a chance of 1 in 37 million.
pub(super) fn make(made: &AtomicU64) -> String {
    let count = made.fetch_add(1, Ordering::Relaxed);
    // Keys of 128 random bits from the system, hashed: std's own randomness.
    let mut rest = RandomState::new().hash_one(count);
    let mut id = String::with_capacity(14);
    id.push('I');
    for _ in 0..13 {
        id.push(char::from(DIGITS[(rest % 36) as usize]));
        rest /= 36;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_an_i_and_thirteen_letters_or_digits() {
        let made = AtomicU64::new(0);
        let (one, other) = (make(&made), make(&made));
        assert!(one.len() == 14 && one.starts_with('I'), "{one}");
        assert!(one.bytes().all(|byte| DIGITS.contains(&byte)), "{one}");
        assert_ne!(one, other);
    }
}
