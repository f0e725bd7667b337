//! The head of a stored answer: its status, and its fields as HTTP/1 writes them.
//!
//! The fields are one block of lines, `name: value` and CR LF each, in lower case and in
//! their order, so that an HTTP/1 viewer is sent the block itself. No value has a CR or LF
//! and no name a colon, so the lines say exactly which fields they came from. For those who
//! want fields one by one, a few bytes beside the block say which names they have and where
//! the first of them end, so that nobody has to look for that.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use memchr::memchr;

use super::names::Place;

/// What is between a name and its value, and after it.
const COLON: &[u8] = b": ";
const END: &[u8] = b"\r\n";

/// For how many fields name and length are at hand; those after them are read from the text.
const NOTED_MAX: usize = 14;

/// A status and fields, compactly: what their text is, and no more beside it.
#[derive(Clone, Debug)]
pub struct Head {
    lines: Bytes,
    status: StatusCode,
    fields: u16,
    notes: [Note; NOTED_MAX],
}

/// What is known of a field beside its text.
#[derive(Clone, Copy, Debug, Default)]
struct Note {
    name: Place,
    /// The length of its value; [`LONG`] when that is for its text to say.
    length: u8,
}

/// A value too long for a [`Note`].
const LONG: u8 = u8::MAX;

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
    /// The head whose lines are `lines`, made by [`write`] of `headers`.
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, lines: Bytes) -> Self {
        let mut notes = [Note::default(); NOTED_MAX];
        for (note, (name, value)) in notes.iter_mut().zip(headers) {
            let name = Place::of(name);
            let length = u8::try_from(value.len()).unwrap_or(LONG);
            *note = Note { name, length };
        }
        Self {
            lines,
            status,
            // A map has at most 32,768 names, and no origin is let send so many fields.
            fields: u16::try_from(headers.len()).unwrap_or(u16::MAX),
            notes,
        }
    }

    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The fields as lines of HTTP/1, each with its CR LF; neither status line nor empty line.
    pub const fn lines(&self) -> &Bytes {
        &self.lines
    }

    /// How many fields there are, repeated names counted.
    pub const fn len(&self) -> usize {
        self.fields as usize
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.fields == 0
    }

    /// The fields, in order; values without copying, and so are names but rare ones.
    pub fn iter(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.fields().map(|field| {
            let value = self.lines.slice(field.start..field.end);
            (field.name.owned(), valid(value))
        })
    }

    /// The bytes of the first value of `name`.
    pub fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        let field = self.fields().find(|field| field.name.is(name))?;
        Some(&self.lines[field.start..field.end])
    }

    /// Whether there is a field of this name.
    pub fn has(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// All fields as a map.
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.len());
        map.extend(self.iter());
        map
    }

    fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let mut notes = self.notes.iter();
        let mut at = 0;
        std::iter::from_fn(move || {
            let note = notes.next().copied();
            let field = self.field(at, note.unwrap_or(UNKNOWN))?;
            at = field.end + END.len();
            Some(field)
        })
    }

    /// The field that begins at `at`; none at the end.
    fn field(&self, at: usize, note: Note) -> Option<Field<'_>> {
        let rest = self.lines.get(at..)?;
        let name = match note.name.name() {
            Some(name) => Name::Known(name),
            None => Name::Text(&rest[..memchr(b':', rest)?]),
        };
        let start = name.bytes() + COLON.len();
        let end = match note.length {
            LONG => memchr(b'\r', rest)?,
            length => start + usize::from(length),
        };
        let (start, end) = (at + start, at + end);
        Some(Field { name, start, end })
    }
}

/// What is known of a field after the noted ones.
const UNKNOWN: Note = Note {
    name: Place::NONE,
    length: LONG,
};

impl Name<'_> {
    fn bytes(&self) -> usize {
        match self {
            Self::Known(name) => name.as_str().len(),
            Self::Text(text) => text.len(),
        }
    }

    fn is(&self, name: &HeaderName) -> bool {
        match self {
            Self::Known(known) => *known == name,
            Self::Text(text) => *text == name.as_str().as_bytes(),
        }
    }

    fn owned(&self) -> HeaderName {
        match self {
            Self::Known(name) => (*name).clone(),
            // It was a name when it was stored.
            Self::Text(text) => {
                let name = HeaderName::from_bytes(text);
                name.unwrap_or_else(|_| HeaderName::from_static("x-unknown"))
            }
        }
    }
}

fn valid(value: Bytes) -> HeaderValue {
    // It was a value when it was stored.
    HeaderValue::from_maybe_shared(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// What the lines of these fields take, in bytes.
pub(super) fn lines_bytes(headers: &HeaderMap) -> usize {
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        name.as_str().len() + COLON.len() + value.len() + END.len()
    };
    headers.iter().map(line).sum()
}

/// Appends the lines of these fields.
pub(super) fn write(headers: &HeaderMap, out: &mut Vec<u8>) {
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
        let mut lines = Vec::new();
        write(&map, &mut lines);
        assert_eq!(lines.len(), lines_bytes(&map));
        let head = Head::new(StatusCode::OK, &map, lines.into());
        (map, head)
    }

    fn names() -> impl Strategy<Value = HeaderName> {
        let common = &["etag", "date", "vary", "set-cookie", "x-a", "x-b"];
        let any = "[!#$%&'*+.^_`|~0-9a-zA-Z-]{1,80}";
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
            let seen: Vec<_> = head.iter().collect();
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
        assert_eq!(head.lines(), lines);
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
