//! The floors of the crate: a module may name only modules on lower floors.
//!
//! The compiler would enforce this between crates; inside one crate these tests
//! do. They read the sources as text, comments and strings left out, so a
//! module that is only talked about is not named.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lowest first. Modules on one floor are siblings and may not name each other.
const FLOORS: &[&[&str]] = &[
    &["time"],
    &["fields"],
    &["policy"],
    &["site"],
    &[
        "cluster", "coding", "config", "confine", "flight", "handover", "ledger", "observe",
        "origin", "store",
    ],
    &["invalidate", "serve"],
    &["admin", "listen"],
    &["app"],
    &["cli"],
];

/// The floors that decide and never do: no time, no I/O, no tasks, no logs.
const PURE: std::ops::RangeInclusive<usize> = 1..=3;

/// What a pure floor may not say. Locks and chance are state that an argument did not bring.
const IMPURE: &[&str] = &[
    "async fn",
    "Instant::now",
    "Mutex<",
    "RwLock<",
    "std::env",
    "std::fs",
    "SystemTime::now",
    "tokio::",
    "tracing::",
];

#[test]
fn a_module_names_only_lower_floors() {
    assert_none(&breaches(&root().join("src")));
}

#[test]
fn pure_floors_only_decide() {
    assert_none(&impurities(&root().join("src")));
}

#[test]
fn what_is_logged_is_named_in_one_place() {
    assert_none(&loggers(&root().join("src")));
}

#[test]
fn every_file_says_what_it_is_about() {
    let mut silent = Vec::new();
    for folder in ["src", "tests", "benches"] {
        silent.extend(unopened(&root(), folder));
    }
    assert_none(&silent);
}

#[test]
fn every_exchange_script_is_run() {
    assert_none(&unrun(&root().join("tests/it")));
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn assert_none(found: &[String]) {
    assert!(
        found.is_empty(),
        "{} breaches:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// Every place under `src` where a module looks sideways or up.
fn breaches(src: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for path in files(src, "rs") {
        let (file, module) = place(src, &path);
        let Some(here) = floor(&module) else {
            if !["lib", "main"].contains(&&*module) {
                found.push(format!("{file}: `{module}` is on no floor"));
            }
            continue;
        };
        let code = code(&fs::read_to_string(&path).unwrap());
        let above = "super::".repeat(depth(&file));
        for named in named_modules(&code, "crate::").chain(named_modules(&code, &above)) {
            if named != module && floor(&named).is_some_and(|there| there >= here) {
                found.push(format!("{file}: `{module}` names `{named}`"));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Every line of a pure floor that does more than decide.
fn impurities(src: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for path in files(src, "rs") {
        let (file, module) = place(src, &path);
        if !floor(&module).is_some_and(|floor| PURE.contains(&floor)) {
            continue;
        }
        let code = code(&fs::read_to_string(&path).unwrap());
        for (at, line) in code.lines().enumerate() {
            for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                found.push(format!("{file}:{}: a pure floor says `{word}`", at + 1));
            }
        }
    }
    found.sort();
    found
}

/// Every line outside `observe` that logs with a phrase of its own.
fn loggers(src: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for path in files(src, "rs") {
        let (file, module) = place(src, &path);
        let code = code(&fs::read_to_string(&path).unwrap());
        for (at, line) in code.lines().enumerate() {
            if module != "observe" && line.contains("tracing::") {
                found.push(format!("{file}:{}: logs on its own", at + 1));
            }
        }
    }
    found.sort();
    found
}

/// Every Rust file in `folder` that does not open with its sentence.
fn unopened(root: &Path, folder: &str) -> Vec<String> {
    let folder = root.join(folder);
    if !folder.is_dir() {
        return Vec::new();
    }
    let silent = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let sentence = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("//! "));
        sentence.is_none_or(|sentence| sentence.trim().is_empty())
    };
    let named = |path: PathBuf| format!("{}: does not open with `//!`", place(root, &path).0);
    let mut found: Vec<_> = files(&folder, "rs")
        .into_iter()
        .filter(silent)
        .map(named)
        .collect();
    found.sort();
    found
}

/// Every script under `exchanges` that `exchange.rs` does not name, as `fail` or `fail/retry`.
fn unrun(it: &Path) -> Vec<String> {
    let exchanges = it.join("exchanges");
    let run = fs::read_to_string(it.join("exchange.rs")).unwrap_or_default();
    let mut found = Vec::new();
    for path in files(&exchanges, "txt") {
        let (file, _) = place(&exchanges, &path);
        let topic = file.trim_end_matches(".txt");
        if !run.contains(&format!("\"{topic}\"")) {
            found.push(format!("exchanges/{file}: exchange.rs does not run it"));
        }
    }
    found.sort();
    found
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|row| row.contains(&module))
}

/// A file's path under `src`, and the top module it belongs to.
fn place(src: &Path, path: &Path) -> (String, String) {
    let file = path.strip_prefix(src).unwrap().display().to_string();
    let module = file.split(['/', '.']).next().unwrap().to_owned();
    (file, module)
}

/// How many `super::` lead from a file's module to the root of the crate.
fn depth(file: &str) -> usize {
    let folders = file.matches('/').count();
    if file.ends_with("/mod.rs") {
        folders
    } else {
        folders + 1
    }
}

/// The names directly after each `from`, grouped imports included.
fn named_modules<'a>(code: &'a str, from: &'a str) -> impl Iterator<Item = String> + 'a {
    code.split(from)
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(group) => heads(group),
            None => vec![ident(rest)],
        })
}

/// The first name of each path in a group, whose opening brace was already taken off.
fn heads(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 1;
    let mut at_start = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => at_start = true,
            c if at_start && !c.is_whitespace() => {
                names.push(ident(&group[at..]));
                at_start = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn ident(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// `text` without comments and without what stands in its strings; line breaks stay.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            'r' if rest.starts_with("r\"") || rest.starts_with("r#") => raw_string(rest),
            '"' => string(rest),
            '\'' if rest.starts_with("'\"'") => 3,
            _ => 0,
        };
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
            rest = &rest[skipped..];
        }
    }
    code
}

/// The bytes of the string literal that `text` starts with.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The bytes of the raw string that `text` starts with; zero when it is a raw name.
fn raw_string(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    let Some(inside) = text[1 + hashes..].strip_prefix('"') else {
        return 0;
    };
    let close = format!("\"{}", "#".repeat(hashes));
    inside
        .find(&close)
        .map_or(text.len(), |end| 2 + hashes + end + close.len())
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|one| one == extension) {
            found.push(path);
        }
    }
    found
}

mod planted {
    //! Each check, on a tree with its breaches planted among what is allowed.

    use tempfile::TempDir;

    use super::*;

    fn tree(files: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_name_from_above_or_beside_is_found() {
        let root = tree(&[
            (
                "policy/mod.rs",
                "use crate::site::Snapshot;\nuse super::store::Store;",
            ),
            (
                "policy/key.rs",
                "use super::super::serve;\nuse super::Ask;\nuse crate::time;",
            ),
            (
                "store/mod.rs",
                "use crate::{\n    policy::{Key, flight},\n    flight::Lease,\n};",
            ),
            ("store/fill.rs", "fn at() -> crate::app::App { todo() }"),
            ("time.rs", "use super::{fields::Date, helpers};"),
            ("surprise.rs", ""),
            ("lib.rs", "pub mod cli;"),
            ("main.rs", "fn main() { warmfront::cli::run() }"),
        ]);
        assert_eq!(
            breaches(root.path()),
            [
                "policy/key.rs: `policy` names `serve`",
                "policy/mod.rs: `policy` names `site`",
                "policy/mod.rs: `policy` names `store`",
                "store/fill.rs: `store` names `app`",
                "store/mod.rs: `store` names `flight`",
                "surprise.rs: `surprise` is on no floor",
                "time.rs: `time` names `fields`",
            ]
        );
    }

    #[test]
    fn a_name_from_below_or_in_a_comment_or_string_is_not() {
        let root = tree(&[
            (
                "serve/mod.rs",
                "use crate::{self, serve::lead, store::{self, Store}, time::Clock};",
            ),
            (
                "serve/lead.rs",
                "// crate::listen\n/* crate::app */ use super::listen_to;",
            ),
            (
                "origin/mod.rs",
                "const A: &str = \"a \\\" crate::store\"; const C: char = '\"';",
            ),
            (
                "store/mod.rs",
                "const A: &str = r#\"crate::app \"quoted\"\"#; fn f(r#in: u8) {}",
            ),
            (
                "store/body.rs",
                "mod tests {\n    use super::super::object;\n}",
            ),
        ]);
        assert_eq!(breaches(root.path()), Vec::<String>::new());
    }

    #[test]
    fn an_effect_on_a_pure_floor_is_found() {
        let root = tree(&[
            (
                "fields/date.rs",
                "// Instant::now is not for us\nfn now() { SystemTime::now(); }",
            ),
            ("policy/mod.rs", "static LAST: Mutex<u8> = Mutex::new(0);"),
            (
                "policy/key.rs",
                "async fn key() {\n    tokio::task::yield_now().await\n}",
            ),
            (
                "site/mod.rs",
                "const NOT: &str = \"tracing::\"; fn f() { tracing::info!() }",
            ),
            (
                "origin/mod.rs",
                "async fn send() { tokio::time::Instant::now(); }",
            ),
            ("time.rs", "use tokio::time::Instant;"),
        ]);
        assert_eq!(
            impurities(root.path()),
            [
                "fields/date.rs:2: a pure floor says `SystemTime::now`",
                "policy/key.rs:1: a pure floor says `async fn`",
                "policy/key.rs:2: a pure floor says `tokio::`",
                "policy/mod.rs:1: a pure floor says `Mutex<`",
                "site/mod.rs:1: a pure floor says `tracing::`",
            ]
        );
    }

    #[test]
    fn a_phrase_logged_elsewhere_is_found() {
        let root = tree(&[
            ("observe/mod.rs", "fn f() { tracing::info!(\"x\") }"),
            ("listen/mod.rs", "fn f() {\n    tracing::warn!(\"x\")\n}"),
        ]);
        assert_eq!(loggers(root.path()), ["listen/mod.rs:2: logs on its own"]);
    }

    #[test]
    fn a_file_without_its_sentence_is_found() {
        let root = tree(&[
            ("src/lib.rs", "//! The crate.\n"),
            ("src/a.rs", "// not a doc\n"),
            ("src/deep/b.rs", ""),
            ("src/deep/c.rs", "//!\n//! Late.\n"),
        ]);
        assert_eq!(
            unopened(root.path(), "src"),
            [
                "src/a.rs: does not open with `//!`",
                "src/deep/b.rs: does not open with `//!`",
                "src/deep/c.rs: does not open with `//!`",
            ]
        );
        assert_eq!(unopened(root.path(), "benches"), Vec::<String>::new());
    }

    #[test]
    fn a_script_that_nobody_runs_is_found() {
        let root = tree(&[
            (
                "exchange.rs",
                "exchanges! { fresh: \"fresh\", retry: \"fail/retry\" }",
            ),
            ("exchanges/fresh.txt", ""),
            ("exchanges/fail/retry.txt", ""),
            ("exchanges/fail/stale.txt", ""),
        ]);
        assert_eq!(
            unrun(root.path()),
            ["exchanges/fail/stale.txt: exchange.rs does not run it"]
        );
    }
}
