//! A field value that is built on the stack, without formatting where that is slow.

use std::fmt;

use http::HeaderValue;
use smallvec::SmallVec;

/// The bytes of a value so far; they move to the heap once, as the value.
#[derive(Debug, Default)]
pub struct Line(SmallVec<[u8; 128]>);

impl Line {
    /// Adds `text`.
    pub fn push(&mut self, text: &[u8]) {
        self.0.extend_from_slice(text);
    }

    /// Adds `number` in decimal; a third of what formatting it takes.
    pub fn number(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.push(&digits[start..]);
    }

    /// The value; `None` if what was added has a byte that no value may have.
    pub fn value(&self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(&self.0).ok()
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn numbers_are_written_as_formatting_writes_them() {
        for number in [0, 9, 10, 255, 256, u64::MAX] {
            let mut line = Line::default();
            line.number(number);
            assert_eq!(line.value().unwrap(), number.to_string());
        }
    }

    #[test]
    fn what_is_no_value_is_none() {
        let mut line = Line::default();
        line.push(b"a, ");
        write!(line, "{}", 1).unwrap();
        assert_eq!(line.value().unwrap(), "a, 1");
        line.push(b"\n");
        assert!(line.value().is_none());
    }
}
