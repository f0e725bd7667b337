//! What an HTTP/2 connection's two ends say, frame by frame.

use super::{
    calm::{Calm, Toll},
    frames::{Frames, Kind, calm_down},
};

/// Both directions of one connection.
#[derive(Debug)]
pub(super) struct Talk {
    viewers: Frames,
    ours: Frames,
    calm: Calm,
    /// The newest stream that the viewer began.
    newest: u32,
    mood: Mood,
}

/// Whether the viewer is to be listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Calm,
    /// It made us work for nothing too often.
    Flooding,
    /// And was told so, as far as that was possible.
    Told,
}

impl Talk {
    /// Before the viewer's preface.
    pub(super) fn new() -> Self {
        Self {
            viewers: Frames::of_viewer(),
            ours: Frames::ours(),
            calm: Calm::default(),
            newest: 0,
            mood: Mood::Calm,
        }
    }

    /// Follows what the viewer says, `sweeps` sweeps after the beginning; whether a head has
    /// begun and is not complete.
    pub(super) fn hear(&mut self, bytes: &[u8], sweeps: u32) -> bool {
        let Self {
            calm, newest, mood, ..
        } = self;
        self.viewers.follow(bytes, |frame| {
            if frame.kind == Kind::HEADERS {
                *newest = frame.stream.max(*newest);
            }
            if Toll::of_viewers(frame).is_some_and(|toll| !calm.pay(toll, sweeps)) {
                *mood = Mood::Flooding;
            }
        })
    }

    /// Follows what we say.
    pub(super) fn say(&mut self, bytes: &[u8], sweeps: u32) {
        let Self { calm, mood, .. } = self;
        self.ours.follow(bytes, |frame| {
            if Toll::is_earned(frame) {
                calm.earn();
            }
            let toll = Toll::of_ours(frame);
            if *mood == Mood::Calm && toll.is_some_and(|toll| !calm.pay(toll, sweeps)) {
                *mood = Mood::Flooding;
            }
        });
    }

    /// Whether the viewer is no longer listened to.
    pub(super) fn is_over(&self) -> bool {
        self.mood != Mood::Calm
    }

    /// Whether the viewer is to be told why the connection ends, which is once.
    pub(super) fn is_to_be_told(&mut self) -> bool {
        let flooding = self.mood == Mood::Flooding;
        self.mood = Mood::Told;
        flooding
    }

    /// What to tell it; nothing where that would stand within another frame.
    pub(super) fn last_word(&self) -> Option<[u8; 17]> {
        self.ours.is_between().then(|| calm_down(self.newest))
    }
}
