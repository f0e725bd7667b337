//! The small XML of CloudFront's invalidation API: bodies in, documents out.
//!
//! Reading is strict in what it means and lenient in how it is written, as AWS
//! is: elements in any order, with or without a prolog, a namespace, a prefix or
//! whitespace between them. An element that the schema does not name, or names once
//! and gets twice, is an error: an invalidation that was half understood would
//! be a promise that is half kept. There are no document types and no entities
//! but XML's own five, so nothing in a document can grow or reach outside it.
//!
//! Writing cannot fail: what XML 1.0 has no way to say becomes U+FFFD.

mod read;
mod write;

pub(super) use write::{Page, Summary, error};

/// What a CreateInvalidation asks for, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// Every `Path`, in order: a path, or `#` and a tag.
    pub(super) items: Vec<String>,
    /// `CallerReference`.
    pub(super) reference: String,
}

/// Why a body is no batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not XML, or XML of a kind that is not read; where, and what was seen.
    Unreadable(String),
    /// XML, but not this document; what was seen, what was wanted.
    Unfit(String),
    /// `Quantity` is not the number of items.
    Inconsistent {
        /// What `Quantity` says.
        said: u64,
        /// How many items there are.
        seen: usize,
    },
    /// More than [`crate::invalidate::ITEMS_MAX`] items.
    TooMany,
}

/// "Char ::= #x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF]"
/// (XML 1.0 §2.2).
fn is_char(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        character => character >= ' ',
    }
}

#[cfg(test)]
mod tests;
