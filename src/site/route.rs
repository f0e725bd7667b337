//! Which behaviour a request belongs to: by host, then by the first matching path.

use std::{collections::HashMap, sync::Arc};

use super::{Behaviour, Distribution, Snapshot};
use crate::fields::host::{Host, HostPattern};

/// Where a request was found to belong.
#[derive(Debug)]
pub enum Routed {
    /// This behaviour serves it.
    To(Route),
    /// No distribution answers for its host: 421 (RFC 9110 §15.5.20).
    NoSuchHost,
    /// Its distribution has no behaviour for its path: 404.
    NoSuchPath,
}

/// A behaviour of a snapshot; cheap to clone, and keeps its snapshot alive.
#[derive(Clone, Debug)]
pub struct Route {
    site: Arc<Snapshot>,
    distribution: usize,
    behaviour: usize,
}

impl Route {
    /// The distribution.
    pub fn distribution(&self) -> &Distribution {
        &self.site.distributions[self.distribution]
    }

    /// The behaviour.
    pub fn behaviour(&self) -> &Behaviour {
        &self.distribution().behaviours[self.behaviour]
    }

    /// The snapshot it was found in.
    pub fn site(&self) -> &Arc<Snapshot> {
        &self.site
    }
}

impl Snapshot {
    /// Finds the behaviour for `path` on `host`.
    pub fn route(self: &Arc<Self>, host: &Host, path: &str) -> Routed {
        let Some(distribution) = self.hosts.find(host) else {
            return Routed::NoSuchHost;
        };
        match self.distributions[distribution].position(path) {
            Some(behaviour) => Routed::To(Route {
                site: self.clone(),
                distribution,
                behaviour,
            }),
            None => Routed::NoSuchPath,
        }
    }

    /// The same behaviour, for whoever holds the snapshot anyhow.
    pub fn behaviour(&self, host: &Host, path: &str) -> Option<&Behaviour> {
        let distribution = &self.distributions[self.hosts.find(host)?];
        Some(&distribution.behaviours[distribution.position(path)?])
    }
}

/// Hosts to distributions: exact names first, then the longest wildcard, then the one for the rest.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    exact: HashMap<Box<[u8]>, usize>,
    /// Longest pattern first.
    wild: Vec<(HostPattern, usize)>,
    rest: Option<usize>,
}

impl Hosts {
    /// Indexes the aliases of `distributions`; where two claim one name, the first has it.
    pub fn new(distributions: &[Distribution]) -> Self {
        let mut hosts = Self::default();
        for (index, distribution) in distributions.iter().enumerate() {
            if distribution.aliases.is_empty() {
                hosts.rest.get_or_insert(index);
            }
            for alias in &distribution.aliases {
                if alias.is_wildcard() {
                    hosts.wild.push((alias.clone(), index));
                } else {
                    hosts
                        .exact
                        .entry(alias.as_str().as_bytes().into())
                        .or_insert(index);
                }
            }
        }
        hosts
            .wild
            .sort_by_key(|(alias, _)| std::cmp::Reverse(alias.as_str().len()));
        hosts
    }

    /// The distribution that answers for `host`, as an index.
    pub fn find(&self, host: &Host) -> Option<usize> {
        let exact = if self.exact.is_empty() {
            None
        } else {
            self.exact.get(host.as_bytes())
        };
        let wild = || {
            self.wild
                .iter()
                .find(|(alias, _)| alias.matches(host))
                .map(|(_, at)| at)
        };
        exact.or_else(wild).copied().or(self.rest)
    }
}
