//! The header section of a request, line by line.
//!
//! A request has a dozen fields and is asked for as many, most of which it has not: a look
//! through their names takes less than a map of them takes to build.

use std::borrow::Borrow;

use http::{HeaderMap, HeaderName, HeaderValue};

/// A request's fields, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section(Vec<(HeaderName, HeaderValue)>);

impl Section {
    /// None yet, with room for so many.
    #[inline]
    pub fn with_capacity(lines: usize) -> Self {
        Self(Vec::with_capacity(lines))
    }

    /// Whether there is a field `name`.
    pub fn has(&self, name: impl Borrow<HeaderName>) -> bool {
        self.0.iter().any(|(one, _)| one == name.borrow())
    }

    /// The first value of `name`.
    pub fn get(&self, name: impl Borrow<HeaderName>) -> Option<&HeaderValue> {
        self.get_all(name).next()
    }

    /// The value of `name` where there is one line of it.
    pub fn sole(&self, name: impl Borrow<HeaderName>) -> Option<&HeaderValue> {
        let mut values = self.get_all(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// Every value of `name`, in order.
    pub fn get_all<N: Borrow<HeaderName>>(&self, name: N) -> impl Iterator<Item = &HeaderValue> {
        let named = self.0.iter().filter(move |(one, _)| one == name.borrow());
        named.map(|(_, value)| value)
    }

    /// Every line.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a line behind the others.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((name, value));
    }

    /// Adds a line in the place of every other of this name.
    pub fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        self.remove(&name);
        self.append(name, value);
    }

    /// Takes every line of this name away.
    pub fn remove(&mut self, name: impl Borrow<HeaderName>) {
        self.0.retain(|(one, _)| one != name.borrow());
    }
}

impl From<HeaderMap> for Section {
    fn from(map: HeaderMap) -> Self {
        let mut section = Self::with_capacity(map.len());
        section.extend(map);
        section
    }
}

/// As maps give their lines: a further one of the same name has none.
impl Extend<(Option<HeaderName>, HeaderValue)> for Section {
    fn extend<L: IntoIterator<Item = (Option<HeaderName>, HeaderValue)>>(&mut self, lines: L) {
        for (name, value) in lines {
            let before = || self.0.last().map(|(name, _)| name.clone());
            if let Some(name) = name.or_else(before) {
                self.append(name, value);
            }
        }
    }
}

/// The fields of a message, whoever read them.
pub trait Fields {
    /// The first value of `name`.
    fn first(&self, name: &HeaderName) -> Option<&HeaderValue>;

    /// Every value of `name`, in order.
    fn all(&self, name: &HeaderName) -> impl Iterator<Item = &HeaderValue>;
}

impl Fields for Section {
    fn first(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.get(name)
    }

    fn all(&self, name: &HeaderName) -> impl Iterator<Item = &HeaderValue> {
        self.get_all(name.clone())
    }
}

impl Fields for HeaderMap {
    fn first(&self, name: &HeaderName) -> Option<&HeaderValue> {
        // Most have it not, and looking through few takes less than a search.
        super::has(self, name).then(|| self.get(name)).flatten()
    }

    fn all(&self, name: &HeaderName) -> impl Iterator<Item = &HeaderValue> {
        self.get_all(name).iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(number: u8) -> HeaderName {
        HeaderName::try_from(format!("x-{number}")).unwrap()
    }

    proptest! {
        #[test]
        fn a_section_says_what_a_map_of_it_says(
            lines in proptest::collection::vec((0_u8..6, "[a-z]{0,3}"), 0..20),
            replaced in 0_u8..8,
        ) {
            let (mut map, mut section) = (HeaderMap::new(), Section::default());
            for (number, value) in &lines {
                let value = HeaderValue::from_str(value).unwrap();
                map.append(name(*number), value.clone());
                section.append(name(*number), value);
            }
            let value = HeaderValue::from_static("new");
            map.insert(name(replaced), value.clone());
            section.insert(name(replaced), value);
            for section in [section, map.clone().into()] {
                prop_assert_eq!(section.len(), map.len());
                for number in 0..9 {
                    let name = name(number);
                    prop_assert_eq!(section.has(&name), map.contains_key(&name));
                    prop_assert_eq!(section.first(&name), map.first(&name));
                    let values: Vec<_> = section.all(&name).collect();
                    prop_assert_eq!(values, map.all(&name).collect::<Vec<_>>());
                }
            }
        }
    }
}
