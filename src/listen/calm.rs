//! How often an HTTP/2 viewer may make us work for nothing.
//!
//! Some frames cost their sender nine bytes and us a stream, an answer or a change of state.
//! hyper bounds what a connection holds, not how often that changes: a request that is reset
//! as soon as it was begun is never one stream too many (CVE-2023-44487), and neither is one
//! that we are made to reset ourselves (CVE-2025-8671). So each such frame takes a token
//! from the bucket of its kind, which every sweep fills up a little; a viewer that finds one
//! empty is told to calm down, and its connection ends (RFC 9113 §10.5).
//!
//! An answer that goes out to its end gives a token back to every bucket: behind one
//! connection may stand a balancer with a thousand viewers, of whom some leave in every second.

use super::frames::{Frame, Kind};

/// Frames that are worth nothing to anybody if they come often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Toll {
    /// A stream that the viewer resets.
    Reset = 0,
    /// A stream that it makes us reset.
    OurReset = 1,
    /// A ping, which we answer.
    Ping = 2,
    /// Settings, which we apply to every stream and acknowledge.
    Settings = 3,
    /// A frame of content, or of a head, without any.
    Empty = 4,
    /// Priorities, and kinds we do not know.
    Ignored = 5,
}

/// Each kind's bucket: how many at once, and how many more after each sweep, of which two
/// come in a second.
///
/// A page that is closed resets what it waits for, at most as many as there are streams; a
/// search that follows every key resets ten in a second. Clients that measure the bandwidth
/// ping once in a round trip.
const BUCKETS: [(u16, u16); 6] = [
    (200, 10),
    (100, 10),
    (200, 50),
    (20, 2),
    (100, 10),
    (200, 50),
];

/// One connection's buckets.
#[derive(Debug, Default)]
pub(super) struct Calm {
    /// How much was taken from each.
    taken: [u16; BUCKETS.len()],
    /// The sweep up to which they were filled.
    filled: u32,
}

impl Calm {
    /// Takes a token for `toll`, `sweeps` sweeps after the beginning; false if there is none.
    pub(super) fn pay(&mut self, toll: Toll, sweeps: u32) -> bool {
        let passed = sweeps.saturating_sub(self.filled);
        if passed > 0 {
            self.filled = sweeps;
            let passed = u16::try_from(passed).unwrap_or(u16::MAX);
            for (taken, (_, more)) in self.taken.iter_mut().zip(BUCKETS) {
                *taken = taken.saturating_sub(more.saturating_mul(passed));
            }
        }
        let (most, _) = BUCKETS[toll as usize];
        let taken = &mut self.taken[toll as usize];
        *taken = taken.saturating_add(1);
        *taken <= most
    }
}

impl Calm {
    /// An answer has gone out to its end.
    pub(super) fn earn(&mut self) {
        for taken in &mut self.taken {
            *taken = taken.saturating_sub(1);
        }
    }
}

impl Toll {
    /// What a frame from the viewer takes, if anything.
    pub(super) fn of_viewers(frame: &Frame) -> Option<Self> {
        match frame.kind {
            Kind::RST_STREAM => Some(Self::Reset),
            Kind::PING if !frame.has(Frame::ACK) => Some(Self::Ping),
            Kind::SETTINGS if !frame.has(Frame::ACK) => Some(Self::Settings),
            Kind::DATA if frame.length == 0 && !frame.has(Frame::END_STREAM) => Some(Self::Empty),
            Kind::HEADERS | Kind::CONTINUATION
                if frame.length == 0 && !frame.has(Frame::END_HEADERS) =>
            {
                Some(Self::Empty)
            }
            Kind::DATA
            | Kind::HEADERS
            | Kind::CONTINUATION
            | Kind::PING
            | Kind::SETTINGS
            | Kind::WINDOW_UPDATE
            | Kind::GOAWAY => None,
            _ => Some(Self::Ignored),
        }
    }

    /// Whether a frame of ours ends an answer.
    pub(super) fn is_earned(frame: &Frame) -> bool {
        matches!(frame.kind, Kind::DATA | Kind::HEADERS) && frame.has(Frame::END_STREAM)
    }

    /// What a frame of ours takes from the viewer that made us send it.
    pub(super) fn of_ours(frame: &Frame) -> Option<Self> {
        (frame.kind == Kind::RST_STREAM).then_some(Self::OurReset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills() {
        let mut calm = Calm::default();
        let (most, more) = BUCKETS[Toll::Settings as usize];
        assert!((0..most).all(|_| calm.pay(Toll::Settings, 7)));
        assert!(!calm.pay(Toll::Settings, 7));
        assert!(calm.pay(Toll::Ping, 7), "each has its own");
        // The one too many is owed.
        assert!((0..more - 1).all(|_| calm.pay(Toll::Settings, 8)));
        assert!(!calm.pay(Toll::Settings, 8));
        calm.earn();
        calm.earn();
        assert!(calm.pay(Toll::Settings, 8));
        assert!(!calm.pay(Toll::Settings, 8));
        assert!((0..most).all(|_| calm.pay(Toll::Settings, u32::MAX)));
        assert!(!calm.pay(Toll::Settings, u32::MAX));
    }
}
