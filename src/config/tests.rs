//! The shipped example is held against the keys there are, and the defaults they have.

use std::{io, path::Path};

use proptest::prelude::*;
use toml::de::{DeTable, DeValue};

use super::{
    Colour, Loaded, Outside, parse,
    raw::File,
    read::{Key, Read},
};

const EXAMPLE: &str = include_str!("../../config/example.toml");

/// What the example cannot leave out; everything else is as by default.
const BARE: &str = r#"
admin = {}
listener = [{ address = "0.0.0.0:8080" }]
origin = [{ id = "api", url = "https://api.example.com/v1" }]
[[distribution]]
id = "site"
behaviour = [{ path = "*", origin = "api" }]
"#;

struct Nothing;

impl Outside for Nothing {
    fn variable(&self, _: &str) -> Option<Vec<u8>> {
        None
    }

    fn file(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn cores(&self) -> usize {
        2
    }
}

fn load(text: &str) -> Loaded {
    parse("example.toml", text, 1, &Nothing).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The paths of `keys` that `value`, a table or an array of tables, does not hold.
fn missing(keys: &[Key], value: &DeValue<'_>, path: &str) -> Vec<String> {
    let table = match value {
        DeValue::Array(tables) => tables.first().and_then(|table| table.get_ref().as_table()),
        value => value.as_table(),
    };
    let mut found = Vec::new();
    // The other spelling is named in words.
    for key in keys.iter().filter(|key| key.name != "behavior") {
        let path = format!("{path}.{}", key.name);
        match table.and_then(|table| table.get(key.name)) {
            Some(value) => found.extend(missing(key.inner, value.get_ref(), &path)),
            None => found.push(path),
        }
    }
    found
}

#[test]
fn the_example_names_every_key() {
    let is_key = |rest: &str| {
        let name = rest.split(" = ").next().unwrap_or_default();
        let is_table = rest.starts_with("[[") && rest.ends_with("]]");
        is_table
            || rest.contains(" = ")
                && name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || "_.".contains(c))
    };
    let lines = EXAMPLE.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if is_key(rest) || rest.starts_with("[[") => rest,
        _ => line,
    });
    let whole: String = lines.flat_map(|line| [line, "\n"]).collect();
    let table = DeTable::parse(&whole).unwrap().into_inner();
    assert_eq!(missing(File::KEYS, &DeValue::Table(table), ""), [""; 0]);
}

#[test]
fn the_example_states_the_defaults() {
    let (example, bare) = (load(EXAMPLE), load(BARE));
    assert!(example.warnings.is_empty(), "{:?}", example.warnings);
    let told = |loaded: &Loaded| {
        let site = &loaded.snapshot;
        let process = (&site.server, &site.cache, &site.admin, &site.listeners);
        format!("{process:#?} {:#?} {:#?}", site.origins, site.distributions)
    };
    assert_eq!(told(&example), told(&bare));
}

/// Parses and renders, whatever comes of it.
fn survive(text: &str) {
    let problems = match parse("any.toml", text, 1, &Nothing) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems.into_iter().collect(),
    };
    for problem in problems {
        let _ = (
            problem.render(Colour::Off),
            problem.line(),
            problem.column(),
        );
    }
}

proptest! {
    #[test]
    fn no_text_panics(text: String) {
        survive(&text);
    }

    #[test]
    fn no_slip_in_the_example_panics(
        at in 0..EXAMPLE.len(),
        cut in 0..40_usize,
        put in "[\\[\\]{}=.,\"'\\\\\n#0-9a-zé]{0,6}",
    ) {
        let end = (at + cut).min(EXAMPLE.len());
        survive(&format!("{}{put}{}", &EXAMPLE[..at], &EXAMPLE[end..]));
    }

    #[test]
    fn no_value_in_the_example_panics(
        line in 0..EXAMPLE.lines().count(),
        value in "(-?[0-9]{1,25}|nan|true|[\"](env:|file:)?[^\"\\\\\n]{0,12}[\"]|\\[\\]|\\[\"a\"\\]|\\[\\[1\\]\\]|\\{\\}|\\{ except = 1 \\}|1979-05-27)",
    ) {
        let lines = EXAMPLE.lines().enumerate().map(|(at, text)| match text.split_once(" = ") {
            Some((key, _)) if at == line => format!("{} = {value}\n", key.trim_start_matches("# ")),
            _ => format!("{text}\n"),
        });
        survive(&lines.collect::<String>());
    }
}
