//! Which behaviour a parameter is keyed by.

use super::resolve::{Why, canonical, serving};
use crate::{
    policy::{Caching, Selection},
    site::{Behaviour, Distribution},
};

/// The behaviour that `path` names: by its pattern as it is written, or by a path it serves.
pub(super) fn named<'s>(distribution: &'s Distribution, path: &str) -> Result<&'s Behaviour, Why> {
    let mut behaviours = distribution.behaviours.iter();
    if let Some(found) = behaviours.find(|one| one.path.as_str() == path) {
        return Ok(found);
    }
    let patterns = || {
        let all = distribution.behaviours.iter();
        let all: Vec<String> = all.map(|one| format!("{:?}", one.path.as_str())).collect();
        all.join(", ")
    };
    if path.contains(['*', '?']) {
        let why = format!(
            "no behaviour has the path {path:?}; there are {}",
            patterns()
        );
        return Err(why);
    }
    let canonical = canonical(path)?;
    let why = || format!("no behaviour serves {path:?}; there are {}", patterns());
    serving(distribution, &canonical).ok_or_else(why)
}

/// `behaviour`, if what it stores is keyed by the parameter `name`.
pub(super) fn keying<'s>(behaviour: &'s Behaviour, name: &[u8]) -> Result<&'s Behaviour, Why> {
    let takes = behaviour.rules.key.query.takes(name);
    if takes && behaviour.rules.caching == Caching::On {
        return Ok(behaviour);
    }
    Err(keys(behaviour))
}

/// What each behaviour keys.
pub(super) fn keyed(distribution: &Distribution) -> String {
    let each: Vec<String> = distribution.behaviours.iter().map(keys).collect();
    each.join("; ")
}

/// What `behaviour` keys, as a sentence about it.
fn keys(behaviour: &Behaviour) -> String {
    let pattern = behaviour.path.as_str();
    let list = |names: &[Vec<u8>]| {
        let names = names.iter();
        let names: Vec<String> = names
            .map(|name| format!("{:?}", String::from_utf8_lossy(name)))
            .collect();
        names.join(", ")
    };
    if behaviour.rules.caching == Caching::Off {
        return format!("the behaviour {pattern:?} stores nothing");
    }
    match &behaviour.rules.key.query {
        Selection::All => format!("the behaviour {pattern:?} keys every parameter"),
        Selection::Only(names) if !names.is_empty() => {
            format!("the behaviour {pattern:?} keys {}", list(names))
        }
        Selection::None | Selection::Only(_) => {
            format!("the behaviour {pattern:?} keys no parameter")
        }
        Selection::Except(names) => {
            format!(
                "the behaviour {pattern:?} keys all parameters but {}",
                list(names)
            )
        }
    }
}
