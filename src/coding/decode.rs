//! Undoing a coding, of which nothing is trusted.

use std::io::{self, Read, Write};

use brotli::Decompressor;
use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder;

use super::{Sink, Unmade};
use crate::fields::encoding::Coding;

/// The largest window of zstd, as a power of two: "decoders MUST support ... a window size
/// of 8 MB" and may refuse more (RFC 9659 §3).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// What the brotli decoder reads at a time, in bytes.
const BR_BUFFER_BYTES: usize = 4 << 10;

/// The content of `body`, which is said to be in `coding`.
///
/// Beside the sink it takes what the format's window may be: 16 MiB for brotli, whose large
/// windows are not for the web, 8 MiB for zstd, 32 KiB for gzip.
pub fn decode(coding: Coding, body: &[u8], mut sink: Sink<'_>) -> Result<Vec<u8>, Unmade> {
    let written = match coding {
        Coding::Br => br(body, &mut sink),
        Coding::Zstd => zstd(body, &mut sink),
        Coding::Gzip => drain(MultiGzDecoder::new(body), &mut sink),
        Coding::Identity => sink.write_all(body),
    };
    sink.end(written)
}

fn br(body: &[u8], sink: &mut Sink<'_>) -> io::Result<()> {
    // The decoder takes large windows for granted: up to 1 GiB for a stream that begins so,
    // which RFC 7932 §9.1 calls invalid.
    if body.first().is_some_and(|first| first & 0x7f == 0x11) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    drain(Decompressor::new(body, BR_BUFFER_BYTES), sink)
}

fn zstd(body: &[u8], sink: &mut Sink<'_>) -> io::Result<()> {
    if body.is_empty() {
        // No frame at all; the decoder takes it for the end.
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut reader = Decoder::with_buffer(body)?;
    reader.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    drain(reader, sink)
}

fn drain(mut from: impl Read, sink: &mut Sink<'_>) -> io::Result<()> {
    io::copy(&mut from, sink).map(|_bytes| ())
}
