//! The field names that stored heads have, each once for the process.
//!
//! A name that HTTP defines is a number, any other is text on the heap. What origins send is
//! few names over and over, so a head remembers them as places in this table: a byte each,
//! and what a hit takes from here is neither parsed, nor copied, nor counted. The first names
//! seen have the places, and keep them; a later one is parsed from the head's own text.

use std::sync::{LazyLock, OnceLock, PoisonError, RwLock};

use http::{HeaderMap, HeaderName};

/// How many names there are places for: what every origin behind one daemon sends, ten times
/// over. With their text 80 bytes each, or some 20 KB, at most.
const NAMES_MAX: usize = 255;

/// The longest name that has a place, in bytes; the longest that HTTP defines has 35.
const NAME_BYTES_MAX: usize = 40;

/// A place in the table; or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place(u8);

static NAMES: [OnceLock<HeaderName>; NAMES_MAX] = [const { OnceLock::new() }; NAMES_MAX];
static PLACES: LazyLock<RwLock<HeaderMap<Place>>> = LazyLock::new(RwLock::default);

impl Place {
    /// No place.
    pub(super) const NONE: Self = Self(0);

    /// The place of `name`, which gets one if there is one left.
    pub(super) fn of(name: &HeaderName) -> Self {
        // No code panics while it holds the lock; the table is whole even if one did.
        let places = PLACES.read().unwrap_or_else(PoisonError::into_inner);
        match places.get(name) {
            Some(&place) => place,
            None if places.len() == NAMES_MAX || name.as_str().len() > NAME_BYTES_MAX => Self::NONE,
            None => {
                drop(places);
                Self::give(name)
            }
        }
    }

    fn give(name: &HeaderName) -> Self {
        let mut places = PLACES.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(&place) = places.get(name) {
            return place;
        }
        let next = places.len();
        let Some(free) = NAMES.get(next) else {
            return Self::NONE;
        };
        // Kept for good: what is cloned from it counts nothing.
        let text: &'static str = Box::leak(name.as_str().into());
        let name = HeaderName::from_static(text);
        if free.set(name.clone()).is_err() {
            return Self::NONE;
        }
        // At most NAMES_MAX.
        let place = Self(next as u8 + 1);
        places.insert(name, place);
        place
    }

    /// The place of the name that `text` is; takes a lock, and gives none.
    pub(super) fn of_text(text: &[u8]) -> Self {
        let Ok(text) = str::from_utf8(text) else {
            return Self::NONE;
        };
        let places = PLACES.read().unwrap_or_else(PoisonError::into_inner);
        places.get(text).copied().unwrap_or_default()
    }

    /// The name that has it.
    pub(super) fn name(self) -> Option<&'static HeaderName> {
        NAMES[..].get(usize::from(self.0).checked_sub(1)?)?.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_place() {
        for name in ["etag", "x-a-name", "!#$%&'*+-.^_`|~0123456789"] {
            let name: HeaderName = name.parse().unwrap();
            let place = Place::of(&name);
            assert_eq!(place.name(), Some(&name));
            assert_eq!(Place::of(&name), place);
            assert_eq!(Place::of_text(name.as_str().as_bytes()), place);
        }
        assert_eq!(Place::of_text(b"x-nobody-has-this"), Place::NONE);
        assert_eq!(Place::NONE.name(), None);
    }

    #[test]
    fn a_long_name_has_none() {
        let name = |bytes: usize| HeaderName::from_bytes(&vec![b'x'; bytes]).unwrap();
        assert_eq!(Place::of(&name(NAME_BYTES_MAX + 1)), Place::NONE);
        assert_ne!(Place::of(&name(NAME_BYTES_MAX)), Place::NONE);
    }
}
