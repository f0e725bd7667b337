//! Every case of docs/security.md has a test that carries its name.
//!
//! A case is a letter and a number, `S5`. A test carries it as a word that its name begins
//! with, `s5_…`, `p1_p2_…`, `s5_to_s8_…`; a script in its title, `(S5, S6)`, or in a remark
//! that is nothing else, `## S5`. A script that is known not to hold carries nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

/// Each family's letter, and how many cases it has: 108 together.
const FAMILIES: [(char, u8); 7] = [
    ('P', 25),
    ('D', 16),
    ('C', 11),
    ('S', 19),
    ('H', 13),
    ('R', 12),
    ('A', 12),
];

/// A family's letter, and a number in it.
type Case = (char, u8);

#[test]
fn every_case_is_written_down_once() {
    let written = written(&fs::read_to_string(root().join("docs/security.md")).unwrap());
    let all: Vec<Case> = FAMILIES
        .iter()
        .flat_map(|&(letter, most)| (1..=most).map(move |number| (letter, number)))
        .collect();
    assert_eq!(all.len(), 108);
    assert_eq!(written, all);
}

#[test]
fn every_case_that_is_written_down_has_a_test_of_its_name() {
    let written = written(&fs::read_to_string(root().join("docs/security.md")).unwrap());
    let carried = carried(&root());
    let bare: Vec<String> = written
        .iter()
        .filter(|case| !carried.contains_key(case))
        .map(|(letter, number)| format!("{letter}{number}: no test carries it"))
        .collect();
    assert_eq!(bare, Vec::<String>::new());
    let unknown: Vec<_> = carried
        .iter()
        .filter(|(case, _)| !written.contains(case))
        .collect();
    assert!(unknown.is_empty(), "no such cases: {unknown:?}");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The cases that begin a row of a table, in their order.
fn written(page: &str) -> Vec<Case> {
    page.lines()
        .filter_map(|line| case(line.strip_prefix("| ")?.split_once(" |")?.0))
        .collect()
}

/// Every case that a test carries, with the tests that do.
fn carried(root: &Path) -> BTreeMap<Case, BTreeSet<String>> {
    let mut carried = BTreeMap::<Case, BTreeSet<String>>::new();
    let mut carry = |cases: Vec<Case>, by: &str| {
        for case in cases {
            carried.entry(case).or_default().insert(by.to_owned());
        }
    };
    for path in files(root, "src", "rs")
        .iter()
        .chain(&files(root, "tests", "rs"))
    {
        for name in tests(&fs::read_to_string(path).unwrap()) {
            carry(led(&name), &name);
        }
    }
    for path in files(root, "tests/it/exchanges", "txt") {
        for title in titles(&fs::read_to_string(path).unwrap()) {
            carry(entitled(&title), &title);
        }
    }
    carried
}

/// The names of a source's tests.
fn tests(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut marked = false;
    for line in source.lines().map(str::trim) {
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some((before, after)) = line.split_once("fn ") {
            if marked && before.trim().trim_start_matches("async").is_empty() {
                names.extend(after.split_once('(').map(|(name, _)| name.to_owned()));
            }
            marked = false;
        }
    }
    names
}

/// The cases that a test's name begins with.
fn led(name: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut words = name.split('_').peekable();
    while let Some(word) = words.next() {
        let lower = |word: &str| word.starts_with(|c: char| c.is_ascii_lowercase());
        let case_of = |word: &str| case(&word.to_ascii_uppercase()).filter(|_| lower(word));
        let (last, next) = (
            cases.last().copied(),
            words.peek().and_then(|next| case_of(next)),
        );
        match (case_of(word), last, next) {
            (Some(case), _, _) => cases.push(case),
            (None, Some(last), Some(next)) if word == "to" => cases.extend(between(last, next)),
            _ => break,
        }
    }
    cases
}

/// What lies between two cases of one family.
fn between((from, first): Case, (to, last): Case) -> impl Iterator<Item = Case> {
    let numbers: Range<u8> = if from == to { first + 1..last } else { 0..0 };
    numbers.map(move |number| (from, number))
}

/// The titles of a page's scripts, lines joined, and its remarks with their `##`.
fn titles(page: &str) -> Vec<String> {
    let mut titles: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in page.lines() {
        let title = line.strip_prefix("# ");
        match (title, titles.last_mut()) {
            (Some(title), Some(last)) if goes_on => {
                last.push(' ');
                last.push_str(title);
            }
            (Some(title), _) => titles.push(title.to_owned()),
            (None, _) if line.starts_with("## ") => titles.push(line.to_owned()),
            (None, _) => {}
        }
        goes_on = title.is_some();
    }
    titles
}

/// The cases that a script's title names in brackets, or a remark is.
fn entitled(title: &str) -> Vec<Case> {
    if title.contains("[not yet: ") {
        return Vec::new();
    }
    if let Some(remark) = title.strip_prefix("## ") {
        return case(remark.trim()).into_iter().collect();
    }
    title
        .split('(')
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0))
        .flat_map(|inside| inside.split(", "))
        .filter_map(case)
        .collect()
}

/// `S5`, and nothing else.
fn case(text: &str) -> Option<Case> {
    let mut chars = text.chars();
    let letter = chars.next()?;
    let digits = chars.as_str();
    let known = FAMILIES.iter().any(|(known, _)| *known == letter);
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    (known && number).then_some((letter, digits.parse().ok()?))
}

fn files(root: &Path, folder: &str, extension: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root.join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|one| one == extension) {
                found.push(path);
            }
        }
    }
    found
}

mod planted {
    //! The reading itself.

    use super::*;

    #[test]
    fn a_test_carries_the_words_that_its_name_begins_with() {
        assert_eq!(led("p9_one_host"), [('P', 9)]);
        assert_eq!(led("p1_p2_two"), [('P', 1), ('P', 2)]);
        assert_eq!(led("s5_to_s7_chunks"), [('S', 5), ('S', 6), ('S', 7)]);
        for none in ["a_case_of_p9", "p_9", "p9x_y", "x1_y", "http1_h2", "P9_x"] {
            assert_eq!(led(none), [], "{none}");
        }
    }

    #[test]
    fn only_tests_carry() {
        let source = "#[test]\nfn p1_a() {}\nfn p2_b() {}\n#[tokio::test(start_paused = true)]\n\
                      async fn p3_c() {}\n// fn p4_d() {}\n";
        assert_eq!(tests(source), ["p1_a", "p3_c"]);
    }

    #[test]
    fn a_script_carries_what_stands_in_the_brackets_of_its_title() {
        let page = "# One (P1, RFC 9111 §4,\n# D2).\nviewer  GET /a  (P3)\n## D6\n## About (P4).\n\
                    # Late (P5). [not yet: broken]\n\n# Of P7, and (P8).\n";
        let carried: Vec<Case> = titles(page).iter().flat_map(|one| entitled(one)).collect();
        assert_eq!(carried, [('P', 1), ('D', 2), ('D', 6), ('P', 8)]);
    }

    #[test]
    fn a_row_begins_with_its_case() {
        let page = "| P1 | x | y |\n| id | x |\n|---|---|\nP2 | x\n| D16 | x | y |\n| P01 | x |";
        assert_eq!(written(page), [('P', 1), ('D', 16)]);
    }
}
