//! Secrets: in the file, or named there and kept elsewhere.

use crate::config::{check::Check, problem::Place};

impl Check<'_> {
    /// The bytes that `text` stands for, and whether they came from outside the file:
    /// `env:NAME` is an environment variable, `file:PATH` the content of a file.
    /// `None` when that was noted as a problem; no message shows what was read.
    pub(super) fn secret(&mut self, text: &str, place: &Place) -> (Option<Vec<u8>>, bool) {
        let (bytes, name) = if let Some(name) = text.strip_prefix("env:") {
            (
                self.variable(name, place),
                format!("the environment variable {name:?}"),
            )
        } else if let Some(path) = text.strip_prefix("file:") {
            (
                self.file(path, place).map(without_newline),
                format!("the file {path:?}"),
            )
        } else {
            return (Some(text.to_owned().into_bytes()), false);
        };
        if bytes.as_ref().is_some_and(Vec::is_empty) {
            self.findings.error(place, format!("{name} is empty"));
        }
        (bytes, true)
    }
}

fn without_newline(mut bytes: Vec<u8>) -> Vec<u8> {
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    bytes
}
