//! The admin listener, and whom it answers.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use crate::{
    config::{
        check::{Check, alternatives, process::overlap},
        problem::Place,
        raw,
        read::{At, Hidden},
    },
    site::{Admin, AwsKey, Listener, Scope, Secret, Token},
};

const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9900);

/// The most tokens, and the most access keys: each call is compared with every one.
const CALLERS_MAX: usize = 64;

/// A shorter secret can be guessed: 16 random bytes cannot.
const SECRET_BYTES_MIN: usize = 16;

const SCOPES: [(&str, Scope); 3] = [
    (Scope::Read.as_str(), Scope::Read),
    (Scope::Invalidate.as_str(), Scope::Invalidate),
    (Scope::Reload.as_str(), Scope::Reload),
];

/// A caller that was read already: what it is called, where that stands, its secret.
type Known<'a> = (String, &'a Place, Option<Secret>);

impl Check<'_> {
    pub(super) fn admin(
        &mut self,
        raw: Option<&At<raw::Admin>>,
        listeners: &[At<Listener>],
    ) -> Option<Admin> {
        let raw = raw?;
        let tokens = self.tokens(raw.value.token.as_ref());
        let aws_keys = self.aws_keys(raw.value.aws_key.as_ref());
        let journal = self.journal(raw.value.journal.as_ref());
        let (address, place) = match &raw.value.address {
            Some(At { value, place }) => (self.address(value, place)?, place),
            None => (ADDRESS, &raw.place),
        };
        if let Some(viewers) = listeners
            .iter()
            .find(|at| overlap(at.value.address, address))
        {
            let line = self.findings.line(&viewers.place);
            let what = format!("{address} is where viewers connect (line {line})");
            self.findings
                .error(place, what)
                .hint("give the admin API a port of its own");
        }
        if !address.ip().to_canonical().is_loopback() {
            let what = match (&raw.value.token, &raw.value.aws_key) {
                (Some(_), _) => format!(
                    "other machines can reach the admin API on {address}, and tokens cross the network in plain text"
                ),
                (None, Some(_)) => format!(
                    "other machines can reach the admin API on {address}; what is invalidated crosses the network in plain text"
                ),
                (None, None) => format!(
                    "other machines can reach the admin API on {address}; without a token it answers them health alone"
                ),
            };
            self.findings
                .warn(place, what)
                .hint("use a loopback address such as 127.0.0.1:9900");
        }
        Some(Admin {
            address,
            journal,
            tokens,
            aws_keys,
        })
    }

    fn journal(&mut self, raw: Option<&At<String>>) -> Option<PathBuf> {
        let raw = raw?;
        if raw.value.is_empty() || raw.value.ends_with('/') {
            self.findings
                .error(&raw.place, format!("{:?} is no file", raw.value))
                .hint("write \"/var/lib/warmfront/invalidations.journal\"");
        }
        Some(self.outside.path(Path::new(&raw.value)))
    }

    fn tokens(&mut self, raw: Option<&At<Vec<At<raw::Token>>>>) -> Vec<Token> {
        let mut known = Vec::new();
        let mut tokens = Vec::new();
        for one in self.few(raw) {
            let name = self.caller((one.value.name.as_ref(), "name"), one, &mut known);
            let secret = self.callers_secret(one.value.secret.as_ref(), &one.place, &mut known);
            let allow = self.allow(one.value.allow.as_ref(), &one.place);
            tokens.extend(secret.map(|secret| Token {
                name,
                secret,
                allow,
            }));
        }
        tokens
    }

    fn aws_keys(&mut self, raw: Option<&At<Vec<At<raw::AwsKey>>>>) -> Vec<AwsKey> {
        let mut known = Vec::new();
        let mut keys = Vec::new();
        for one in self.few(raw) {
            let id = self.caller((one.value.id.as_ref(), "id"), one, &mut known);
            let secret = self.callers_secret(one.value.secret.as_ref(), &one.place, &mut known);
            keys.extend(secret.map(|secret| AwsKey { id, secret }));
        }
        keys
    }

    /// The tables of `raw`, noted when they are too many.
    fn few<'f, T>(&mut self, raw: Option<&'f At<Vec<At<T>>>>) -> &'f [At<T>] {
        let Some(raw) = raw else { return &[] };
        if raw.value.len() > CALLERS_MAX {
            let what = format!("{} are too many", raw.value.len());
            self.findings
                .error(&raw.place, what)
                .hint(format!("write {CALLERS_MAX} at most"));
        }
        &raw.value
    }

    /// What a caller is called, which no other one is; it joins `known`.
    fn caller<'f, T>(
        &mut self,
        (field, key): (Option<&'f At<String>>, &str),
        table: &'f At<T>,
        known: &mut Vec<Known<'f>>,
    ) -> String {
        let name = self.name(field, &table.place, key);
        let place = field.map_or(&table.place, |field| &field.place);
        let earlier = known.iter().find(|(earlier, ..)| *earlier == name);
        if let Some((_, earlier, _)) = earlier.filter(|_| !name.is_empty()) {
            let line = self.findings.line(earlier);
            let what = format!("the one on line {line} is {name:?} too");
            self.findings
                .error(place, what)
                .hint(format!("give each a {key} of its own"));
        }
        known.push((name.clone(), place, None));
        name
    }

    /// The secret of the caller that `known` ends with.
    fn callers_secret(
        &mut self,
        field: Option<&At<Hidden>>,
        table: &Place,
        known: &mut [Known<'_>],
    ) -> Option<Secret> {
        let At { value, place } = self.required(field, table, "secret", "env:WARMFRONT_TOKEN")?;
        let bytes = self.secret(&value.0, place).0?;
        if !bytes.iter().all(u8::is_ascii_graphic) {
            self.findings
                .error(place, "the secret holds a character that no call can carry")
                .hint("use letters, digits and punctuation, such as of `openssl rand -hex 32`");
            return None;
        }
        if bytes.is_empty() {
            if value.0.is_empty() {
                self.findings.error(place, "the secret is empty");
            }
            return None;
        }
        if bytes.len() < SECRET_BYTES_MIN {
            let what = format!("fewer than {SECRET_BYTES_MIN} characters can be guessed");
            self.findings
                .warn(place, what)
                .hint("use the output of `openssl rand -hex 32`");
        }
        let secret = Secret::new(bytes);
        let same = |(.., other): &&Known<'_>| other.as_ref() == Some(&secret);
        if let Some((_, earlier, _)) = known.iter().find(same) {
            let line = self.findings.line(earlier);
            let what = format!("the one on line {line} has the same secret");
            self.findings
                .error(place, what)
                .hint("the log could not tell the two apart");
        }
        if let Some((.., own)) = known.last_mut() {
            *own = Some(secret.clone());
        }
        Some(secret)
    }

    fn allow(&mut self, field: Option<&At<Vec<At<String>>>>, table: &Place) -> Vec<Scope> {
        let Some(field) = field else {
            let missing = table.missing("allow");
            if !self.findings.covers(&missing) {
                self.findings
                    .error(&missing, "is missing")
                    .hint("add allow = [\"invalidate\"]");
            }
            return Vec::new();
        };
        if field.value.is_empty() {
            self.findings
                .error(&field.place, "allows nothing")
                .hint(format!(
                    "write {}",
                    alternatives(&SCOPES.map(|(word, _)| word))
                ));
        }
        let mut allowed = Vec::new();
        for word in &field.value {
            let scope = self.word(Some(word), &SCOPES, Scope::Read);
            if !allowed.contains(&scope) {
                allowed.push(scope);
            }
        }
        allowed
    }
}
