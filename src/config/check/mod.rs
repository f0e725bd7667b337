//! Raw values to checked parts: every contradiction noted, none stopping the next.
//!
//! A function here returns something usable even after it noted a problem, so
//! that later checks have something to look at; the parts are used only when
//! nothing was noted as an error.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    config::{
        outside::Outside,
        problem::{Findings, Place},
        raw,
        read::At,
        spelling, units,
    },
    fields::host::HostPattern,
    policy::{ForwardedFor, Rules, pattern::PathPattern},
    site::{Admin, Cache, Certificate, Listener, Origin, Proxies, Server},
};

mod admin;
mod advice;
mod behaviour;
mod certificate;
mod distribution;
mod names;
mod origin;
mod process;
mod proxies;
mod rate;
mod secret;
mod url;
mod viewer;

/// A checked file.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) server: Server,
    pub(super) cache: Cache,
    pub(super) admin: Option<Admin>,
    pub(super) listeners: Vec<Listener>,
    pub(super) proxies: Proxies,
    pub(super) certificates: Vec<Certificate>,
    pub(super) origins: Vec<Origin>,
    pub(super) distributions: Vec<DistributionPart>,
}

/// A checked `[[distribution]]`.
#[derive(Debug)]
pub(super) struct DistributionPart {
    pub(super) id: String,
    pub(super) aliases: Vec<HostPattern>,
    pub(super) behaviours: Vec<BehaviourPart>,
}

/// A checked `[[distribution.behaviour]]`.
#[derive(Debug)]
pub(super) struct BehaviourPart {
    pub(super) path: PathPattern,
    /// Its origin's place among [`Parts::origins`].
    pub(super) origin: usize,
    pub(super) rules: Rules,
}

/// Checks `file`. The parts are meaningless when `findings` refuse it.
pub(super) fn check(
    file: &raw::File,
    findings: &mut Findings,
    outside: &dyn Outside,
) -> (Parts, Pulled) {
    let mut check = Check {
        findings,
        outside,
        pulled: Pulled::default(),
        forwarded_for: ForwardedFor::default(),
        express: true,
    };
    let server = check.server(file.server.as_ref());
    check.express = server.express;
    let cache = check.cache(file.cache.as_ref());
    let listeners = check.listeners(file.listener.as_ref());
    let admin = check.admin(file.admin.as_ref(), &listeners);
    let proxies = check.proxies(file.server.as_ref(), file.listener.as_ref());
    let certificates = check.certificates(file.certificate.as_ref());
    check.advise_certificates(file.certificate.as_ref(), &listeners);
    let origins = check.origins(file.origin.as_ref());
    let distributions = check.distributions(file.distribution.as_ref(), &origins);
    check.advise_aliases(
        file.distribution.as_ref(),
        &distributions,
        &certificates,
        &listeners,
    );
    let origins = origins
        .into_iter()
        .filter_map(|origin| origin.built)
        .collect();
    let listeners = listeners
        .into_iter()
        .map(|listener| listener.value)
        .collect();
    (
        Parts {
            server,
            cache,
            admin,
            listeners,
            proxies,
            certificates,
            origins,
            distributions,
        },
        check.pulled,
    )
}

/// One file being checked.
struct Check<'a> {
    findings: &'a mut Findings,
    outside: &'a dyn Outside,
    pulled: Pulled,
    /// The same for every behaviour.
    forwarded_for: ForwardedFor,
    /// The same for every origin.
    express: bool,
}

/// What was pulled in from outside, for the digest.
#[derive(Default)]
pub(super) struct Pulled {
    parts: Vec<(String, Vec<u8>)>,
    /// The files among them, as the configuration names them.
    pub(super) files: Vec<PathBuf>,
}

impl Pulled {
    /// Names the content of `text` and of everything it pulled in.
    ///
    /// Operators see it: a secret worth keeping is too long to be guessed from it.
    /// Each part goes in with its length before it, so that no two lists of
    /// parts read the same.
    pub(super) fn digest(&self, text: &str) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher
                .update(&(bytes.len() as u64).to_le_bytes())
                .update(bytes);
        };
        part(text.as_bytes());
        for (name, contents) in &self.parts {
            part(name.as_bytes());
            part(contents);
        }
        hasher.finalize().to_hex().to_string()
    }
}

impl Check<'_> {
    /// The contents of a file the configuration names.
    fn file(&mut self, path: &str, place: &Place) -> Option<Vec<u8>> {
        match self.outside.file(Path::new(path)) {
            Ok(bytes) => {
                self.pulled
                    .parts
                    .push((format!("file:{path}"), bytes.clone()));
                self.pulled.files.push(PathBuf::from(path));
                Some(bytes)
            }
            Err(error) => {
                self.findings
                    .error(place, format!("the file {path:?} cannot be read: {error}"));
                self.findings
                    .hint("relative paths start at the configuration file's folder");
                None
            }
        }
    }

    /// The value of an environment variable the configuration names.
    fn variable(&mut self, name: &str, place: &Place) -> Option<Vec<u8>> {
        let Some(bytes) = self.outside.variable(name) else {
            self.findings.error(
                place,
                format!("the environment variable {name:?} is not set"),
            );
            return None;
        };
        self.pulled
            .parts
            .push((format!("env:{name}"), bytes.clone()));
        Some(bytes)
    }

    /// A duration within `bounds`, or `default` when the file does not say.
    fn duration(
        &mut self,
        field: Option<&At<Duration>>,
        default: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(field) = field else { return default };
        if !bounds.contains(&field.value) {
            let [seen, least, most] =
                [field.value, *bounds.start(), *bounds.end()].map(units::show_duration);
            let what = format!("{seen:?} is out of bounds");
            self.findings
                .error(&field.place, what)
                .hint(format!("write {least} to {most}"));
        }
        field.value
    }

    /// A number within `bounds`, or `default` when the file does not say.
    fn number(
        &mut self,
        field: Option<&At<u64>>,
        default: u64,
        bounds: RangeInclusive<u64>,
    ) -> u64 {
        let Some(field) = field else { return default };
        if !bounds.contains(&field.value) {
            let (least, most) = bounds.into_inner();
            let what = format!("{} is out of bounds", field.value);
            self.findings
                .error(&field.place, what)
                .hint(format!("write {least} to {most}"));
        }
        field.value
    }

    /// What a word stands for, or `default` when the file does not say.
    fn word<T: Copy>(&mut self, field: Option<&At<String>>, words: &[(&str, T)], default: T) -> T {
        let Some(field) = field else { return default };
        let known = words.iter().find(|(word, _)| *word == field.value);
        if let Some((_, meaning)) = known {
            return *meaning;
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.unknown_word(&field.place, &field.value, &names);
        default
    }

    fn unknown_word(&mut self, place: &Place, seen: &str, words: &[&str]) {
        let near = spelling::nearest(seen, words.iter().copied());
        let hint = match near {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("write {}", alternatives(words)),
        };
        self.findings
            .error(place, format!("{seen:?} is not known here"))
            .hint(hint);
    }

    /// A required name: ASCII letters, digits, `-`, `_` and `.`, at most [`ID_BYTES_MAX`].
    fn id(&mut self, field: Option<&At<String>>, table: &Place) -> String {
        self.name(field, table, "id")
    }

    /// A required name under another key than `id`.
    fn name(&mut self, field: Option<&At<String>>, table: &Place, key: &str) -> String {
        let Some(field) = self.required(field, table, key, "a-name") else {
            return String::new();
        };
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let form = !field.value.is_empty() && field.value.chars().all(known);
        if !form || field.value.len() > ID_BYTES_MAX {
            self.findings
                .error(&field.place, format!("{:?} is no {key}", field.value));
            let hint = format!("write 1 to {ID_BYTES_MAX} letters, digits, `-`, `_` and `.`");
            self.findings.hint(hint);
        }
        field.value.clone()
    }

    /// `field`, noted when it is missing.
    fn required<'f, T>(
        &mut self,
        field: Option<&'f At<T>>,
        table: &Place,
        name: &str,
        example: &str,
    ) -> Option<&'f At<T>> {
        if field.is_none() {
            self.missing(table, name, &format!("{example:?}"));
        }
        field
    }

    /// Notes that `name` is not there, unless something is wrong with it that was noted.
    fn missing(&mut self, table: &Place, name: &str, example: &str) {
        let place = table.missing(name);
        if !self.findings.covers(&place) {
            let hint = format!("add {name} = {example}");
            self.findings.error(&place, "is missing").hint(hint);
        }
    }
}

/// The longest id, in bytes: what CloudFront allows an origin's.
const ID_BYTES_MAX: usize = 128;

/// `"a", "b", "c"`
fn quoted<T: AsRef<str>>(names: &[T]) -> String {
    names
        .iter()
        .map(|name| format!("{:?}", name.as_ref()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// `"a", "b" or "c"`
fn alternatives(words: &[&str]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} or {last:?}", quoted(first)),
        words => quoted(words),
    }
}
