//! Content codings: the bytes of one, made from those of another (RFC 9110 §8.4.1).
//!
//! Whole bodies only, and never beyond a bound: what is made goes into a [`Sink`], which
//! asks for memory before it takes any. Only this module knows the compressors.
//!
//! The levels were measured (`docs/compression.md`): each is where the next one costs much
//! more time than it saves bytes. A body is coded once and sent many times, but it is coded
//! on the machine that serves, and the first viewers get it uncoded until it is done.

mod decode;
mod encode;
mod sink;

pub use decode::decode;
pub use encode::encode;
pub use sink::Sink;

/// Why a coding was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmade {
    /// The result would be larger than it may be.
    #[error("larger than it may be")]
    TooLarge,
    /// There is no memory for the result.
    #[error("no room for the result")]
    NoRoom,
    /// The bytes are not in the coding they are said to be in.
    #[error("not in the coding it is said to be in")]
    Corrupt,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fields::encoding::Coding;

    fn coded(coding: Coding, body: &[u8]) -> Vec<u8> {
        encode(coding, body, Sink::new(usize::MAX, &mut |_| true)).unwrap()
    }

    fn plain(coding: Coding, body: &[u8], max: usize) -> Result<Vec<u8>, Unmade> {
        decode(coding, body, Sink::new(max, &mut |_| true))
    }

    fn text(bytes: usize) -> Vec<u8> {
        let line = |n: usize| {
            format!(
                "{{\"id\":{n},\"name\":\"practice {}\"}},\n",
                n * 7919 % 1000
            )
        };
        let mut text: Vec<u8> = (0..)
            .flat_map(|n| line(n).into_bytes())
            .take(bytes)
            .collect();
        text.shrink_to_fit();
        text
    }

    #[test]
    fn text_becomes_much_smaller_and_comes_back() {
        let text = text(100_000);
        for coding in [Coding::Br, Coding::Zstd, Coding::Gzip] {
            let coded = coded(coding, &text);
            assert!(coded.len() < text.len() / 4, "{coding:?}: {}", coded.len());
            assert_eq!(
                plain(coding, &coded, text.len()).unwrap(),
                text,
                "{coding:?}"
            );
        }
    }

    #[test]
    fn a_coding_is_the_same_bytes_each_time() {
        let text = text(5_000);
        for coding in Coding::ALL {
            assert_eq!(coded(coding, &text), coded(coding, &text), "{coding:?}");
        }
    }

    #[test]
    fn r8_a_body_that_decodes_to_too_much_is_given_up() {
        let zeros = vec![0; 10 << 20];
        for coding in [Coding::Br, Coding::Zstd, Coding::Gzip] {
            let bomb = coded(coding, &zeros);
            let mut taken = 0;
            let mut room = |bytes| {
                taken += bytes;
                true
            };
            let seen = decode(coding, &bomb, Sink::new(1 << 20, &mut room));
            assert_eq!(seen.unwrap_err(), Unmade::TooLarge, "{coding:?}");
            assert!(taken <= 1 << 20, "{coding:?} took {taken}");
        }
    }

    #[test]
    fn a_coding_that_saves_too_little_is_given_up() {
        let text = text(10_000);
        for coding in [Coding::Br, Coding::Zstd, Coding::Gzip] {
            let seen = encode(coding, &text, Sink::new(100, &mut |_| true));
            assert_eq!(seen.unwrap_err(), Unmade::TooLarge, "{coding:?}");
            let seen = encode(coding, &text, Sink::new(10_000, &mut |_| false));
            assert_eq!(seen.unwrap_err(), Unmade::NoRoom, "{coding:?}");
        }
    }

    #[test]
    fn what_breaks_off_or_is_something_else_is_corrupt() {
        let text = text(3_000);
        for coding in [Coding::Br, Coding::Zstd, Coding::Gzip] {
            let coded = coded(coding, &text);
            for end in 0..coded.len() {
                let seen = plain(coding, &coded[..end], 1 << 20);
                assert_eq!(seen.unwrap_err(), Unmade::Corrupt, "{coding:?} up to {end}");
            }
            assert_eq!(
                plain(coding, &text, 1 << 20),
                Err(Unmade::Corrupt),
                "{coding:?}"
            );
        }
    }

    #[test]
    fn windows_that_the_web_does_not_have_are_refused() {
        let mut large = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        large.window_log(27).unwrap();
        std::io::Write::write_all(&mut large, &text(3_000)).unwrap();
        let large = large.finish().unwrap();
        assert_eq!(zstd::decode_all(&*large).unwrap(), text(3_000));
        assert_eq!(plain(Coding::Zstd, &large, 1 << 20), Err(Unmade::Corrupt));
        // "Large Window Brotli", 2^30.
        let large = [0x11, 0x1e, 0x03];
        assert_eq!(plain(Coding::Br, &large, 1 << 20), Err(Unmade::Corrupt));
    }

    #[test]
    fn members_of_gzip_and_frames_of_zstd_may_follow_each_other() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let twice = [coded(coding, b"one"), coded(coding, b"two")].concat();
            assert_eq!(plain(coding, &twice, 10).unwrap(), b"onetwo", "{coding:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_encoded_decodes_to_itself(
            pieces in prop::collection::vec((any::<Vec<u8>>(), 1usize..40), 0..20)
        ) {
            let body: Vec<u8> = pieces.iter().flat_map(|(piece, times)| piece.repeat(*times)).collect();
            for coding in Coding::ALL {
                let coded = coded(coding, &body);
                prop_assert_eq!(&plain(coding, &coded, body.len().max(1)).unwrap(), &body);
            }
        }

        #[test]
        fn no_bytes_panic_the_decoders(body: Vec<u8>) {
            for coding in Coding::ALL {
                let _ = plain(coding, &body, 1 << 16);
            }
        }

        #[test]
        fn no_flipped_bit_panics_the_decoders(at: prop::sample::Index, bit in 0u8..8) {
            for coding in Coding::ALL {
                let mut coded = coded(coding, &text(2_000));
                let at = at.index(coded.len());
                coded[at] ^= 1 << bit;
                let _ = plain(coding, &coded, 1 << 16);
            }
        }
    }
}
