//! Text that is built on the stack, where it fits.
//!
//! What a hit builds is short and built of many pieces: each costs a comparison and a copy.

/// A text whose first `N` bytes need no memory of their own.
#[derive(Clone, Debug)]
pub struct Text<const N: usize> {
    inline: [u8; N],
    /// How much of that is used; more than there is once the text outgrew it.
    length: usize,
    /// Everything, once it outgrew the stack.
    spilled: Option<Vec<u8>>,
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self {
            inline: [0; N],
            length: 0,
            spilled: None,
        }
    }
}

impl<const N: usize> Text<N> {
    /// Appends `bytes`; where their number is known to the compiler, in an instruction or two.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        match self.room(bytes.len()) {
            Some(room) => room.copy_from_slice(bytes),
            None => self.spill(bytes),
        }
    }

    /// Appends `bytes` bytes, which are the caller's to write; `None` where they would not fit
    /// on the stack.
    #[inline]
    pub fn room(&mut self, bytes: usize) -> Option<&mut [u8]> {
        let room = self.inline.get_mut(self.length..)?.get_mut(..bytes)?;
        self.length += bytes;
        Some(room)
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        let spilled = match &mut self.spilled {
            Some(spilled) => spilled,
            None => self.spilled.insert(self.inline[..self.length].to_vec()),
        };
        spilled.extend_from_slice(bytes);
        self.length = N + 1;
    }

    /// Appends `number` in decimal; a third of what formatting it takes.
    pub fn push_number(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut start = digits.len();
        while number >= 10 {
            start -= 2;
            digits[start..start + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
            number /= 100;
        }
        // What is left is a digit in front; of an even number of digits, none.
        if number > 0 || start == digits.len() {
            start -= 1;
            digits[start] = b'0' + number as u8;
        }
        self.push(&digits[start..]);
    }

    /// Begins anew, in the room there is.
    pub fn clear(&mut self) {
        self.length = 0;
        self.spilled = None;
    }

    /// All of it.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.spilled {
            Some(spilled) => spilled,
            None => &self.inline[..self.length],
        }
    }
}

/// The numbers below a hundred in two digits.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < pairs.len() {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

impl<const N: usize> std::fmt::Write for Text<N> {
    #[inline]
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_is_its_pieces_on_the_stack_and_off_it(pieces: Vec<Vec<u8>>) {
            let mut text = Text::<64>::default();
            pieces.iter().for_each(|piece| text.push(piece));
            text.clear();
            prop_assert_eq!(text.as_bytes(), b"");
            pieces.iter().for_each(|piece| text.push(piece));
            prop_assert_eq!(text.as_bytes(), pieces.concat());
        }

        #[test]
        fn a_number_is_its_digits(number in prop_oneof![0_u64..1_200, any::<u64>()]) {
            let mut text = Text::<8>::default();
            text.push_number(number);
            let wanted = number.to_string();
            prop_assert_eq!(text.as_bytes(), wanted.as_bytes());
        }
    }
}
