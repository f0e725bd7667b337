//! Byte ranges: Range and Content-Range (RFC 9110 §14).

use std::fmt;

use smallvec::SmallVec;

use super::{digits, list::line_members};

/// The most ranges one request may ask for. Each costs a part with its own head,
/// so a field that asks for more is ignored: "A server that supports range
/// requests MAY ignore or reject a Range header field that contains [...] a set
/// of many small ranges" (RFC 9110 §14.2, of unordered ones; we bound them all).
pub const RANGES_MAX: usize = 16;

/// One range of a Range field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spec {
    /// `first-last` or `first-`: positions from zero, both inclusive.
    From {
        /// The first byte.
        first: u64,
        /// The last byte, not before the first; `None` means to the end.
        last: Option<u64>,
    },
    /// `-n`: the last `n` bytes.
    Suffix(u64),
}

/// A valid set of byte ranges: at least one, at most [`RANGES_MAX`], in the
/// viewer's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges(SmallVec<[Spec; 1]>);

/// None of the ranges has a byte of the representation: the answer is 416.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsatisfiable;

/// Start and exclusive end of each satisfiable range; never empty.
pub type Slices = SmallVec<[(u64, u64); 1]>;

/// Reads a Range field.
///
/// `None` when the field is to be ignored and the whole representation sent: the
/// unit is not `bytes`, a range is malformed or ends before it begins, or there
/// are more than [`RANGES_MAX`]. Positions beyond `u64` saturate.
pub fn parse(text: &[u8]) -> Option<Ranges> {
    let equals = text.iter().position(|&byte| byte == b'=')?;
    if !text[..equals].eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut specs = SmallVec::new();
    for member in line_members(&text[equals + 1..]) {
        if specs.len() == RANGES_MAX {
            return None;
        }
        specs.push(spec(member)?);
    }
    (!specs.is_empty()).then_some(Ranges(specs))
}

impl Ranges {
    /// The ranges as asked for.
    pub fn specs(&self) -> &[Spec] {
        &self.0
    }

    /// The ranges of a representation of `len` bytes, in the viewer's order,
    /// each cut to its end; those that have none of its bytes are left out.
    ///
    /// Nothing is merged or sorted. A suffix of an empty representation is left
    /// out too, since no Content-Range could name it.
    pub fn resolve(&self, len: u64) -> Result<Slices, Unsatisfiable> {
        let slices: Slices = self.0.iter().filter_map(|spec| spec.resolve(len)).collect();
        if slices.is_empty() {
            Err(Unsatisfiable)
        } else {
            Ok(slices)
        }
    }
}

impl Spec {
    fn resolve(self, len: u64) -> Option<(u64, u64)> {
        let (start, end) = match self {
            Self::From { first, last } => (
                first,
                last.map_or(len, |last| last.saturating_add(1).min(len)),
            ),
            // "If the selected representation is shorter than the specified
            // suffix-length, the entire representation is used."
            Self::Suffix(length) => (len.saturating_sub(length), len),
        };
        (start < end).then_some((start, end))
    }
}

impl fmt::Display for Ranges {
    /// A field value that reads back as the same ranges.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, spec) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "bytes=" } else { ", " })?;
            match spec {
                Spec::From {
                    first,
                    last: Some(last),
                } => write!(f, "{first}-{last}")?,
                Spec::From { first, last: None } => write!(f, "{first}-")?,
                Spec::Suffix(length) => write!(f, "-{length}")?,
            }
        }
        Ok(())
    }
}

fn spec(text: &[u8]) -> Option<Spec> {
    let dash = text.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (&text[..dash], &text[dash + 1..]);
    if first.is_empty() {
        return digits(last).map(Spec::Suffix);
    }
    let first = digits(first)?;
    let last = if last.is_empty() {
        None
    } else {
        Some(digits(last)?)
    };
    // A range that ends before it begins makes the whole field invalid (§14.1.1).
    (last.is_none_or(|last| first <= last)).then_some(Spec::From { first, last })
}

/// Which bytes a 206 carries, of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The position of the first byte.
    pub first: u64,
    /// The position of the last byte, inclusive; not before the first.
    pub last: u64,
    /// The length of the whole, more than `last`; `None` when the origin did not
    /// know it (`*`).
    pub complete: Option<u64>,
}

/// Reads a Content-Range field that carries bytes: `bytes 0-9/10`, `bytes 0-9/*`.
///
/// `None` when it is malformed, contradicts itself, has another unit, or is the
/// form of a 416 (`bytes */10`); such a response must not be combined with others.
pub fn content_range(text: &[u8]) -> Option<ContentRange> {
    let (unit, range) = text.split_at_checked(b"bytes ".len())?;
    if !unit.eq_ignore_ascii_case(b"bytes ") {
        return None;
    }
    let slash = range.iter().position(|&byte| byte == b'/')?;
    let Some(Spec::From {
        first,
        last: Some(last),
    }) = spec(&range[..slash])
    else {
        return None;
    };
    let complete = match &range[slash + 1..] {
        b"*" => None,
        length => Some(digits(length)?),
    };
    // "[...] is invalid if it contains a range-resp that has a last-pos value
    // less than its first-pos value, or a complete-length value less than or
    // equal to its last-pos value."
    complete
        .is_none_or(|complete| last < complete)
        .then_some(ContentRange {
            first,
            last,
            complete,
        })
}

impl fmt::Display for ContentRange {
    /// The field value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            first,
            last,
            complete,
        } = self;
        match complete {
            Some(complete) => write!(f, "bytes {first}-{last}/{complete}"),
            None => write!(f, "bytes {first}-{last}/*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{option, prelude::*};

    use super::*;

    const fn from(first: u64, last: Option<u64>) -> Spec {
        Spec::From { first, last }
    }

    #[test]
    fn a_range_field_is_valid_or_ignored() {
        #[track_caller]
        fn check(text: &str, wanted: Option<&[Spec]>) {
            let seen = parse(text.as_bytes());
            assert_eq!(seen.as_ref().map(Ranges::specs), wanted, "{text}");
        }
        check("bytes=0-499", Some(&[from(0, Some(499))]));
        check("BYTES=5-", Some(&[from(5, None)]));
        check("bytes=-0", Some(&[Spec::Suffix(0)]));
        check(
            "bytes=0-0,, -1 ,\t2-",
            Some(&[from(0, Some(0)), Spec::Suffix(1), from(2, None)]),
        );
        check(
            "bytes=7-99999999999999999999",
            Some(&[from(7, Some(u64::MAX))]),
        );
        for text in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-4",
            "bytes=1",
            "0-1",
            "items=0-1",
            "bytes =0-1",
            "bytes=0 - 1",
            "bytes=0-1-2",
            "bytes=--1",
            "bytes=0-1;2-3",
            "bytes=0-1, x",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn too_many_ranges_are_ignored() {
        let ranges = |count| format!("bytes={}", vec!["0-0"; count].join(","));
        assert!(parse(ranges(RANGES_MAX).as_bytes()).is_some());
        assert!(parse(ranges(RANGES_MAX + 1).as_bytes()).is_none());
    }

    #[test]
    fn ranges_are_cut_to_the_representation() {
        #[track_caller]
        fn check(text: &str, len: u64, wanted: Result<&[(u64, u64)], Unsatisfiable>) {
            let seen = parse(text.as_bytes()).unwrap().resolve(len);
            assert_eq!(
                seen.as_deref(),
                wanted.as_ref().map(|slices| *slices),
                "{text} of {len}"
            );
        }
        check("bytes=0-4", 10, Ok(&[(0, 5)]));
        check("bytes=0-", 10, Ok(&[(0, 10)]));
        check("bytes=9-20", 10, Ok(&[(9, 10)]));
        check("bytes=-3", 10, Ok(&[(7, 10)]));
        check("bytes=-30", 10, Ok(&[(0, 10)]));
        check("bytes=5-6, 0-1, 5-6", 10, Ok(&[(5, 7), (0, 2), (5, 7)]));
        check("bytes=10-, 1-1, -0", 10, Ok(&[(1, 2)]));
        check("bytes=10-", 10, Err(Unsatisfiable));
        check("bytes=-0", 10, Err(Unsatisfiable));
        check("bytes=0-, -5", 0, Err(Unsatisfiable));
        check(
            "bytes=0-18446744073709551615",
            u64::MAX,
            Ok(&[(0, u64::MAX)]),
        );
    }

    #[test]
    fn a_content_range_does_not_contradict_itself() {
        #[track_caller]
        fn check(text: &str, wanted: Option<(u64, u64, Option<u64>)>) {
            let wanted = wanted.map(|(first, last, complete)| ContentRange {
                first,
                last,
                complete,
            });
            assert_eq!(content_range(text.as_bytes()), wanted, "{text}");
        }
        check("bytes 4-9/10", Some((4, 9, Some(10))));
        check("Bytes 4-9/*", Some((4, 9, None)));
        for text in [
            "",
            "bytes",
            "bytes 4-9",
            "bytes */10",
            "bytes 4-/10",
            "bytes -9/10",
            "bytes 9-4/10",
            "bytes 4-9/9",
            "bytes 4-9/",
            "bytes 4-9/a",
            "items 4-9/10",
            "bytes=4-9/10",
            "bytes  4-9/10",
            "bytes 4-9 / 10",
        ] {
            check(text, None);
        }
    }

    fn any_spec() -> impl Strategy<Value = Spec> {
        prop_oneof![
            any::<u64>().prop_map(Spec::Suffix),
            (any::<u64>(), option::of(any::<u64>())).prop_map(|(a, b)| match b {
                Some(b) => from(a.min(b), Some(a.max(b))),
                None => from(a, None),
            }),
        ]
    }

    proptest! {
        #[test]
        fn ranges_read_back_as_printed(specs in prop::collection::vec(any_spec(), 1..=RANGES_MAX)) {
            let wanted = Ranges(specs.into());
            prop_assert_eq!(parse(wanted.to_string().as_bytes()), Some(wanted));
        }

        #[test]
        fn resolved_ranges_lie_inside(specs in prop::collection::vec(any_spec(), 1..4), len: u64) {
            for (start, end) in Ranges(specs.into()).resolve(len).unwrap_or_default() {
                prop_assert!(start < end && end <= len);
            }
        }

        #[test]
        fn content_ranges_read_back_as_printed(
            first in 0..u64::MAX / 4, more in 0..u64::MAX / 4, after in option::of(1..u64::MAX / 4),
        ) {
            let last = first + more;
            let wanted = ContentRange { first, last, complete: after.map(|after| last + after) };
            prop_assert_eq!(content_range(wanted.to_string().as_bytes()), Some(wanted));
        }

        #[test]
        fn no_bytes_panic(text: Vec<u8>, near in "(bytes|)[= ][0-9,*/-]{0,12}") {
            let _ = (parse(&text), content_range(&text));
            let _ = (parse(near.as_bytes()), content_range(near.as_bytes()));
        }
    }
}
