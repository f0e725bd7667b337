//! `warmfront check`: every problem and every warning of configuration files.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use serde::Serialize;

use super::EX_CONFIG;
use crate::config::{self, Colour, Problem, Severity};

/// The options of `warmfront check`.
#[derive(Args, Clone, Debug)]
pub struct Check {
    /// The files to check
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Print the problems as a JSON array
    #[arg(long)]
    pub json: bool,
}

/// A problem as `--json` prints it.
#[derive(Debug, Serialize)]
struct Line<'a> {
    file: &'a str,
    line: Option<usize>,
    column: Option<usize>,
    key: &'a str,
    severity: &'static str,
    what: &'a str,
    hint: Option<&'a str>,
}

impl Check {
    /// Checks the files and prints to standard output: 0 when all of them would
    /// be loaded, else 78. Warnings change nothing.
    pub fn run(self) -> ExitCode {
        let mut out = io::stdout().lock();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = match out.is_terminal() && !plain {
            true => Colour::On,
            false => Colour::Off,
        };
        let (text, refused) = self.report(colour);
        // When nobody is left to read it, the exit code still tells.
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
        match refused {
            true => ExitCode::from(EX_CONFIG),
            false => ExitCode::SUCCESS,
        }
    }

    /// What [`Check::run`] prints, and whether a file would be refused.
    pub fn report(&self, colour: Colour) -> (String, bool) {
        let found: Vec<(String, Vec<Problem>)> = self
            .files
            .iter()
            .map(|path| (path.display().to_string(), problems(path)))
            .collect();
        let all = || found.iter().flat_map(|(_, problems)| problems);
        let refused = all().any(|problem| problem.severity() == Severity::Error);
        let text = match self.json {
            true => json(all()),
            false => found
                .iter()
                .map(|(name, problems)| told(name, problems, colour))
                .collect(),
        };
        (text, refused)
    }
}

/// Everything wrong with one file, warnings too.
fn problems(path: &Path) -> Vec<Problem> {
    match config::load(path, 1) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems.into_iter().collect(),
    }
}

/// Each problem with its line, and how many there are.
fn told(name: &str, problems: &[Problem], colour: Colour) -> String {
    let mut text = String::new();
    for problem in problems {
        text += &problem.render(colour);
        text += "\n\n";
    }
    let count = |severity| {
        problems
            .iter()
            .filter(|one| one.severity() == severity)
            .count()
    };
    let summary = match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => "good".to_owned(),
        (0, warnings) => format!("good, with {}", many(warnings, "warning")),
        (errors, 0) => many(errors, "error"),
        (errors, warnings) => format!("{}, {}", many(errors, "error"), many(warnings, "warning")),
    };
    text + &format!("{name}: {summary}\n")
}

fn many(count: usize, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        count => format!("{count} {thing}s"),
    }
}

fn json<'a>(problems: impl Iterator<Item = &'a Problem>) -> String {
    let lines: Vec<Line<'_>> = problems
        .map(|problem| Line {
            file: problem.file(),
            line: problem.line(),
            column: problem.column(),
            key: problem.key(),
            severity: match problem.severity() {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            what: problem.what(),
            hint: problem.hint(),
        })
        .collect();
    // Strings and numbers always have a JSON form.
    serde_json::to_string_pretty(&lines).unwrap_or_default() + "\n"
}
