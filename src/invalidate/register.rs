//! The last invalidations, by their ids and references.
//!
//! A reference belongs to the invalidation that was accepted with it as long as that is
//! remembered. While one is being accepted, its reference is held: who comes with the same one
//! waits for what becomes of it, so that two calls at once are one invalidation.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{Invalidation, Order};

/// The most invalidations that are remembered.
pub(super) const REMEMBERED_MAX: usize = 1_000;

/// The most bytes of their orders: a thousand of the largest would be 12 GB.
pub(super) const REMEMBERED_BYTES_MAX: u64 = 64 << 20;

/// What an invalidation takes beside the text of its order.
const ENTRY_BYTES: u64 = 512;

/// The register of one process; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Register(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    /// Oldest first.
    last: VecDeque<Arc<Invalidation>>,
    bytes: u64,
    by_id: HashMap<String, Arc<Invalidation>>,
    by_reference: HashMap<Reference, Arc<Invalidation>>,
    /// References of what is being accepted, and what tells when that is over.
    held: HashMap<Reference, watch::Receiver<()>>,
}

/// A distribution and a reference: one deployment may name all of its distributions' alike.
type Reference = (String, String);

/// What became of looking for an order's reference.
pub(super) enum Claim {
    /// It is the caller's, or there is none.
    Free(Hold),
    /// It was accepted before, with the same content.
    Known(Arc<Invalidation>),
    /// It was accepted before, with other content.
    Taken(Arc<Invalidation>),
    /// It is being accepted; look again when this changes or closes.
    Held(watch::Receiver<()>),
}

/// A reference that nobody else can take. Dropping it lets it go.
#[derive(Debug)]
pub(super) struct Hold {
    register: Register,
    reference: Option<Reference>,
    /// Closed when this is dropped.
    _over: Option<watch::Sender<()>>,
}

impl Register {
    /// Looks for the reference of `order`, and holds it if nobody has it.
    pub(super) fn claim(&self, distribution: &str, order: &Order) -> Claim {
        let Some(reference) = &order.reference else {
            return Claim::Free(Hold {
                register: self.clone(),
                reference: None,
                _over: None,
            });
        };
        let reference = (distribution.to_owned(), reference.clone());
        let mut entries = self.entries();
        if let Some(known) = entries.by_reference.get(&reference) {
            return match known.order.same_content(order) {
                true => Claim::Known(known.clone()),
                false => Claim::Taken(known.clone()),
            };
        }
        if let Some(held) = entries.held.get(&reference) {
            return Claim::Held(held.clone());
        }
        let (over, watch) = watch::channel(());
        entries.held.insert(reference.clone(), watch);
        Claim::Free(Hold {
            register: self.clone(),
            reference: Some(reference),
            _over: Some(over),
        })
    }

    /// Remembers `invalidation`, unless it is already; the oldest make room.
    pub(super) fn remember(&self, invalidation: Arc<Invalidation>) {
        let mut entries = self.entries();
        if entries.by_id.contains_key(&invalidation.id) {
            return;
        }
        entries.bytes += bytes(&invalidation);
        entries
            .by_id
            .insert(invalidation.id.clone(), invalidation.clone());
        if let Some(reference) = reference(&invalidation) {
            entries.by_reference.insert(reference, invalidation.clone());
        }
        entries.last.push_back(invalidation);
        while entries.last.len() > REMEMBERED_MAX
            || entries.bytes > REMEMBERED_BYTES_MAX && entries.last.len() > 1
        {
            entries.forget_oldest();
        }
    }

    /// The invalidation with this id.
    pub(super) fn get(&self, id: &str) -> Option<Arc<Invalidation>> {
        self.entries().by_id.get(id).cloned()
    }

    /// All of them, newest first.
    pub(super) fn list(&self) -> Vec<Arc<Invalidation>> {
        self.entries().last.iter().rev().cloned().collect()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn forget_oldest(&mut self) {
        let Some(oldest) = self.last.pop_front() else {
            return;
        };
        self.bytes -= bytes(&oldest);
        self.by_id.remove(&oldest.id);
        let Some(reference) = reference(&oldest) else {
            return;
        };
        let known = self.by_reference.get(&reference);
        if known.is_some_and(|known| known.id == oldest.id) {
            self.by_reference.remove(&reference);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(reference) = &self.reference {
            self.register.entries().held.remove(reference);
        }
    }
}

fn reference(invalidation: &Invalidation) -> Option<Reference> {
    let reference = invalidation.order.reference.clone()?;
    Some((invalidation.distribution.clone(), reference))
}

/// What remembering `invalidation` takes, about.
fn bytes(invalidation: &Invalidation) -> u64 {
    const STRING: usize = size_of::<String>();
    let order = &invalidation.order;
    let paths = order.paths.iter().map(|path| path.len() + STRING);
    let tags = order.tags.iter().map(|tag| tag.text.len() + STRING);
    let places = order.r#where.iter();
    let places = places.map(|one| {
        one.path.as_ref().map_or(0, String::len) + one.name.len() + one.value.len() + 3 * STRING
    });
    let items: usize = paths.chain(tags).chain(places).sum();
    let reference = order.reference.as_ref().map_or(0, String::len);
    ENTRY_BYTES + (items + 2 * reference) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn order(reference: Option<&str>, path: &str) -> Order {
        Order {
            paths: vec![path.to_owned()],
            reference: reference.map(str::to_owned),
            ..Order::default()
        }
    }

    fn invalidation(id: &str, order: Order) -> Arc<Invalidation> {
        Arc::new(Invalidation {
            id: id.to_owned(),
            sequence: 1,
            created: Timestamp::from_unix(1),
            distribution: "site".to_owned(),
            order,
            by: "test".to_owned(),
            matched: None,
        })
    }

    #[test]
    fn a_reference_belongs_to_its_content_and_distribution() {
        let register = Register::default();
        register.remember(invalidation("I1", order(Some("r"), "/a")));
        let claim =
            |distribution: &str, path: &str| register.claim(distribution, &order(Some("r"), path));
        assert!(matches!(claim("site", "/a"), Claim::Known(known) if known.id == "I1"));
        assert!(matches!(claim("site", "/b"), Claim::Taken(known) if known.id == "I1"));
        assert!(matches!(claim("other", "/b"), Claim::Free(_)));
        assert!(matches!(
            register.claim("site", &order(None, "/a")),
            Claim::Free(_)
        ));
    }

    #[tokio::test]
    async fn who_comes_meanwhile_waits_for_what_becomes_of_the_first() {
        let register = Register::default();
        let ours = order(Some("r"), "/a");
        let Claim::Free(hold) = register.claim("site", &ours) else {
            panic!("nobody has it");
        };
        let Claim::Held(mut held) = register.claim("site", &ours) else {
            panic!("it is held");
        };
        drop(hold);
        assert!(held.changed().await.is_err());
        assert!(matches!(register.claim("site", &ours), Claim::Free(_)));
    }

    #[test]
    fn the_oldest_make_room_and_free_their_references() {
        let register = Register::default();
        for number in 0..=REMEMBERED_MAX {
            let reference = format!("r{number}");
            let order = order(Some(&reference), "/a");
            register.remember(invalidation(&format!("I{number}"), order));
        }
        let list = register.list();
        assert_eq!(list.len(), REMEMBERED_MAX);
        assert_eq!(list[0].id, format!("I{REMEMBERED_MAX}"));
        assert!(register.get("I0").is_none() && register.get("I1").is_some());
        assert!(matches!(
            register.claim("site", &order(Some("r0"), "/b")),
            Claim::Free(_)
        ));
    }

    #[test]
    fn what_is_remembered_has_a_bound_in_bytes() {
        let register = Register::default();
        let long = "x".repeat(REMEMBERED_BYTES_MAX as usize / 2);
        for id in ["I1", "I2", "I3"] {
            register.remember(invalidation(id, order(None, &long)));
        }
        assert_eq!(register.list().len(), 1);
        let huge = "x".repeat(REMEMBERED_BYTES_MAX as usize);
        register.remember(invalidation("I4", order(None, &huge)));
        assert_eq!(register.list()[0].id, "I4");
    }
}
