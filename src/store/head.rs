//! The head of a stored answer: its status, and its fields as HTTP/1 writes them.
//!
//! The fields are one block of lines, `name: value` and CR LF each, in lower case and in
//! their order, so that an HTTP/1 viewer is sent the block itself. No value has a CR or LF
//! and no name a colon, so the lines say exactly which fields they came from. For those who
//! want fields one by one, a few bytes beside the block say which names they have and where
//! the first of them end, so that nobody has to look for that.
//!
//! The body comes behind the lines, in the same block and without a counter of its own.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_LENGTH};
use memchr::memchr;

use super::{Body, names::Place};
use crate::fields::text::Text;

/// What is between a name and its value, and after it.
const COLON: &[u8] = b": ";
const END: &[u8] = b"\r\n";

/// For how many fields name and length are at hand; those after them are looked up by their
/// text. Ordinary answers have no more; one more would put an object into the allocator's
/// next class, 32 bytes up.
const NOTED_MAX: usize = 12;

/// A status and fields, compactly: their text, and 64 bytes beside it.
#[derive(Debug)]
pub struct Head {
    /// The lines, and what lies behind them.
    block: Bytes,
    /// The length of the lines.
    lines: u32,
    status: StatusCode,
    /// How many fields there are; [`MANY`] where that is for the lines to say.
    fields: u8,
    said: Said,
    notes: [Note; NOTED_MAX],
}

/// What the fields of a stored answer say of the length of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// `Content-Length` is right.
    Length,
    /// There is no `Content-Length`.
    Nothing,
    /// Something that it does not have.
    Otherwise,
}

/// As many fields as no [`Head`] counts.
const MANY: u8 = u8::MAX;

/// What is known of a field beside its text.
#[derive(Clone, Copy, Debug, Default)]
struct Note {
    /// That of its name.
    place: Place,
    /// The length of its value; [`LONG`] when that is for its text to say.
    length: u8,
}

/// A value too long for a [`Note`].
const LONG: u8 = u8::MAX;

/// What is known of a field after the noted ones.
const UNKNOWN: Note = Note {
    place: Place::NONE,
    length: LONG,
};

/// A field where it lies.
struct Field<'a> {
    name: Name<'a>,
    start: usize,
    end: usize,
}

enum Name<'a> {
    Known(&'static HeaderName),
    Text(&'a [u8]),
}

impl Head {
    /// The head with these fields, and the body that `body` are the parts of behind it.
    pub(super) fn new<'a>(
        status: StatusCode,
        headers: &HeaderMap,
        body: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Self {
        let length = body.clone().map(<[u8]>::len).sum();
        Self::with_length(status, headers, body, length)
    }

    /// The head with these fields of a body of `bytes` that lies elsewhere.
    pub(super) fn alone(status: StatusCode, headers: &HeaderMap, bytes: usize) -> Self {
        Self::with_length(status, headers, std::iter::empty(), bytes)
    }

    fn with_length<'a>(
        status: StatusCode,
        headers: &HeaderMap,
        body: impl Iterator<Item = &'a [u8]> + Clone,
        bytes: usize,
    ) -> Self {
        let lines = lines_bytes(headers);
        let length: usize = body.clone().map(<[u8]>::len).sum();
        let mut block = Vec::with_capacity(lines + length);
        write(headers, &mut block);
        body.for_each(|part| block.extend_from_slice(part));
        let mut notes = [Note::default(); NOTED_MAX];
        for (note, (name, value)) in notes.iter_mut().zip(headers) {
            *note = Note {
                place: Place::of(name),
                length: u8::try_from(value.len()).unwrap_or(LONG),
            };
        }
        Self {
            // As long as its room is: it gets a counter once somebody shares it.
            block: block.into(),
            // No origin is let send so long a head.
            lines: u32::try_from(lines).unwrap_or(u32::MAX),
            status,
            fields: u8::try_from(headers.len()).unwrap_or(MANY),
            said: said(headers, bytes),
            notes,
        }
    }

    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The fields as lines of HTTP/1, each with its CR LF; neither status line nor empty line.
    pub fn lines(&self) -> &[u8] {
        &self.block[..self.lines_bytes()]
    }

    /// What lies behind the lines.
    pub(super) const fn body(&self) -> Body<'_> {
        Body::new(&self.block, self.lines_bytes())
    }

    const fn lines_bytes(&self) -> usize {
        self.lines as usize
    }

    /// What the fields say of the length of the body.
    pub const fn said(&self) -> Said {
        self.said
    }

    /// How many fields there are, repeated names counted.
    pub fn len(&self) -> usize {
        match self.fields {
            MANY => self.fields().count(),
            fields => usize::from(fields),
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.fields == 0
    }

    /// The fields, in order: values without copying, and names but those without a place.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'static, HeaderName>, HeaderValue)> {
        self.fields().map(|field| {
            let value = self.block.slice(field.start..field.end);
            // It was a value when it was stored.
            let value = HeaderValue::from_maybe_shared(value)
                .unwrap_or_else(|_| HeaderValue::from_static(""));
            (field.name.whole(), value)
        })
    }

    /// The bytes of the first value of `name`.
    pub fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        let field = self.fields().find(|field| field.name.is(name))?;
        Some(&self.block[field.start..field.end])
    }

    /// Whether there is a field of this name.
    pub fn has(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// All fields as a map.
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.len());
        for (name, value) in self.iter() {
            map.append(&*name, value);
        }
        map
    }

    /// The field that begins at `at`, as its text says; the name at `place`, if it has one.
    #[cold]
    fn read(&self, at: usize, place: Place) -> Option<Field<'_>> {
        let line = self.lines().get(at..)?;
        let (colon, end) = (memchr(b':', line)?, memchr(b'\r', line)?);
        Some(Field {
            name: match place.name() {
                Some(name) => Name::Known(name),
                None => Name::Text(&line[..colon]),
            },
            start: at + colon + COLON.len(),
            end: at + end,
        })
    }

    const fn fields(&self) -> Fields<'_> {
        Fields {
            head: self,
            next: 0,
            at: 0,
        }
    }
}

/// The fields of a head, one after another.
struct Fields<'a> {
    head: &'a Head,
    /// Which is next, and where it begins.
    next: usize,
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        if self.at >= self.head.lines_bytes() {
            return None;
        }
        let note = self.head.notes.get(self.next);
        let note = note.copied().unwrap_or(UNKNOWN);
        let field = match note.place.name() {
            Some(name) if note.length != LONG => {
                let start = self.at + name.as_str().len() + COLON.len();
                Field {
                    name: Name::Known(name),
                    start,
                    end: start + usize::from(note.length),
                }
            }
            _ => self.head.read(self.at, note.place)?,
        };
        self.next += 1;
        self.at = field.end + END.len();
        Some(field)
    }
}

impl Name<'_> {
    fn is(&self, name: &HeaderName) -> bool {
        match self {
            Self::Known(known) => *known == name,
            Self::Text(text) => *text == name.as_str().as_bytes(),
        }
    }

    #[inline]
    fn whole(&self) -> Cow<'static, HeaderName> {
        match self {
            Self::Known(name) => Cow::Borrowed(name),
            Self::Text(text) => named(text),
        }
    }
}

/// The name that `text` is, from the table where it has a place by now.
#[cold]
fn named(text: &[u8]) -> Cow<'static, HeaderName> {
    match Place::of_text(text).name() {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(
            // It was a name when it was stored.
            HeaderName::from_bytes(text).unwrap_or_else(|_| HeaderName::from_static("x-unknown")),
        ),
    }
}

/// What these fields say of the length of a body of `bytes`.
fn said(headers: &HeaderMap, bytes: usize) -> Said {
    let Some(length) = headers.get(CONTENT_LENGTH) else {
        return Said::Nothing;
    };
    let mut digits = Text::<20>::default();
    digits.push_number(bytes as u64);
    if length.as_bytes() == digits.as_bytes() {
        Said::Length
    } else {
        Said::Otherwise
    }
}

/// What the lines of these fields take, in bytes.
pub(super) fn lines_bytes(headers: &HeaderMap) -> usize {
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        name.as_str().len() + COLON.len() + value.len() + END.len()
    };
    headers.iter().map(line).sum()
}

/// Appends the lines of these fields.
fn write(headers: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(COLON);
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(END);
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn head(fields: &[(HeaderName, HeaderValue)]) -> (HeaderMap, Head) {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(name, value.clone());
        }
        let body = [&b"one: 1\r\n"[..], b"two"];
        let head = Head::new(StatusCode::OK, &map, body.into_iter());
        assert_eq!(&*head.body(), b"one: 1\r\ntwo");
        (map, head)
    }

    fn names() -> impl Strategy<Value = HeaderName> {
        let common = &["etag", "date", "vary", "set-cookie", "x-a", "x-b"];
        // Too long for a place, which other tests want.
        let any = "[!#$%&'*+.^_`|~0-9a-zA-Z-]{41,80}";
        prop_oneof![
            4 => prop::sample::select(&common[..]).prop_map(HeaderName::from_static),
            1 => any.prop_map(|name| name.parse().unwrap()),
        ]
    }

    fn values() -> impl Strategy<Value = HeaderValue> {
        let byte = prop_oneof![
            4 => 0x20..=0x7e_u8,
            1 => 0x80..=0xff_u8,
            1 => prop::sample::select(&b"\t :,"[..]),
        ];
        let lengths = prop_oneof![0..40_usize, 250..260_usize];
        let bytes = lengths.prop_flat_map(move |length| vec(byte.clone(), length));
        bytes.prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap())
    }

    proptest! {
        #[test]
        fn the_lines_say_exactly_which_fields_they_came_from(
            fields in vec((names(), values()), 0..2 * NOTED_MAX),
        ) {
            let (map, head) = head(&fields);
            prop_assert_eq!(head.len(), map.len());
            let seen = head.iter().map(|(name, value)| (name.into_owned(), value));
            let seen: Vec<_> = seen.collect();
            let wanted = map.iter().map(|(name, value)| (name.clone(), value.clone()));
            prop_assert_eq!(&seen, &wanted.collect::<Vec<_>>());
            prop_assert_eq!(&head.to_map(), &map);
            for name in map.keys() {
                prop_assert_eq!(head.get(name), map.get(name).map(HeaderValue::as_bytes));
            }
            prop_assert!(!head.has(&HeaderName::from_static("x-absent")));
        }
    }

    #[test]
    fn a_head_knows_whether_it_says_how_long_its_body_is() {
        for (length, said) in [
            (None, Said::Nothing),
            (Some("12"), Said::Length),
            (Some("012"), Said::Otherwise),
            (Some("11"), Said::Otherwise),
        ] {
            let mut map = HeaderMap::new();
            if let Some(length) = length {
                map.insert(CONTENT_LENGTH, HeaderValue::from_static(length));
            }
            let body = [&b"one: 1\r\n"[..], b"four"];
            let head = Head::new(StatusCode::OK, &map, body.into_iter());
            assert_eq!(head.said(), said, "{length:?}");
            assert_eq!(Head::alone(StatusCode::OK, &map, 12).said(), said);
        }
    }

    #[test]
    fn many_fields_are_counted() {
        let name = HeaderName::from_static("x-a");
        let fields = vec![(name, HeaderValue::from_static("1")); 300];
        let (map, head) = head(&fields);
        assert_eq!((head.len(), map.len()), (300, 300));
    }

    #[test]
    fn fields_are_lines_of_http_1() {
        let field = |name, value| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        let (_, head) = head(&[
            field("etag", "\"a:b\""),
            field("x-empty", ""),
            field("link", "</a>"),
            field("link", " </b> "),
        ]);
        let lines = "etag: \"a:b\"\r\nx-empty: \r\nlink: </a>\r\nlink:  </b> \r\n";
        assert_eq!(head.lines(), lines.as_bytes());
        assert_eq!(
            head.get(&HeaderName::from_static("link")),
            Some(&b"</a>"[..])
        );
        assert_eq!(
            head.get(&HeaderName::from_static("x-empty")),
            Some(&b""[..])
        );
    }
}
