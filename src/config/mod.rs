//! TOML text to a [`Snapshot`]: every problem at once, or a configuration that works.
//!
//! ```text
//! text ──read──▶ raw ──check──▶ parts ──compile──▶ Snapshot ──diff(old)──▶ Changes
//!      unknown keys, types    values, contradictions    infallible
//! ```
//!
//! The first two steps go on after a problem and note the next; only a text that
//! is no TOML stops early. Nothing but the problem lines and the snapshot leaves
//! this module: how the file is written is nobody else's business.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use toml::de::{DeTable, DeValue};

use crate::site::Snapshot;

mod check;
mod compile;
mod diff;
mod mask;
mod outside;
mod problem;
mod raw;
mod read;
mod spelling;
mod units;
mod x509;

pub use diff::{Changes, Restart, diff};
pub use outside::{FILE_BYTES_MAX, Machine, Outside};
pub use problem::{Colour, Problem, Problems, Severity};
pub use units::show_duration as duration_text;

use self::{
    problem::{Findings, Place, Source},
    read::Read,
};

/// A configuration that works.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the file says, compiled.
    pub snapshot: Arc<Snapshot>,
    /// What may surprise somebody; each is a [`Severity::Warning`].
    pub warnings: Vec<Problem>,
    /// The other files it was made of, as it names them: relative to its own folder.
    pub files: Vec<PathBuf>,
}

/// Reads, checks and compiles the file at `path`, and the files it names.
///
/// `generation` numbers the snapshot. Blocks while it reads. Errs with every
/// problem of the file, the warnings among them.
pub fn load(path: &Path, generation: u64) -> Result<Loaded, Problems> {
    load_within(path, generation, None)
}

/// As [`load`], in a process that may read nothing outside the folders of `reach`: what it
/// may not read is told as such.
pub fn load_within(
    path: &Path,
    generation: u64,
    reach: Option<Vec<PathBuf>>,
) -> Result<Loaded, Problems> {
    let name = path.display().to_string();
    // The folder is for the paths the file holds; its own is already whole.
    let whole = Machine {
        folder: PathBuf::new(),
        reach,
    };
    let machine = Machine {
        folder: path.parent().map_or_else(PathBuf::new, Path::to_owned),
        ..whole.clone()
    };
    let text = match whole.file(path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|bad| {
            let at = bad.utf8_error().valid_up_to();
            let line = bad.as_bytes()[..at]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count()
                + 1;
            format!("line {line} is not UTF-8")
        }),
        Err(error) => Err(format!("cannot be read: {error}")),
    };
    match text {
        Ok(text) => parse(&name, &text, generation, &machine),
        Err(what) => {
            let mut findings = Findings::new(Source {
                name,
                text: String::new(),
            });
            findings.error(&Place::default(), what);
            Err(findings.finish())
        }
    }
}

/// Checks and compiles `text`, which problems call `name`.
///
/// Errs with every problem, the warnings among them.
pub fn parse(
    name: &str,
    text: &str,
    generation: u64,
    outside: &dyn Outside,
) -> Result<Loaded, Problems> {
    let (table, mistakes) = DeTable::parse_recoverable(text);
    let document = DeValue::Table(table.into_inner());
    let shown = mask::blot(text, &document);
    let mut findings = Findings::new(Source {
        name: name.to_owned(),
        text: shown,
    });
    if !mistakes.is_empty() {
        note_syntax(&mistakes, &mut findings);
        return Err(findings.finish());
    }
    let file = raw::File::read(&document, &Place::default(), &mut findings);
    let (parts, pulled) = check::check(&file.unwrap_or_default(), &mut findings, outside);
    if findings.refused() {
        return Err(findings.finish());
    }
    let digest = pulled.digest(text);
    let snapshot = Arc::new(compile::compile(parts, digest, generation));
    Ok(Loaded {
        snapshot,
        warnings: findings.finish().into_iter().collect(),
        files: pulled.files,
    })
}

/// Notes where the text is no TOML: one mistake a line, since others follow from it.
fn note_syntax(mistakes: &[toml::de::Error], findings: &mut Findings) {
    let mut lines = Vec::new();
    for mistake in mistakes {
        let place = Place {
            key: String::new(),
            span: mistake.span().or(Some(0..0)),
        };
        let line = findings.line(&place);
        if !lines.contains(&line) {
            lines.push(line);
            findings.error(&place, format!("this is not TOML: {}", mistake.message()));
        }
    }
}

#[cfg(test)]
mod tests;
