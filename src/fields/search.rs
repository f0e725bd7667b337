//! No-Vary-Search: which query parameters do not make another answer
//! (draft-ietf-httpbis-no-vary-search).

use smallvec::SmallVec;

use super::{
    query::Piece,
    structured::{self, Item},
};

/// What of a query does not tell answers apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variance {
    /// Whether the order of parameters with different names counts for nothing.
    any_order: bool,
    ignored: Ignored,
}

/// Which parameters count for nothing, by decoded name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ignored {
    Only(Vec<Vec<u8>>),
    AllBut(Vec<Vec<u8>>),
}

impl Default for Ignored {
    fn default() -> Self {
        Self::Only(Vec::new())
    }
}

impl Variance {
    /// Reads the field; `None` when it is absent, in error, or ignores nothing.
    ///
    /// "If value is ... then return the default URL search variance": one mistake, and every
    /// parameter counts.
    pub fn parse<'a>(
        values: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + ?Sized + 'a)>,
    ) -> Option<Self> {
        let members = structured::dictionary(values)?;
        let of = |name: &[u8]| {
            let found = members.iter().find(|(key, _)| key == name);
            found.map(|(_, item)| item)
        };
        let any_order = match of(b"key-order") {
            None => false,
            Some(Item::Boolean(any_order)) => *any_order,
            Some(_) => return None,
        };
        let ignored = match (of(b"params"), of(b"except")) {
            (None | Some(Item::Boolean(false)), None) => Ignored::default(),
            (Some(Item::Boolean(true)), None) => Ignored::AllBut(Vec::new()),
            (Some(Item::Boolean(true)), Some(except)) => Ignored::AllBut(names(except)?),
            (Some(params @ Item::List(_)), None) => Ignored::Only(names(params)?),
            _ => return None,
        };
        let variance = Self { any_order, ignored };
        (variance != Self::default()).then_some(variance)
    }

    /// Writes what counts of `pieces` to `out`; two queries are equivalent when they write
    /// the same under the same variance, which comes first.
    pub fn write<'a>(&self, pieces: impl Iterator<Item = Piece<'a>>, out: &mut Vec<u8>) {
        let (kind, names) = match &self.ignored {
            Ignored::Only(names) => (0, names),
            Ignored::AllBut(names) => (1, names),
        };
        out.extend_from_slice(&[kind, u8::from(self.any_order)]);
        names.iter().for_each(|name| part(name, out));
        out.push(2);
        let mut kept: SmallVec<[Piece<'_>; 16]> = pieces
            .filter(|piece| !self.ignores(&piece.name()))
            .collect();
        if self.any_order {
            kept.sort_by_cached_key(|piece| piece.name().into_owned());
        }
        for piece in kept {
            part(&piece.name(), out);
            part(&piece.value().unwrap_or_default(), out);
        }
    }

    fn ignores(&self, name: &[u8]) -> bool {
        match &self.ignored {
            Ignored::Only(names) => names.iter().any(|one| one == name),
            Ignored::AllBut(names) => !names.iter().any(|one| one == name),
        }
    }
}

/// A length and the bytes, so that no two parts run into each other.
fn part(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// The names in a list of strings, decoded as a query is.
fn names(list: &Item) -> Option<Vec<Vec<u8>>> {
    let Item::List(items) = list else { return None };
    let name = |item: &Item| match item {
        Item::String(name) => {
            let text = std::str::from_utf8(name).ok()?;
            Some(Piece::new(text).name().into_owned())
        }
        _ => None,
    };
    items.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::query;

    fn variance(line: &str) -> Option<Variance> {
        Variance::parse([line])
    }

    #[track_caller]
    fn check(line: &str, one: &str, other: &str, same: bool) {
        let variance = variance(line).unwrap();
        let written = |text| {
            let mut out = Vec::new();
            variance.write(query::pieces(text), &mut out);
            out
        };
        assert_eq!(
            written(one) == written(other),
            same,
            "{line}: {one} and {other}"
        );
    }

    #[test]
    fn named_parameters_do_not_count() {
        check("params=(\"utm\")", "a=1&utm=x", "utm=y&a=1", true);
        check("params=(\"utm\")", "a=1", "a=2", false);
        check("params=(\"a b\")", "a+b=1", "a%20b=2", true);
        check("params=(\"a\")", "b=1&c=2", "c=2&b=1", false);
    }

    #[test]
    fn all_but_the_excepted_do_not_count() {
        check("params", "a=1", "b=2", true);
        check("params, except=(\"q\")", "a=1&q=1", "q=1&b=2", true);
        check("params, except=(\"q\")", "q=1", "q=2", false);
    }

    #[test]
    fn order_counts_unless_said_otherwise() {
        check("key-order", "a=1&b=2", "b=2&a=1", true);
        check("key-order", "a=1&a=2", "a=2&a=1", false);
    }

    #[test]
    fn a_mistake_makes_everything_count() {
        for line in [
            "",
            "params=?0",
            "key-order=?0",
            "params=1",
            "key-order=1",
            "params=(a)",
            "except=(\"a\")",
            "params=(\"a\"), except=(\"b\")",
            "params=(\"a\"",
        ] {
            assert_eq!(variance(line), None, "{line}");
        }
    }
}
