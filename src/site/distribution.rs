//! A distribution: the hosts it answers for, and its behaviours in order.

use std::sync::Arc;

use super::Origin;
use crate::{
    fields::host::HostPattern,
    policy::{Rules, pattern::PathPattern},
};

/// A group of hosts with one list of behaviours (CloudFront: distribution).
#[derive(Clone, Debug)]
pub struct Distribution {
    /// Its name, also its id in the admin API.
    pub id: String,
    /// The hosts it answers for; none means every host no other one names.
    pub aliases: Vec<HostPattern>,
    /// The first whose path matches serves.
    pub behaviours: Vec<Behaviour>,
}

impl Distribution {
    /// Which of its behaviours serves `path`: the first whose pattern matches.
    pub(super) fn position(&self, path: &str) -> Option<usize> {
        self.behaviours
            .iter()
            .position(|one| one.path.matches(path))
    }
}

/// What happens to the requests of one path pattern (CloudFront: cache behaviour).
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Numbers all behaviours of a snapshot from 0, distribution by distribution.
    pub index: usize,
    /// The paths it serves.
    pub path: PathPattern,
    /// Where its requests go.
    pub origin: Arc<Origin>,
    /// What the decisions need to know.
    pub rules: Rules,
}
