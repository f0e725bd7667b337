//! A line of a journal: a hash, a space, a record.

use std::io::{self, BufRead, Read};

/// Digits of the hash before a record: 128 bits, so that chance makes no record.
const HASH_DIGITS: usize = 32;

/// What surrounds a record in its line: the hash, a space, the line's end.
pub(super) const AROUND_BYTES: usize = HASH_DIGITS + 2;

/// The longest line. An order of 3,000 paths of 4,000 characters is 12 MB, 48 MB if all of
/// them are escaped; a longer line is damage.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Hands each whole record to `each`, up to the first that is none; the bytes of those lines.
pub(super) fn lines(mut reader: impl BufRead, mut each: impl FnMut(&[u8])) -> io::Result<u64> {
    let (mut good, mut text) = (0, Vec::new());
    loop {
        text.clear();
        reader
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut text)?;
        let Some(record) = record(&text) else {
            return Ok(good);
        };
        each(record);
        good += text.len() as u64;
    }
}

/// The record of a line, if it is whole.
fn record(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\n")?;
    let (hash, rest) = line.split_at_checked(HASH_DIGITS)?;
    let record = rest.strip_prefix(b" ")?;
    (hash == hash_of(record).as_bytes()).then_some(record)
}

/// Appends the line of `record`.
pub(super) fn line(record: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let too_long = (record.len() + AROUND_BYTES) as u64 > LINE_BYTES_MAX;
    if too_long || record.contains(&b'\n') {
        let kind = io::ErrorKind::InvalidInput;
        return Err(io::Error::new(kind, "the record fits into no line"));
    }
    out.extend_from_slice(hash_of(record).as_bytes());
    out.push(b' ');
    out.extend_from_slice(record);
    out.push(b'\n');
    Ok(())
}

fn hash_of(record: &[u8]) -> String {
    let mut digits = blake3::hash(record).to_hex().to_string();
    digits.truncate(HASH_DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_panic(text: Vec<u8>) {
            let mut count = 0;
            let good = lines(&text[..], |_| count += 1).unwrap();
            prop_assert!(good <= text.len() as u64 && count <= text.len());
        }
    }
}
