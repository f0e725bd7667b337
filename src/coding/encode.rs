//! Making a coding of a body.

use std::io::{self, Write};

use brotli::{CompressorWriter, enc::BrotliEncoderParams};
use flate2::{Compression, GzBuilder};
use zstd::stream::write::Encoder;

use super::{Sink, Unmade};
use crate::fields::encoding::Coding;

/// Brotli's quality, of 0 to 11: a tenth smaller than 4, at half its speed.
const BR_QUALITY: i32 = 5;
/// zstd's level, of 1 to 22: 3 is no smaller than 1 on the answers of an API, 6 is by a tenth.
/// Its window is 2 MiB, within the 8 MiB that every viewer must be able to hold (RFC 9659).
const ZSTD_LEVEL: i32 = 6;
/// gzip's level, of 1 to 9: what everybody uses.
const GZIP_LEVEL: u32 = 6;

/// What the brotli encoder hands on at a time, in bytes.
const BR_BUFFER_BYTES: usize = 16 << 10;

/// The windows that brotli gets, as powers of two. RFC 7932 §9.1 has some from 10, but up to
/// 16 the encoder takes another way at this quality, thirty times slower for three per cent.
const BR_WINDOW: std::ops::RangeInclusive<u32> = 17..=22;

/// `body` in `coding`; the same bytes each time.
pub fn encode(coding: Coding, body: &[u8], mut sink: Sink<'_>) -> Result<Vec<u8>, Unmade> {
    let written = match coding {
        Coding::Br => br(body, &mut sink),
        Coding::Zstd => zstd(body, &mut sink),
        Coding::Gzip => gzip(body, &mut sink),
        Coding::Identity => sink.write_all(body),
    };
    sink.end(written)
}

fn br(body: &[u8], sink: &mut Sink<'_>) -> io::Result<()> {
    // A window beyond the body would only cost memory.
    let window = body.len().max(1).ilog2() + 1;
    let params = BrotliEncoderParams {
        quality: BR_QUALITY,
        lgwin: window.clamp(*BR_WINDOW.start(), *BR_WINDOW.end()) as i32,
        size_hint: body.len(),
        ..BrotliEncoderParams::default()
    };
    let mut writer = CompressorWriter::with_params(sink, BR_BUFFER_BYTES, &params);
    writer.write_all(body)?;
    // It ends the stream; where that fails, the sink has said why.
    writer.into_inner();
    Ok(())
}

fn zstd(body: &[u8], sink: &mut Sink<'_>) -> io::Result<()> {
    let mut writer = Encoder::new(sink, ZSTD_LEVEL)?;
    writer.set_pledged_src_size(Some(body.len() as u64))?;
    writer.write_all(body)?;
    writer.finish().map(|_sink| ())
}

fn gzip(body: &[u8], sink: &mut Sink<'_>) -> io::Result<()> {
    // Without a time in it, equal bodies have equal codings.
    let mut writer = GzBuilder::new()
        .mtime(0)
        .write(sink, Compression::new(GZIP_LEVEL));
    writer.write_all(body)?;
    writer.finish().map(|_sink| ())
}
