//! The names of fields, known from the response before.
//!
//! An origin says the same ones each time, in the same order: comparing costs a tenth of finding
//! out what they are, and no memory of its own for those that are not in the standards.

use http::HeaderName;

use crate::origin::error::Cause;

/// How many bytes of names a connection remembers: those of three dozen fields.
const NAMES_BYTES_MAX: usize = 512;

/// The names of the fields of a connection's last response.
#[derive(Debug, Default)]
pub(in crate::origin) struct Names {
    /// As they were written, one behind the other.
    text: Vec<u8>,
    /// Where each ends in `text`.
    names: Vec<(usize, HeaderName)>,
}

/// How far a head is like the last.
#[derive(Default)]
pub(super) struct Alike {
    fields: usize,
    bytes: usize,
}

impl Names {
    /// The name that is written `name`, behind what is `alike`.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub(super) fn next(&mut self, name: &[u8], alike: &mut Alike) -> Result<HeaderName, Cause> {
        let end = alike.bytes + name.len();
        if let Some((last, known)) = self.names.get(alike.fields)
            && *last == end
            && self.text.get(alike.bytes..end) == Some(name)
        {
            *alike = Alike {
                fields: alike.fields + 1,
                bytes: end,
            };
            return Ok(known.clone());
        }
        let known = HeaderName::from_bytes(name)
            .map_err(|_| Cause::Seen("a name of a field is invalid"))?;
        if end <= NAMES_BYTES_MAX {
            self.names.truncate(alike.fields);
            self.text.truncate(alike.bytes);
            self.text.extend_from_slice(name);
            self.names.push((end, known.clone()));
            *alike = Alike {
                fields: alike.fields + 1,
                bytes: end,
            };
        }
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_this_response_and_not_of_the_last() {
        let mut names = Names::default();
        let long = format!("b,{},etag", "x".repeat(NAMES_BYTES_MAX + 1));
        let many = "x-field-of-many,".repeat(100);
        for list in [
            "a",
            "A,b,etag",
            "b,a",
            &long,
            "ba",
            "b,ETag,x-y",
            "",
            "x-y,x-y,b,etag",
            &long,
            &many,
            "a",
            &many,
        ] {
            let mut alike = Alike::default();
            for name in list.split_terminator(',') {
                let known = names.next(name.as_bytes(), &mut alike).unwrap();
                assert_eq!(known.as_str(), name.to_lowercase(), "{list}");
            }
            assert!(names.text.len() <= NAMES_BYTES_MAX, "{list}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused_and_not_remembered() {
        let mut names = Names::default();
        for name in ["", "a b", "\u{e9}"] {
            assert!(names.next(name.as_bytes(), &mut Alike::default()).is_err());
        }
        assert!(names.names.is_empty());
    }
}
