//! Where coded bytes go: memory that is asked for before it is taken.

use std::io;

use super::Unmade;

/// How much is taken at first, in bytes: a typical answer of an API, coded.
const FIRST_BYTES: usize = 4 << 10;

/// Bytes being written, up to a bound. After the first error it takes no more.
pub struct Sink<'a> {
    bytes: Vec<u8>,
    bytes_max: usize,
    /// Whether so many more bytes of memory may be taken.
    room: &'a mut dyn FnMut(usize) -> bool,
    refused: Option<Unmade>,
}

impl<'a> Sink<'a> {
    /// A sink for at most `bytes_max` bytes, which asks `room` for each piece of memory.
    pub fn new(bytes_max: usize, room: &'a mut dyn FnMut(usize) -> bool) -> Self {
        Self {
            bytes: Vec::new(),
            bytes_max,
            room,
            refused: None,
        }
    }

    /// What was written, all of it; or why not. `written` is what the writer says of it.
    pub(super) fn end(self, written: io::Result<()>) -> Result<Vec<u8>, Unmade> {
        match (self.refused, written) {
            (Some(why), _) => Err(why),
            (None, Err(_)) => Err(Unmade::Corrupt),
            (None, Ok(())) => Ok(self.bytes),
        }
    }

    fn take(&mut self, more: usize) -> Result<(), Unmade> {
        if let Some(why) = self.refused {
            return Err(why);
        }
        let length = self.bytes.len();
        let wanted = length
            .checked_add(more)
            .filter(|&sum| sum <= self.bytes_max);
        let wanted = wanted.ok_or(Unmade::TooLarge)?;
        let capacity = self.bytes.capacity();
        if wanted <= capacity {
            return Ok(());
        }
        let grown = wanted
            .max(2 * capacity)
            .max(FIRST_BYTES)
            .min(self.bytes_max);
        if !(self.room)(grown - capacity) {
            return Err(Unmade::NoRoom);
        }
        self.bytes.reserve_exact(grown - length);
        Ok(())
    }
}

impl io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.take(bytes.len()) {
            Ok(()) => {
                self.bytes.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            Err(why) => {
                self.refused = Some(why);
                Err(io::Error::other(why))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
