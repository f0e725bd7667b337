//! How often an address may be wrong about a token.
//!
//! Guesses are bounded, and so is what they cost: an address that has made too many is not
//! listened to until it has waited, whatever it shows. The same wrong token again is no new
//! guess: a job that runs with yesterday's token is refused each time and shuts nobody out.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use crate::time::Timestamp;

/// Wrong tokens in a row that an address may show; it gets one back each second. A token of 16
/// random bytes is not found in the age of the universe.
const GUESSES_MAX: u64 = 10;

/// Addresses that are told apart, at 100 bytes each; the rest share one account.
const ADDRESSES_MAX: usize = 1_024;

/// The wrong tokens of every address.
#[derive(Debug, Default)]
pub(super) struct Tries(Mutex<HashMap<Option<IpAddr>, Tried>>);

/// What an address has left.
#[derive(Clone, Copy, Debug)]
struct Tried {
    guesses_left: u64,
    counted_at: Timestamp,
    last: blake3::Hash,
}

impl Tries {
    /// Whether `peer` is listened to.
    pub(super) fn may(&self, peer: IpAddr, now: Timestamp) -> bool {
        let tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |peer| tried.get(&peer);
        let account = of(Some(peer)).or_else(|| match tried.len() < ADDRESSES_MAX {
            true => None,
            false => of(None),
        });
        account.is_none_or(|account| account.left(now) > 0)
    }

    /// Notes that `peer` has shown `wrong`.
    pub(super) fn failed(&self, peer: IpAddr, wrong: &[u8], now: Timestamp) {
        let mut tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tried.len() >= ADDRESSES_MAX && !tried.contains_key(&Some(peer)) {
            tried.retain(|_, account| account.left(now) < GUESSES_MAX);
        }
        let room = tried.len() < ADDRESSES_MAX || tried.contains_key(&Some(peer));
        let wrong = blake3::hash(wrong);
        let account = tried.entry(room.then_some(peer)).or_insert_with(|| Tried {
            guesses_left: GUESSES_MAX,
            counted_at: now,
            last: blake3::hash(b""),
        });
        let left = account.left(now);
        let is_new = account.last != wrong;
        *account = Tried {
            guesses_left: left.saturating_sub(u64::from(is_new)),
            counted_at: now,
            last: wrong,
        };
    }
}

impl Tried {
    /// How many more it may show.
    fn left(&self, now: Timestamp) -> u64 {
        let regained = now.since(self.counted_at).as_secs();
        self.guesses_left.saturating_add(regained).min(GUESSES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn at(second: u64) -> Timestamp {
        Timestamp::from_unix(1_000 + second)
    }

    #[test]
    fn who_guesses_waits_a_second_for_each_further_guess() {
        let tries = Tries::default();
        for guess in 0..GUESSES_MAX {
            assert!(tries.may(PEER, at(0)), "{guess}");
            tries.failed(PEER, &guess.to_le_bytes(), at(0));
        }
        assert!(!tries.may(PEER, at(0)));
        assert!(tries.may([192, 0, 2, 2].into(), at(0)));
        assert!(tries.may(PEER, at(1)));
        tries.failed(PEER, b"again", at(1));
        assert!(!tries.may(PEER, at(1)));
        assert!(tries.may(PEER, at(2)));
    }

    #[test]
    fn one_wrong_token_shown_again_and_again_shuts_nobody_out() {
        let tries = Tries::default();
        for _ in 0..1_000 {
            tries.failed(PEER, b"yesterday's", at(0));
        }
        assert!(tries.may(PEER, at(0)));
    }

    #[test]
    fn addresses_without_number_share_one_account() {
        let tries = Tries::default();
        for number in 0..u32::try_from(2 * ADDRESSES_MAX).unwrap() {
            tries.failed(std::net::Ipv4Addr::from(number).into(), b"x", at(0));
            tries.failed(std::net::Ipv4Addr::from(number).into(), b"y", at(0));
        }
        assert!(tries.0.lock().unwrap().len() <= ADDRESSES_MAX + 1);
        assert!(!tries.may([255, 0, 0, 1].into(), at(0)));
        // Who has waited makes room.
        tries.failed([255, 0, 0, 1].into(), b"x", at(60));
        assert!(tries.may([255, 0, 0, 2].into(), at(60)));
    }
}
