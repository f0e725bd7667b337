//! A JSON body as an [`Order`], with everything that is wrong about it.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::json::{Item, Refusal};
use crate::invalidate::{ITEMS_MAX, Mode, Offence, Order, Tag, TagCase, Where};

/// The body as it is written. Unknown and repeated fields are errors.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    distribution: Option<Value>,
    paths: Option<Value>,
    tags: Option<Value>,
    r#where: Option<Value>,
    everything: Option<Value>,
    mode: Option<Value>,
    dry_run: Option<Value>,
    reference: Option<Value>,
}

/// What a call wants.
#[derive(Debug)]
pub(super) struct Ordered {
    pub(super) order: Order,
    /// Whether nothing is to be changed.
    pub(super) dry_run: bool,
    /// What could not be read of it.
    pub(super) offences: Vec<Offence>,
}

/// Why a body is no order at all.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is no JSON object, or has a field that is none of ours.
    Body(String),
    /// It names this many items.
    TooMany(usize),
}

/// Reads `body`. What cannot be read of an item is noted and left out.
pub(super) fn read(body: &[u8]) -> Result<Ordered, Unread> {
    // A list would be taken for the fields in their order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Unread::Body("the body is no JSON object".to_owned()));
    }
    let body: Body = serde_json::from_slice(body).map_err(|bad| Unread::Body(bad.to_string()))?;
    let mut notes = Notes::default();
    let paths = notes.list("paths", body.paths);
    let tags = notes.list("tags", body.tags);
    let places = notes.list("where", body.r#where);
    let seen = paths.len() + tags.len() + places.len();
    if seen > ITEMS_MAX {
        return Err(Unread::TooMany(seen));
    }
    let paths = paths.into_iter().enumerate();
    let paths: Vec<String> = paths
        .filter_map(|(at, path)| notes.text(&format!("paths[{at}]"), path))
        .collect();
    let tags = tags.into_iter().enumerate();
    let tags: Vec<Tag> = tags
        .filter_map(|(at, tag)| notes.text(&format!("tags[{at}]"), tag))
        .map(|text| Tag {
            text,
            case: TagCase::Exact,
        })
        .collect();
    let places = places.into_iter().enumerate();
    let places: Vec<Where> = places
        .filter_map(|(at, place)| notes.place(&format!("where[{at}]"), place))
        .collect();
    let order = Order {
        distribution: notes.optional("distribution", body.distribution),
        paths,
        tags,
        r#where: places,
        everything: notes.flag("everything", body.everything),
        mode: notes.mode(body.mode),
        reference: notes.optional("reference", body.reference),
    };
    Ok(Ordered {
        order,
        dry_run: notes.flag("dry_run", body.dry_run),
        offences: notes.0,
    })
}

/// What could not be read.
#[derive(Default)]
struct Notes(Vec<Offence>);

impl Notes {
    fn note(&mut self, item: &str, why: impl Into<String>) {
        self.0.push(Offence {
            item: item.to_owned(),
            why: why.into(),
        });
    }

    fn mismatch(&mut self, item: &str, wanted: &str, seen: &Value) {
        let seen = match seen {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.note(item, format!("wants {wanted}, found {seen}"));
    }

    fn text(&mut self, item: &str, value: Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text),
            Value::Number(number) => {
                self.note(item, format!("wants a string: write \"{number}\""));
                None
            }
            other => {
                self.mismatch(item, "a string", &other);
                None
            }
        }
    }

    /// A field that may be left out; `null` is as if it were.
    fn optional(&mut self, item: &str, value: Option<Value>) -> Option<String> {
        match value {
            None | Some(Value::Null) => None,
            Some(value) => self.text(item, value),
        }
    }

    fn flag(&mut self, item: &str, value: Option<Value>) -> bool {
        match value {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => flag,
            Some(other) => {
                self.mismatch(item, "true or false", &other);
                false
            }
        }
    }

    fn mode(&mut self, value: Option<Value>) -> Mode {
        let word = self.optional("mode", value);
        match word.as_deref() {
            None | Some("hard") => Mode::Hard,
            Some("soft") => Mode::Soft,
            Some(other) => {
                self.note(
                    "mode",
                    format!("{other:?} is no mode: write \"hard\" or \"soft\""),
                );
                Mode::Hard
            }
        }
    }

    fn list(&mut self, item: &str, value: Option<Value>) -> Vec<Value> {
        match value {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(list)) => list,
            Some(other) => {
                self.mismatch(item, "a list", &other);
                Vec::new()
            }
        }
    }

    /// `{"path": "/search", "query": {"Name": "value"}}`, its path as it may be left out.
    fn place(&mut self, item: &str, value: Value) -> Option<Where> {
        let Value::Object(mut fields) = value else {
            self.mismatch(item, "an object with path and query", &value);
            return None;
        };
        let path = self.optional(&format!("{item}.path"), fields.remove("path"));
        let query = fields.remove("query");
        for name in fields.keys() {
            let item = format!("{item}.{name}");
            self.note(&item, "unknown field: there are path and query");
        }
        let query = match query {
            Some(Value::Object(query)) => query,
            Some(other) => {
                let item = format!("{item}.query");
                self.mismatch(&item, "an object with one parameter", &other);
                return None;
            }
            None => {
                self.note(
                    item,
                    "names no query: write \"query\": {\"Name\": \"value\"}",
                );
                return None;
            }
        };
        let (name, value) = self.one(item, query)?;
        let value = self.text(&format!("{item}.query.{name}"), value)?;
        Some(Where { path, name, value })
    }

    fn one(&mut self, item: &str, query: Map<String, Value>) -> Option<(String, Value)> {
        let count = query.len();
        let mut each = query.into_iter();
        match (each.next(), count) {
            (Some(one), 1) => Some(one),
            _ => {
                let why = format!(
                    "its query names {count} parameters, each item takes one: \
                     to take whatever has any of them, list several items"
                );
                self.note(item, why);
                None
            }
        }
    }
}

impl Refusal {
    /// A call whose items mean nothing.
    pub(super) fn items(offences: Vec<Offence>) -> Self {
        let refusal = Self::new(
            http::StatusCode::BAD_REQUEST,
            "invalid_items",
            "nothing was invalidated: each item with what is wrong about it is listed",
        );
        Self {
            items: offences.into_iter().map(Item::from).collect(),
            ..refusal
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn offences(body: &str, wanted: &[(&str, &str)]) {
        let ordered = read(body.as_bytes()).unwrap();
        let seen = ordered.offences.iter();
        let seen: Vec<(&str, &str)> = seen.map(|one| (&*one.item, &*one.why)).collect();
        assert_eq!(seen.len(), wanted.len(), "{seen:?}");
        for ((item, why), (wanted, part)) in seen.into_iter().zip(wanted) {
            assert!(item == *wanted && why.contains(part), "{item}: {why}");
        }
    }

    #[test]
    fn a_whole_order_is_read() {
        let body = r##"{"distribution": "clinic", "paths": ["/search/pcp*", "/a?b=c"],
            "tags": ["practice:42"], "where": [{"path": "/search/pcp",
            "query": {"PracticeId": "42"}}], "mode": "soft", "dry_run": true,
            "everything": false, "reference": "deploy-7"}"##;
        let ordered = read(body.as_bytes()).unwrap();
        assert!(ordered.dry_run && ordered.offences.is_empty());
        let order = ordered.order;
        assert_eq!(order.distribution.as_deref(), Some("clinic"));
        assert_eq!((order.items(), order.mode), (4, Mode::Soft));
        assert_eq!(order.r#where[0].path.as_deref(), Some("/search/pcp"));
        assert_eq!(order.reference.as_deref(), Some("deploy-7"));
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        offences(
            r#"{"paths": ["/a", 7, null], "tags": "t", "mode": "Hard", "dry_run": "yes",
                "where": [1, {"path": "/x"}, {"query": {"a": "1", "b": "2"}}, {"query": {}},
                {"query": {"a": 1}}, {"query": {"a": "1"}, "pattern": "/x"}]}"#,
            &[
                ("tags", "wants a list, found a string"),
                ("paths[1]", "write \"7\""),
                ("paths[2]", "found null"),
                ("where[0]", "found a number"),
                ("where[1]", "names no query"),
                ("where[2]", "2 parameters"),
                ("where[3]", "0 parameters"),
                ("where[4].query.a", "write \"1\""),
                ("where[5].pattern", "unknown field"),
                ("mode", "\"hard\" or \"soft\""),
                ("dry_run", "true or false"),
            ],
        );
    }

    #[test]
    fn a_field_nobody_knows_is_named() {
        for (body, word) in [
            (r#"{"path": ["/a"]}"#, "path"),
            (r#"{"paths": [], "paths": ["/a"]}"#, "paths"),
            ("[]", "no JSON object"),
            ("", "no JSON object"),
            ("{", "EOF"),
            (r#"{"paths": ["/a"]} x"#, "trailing"),
        ] {
            match read(body.as_bytes()) {
                Err(Unread::Body(why)) => assert!(why.contains(word), "{body}: {why}"),
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn a6_too_many_items_are_counted_and_not_read() {
        let paths = vec!["\"/a\""; 100_000].join(",");
        let body = format!("{{\"paths\": [{paths}]}}");
        assert!(matches!(
            read(body.as_bytes()),
            Err(Unread::TooMany(100_000))
        ));
    }
}
