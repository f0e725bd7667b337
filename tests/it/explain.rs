//! What `explain` prints, word by word.

use std::{fs, path::Path};

use clap::Parser;
use warmfront::cli::explain::Explain;

const FOLDER: &str = "tests/it/golden/explain";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    explain: Explain,
}

/// What a command line prints, and its exit code; `␣` is a space within a word.
fn told(words: &str) -> (String, u8) {
    let config = format!("{FOLDER}/clinic.toml");
    let fixed = ["explain", "--config", &config];
    let words = words.split(' ').map(|word| word.replace('␣', " "));
    let words = fixed.iter().map(ToString::to_string).chain(words);
    let line = Line::try_parse_from(words).unwrap();
    line.explain.told()
}

/// Each line of `commands.txt` and what it prints; `UPDATE_GOLDEN=1` writes the latter anew.
#[test]
fn every_decision_is_told_with_its_reason() {
    let commands = fs::read_to_string(format!("{FOLDER}/commands.txt")).unwrap();
    let mut wrong = Vec::new();
    for line in commands.lines().filter(|line| !line.starts_with('#')) {
        let (name, words) = line.split_once(": ").unwrap();
        let (text, code) = told(words);
        assert!(!text.contains("hunter2"), "{name} shows a secret");
        let seen = format!("exit {code}\n{text}");
        let golden = format!("{FOLDER}/{name}.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &seen).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != seen {
            wrong.push(format!("{golden}:\n{seen}"));
        }
    }
    let wrong = wrong.join("\n");
    assert!(wrong.is_empty(), "UPDATE_GOLDEN=1 accepts these:\n{wrong}");
}

#[test]
fn a_bad_configuration_is_not_explained_by() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("bad.toml");
    fs::write(&config, "bogus = 1\n").unwrap();
    let config = config.to_str().unwrap();
    let words = ["explain", "--config", config, "http://example.com/"];
    let (text, code) = Line::try_parse_from(words).unwrap().explain.told();
    assert_eq!(code, 78);
    assert!(text.contains("unknown key"), "{text}");
    assert!(Path::new(config).exists());
}
