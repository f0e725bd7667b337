//! The lines of an explanation, as people read them and as JSON.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

/// A line of an explanation: what was asked, what was decided, and the reason.
#[derive(Debug, Serialize)]
pub(super) struct Decision {
    question: &'static str,
    answer: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<String>,
}

impl Decision {
    /// One without details.
    pub(super) fn new(question: &'static str, answer: impl Into<String>) -> Self {
        Self {
            question,
            answer: answer.into(),
            details: Vec::new(),
        }
    }

    /// The same with a line for each of these beneath it.
    pub(super) fn with(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }
}

/// A line for each field.
pub(super) fn lines(headers: &HeaderMap) -> Vec<String> {
    headers
        .iter()
        .map(|(name, value)| field(name, value))
        .collect()
}

/// A field as its line.
pub(super) fn field(name: &HeaderName, value: &HeaderValue) -> String {
    format!("{name}: {}", shown(value))
}

/// A value as text.
pub(super) fn shown(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// The explanation that people read.
pub(super) fn rendered(decisions: &[Decision]) -> String {
    let mut text = String::new();
    for Decision {
        question,
        answer,
        details,
    } in decisions
    {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{question:<12} {answer}");
        for detail in details {
            let _ = writeln!(text, "{:<12}   {detail}", "");
        }
    }
    text
}
