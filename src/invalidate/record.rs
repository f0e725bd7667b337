//! An invalidation as the journal holds it: JSON, one line.
//!
//! A field that is added later is optional here; one that this version does not know is left
//! alone, so that an older version can read on after a step back.

use serde::{Deserialize, Serialize};

use super::{Invalidation, Mode, Order, Tag, TagCase, Where};
use crate::time::Timestamp;

#[derive(Debug, Deserialize, Serialize)]
struct Record {
    id: String,
    sequence: u64,
    created: u64,
    distribution: String,
    by: String,
    matched: Option<u64>,
    #[serde(default)]
    named: Option<String>,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    tags: Vec<TagRecord>,
    #[serde(default, rename = "where")]
    places: Vec<WhereRecord>,
    #[serde(default)]
    everything: bool,
    #[serde(default)]
    soft: bool,
    #[serde(default)]
    reference: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
struct TagRecord {
    text: String,
    any_case: bool,
}

#[derive(Debug, Deserialize, Serialize)]
struct WhereRecord {
    path: Option<String>,
    name: String,
    value: String,
}

/// `invalidation` as a line.
pub(super) fn write(invalidation: &Invalidation) -> Vec<u8> {
    let order = &invalidation.order;
    let tags = order.tags.iter().map(|tag| TagRecord {
        text: tag.text.clone(),
        any_case: tag.case == TagCase::Any,
    });
    let places = order.r#where.iter().map(|one| WhereRecord {
        path: one.path.clone(),
        name: one.name.clone(),
        value: one.value.clone(),
    });
    let record = Record {
        id: invalidation.id.clone(),
        sequence: invalidation.sequence,
        created: invalidation.created.unix(),
        distribution: invalidation.distribution.clone(),
        by: invalidation.by.clone(),
        matched: invalidation.matched,
        named: order.distribution.clone(),
        paths: order.paths.clone(),
        tags: tags.collect(),
        places: places.collect(),
        everything: order.everything,
        soft: order.mode == Mode::Soft,
        reference: order.reference.clone(),
    };
    // Strings and numbers always have a JSON form.
    serde_json::to_vec(&record).unwrap_or_default()
}

/// The invalidation that `line` holds; `None` when it is none of ours.
pub(super) fn read(line: &[u8]) -> Option<Invalidation> {
    let record: Record = serde_json::from_slice(line).ok()?;
    let tags = record.tags.into_iter().map(|tag| Tag {
        text: tag.text,
        case: if tag.any_case {
            TagCase::Any
        } else {
            TagCase::Exact
        },
    });
    let places = record.places.into_iter().map(|one| Where {
        path: one.path,
        name: one.name,
        value: one.value,
    });
    Some(Invalidation {
        id: record.id,
        sequence: record.sequence,
        created: Timestamp::from_unix(record.created),
        distribution: record.distribution,
        by: record.by,
        matched: record.matched,
        order: Order {
            distribution: record.named,
            paths: record.paths,
            tags: tags.collect(),
            r#where: places.collect(),
            everything: record.everything,
            mode: if record.soft { Mode::Soft } else { Mode::Hard },
            reference: record.reference,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_in_one_line() {
        let order = Order {
            distribution: None,
            paths: vec!["/a\nb\"é".into()],
            tags: vec![Tag {
                text: "t".into(),
                case: TagCase::Any,
            }],
            r#where: vec![Where {
                path: Some("/x*".into()),
                name: "q".into(),
                value: "\u{0}".into(),
            }],
            everything: true,
            mode: Mode::Soft,
            reference: Some("deploy-7".into()),
        };
        let invalidation = Invalidation {
            id: "I0".into(),
            sequence: u64::MAX,
            created: Timestamp::from_unix(1_795_348_800),
            distribution: "site".into(),
            order,
            by: "backend".into(),
            matched: Some(3),
        };
        let line = write(&invalidation);
        assert!(!line.contains(&b'\n'));
        assert_eq!(read(&line), Some(invalidation));
        assert_eq!(read(b"{}"), None);
        assert_eq!(read(b"\xff"), None);
    }
}
