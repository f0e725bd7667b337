//! Whether an HTTP/2 connection is in the middle of a head.
//!
//! hyper counts a head's bytes but not its time, so a viewer could begin one,
//! send a byte a minute and hold the connection, since "field blocks MUST be
//! transmitted as a contiguous sequence of frames, with no interleaved frames
//! of any other type or from any other stream" (RFC 9113 §4.3). This follows
//! the frames beside hyper: their lengths, types and one flag, nothing else.

/// The connection preface, in bytes; frames begin after it (RFC 9113 §3.4).
const PREFACE: usize = 24;

/// "All frames begin with a fixed 9-octet header" (RFC 9113 §4.1).
const HEADER: usize = 9;

/// Frame types and the flag that matter here (RFC 9113 §6.2, §6.10).
const HEADERS: u8 = 0x01;
const CONTINUATION: u8 = 0x09;
const END_HEADERS: u8 = 0x04;

/// How far the frames of one connection have been read.
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

impl Default for Frames {
    /// Before the preface.
    fn default() -> Self {
        Self {
            header: [0; HEADER],
            begun: 0,
            skip: PREFACE,
            in_head: false,
            ends_head: false,
        }
    }
}

impl Frames {
    /// Follows the next bytes of the stream; whether a head has begun and not
    /// ended after them. Bytes that are no frames give some answer: hyper
    /// refuses those.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> bool {
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
                self.enter();
            }
        }
    }

    /// The header is complete: length (24 bits), type, flags, stream.
    fn enter(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.header;
        self.begun = 0;
        self.skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        self.in_head = matches!(kind, HEADERS | CONTINUATION);
        self.ends_head = self.in_head && flags & END_HEADERS != 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        bytes.resize(HEADER + usize::from(length), 0xff);
        bytes
    }

    /// Follows all at once, and byte by byte: the same.
    #[track_caller]
    fn check(frames: &[Vec<u8>], in_head: bool) {
        let stream = [vec![b'P'; PREFACE], frames.concat()].concat();
        assert_eq!(Frames::default().follow(&stream), in_head, "at once");
        let mut slowly = Frames::default();
        let mut last = false;
        for byte in stream {
            last = slowly.follow(&[byte]);
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
}
