//! A certificate that viewers are shown, and the hosts it speaks for.

use std::sync::Arc;

use rustls::sign::CertifiedKey;

use crate::{
    fields::host::{Host, HostPattern},
    time::Timestamp,
};

/// A chain and its key, checked against each other.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The file of its chain, as the configuration names it.
    pub file: String,
    /// The hosts it speaks for.
    pub names: Arc<Names>,
    /// What a handshake needs. The key shows nothing of itself.
    pub key: Arc<CertifiedKey>,
    /// The last moment it is valid.
    pub expires: Timestamp,
}

/// The subject alternative names of a certificate: names and addresses, and
/// wildcards that stand for exactly one label (RFC 9525 §6.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Sorted.
    exact: Box<[Box<str>]>,
    /// What follows the `*.`; sorted.
    wild: Box<[Box<str>]>,
}

impl Names {
    /// The set of `names`.
    pub fn new(names: impl IntoIterator<Item = HostPattern>) -> Self {
        let (mut exact, mut wild) = (Vec::new(), Vec::new());
        for name in names {
            match name.as_str().strip_prefix("*.") {
                Some(parent) => wild.push(parent.into()),
                None => exact.push(name.as_str().into()),
            }
        }
        let set = |mut names: Vec<Box<str>>| {
            names.sort_unstable();
            names.dedup();
            names.into_boxed_slice()
        };
        Self {
            exact: set(exact),
            wild: set(wild),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wild.is_empty()
    }

    /// Whether the certificate speaks for `host`.
    pub fn cover(&self, host: &Host) -> bool {
        self.cover_text(host.as_str())
    }

    /// Whether it speaks for every host that `alias` means, as far as a certificate
    /// can: its wildcard stands for one label, an alias's for more.
    pub fn cover_alias(&self, alias: &HostPattern) -> bool {
        match alias.as_str().strip_prefix("*.") {
            Some(parent) => has(&self.wild, parent),
            None => self.cover_text(alias.as_str()),
        }
    }

    /// The names, and what follows the `*.` of the wildcards; each sorted.
    pub fn parts(&self) -> (&[Box<str>], &[Box<str>]) {
        (&self.exact, &self.wild)
    }

    fn cover_text(&self, host: &str) -> bool {
        has(&self.exact, host)
            || parent(host).is_some_and(|parent| !self.wild.is_empty() && has(&self.wild, parent))
    }
}

/// What follows the first label of `host`.
pub fn parent(host: &str) -> Option<&str> {
    host.split_once('.').map(|(_, parent)| parent)
}

fn has(names: &[Box<str>], name: &str) -> bool {
    names.binary_search_by(|known| (**known).cmp(name)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Names {
        Names::new(list.iter().map(|name| HostPattern::parse(name).unwrap()))
    }

    #[track_caller]
    fn check(list: &[&str], host: &str, wanted: bool) {
        let (host, _) = Host::parse_authority(host).unwrap();
        assert_eq!(names(list).cover(&host), wanted, "{list:?} {host}");
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        check(&["*.example.com"], "a.example.com", true);
        check(&["*.example.com"], "A.Example.com.", true);
        check(&["*.example.com"], "a.b.example.com", false);
        check(&["*.example.com"], "example.com", false);
        check(&["*.example.com", "example.com"], "example.com", true);
    }

    #[test]
    fn a_name_stands_for_itself() {
        check(&["b.example", "a.example"], "a.example", true);
        check(&["b.example", "a.example"], "c.example", false);
        check(&["127.0.0.1"], "127.0.0.1", true);
        check(&["[::1]"], "[0::1]", true);
        check(&[], "a.example", false);
    }

    #[test]
    fn an_alias_is_covered_whole_or_not() {
        let covers = |list: &[&str], alias: &str| {
            names(list).cover_alias(&HostPattern::parse(alias).unwrap())
        };
        assert!(covers(&["*.a.example"], "*.a.example"));
        assert!(covers(&["*.a.example"], "x.a.example"));
        assert!(!covers(&["x.a.example"], "*.a.example"));
    }
}
