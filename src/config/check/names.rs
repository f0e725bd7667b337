//! Names of query parameters, fields and cookies, and the choices among them.

use http::HeaderName;

use crate::{
    config::{
        check::{Check, quoted},
        problem::Findings,
        read::{At, Choice},
    },
    fields::hop,
    policy::{Selection, forward::NEVER_PASSED},
};

/// Fields that ask for a part of an answer, or for it only if it changed.
const CONDITIONS: &[&str] = &[
    "content-length",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
];

/// How one name is read; `None` after a problem.
pub(super) type ReadName<T> = fn(&At<String>, &mut Findings) -> Option<T>;

impl Check<'_> {
    /// A choice among names, where `words` are the words it may be; `default` when the
    /// file does not say.
    pub(super) fn selection<T: PartialEq>(
        &mut self,
        field: Option<&At<Choice>>,
        name: ReadName<T>,
        default: Selection<T>,
    ) -> Selection<T> {
        let Some(field) = field else { return default };
        match &field.value {
            Choice::Word(word) if word == "all" => Selection::All,
            Choice::Word(word) if word == "none" => Selection::None,
            Choice::Word(word) => {
                self.findings
                    .error(&field.place, format!("{word:?} is not known here"));
                let hint =
                    format!("write \"all\", \"none\", [{word:?}] or {{ except = [{word:?}] }}");
                self.findings.hint(hint);
                default
            }
            Choice::List(names) if names.is_empty() => Selection::None,
            Choice::List(names) => Selection::Only(self.names(names, name)),
            Choice::Except(names) if names.is_empty() => Selection::All,
            Choice::Except(names) => Selection::Except(self.names(names, name)),
        }
    }

    /// The names of a list, each once.
    pub(super) fn names<T: PartialEq>(&mut self, list: &[At<String>], read: ReadName<T>) -> Vec<T> {
        let mut names = Vec::with_capacity(list.len());
        for one in list {
            let Some(name) = read(one, self.findings) else {
                continue;
            };
            if names.contains(&name) {
                self.findings
                    .warn(&one.place, format!("{:?} is named twice", one.value));
            } else {
                names.push(name);
            }
        }
        names
    }
}

/// A query parameter, by its decoded name.
pub(super) fn parameter(name: &At<String>, findings: &mut Findings) -> Option<Vec<u8>> {
    if name.value.is_empty() {
        findings.error(&name.place, "a parameter's name cannot be empty");
        return None;
    }
    let decoded: Vec<u8> = percent_encoding::percent_decode_str(&name.value).collect();
    if decoded != name.value.as_bytes() {
        let decoded = String::from_utf8_lossy(&decoded).into_owned();
        let what = format!(
            "{:?} is compared with decoded names, and matches none",
            name.value
        );
        findings
            .warn(&name.place, what)
            .hint(format!("write {decoded:?}"));
    }
    Some(name.value.clone().into_bytes())
}

/// A cookie, by its name.
pub(super) fn cookie(name: &At<String>, findings: &mut Findings) -> Option<Vec<u8>> {
    let impossible = |c: char| c.is_ascii_control() || matches!(c, ' ' | '=' | ';' | ',' | '"');
    if name.value.is_empty() || name.value.contains(impossible) {
        findings.error(
            &name.place,
            format!("{:?} is no name of a cookie", name.value),
        );
        return None;
    }
    Some(name.value.clone().into_bytes())
}

/// A field, by its name.
pub(super) fn field(name: &At<String>, findings: &mut Findings) -> Option<HeaderName> {
    let field = HeaderName::from_bytes(name.value.as_bytes());
    if field.is_err() {
        findings.error(&name.place, format!("{:?} is no field name", name.value));
    }
    field.ok()
}

/// A field that may be part of a key.
pub(super) fn keyed_field(name: &At<String>, findings: &mut Findings) -> Option<HeaderName> {
    let field = viewers_field(name, findings, "key.cookies")?;
    if field == http::header::HOST {
        findings
            .error(&name.place, "the host always is part of the key")
            .hint("leave it out");
    } else if CONDITIONS.contains(&field.as_str()) {
        let what = format!(
            "{:?} says which part of an answer is wanted, not which answer",
            name.value
        );
        findings
            .error(&name.place, what)
            .hint("leave it out; conditions and ranges just work");
    }
    Some(field)
}

/// A field that may be forwarded.
pub(super) fn forwarded_field(name: &At<String>, findings: &mut Findings) -> Option<HeaderName> {
    let field = viewers_field(name, findings, "forward.cookies")?;
    if field == http::header::HOST {
        findings.error(&name.place, "an origin is always asked by its own name");
        findings.hint("leave it out; X-Forwarded-Host tells the origin what the viewer asked for");
    }
    Some(field)
}

/// A field that can come from a viewer and reach an origin.
fn viewers_field(name: &At<String>, findings: &mut Findings, cookies: &str) -> Option<HeaderName> {
    let field = field(name, findings)?;
    if field == http::header::COOKIE {
        findings.error(&name.place, "cookies are not taken as one field");
        findings.hint(format!("name them in `{cookies}`"));
    } else if hop::is_hop_by_hop(&field) {
        let what = format!("{:?} ends at each hop and is never forwarded", name.value);
        findings.error(&name.place, what).hint("leave it out");
    } else if NEVER_PASSED.contains(&field.as_str()) {
        let what = format!("{:?} is never taken from a viewer", name.value);
        findings.error(&name.place, what).hint("leave it out");
    }
    Some(field)
}

/// Names as an operator reads them: `"a", "b"`.
pub(super) fn shown(names: &[Vec<u8>]) -> String {
    let names: Vec<_> = names
        .iter()
        .map(|name| String::from_utf8_lossy(name))
        .collect();
    quoted(&names)
}
