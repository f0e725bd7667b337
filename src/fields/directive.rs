//! One cache directive: a name and its argument, in whatever form it came.
//!
//! "Cache directives are identified by a token, to be compared
//! case-insensitively, and have an optional argument that can use both token and
//! quoted-string syntax." (RFC 9111 §5.2)

use std::borrow::Cow;

use http::HeaderName;
use smallvec::SmallVec;

use super::{cache_control::Scope, delta_seconds, is_token, list, trim, unquote};

/// A member of a Cache-Control list.
pub(super) struct Directive<'a> {
    /// In lower case. Not a token when the member is malformed.
    pub(super) name: SmallVec<[u8; 24]>,
    pub(super) argument: Argument<'a>,
}

/// What follows the name of a directive.
pub(super) enum Argument<'a> {
    /// No `=`.
    Absent,
    /// A token, or what a quoted-string says.
    Text(Cow<'a, [u8]>),
    /// Neither of the two, or nothing, or set apart from its `=` by spaces.
    Broken,
}

impl<'a> Directive<'a> {
    /// Reads a trimmed list member.
    pub(super) fn read(member: &'a [u8]) -> Self {
        let (name, argument) = match member.iter().position(|&byte| byte == b'=') {
            None => (member, Argument::Absent),
            Some(equals) => {
                let (name, text) = (&member[..equals], &member[equals + 1..]);
                let argument = if name.ends_with(b" ") || name.ends_with(b"\t") {
                    Argument::Broken
                } else {
                    Argument::read(text)
                };
                (trim(name), argument)
            }
        };
        Self {
            name: name.to_ascii_lowercase().into(),
            argument,
        }
    }

    /// Whether it is neither `token`, `token=token` nor `token=quoted-string`.
    pub(super) fn is_malformed(&self) -> bool {
        !is_token(&self.name) || matches!(self.argument, Argument::Broken)
    }
}

impl<'a> Argument<'a> {
    fn read(text: &'a [u8]) -> Self {
        if is_token(text) {
            return Self::Text(Cow::Borrowed(text));
        }
        unquote(text).map_or(Self::Broken, Self::Text)
    }

    /// The argument as delta-seconds, quoted or not: "recipients ought to accept
    /// both forms, even if a specific form is required for generation."
    pub(super) fn seconds(&self) -> Option<u32> {
        match self {
            Self::Text(text) => delta_seconds(text),
            Self::Absent | Self::Broken => None,
        }
    }

    /// The argument as a list of field names.
    pub(super) fn scope(&self) -> Scope {
        match self {
            Self::Text(text) => Scope::read(text),
            Self::Absent | Self::Broken => Scope::All,
        }
    }
}

impl Scope {
    /// The fields that `text` lists; everything when it lists none or something
    /// that is no field name.
    pub(super) fn read(text: &[u8]) -> Self {
        let fields: Result<Vec<_>, _> = list::line_members(text)
            .map(HeaderName::from_bytes)
            .collect();
        match fields {
            Ok(fields) if !fields.is_empty() => Self::Fields(fields),
            Ok(_) | Err(_) => Self::All,
        }
    }

    /// Lets `slot` cover what it did and `more`.
    pub(super) fn widen(slot: &mut Option<Self>, more: Self) {
        *slot = Some(match (slot.take(), more) {
            (None, scope) => scope,
            (Some(Self::Fields(mut fields)), Self::Fields(more)) => {
                fields.extend(more);
                Self::Fields(fields)
            }
            (Some(_), _) => Self::All,
        });
    }
}
