//! The header section of a request, line by line.
//!
//! A request has a dozen fields and is asked for as many, most of which it has not: a look
//! through their names takes less than a map of them takes to build.

use std::{borrow::Borrow, fmt, ops::Range, sync::Arc};

use http::{HeaderMap, HeaderName};

/// A request's fields, in the order in which they came; a clone shares them until it is changed.
#[derive(Clone, Default)]
pub struct Section(Arc<Lines>);

/// Fields that are being read.
///
/// Their values lie in one text: to share it among values of their own would take more than
/// most are ever asked for.
#[derive(Clone, Default)]
pub struct Lines {
    text: Vec<u8>,
    lines: Vec<(HeaderName, Range<u32>)>,
}

impl Lines {
    /// None yet, with room for so many; [`Self::line`] says where in `text` they are.
    #[inline]
    pub fn within(text: Vec<u8>, lines: usize) -> Self {
        Self {
            text,
            lines: Vec::with_capacity(lines),
        }
    }

    /// Adds a line behind the others whose value lies there in the text; an empty one where
    /// that has no such part.
    #[inline]
    pub fn line(&mut self, name: HeaderName, value: Range<usize>) {
        let at = |end| u32::try_from(end).unwrap_or(u32::MAX);
        self.lines.push((name, at(value.start)..at(value.end)));
    }

    fn append(&mut self, name: HeaderName, value: impl AsRef<[u8]>) {
        let start = self.text.len();
        self.text.extend_from_slice(value.as_ref());
        self.line(name, start..self.text.len());
    }

    fn value(&self, at: &Range<u32>) -> &[u8] {
        let part = at.start as usize..at.end as usize;
        self.text.get(part).unwrap_or_default()
    }
}

impl Section {
    /// Adds a line behind the others.
    pub fn append(&mut self, name: HeaderName, value: impl AsRef<[u8]>) {
        Arc::make_mut(&mut self.0).append(name, value);
    }

    /// Adds a line in the place of every other of this name.
    pub fn insert(&mut self, name: HeaderName, value: impl AsRef<[u8]>) {
        let read = Arc::make_mut(&mut self.0);
        read.lines.retain(|(one, _)| *one != name);
        read.append(name, value);
    }

    /// Whether there is a field `name`.
    pub fn has(&self, name: impl Borrow<HeaderName>) -> bool {
        self.0.lines.iter().any(|(one, _)| one == name.borrow())
    }

    /// The first value of `name`.
    pub fn get(&self, name: impl Borrow<HeaderName>) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// The value of `name` where there is one line of it.
    pub fn sole(&self, name: impl Borrow<HeaderName>) -> Option<&[u8]> {
        let mut values = self.get_all(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// Every value of `name`, in order.
    pub fn get_all<N: Borrow<HeaderName>>(&self, name: N) -> impl Iterator<Item = &[u8]> {
        let lines = self.0.lines.iter();
        let named = lines.filter(move |(one, _)| one == name.borrow());
        named.map(|(_, value)| self.0.value(value))
    }

    /// Every line.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &[u8])> {
        let lines = self.0.lines.iter();
        lines.map(|(name, value)| (name, self.0.value(value)))
    }

    /// Where the values lie; what else lies there is whoever's who made it.
    pub fn text(&self) -> &[u8] {
        &self.0.text
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.0.lines.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.lines.is_empty()
    }
}

/// The names alone: values are nobody's but the viewer's.
impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

impl From<Lines> for Section {
    fn from(read: Lines) -> Self {
        Self(Arc::new(read))
    }
}

impl From<HeaderMap> for Section {
    fn from(map: HeaderMap) -> Self {
        let bytes = map.values().map(|value| value.len()).sum();
        let mut read = Lines::within(Vec::with_capacity(bytes), map.len());
        read.extend(map);
        read.into()
    }
}

impl<V: AsRef<[u8]>> Extend<(Option<HeaderName>, V)> for Section {
    fn extend<L: IntoIterator<Item = (Option<HeaderName>, V)>>(&mut self, lines: L) {
        Arc::make_mut(&mut self.0).extend(lines);
    }
}

/// As maps give their lines: a further one of the same name has none.
impl<V: AsRef<[u8]>> Extend<(Option<HeaderName>, V)> for Lines {
    fn extend<L: IntoIterator<Item = (Option<HeaderName>, V)>>(&mut self, lines: L) {
        for (name, value) in lines {
            let before = || self.lines.last().map(|(name, _)| name.clone());
            if let Some(name) = name.or_else(before) {
                self.append(name, value);
            }
        }
    }
}

/// The fields of a message, whoever read them.
pub trait Fields {
    /// The first value of `name`.
    fn first(&self, name: &HeaderName) -> Option<&[u8]>;

    /// Every value of `name`, in order.
    fn all(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]>;
}

impl Fields for Section {
    fn first(&self, name: &HeaderName) -> Option<&[u8]> {
        self.get(name)
    }

    fn all(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]> {
        self.get_all(name.clone())
    }
}

impl Fields for HeaderMap {
    fn first(&self, name: &HeaderName) -> Option<&[u8]> {
        // Most have it not, and looking through few takes less than a search.
        let value = super::has(self, name).then(|| self.get(name)).flatten();
        value.map(|value| value.as_bytes())
    }

    fn all(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]> {
        self.get_all(name).iter().map(|value| value.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn name(number: u8) -> HeaderName {
        HeaderName::try_from(format!("x-{number}")).unwrap()
    }

    #[test]
    fn d16_a_value_is_never_printed() {
        let mut section = Section::default();
        section.append(http::header::AUTHORIZATION, "s3cret");
        assert_eq!(format!("{section:?}"), r#"["authorization"]"#);
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
