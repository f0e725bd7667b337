//! Checked parts to a [`Snapshot`]. Nothing can fail here; what could belongs in `check`.

use std::sync::Arc;

use crate::{
    config::check::{DistributionPart, Parts},
    site::{Behaviour, Distribution, Hosts, Origin, Snapshot},
};

/// The snapshot that `parts` describe.
pub(super) fn compile(parts: Parts, digest: String, generation: u64) -> Snapshot {
    let origins: Vec<Arc<Origin>> = parts.origins.into_iter().map(Arc::new).collect();
    let mut index = 0..;
    let distributions: Vec<Distribution> = parts
        .distributions
        .into_iter()
        .map(|part| distribution(part, &origins, &mut index))
        .collect();
    Snapshot {
        generation,
        digest,
        server: parts.server,
        cache: parts.cache,
        admin: parts.admin,
        listeners: parts.listeners,
        proxies: parts.proxies,
        certificates: parts.certificates,
        hosts: Hosts::new(&distributions),
        origins,
        distributions,
    }
}

fn distribution(
    part: DistributionPart,
    origins: &[Arc<Origin>],
    index: &mut impl Iterator<Item = usize>,
) -> Distribution {
    let behaviours = part.behaviours.into_iter().zip(index);
    let behaviours = behaviours.map(|(behaviour, index)| Behaviour {
        index,
        path: behaviour.path,
        origin: origins[behaviour.origin].clone(),
        rules: behaviour.rules,
    });
    Distribution {
        id: part.id,
        aliases: part.aliases,
        behaviours: behaviours.collect(),
    }
}
