//! Saying a repeated thing at most once a second.
//!
//! An origin that is down fails every request; a log that says so each time
//! hides everything else, and costs a disk.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::time::Timestamp;

/// How many things are told apart. Keys are the operator's words (origins,
/// addresses), so this is never reached in earnest; beyond it nothing is said.
const KEYS_MAX: usize = 4_096;

/// Remembers what was said when.
#[derive(Debug, Default)]
pub(super) struct Quiet(Mutex<HashMap<String, Said>>);

#[derive(Clone, Copy, Debug)]
struct Said {
    at: Timestamp,
    suppressed: u64,
}

impl Quiet {
    /// Whether to speak of `key` now: `Some` with how often it was not said
    /// since the last time, or `None` when it was said within this second.
    pub(super) fn may_say(&self, key: &str, now: Timestamp) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = said.get_mut(key) {
            // Other than "later than": a clock set back must not silence us.
            if last.at == now {
                last.suppressed += 1;
                return None;
            }
            last.at = now;
            return Some(std::mem::take(&mut last.suppressed));
        }
        if said.len() >= KEYS_MAX {
            return None;
        }
        said.insert(
            key.to_owned(),
            Said {
                at: now,
                suppressed: 0,
            },
        );
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_occurrence_within_a_second_is_kept_for_the_next_line() {
        let quiet = Quiet::default();
        let at = Timestamp::from_unix;
        assert_eq!(quiet.may_say("api", at(7)), Some(0));
        assert_eq!(quiet.may_say("api", at(7)), None);
        assert_eq!(quiet.may_say("api", at(7)), None);
        assert_eq!(quiet.may_say("s3", at(7)), Some(0));
        assert_eq!(quiet.may_say("api", at(8)), Some(2));
        assert_eq!(quiet.may_say("api", at(9)), Some(0));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_silence() {
        let quiet = Quiet::default();
        assert_eq!(quiet.may_say("api", Timestamp::from_unix(1_000)), Some(0));
        assert_eq!(quiet.may_say("api", Timestamp::from_unix(10)), Some(0));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let quiet = Quiet::default();
        for key in 0..KEYS_MAX + 10 {
            quiet.may_say(&key.to_string(), Timestamp::from_unix(1));
        }
        assert_eq!(quiet.0.lock().unwrap().len(), KEYS_MAX);
    }
}
