//! Reading a parsed document value by value, so that one bad value hides no other.
//!
//! Deserialising a whole struct stops at its first error. Here every value is
//! read on its own: what cannot be read is noted and left out, and a key nobody
//! knows is noted with the nearest one that somebody does.

use std::{fmt, time::Duration};

use toml::de::{DeTable, DeValue};

use crate::config::{
    problem::{Findings, Place},
    spelling,
    units::{self, BadUnit, DURATION_FORM, SIZE_FORM},
};

/// A value of the file, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// A key a table may hold.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// The keys of the table, or of each table of the array, that it holds.
    pub(super) inner: &'static [Self],
}

/// What can be read from one value.
pub(super) trait Read: Sized {
    /// The keys it may hold, when it is a table or an array of tables.
    const KEYS: &'static [Key] = &[];

    /// The value; `None` when it was noted as a problem.
    fn read(value: &DeValue<'_>, place: &Place, findings: &mut Findings) -> Option<Self>;
}

/// A table of strings under names the operator chooses, in the file's order.
#[derive(Debug, Default)]
pub(super) struct Named(pub(super) Vec<(At<String>, At<String>)>);

/// A string that no message shows.
#[derive(Clone)]
pub(super) struct Hidden(pub(super) String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(..)")
    }
}

/// A size, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size(pub(super) u64);

/// A choice among names: a word, a list, or everything except a list.
#[derive(Debug)]
pub(super) enum Choice {
    Word(String),
    List(Vec<At<String>>),
    Except(Vec<At<String>>),
}

/// The fields of one table, taken by name.
#[derive(Debug)]
pub(super) struct Fields<'a, 'i> {
    pub(super) table: &'a DeTable<'i>,
    pub(super) place: &'a Place,
    pub(super) findings: &'a mut Findings,
}

impl<'a, 'i> Fields<'a, 'i> {
    /// The fields of `value`, a table that may hold `keys`; others are noted.
    pub(super) fn open(
        value: &'a DeValue<'i>,
        place: &'a Place,
        findings: &'a mut Findings,
        keys: &[Key],
    ) -> Option<Self> {
        let DeValue::Table(table) = value else {
            mismatch(findings, place, "a table", value).hint(format!("it holds {}", names(keys)));
            return None;
        };
        for key in table.keys() {
            let name: &str = key.get_ref();
            if keys.iter().any(|known| known.name == name) {
                continue;
            }
            let hint = meant(name, keys);
            findings
                .error(&place.join(name, key.span()), "unknown key")
                .hint(hint);
        }
        Some(Self {
            table,
            place,
            findings,
        })
    }

    /// The value of `name`; `None` when it is not there, or was noted as a problem.
    pub(super) fn take<T: Read>(&mut self, name: &str) -> Option<At<T>> {
        let value = self.table.get(name)?;
        let place = self.place.join(name, value.span());
        let value = T::read(value.get_ref(), &place, self.findings)?;
        Some(At { value, place })
    }
}

impl Read for String {
    fn read(value: &DeValue<'_>, place: &Place, findings: &mut Findings) -> Option<Self> {
        match value {
            DeValue::String(text) => Some(text.to_string()),
            other => {
                mismatch(findings, place, "a string", other);
                if matches!(other, DeValue::Array(_)) {
                    findings.hint("write one string, not a list");
                }
                None
            }
        }
    }
}

impl Read for bool {
    fn read(value: &DeValue<'_>, place: &Place, findings: &mut Findings) -> Option<Self> {
        match value {
            DeValue::Boolean(flag) => Some(*flag),
            other => {
                mismatch(findings, place, "true or false", other);
                None
            }
        }
    }
}

impl Read for u64 {
    fn read(value: &DeValue<'_>, place: &Place, findings: &mut Findings) -> Option<Self> {
        let number = match value {
            DeValue::Integer(number) => Self::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        if number.is_none() {
            mismatch(findings, place, "a whole number", value);
        }
        number
    }
}

impl Read for f64 {
    fn read(value: &DeValue<'_>, place: &Place, findings: &mut Findings) -> Option<Self> {
        let number = match value {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) => number.as_str().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            mismatch(findings, place, "a number", value);
        }
        number
    }
}

impl Read for Duration {
    fn read(value: &DeValue<'_>, place: &Place, findings: &mut Findings) -> Option<Self> {
        unit(value, place, findings, units::duration, DURATION_FORM)
    }
}

impl Read for Size {
    fn read(value: &DeValue<'_>, place: &Place, findings: &mut Findings) -> Option<Self> {
        unit(value, place, findings, units::size, SIZE_FORM).map(Self)
    }
}

impl<T: Read> Read for Vec<At<T>> {
    const KEYS: &'static [Key] = T::KEYS;

    fn read(value: &DeValue<'_>, place: &Place, findings: &mut Findings) -> Option<Self> {
        let DeValue::Array(values) = value else {
            let tables = !T::KEYS.is_empty();
            let wanted = if tables {
                "an array of tables"
            } else {
                "a list of strings"
            };
            mismatch(findings, place, wanted, value);
            match value {
                DeValue::String(text) if !tables => findings.hint(format!("write [{text:?}]")),
                DeValue::Table(_) if tables => findings.hint(format!(
                    "write [[{}]], with two brackets",
                    unindexed(&place.key)
                )),
                _ => findings,
            };
            return None;
        };
        let mut list = Self::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            let place = place.element(index, value.span());
            let value = T::read(value.get_ref(), &place, findings);
            list.extend(value.map(|value| At { value, place }));
        }
        Some(list)
    }
}

impl Read for Choice {
    fn read(value: &DeValue<'_>, place: &Place, findings: &mut Findings) -> Option<Self> {
        const EXCEPT: &[Key] = &[Key {
            name: "except",
            inner: &[],
        }];
        match value {
            DeValue::String(word) => Some(Self::Word(word.to_string())),
            DeValue::Array(_) => Vec::read(value, place, findings).map(Self::List),
            DeValue::Table(_) => {
                let mut fields = Fields::open(value, place, findings, EXCEPT)?;
                if fields.table.is_empty() {
                    findings
                        .error(place, "is empty")
                        .hint("write { except = [\"name\"] }");
                    return None;
                }
                fields
                    .take::<Vec<At<String>>>("except")
                    .map(|list| Self::Except(list.value))
            }
            _ => {
                let wanted = "a word, a list of names or { except = [...] }";
                mismatch(findings, place, wanted, value);
                None
            }
        }
    }
}

impl Read for Named {
    /// What stands here may be secret: no message shows a value.
    fn read(value: &DeValue<'_>, place: &Place, findings: &mut Findings) -> Option<Self> {
        let DeValue::Table(table) = value else {
            let what = format!("wants a table of names and values, found {}", kind(value));
            findings
                .error(place, what)
                .hint("write { Name = \"value\" }");
            return None;
        };
        let mut named = Vec::with_capacity(table.len());
        for (name, value) in table {
            let place = place.join(name.get_ref(), value.span());
            let DeValue::String(text) = value.get_ref() else {
                findings.error(
                    &place,
                    format!("wants a string, found {}", kind(value.get_ref())),
                );
                continue;
            };
            let name_place = Place {
                span: Some(name.span()),
                ..place.clone()
            };
            let name = At {
                value: name.get_ref().to_string(),
                place: name_place,
            };
            named.push((
                name,
                At {
                    value: text.to_string(),
                    place,
                },
            ));
        }
        named.sort_by_key(|(name, _)| name.place.span.as_ref().map(|span| span.start));
        Some(Self(named))
    }
}

impl Read for Hidden {
    fn read(value: &DeValue<'_>, place: &Place, findings: &mut Findings) -> Option<Self> {
        let DeValue::String(text) = value else {
            let what = format!("wants a string, found {}", kind(value));
            findings.error(place, what).hint("write \"env:NAME\"");
            return None;
        };
        Some(Self(text.to_string()))
    }
}

fn unit<T>(
    value: &DeValue<'_>,
    place: &Place,
    findings: &mut Findings,
    read: fn(&str) -> Result<T, BadUnit>,
    form: &str,
) -> Option<T> {
    match value {
        DeValue::String(text) => match read(text) {
            Ok(value) => Some(value),
            Err(bad) => {
                findings.error(place, format!("{text:?} cannot be used: {bad}"));
                findings.hint(format!("write {form}"));
                None
            }
        },
        other => {
            mismatch(findings, place, "a string", other).hint(format!("write {form}"));
            None
        }
    }
}

fn mismatch<'f>(
    findings: &'f mut Findings,
    place: &Place,
    wanted: &str,
    value: &DeValue<'_>,
) -> &'f mut Findings {
    let seen = match value {
        DeValue::String(text) => format!("the string {text:?}"),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(flag) => format!("{flag}"),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => kind(value).to_owned(),
    };
    findings.error(place, format!("wants {wanted}, found {seen}"))
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// What an unknown key was probably meant to be: another name, or a key of a table below.
fn meant(name: &str, keys: &[Key]) -> String {
    if let Some(near) = spelling::nearest(name, keys.iter().map(|known| known.name)) {
        return format!("did you mean `{near}`?");
    }
    // `max` for `ttl.max`, or `ttl_max`.
    let deeper: Vec<String> = keys
        .iter()
        .flat_map(|table| table.inner.iter().map(move |key| (table.name, key.name)))
        .filter(|(table, key)| *key == name || format!("{table}_{key}") == name)
        .map(|(table, key)| format!("`{table}.{key}`"))
        .collect();
    match deeper.is_empty() {
        true => format!("known here: {}", names(keys)),
        false => format!("did you mean {}?", deeper.join(" or ")),
    }
}

fn names(keys: &[Key]) -> String {
    let names: Vec<String> = keys.iter().map(|key| format!("`{}`", key.name)).collect();
    names.join(", ")
}

/// `distribution.behaviour` of `distribution[0].behaviour`.
fn unindexed(key: &str) -> String {
    key.split('.')
        .map(|part| part.split('[').next().unwrap_or(part))
        .collect::<Vec<_>>()
        .join(".")
}
