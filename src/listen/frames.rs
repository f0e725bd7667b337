//! The frames of an HTTP/2 connection, followed beside hyper: their headers, nothing else.
//!
//! hyper counts a head's bytes but not its time, so a viewer could begin one,
//! send a byte a minute and hold the connection, since "field blocks MUST be
//! transmitted as a contiguous sequence of frames, with no interleaved frames
//! of any other type or from any other stream" (RFC 9113 §4.3). And it does not say
//! how often something comes. What follows from that is decided elsewhere.

/// The connection preface, in bytes; frames begin after it (RFC 9113 §3.4).
const PREFACE: usize = 24;

/// "All frames begin with a fixed 9-octet header" (RFC 9113 §4.1).
const HEADER: usize = 9;

/// What a frame is (RFC 9113 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(u8);

impl Kind {
    pub(super) const DATA: Self = Self(0x00);
    pub(super) const HEADERS: Self = Self(0x01);
    pub(super) const RST_STREAM: Self = Self(0x03);
    pub(super) const SETTINGS: Self = Self(0x04);
    pub(super) const PING: Self = Self(0x06);
    pub(super) const GOAWAY: Self = Self(0x07);
    pub(super) const WINDOW_UPDATE: Self = Self(0x08);
    pub(super) const CONTINUATION: Self = Self(0x09);
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// What follows the header, in bytes.
    pub(super) length: usize,
    pub(super) kind: Kind,
    flags: u8,
    pub(super) stream: u32,
}

impl Frame {
    pub(super) const ACK: u8 = 0x01;
    pub(super) const END_STREAM: u8 = 0x01;
    pub(super) const END_HEADERS: u8 = 0x04;

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Length (24 bits), type, flags, stream (31 bits).
    fn read(header: [u8; HEADER]) -> Self {
        let [high, middle, low, kind, flags, stream @ ..] = header;
        Self {
            length: usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low),
            kind: Kind(kind),
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        }
    }
}

/// The frame that says why a connection ends: the last stream of the viewer's that we have
/// seen, and `ENHANCE_YOUR_CALM` (RFC 9113 §6.8, §7).
pub(super) fn calm_down(last: u32) -> [u8; 17] {
    let mut frame = [0; 17];
    frame[2] = 8;
    frame[3] = Kind::GOAWAY.0;
    frame[9..13].copy_from_slice(&last.to_be_bytes());
    frame[16] = 0x0b;
    frame
}

/// How far the frames of one direction have been read.
#[derive(Debug)]
pub(super) struct Frames {
    /// The next frame's header, as far as it has come.
    header: [u8; HEADER],
    begun: usize,
    /// Bytes to skip before that header: the rest of the frame before it.
    skip: usize,
    /// That frame belongs to a head.
    in_head: bool,
    /// And ends it.
    ends_head: bool,
}

impl Frames {
    /// A viewer's, before its preface.
    pub(super) fn of_viewer() -> Self {
        Self {
            skip: PREFACE,
            ..Self::ours()
        }
    }

    /// Ours, before the first.
    pub(super) fn ours() -> Self {
        Self {
            header: [0; HEADER],
            begun: 0,
            skip: 0,
            in_head: false,
            ends_head: false,
        }
    }

    /// Follows the next bytes of the stream and tells of `each` frame that begins; whether
    /// a head has begun and not ended after them. Bytes that are no frames give some
    /// answer: hyper refuses those.
    pub(super) fn follow(&mut self, mut bytes: &[u8], mut each: impl FnMut(&Frame)) -> bool {
        loop {
            let skipped = bytes.len().min(self.skip);
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if self.skip == 0 && self.ends_head {
                self.in_head = false;
                self.ends_head = false;
            }
            if bytes.is_empty() {
                return self.in_head;
            }
            let taken = bytes.len().min(HEADER - self.begun);
            self.header[self.begun..self.begun + taken].copy_from_slice(&bytes[..taken]);
            self.begun += taken;
            bytes = &bytes[taken..];
            if self.begun == HEADER {
                let frame = Frame::read(self.header);
                self.enter(&frame);
                each(&frame);
            }
        }
    }

    /// Whether the last frame is complete, and no other has begun.
    pub(super) fn is_between(&self) -> bool {
        self.skip == 0 && self.begun == 0
    }

    fn enter(&mut self, frame: &Frame) {
        self.begun = 0;
        self.skip = frame.length;
        self.in_head = matches!(frame.kind, Kind::HEADERS | Kind::CONTINUATION);
        self.ends_head = self.in_head && frame.has(Frame::END_HEADERS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: u8 = Kind::HEADERS.0;
    const CONTINUATION: u8 = Kind::CONTINUATION.0;
    const END_HEADERS: u8 = Frame::END_HEADERS;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        bytes.resize(HEADER + usize::from(length), 0xff);
        bytes
    }

    /// Follows all at once, and byte by byte: the same.
    #[track_caller]
    fn check(frames: &[Vec<u8>], in_head: bool) {
        let stream = [vec![b'P'; PREFACE], frames.concat()].concat();
        assert_eq!(
            Frames::of_viewer().follow(&stream, |_| {}),
            in_head,
            "at once"
        );
        let mut slowly = Frames::of_viewer();
        let mut last = false;
        for byte in stream {
            last = slowly.follow(&[byte], |_| {});
        }
        assert_eq!(last, in_head, "byte by byte");
    }

    #[test]
    fn a_head_begins_with_its_frame_and_ends_with_its_flag() {
        const SETTINGS: u8 = 0x04;
        const DATA: u8 = 0x00;
        check(&[], false);
        check(&[frame(SETTINGS, 0, 18)], false);
        check(
            &[frame(SETTINGS, 0, 18), frame(HEADERS, END_HEADERS, 20)],
            false,
        );
        check(
            &[
                frame(HEADERS, END_HEADERS, 20),
                frame(DATA, END_HEADERS, 20),
            ],
            false,
        );
        check(&[frame(HEADERS, 0, 20)], true);
        check(&[frame(HEADERS, 0, 20), frame(CONTINUATION, 0, 1)], true);
        check(
            &[frame(HEADERS, 0, 20), frame(CONTINUATION, END_HEADERS, 0)],
            false,
        );
        check(
            &[frame(HEADERS, END_HEADERS, 0), frame(HEADERS, 0, 0)],
            true,
        );
    }

    #[test]
    fn a_head_is_not_over_before_its_last_byte() {
        let mut whole = frame(HEADERS, END_HEADERS, 20);
        whole.pop();
        check(&[whole], true);
    }

    #[test]
    fn half_a_frame_header_begins_nothing() {
        check(&[frame(HEADERS, 0, 0)[..8].to_vec()], false);
    }

    #[test]
    fn every_frame_is_told_of_once() {
        let stream = [vec![b'P'; PREFACE], frame(6, 1, 8), frame(0, 0, 3)].concat();
        let mut slowly = Frames::of_viewer();
        let mut seen = Vec::new();
        for byte in stream {
            slowly.follow(&[byte], |frame| {
                seen.push((frame.kind, frame.length, frame.stream))
            });
        }
        assert_eq!(seen, [(Kind::PING, 8, 1), (Kind::DATA, 3, 1)]);
        assert!(slowly.is_between());
        slowly.follow(&[0], |_| {});
        assert!(!slowly.is_between());
    }

    #[test]
    fn the_last_word_is_a_frame() {
        let mut seen = None;
        let mut frames = Frames::ours();
        frames.follow(&calm_down(7), |frame| seen = Some(*frame));
        assert!(frames.is_between());
        let frame = seen.unwrap();
        assert_eq!(
            (frame.kind, frame.length, frame.stream),
            (Kind::GOAWAY, 8, 0)
        );
        assert_eq!(calm_down(7)[9..], [0, 0, 0, 7, 0, 0, 0, 0x0b]);
    }
}
