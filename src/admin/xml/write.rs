//! Writing the documents that are answered.

use super::{Batch, is_char};

/// The namespace of every document.
const NAMESPACE: &str = "http://cloudfront.amazonaws.com/doc/2020-05-31/";

impl Batch {
    /// Writes it as it was sent, Paths first.
    pub(super) fn write(&self, out: &mut String) {
        open(out, "InvalidationBatch");
        open(out, "Paths");
        leaf(out, "Quantity", &self.items.len().to_string());
        if !self.items.is_empty() {
            open(out, "Items");
            for item in &self.items {
                leaf(out, "Path", item);
            }
            close(out, "Items");
        }
        close(out, "Paths");
        leaf(out, "CallerReference", &self.reference);
        close(out, "InvalidationBatch");
    }
}

/// One invalidation, as its summary tells it.
#[derive(Clone, Debug)]
pub(in crate::admin) struct Summary<'a> {
    /// Its id.
    pub(in crate::admin) id: &'a str,
    /// When it was accepted, in ISO 8601.
    pub(in crate::admin) created: String,
}

impl Summary<'_> {
    /// Every invalidation is complete once it has an id.
    const STATUS: &'static str = "Completed";

    /// The `Invalidation` document of this invalidation and what it is about.
    pub(in crate::admin) fn with(&self, batch: &Batch) -> String {
        let mut out = begun("Invalidation");
        leaf(&mut out, "Id", self.id);
        leaf(&mut out, "Status", Self::STATUS);
        leaf(&mut out, "CreateTime", &self.created);
        batch.write(&mut out);
        close(&mut out, "Invalidation");
        out
    }
}

/// One page of a list.
#[derive(Clone, Debug)]
pub(in crate::admin) struct Page<'a> {
    /// Where it was asked to begin; empty for the start.
    pub(in crate::admin) marker: &'a str,
    /// How many it may hold.
    pub(in crate::admin) items_max: usize,
    /// Where the next one begins, if there is one.
    pub(in crate::admin) next: Option<&'a str>,
    /// What it holds, newest first.
    pub(in crate::admin) items: Vec<Summary<'a>>,
}

impl Page<'_> {
    /// The `InvalidationList` document.
    pub(in crate::admin) fn write(&self) -> String {
        let mut out = begun("InvalidationList");
        leaf(&mut out, "Marker", self.marker);
        if let Some(next) = self.next {
            leaf(&mut out, "NextMarker", next);
        }
        leaf(&mut out, "MaxItems", &self.items_max.to_string());
        let is_truncated = self.next.is_some().to_string();
        leaf(&mut out, "IsTruncated", &is_truncated);
        leaf(&mut out, "Quantity", &self.items.len().to_string());
        if !self.items.is_empty() {
            open(&mut out, "Items");
            for item in &self.items {
                open(&mut out, "InvalidationSummary");
                leaf(&mut out, "Id", item.id);
                leaf(&mut out, "CreateTime", &item.created);
                leaf(&mut out, "Status", Summary::STATUS);
                close(&mut out, "InvalidationSummary");
            }
            close(&mut out, "Items");
        }
        close(&mut out, "InvalidationList");
        out
    }
}

/// The `ErrorResponse` document; `kind` is `Sender` or `Receiver`.
pub(in crate::admin) fn error(kind: &str, code: &str, message: &str, request_id: &str) -> String {
    let mut out = begun("ErrorResponse");
    open(&mut out, "Error");
    leaf(&mut out, "Type", kind);
    leaf(&mut out, "Code", code);
    leaf(&mut out, "Message", message);
    close(&mut out, "Error");
    leaf(&mut out, "RequestId", request_id);
    close(&mut out, "ErrorResponse");
    out
}

fn begun(root: &str) -> String {
    format!("<?xml version=\"1.0\"?>\n<{root} xmlns=\"{NAMESPACE}\">")
}

fn open(out: &mut String, name: &str) {
    out.extend(["<", name, ">"]);
}

fn close(out: &mut String, name: &str) {
    out.extend(["</", name, ">"]);
}

fn leaf(out: &mut String, name: &str, text: &str) {
    open(out, name);
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A reader would turn it into a line feed.
            '\r' => out.push_str("&#13;"),
            character if is_char(character) => out.push(character),
            _ => out.push('\u{fffd}'),
        }
    }
    close(out, name);
}
