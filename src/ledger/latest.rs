//! When something was invalidated last, hard and soft.

use crate::policy::marks::{Mode, Sequence};

/// The latest sequence of each mode; 0 where there was none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Latest {
    hard: Sequence,
    soft: Sequence,
}

impl Latest {
    /// Notes an invalidation at `at`, which is not before those noted so far.
    pub(super) fn note(&mut self, mode: Mode, at: Sequence) {
        match mode {
            Mode::Hard => self.hard = at,
            Mode::Soft => self.soft = at,
        }
    }

    /// Whether there was one of this mode.
    pub(super) fn has(&self, mode: Mode) -> bool {
        let at = match mode {
            Mode::Hard => self.hard,
            Mode::Soft => self.soft,
        };
        at > Sequence::default()
    }

    /// The strongest that came after `since`.
    pub(super) fn after(&self, since: Sequence) -> Option<Mode> {
        if self.hard > since {
            Some(Mode::Hard)
        } else {
            (self.soft > since).then_some(Mode::Soft)
        }
    }

    /// The latest of any mode.
    pub(super) fn newest(&self) -> Sequence {
        self.hard.max(self.soft)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_wins_over_soft_as_long_as_both_count() {
        let mut latest = Latest::default();
        assert_eq!(latest.after(Sequence(0)), None);
        latest.note(Mode::Hard, Sequence(1));
        latest.note(Mode::Soft, Sequence(2));
        assert_eq!(latest.after(Sequence(0)), Some(Mode::Hard));
        assert_eq!(latest.after(Sequence(1)), Some(Mode::Soft));
        assert_eq!(latest.after(Sequence(2)), None);
        assert_eq!(latest.newest(), Sequence(2));
    }
}
