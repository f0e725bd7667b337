//! Invalidations from outside: checked, accepted, written down, and remembered.
//!
//! When [`Invalidations::submit`] answers, no viewer gets what the origin was asked for
//! before. What it takes to accept one does not depend on what is stored; counting what it
//! covered does, is done beside it, and is left out when it would take too long.
//!
//! Where there is a journal, an answer also means that a restart forgets neither that there
//! was this invalidation nor its reference. Nothing stored outlives the process, so nothing
//! that was invalidated before a restart can be served after it, journal or not.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicU64},
};

use tokio::{
    sync::{Semaphore, oneshot},
    time::Instant,
};

use crate::{
    ledger::{
        Ledger,
        journal::{Journal, Kept, Replay},
    },
    observe::{Events, Ordered},
    policy::marks::Sequence,
    site::Snapshot,
    store::Store,
    time::Clock,
};

mod beginning;
mod count;
mod id;
mod keyed;
mod keys;
mod order;
mod record;
mod register;
mod resolve;
pub mod sweep;

pub use order::{
    Caller, ITEMS_MAX, Invalidation, Mode, Offence, Order, PATH_CHARACTERS_MAX, Preview,
    REFERENCE_BYTES_MAX, Refused, SAMPLE_MAX, TAG_BYTES_MAX, Tag, TagCase, Where,
};

use keys::Keys;
use register::{Claim, Hold, REMEMBERED_BYTES_MAX, REMEMBERED_MAX, Register};
use resolve::{Resolved, resolve};

/// The invalidations of one process; clones share them.
#[derive(Clone, Debug)]
pub struct Invalidations(Arc<Inner>);

/// What invalidations are made with.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where they take effect.
    pub ledger: Ledger,
    /// What they cover; it is only counted.
    pub store: Store,
    /// The time they carry.
    pub clock: Clock,
    /// Where they are told.
    pub events: Arc<Events>,
}

#[derive(Debug)]
struct Inner {
    parts: Parts,
    register: Register,
    keys: Keys,
    journal: Option<Journal>,
    /// How many ids were made.
    ids: AtomicU64,
    /// One walk through the store at a time.
    counting: Arc<Semaphore>,
    /// Until when nothing is counted that nobody asked for.
    rests: Mutex<Option<Instant>>,
}

impl Invalidations {
    /// Those that the journal at `journal` remembers, or none without one. Blocks while it
    /// reads.
    ///
    /// A journal that cannot be used is told and stops nothing: until it can be, invalidations
    /// take effect and are answered [`Refused::Unwritable`]. Errs when there can be no thread
    /// to write it.
    pub fn open(parts: Parts, journal: Option<PathBuf>) -> io::Result<Self> {
        let register = Register::default();
        let journal = match journal {
            Some(path) => Some(opened(&parts, &register, path)?),
            None => None,
        };
        Ok(Self(Arc::new(Inner {
            parts,
            register,
            keys: Keys::default(),
            journal,
            ids: AtomicU64::new(0),
            counting: Arc::new(Semaphore::new(1)),
            rests: Mutex::default(),
        })))
    }

    /// To be called with each configuration before it serves: what is stored stays when one
    /// follows another, and what is invalidated must cover it however it is keyed.
    pub fn follow(&self, site: &Snapshot) {
        self.0.keys.note(site);
    }

    /// Lets go of the journal, where there is one, so that another process may open it. What
    /// is submitted afterwards is [`Refused::Unwritable`]. Returns when all before is written.
    pub async fn release(&self) {
        let Some(journal) = &self.0.journal else {
            return;
        };
        let (done, released) = oneshot::channel();
        journal.release(Box::new(move |_| {
            // Nobody waits for it: then nobody is told.
            let _ = done.send(());
        }));
        let _ = released.await;
    }

    /// Accepts `order` for `by`: when this returns `Ok`, the promise holds, and the journal,
    /// where there is one, has it. The same reference with the same content answers the first
    /// invalidation again.
    ///
    /// [`Refused::Unwritable`] means that it took effect, and that trying again is harmless;
    /// after any other error nothing has changed. Dropping the future stops nothing that was
    /// accepted.
    pub async fn submit(
        &self,
        site: &Arc<Snapshot>,
        order: Order,
        by: &Caller,
    ) -> Result<Arc<Invalidation>, Refused> {
        let events = &self.0.parts.events;
        let taken = match self.claim(site, &order).await {
            Ok(taken) => taken,
            Err(refused) => {
                events.invalidation_refused(&by.0, refused.as_str(), order.items());
                return Err(refused);
            }
        };
        let (resolved, hold) = match taken {
            Taken::New(resolved, hold) => (resolved, hold),
            Taken::Known(known) => {
                events.invalidation_repeated(&by.0, known.sequence, &known.id);
                return Ok(known);
            }
        };
        // It takes effect before anything is waited for.
        let sequence = self
            .0
            .parts
            .ledger
            .accept(order.mode, resolved.selectors.iter().cloned());
        let id = id::make(&self.0.ids);
        events.invalidation_accepted(&Ordered {
            by: &by.0,
            sequence: sequence.0,
            id: &id,
            distribution: &resolved.distribution,
            mode: order.mode.as_str(),
            paths: order.paths.len(),
            tags: order.tags.len(),
            parameters: order.r#where.len(),
            everything: order.everything || order.paths.iter().any(|path| path == "/*"),
        });
        let accepted = Invalidation {
            id,
            sequence: sequence.0,
            created: self.0.parts.clock.now(),
            distribution: resolved.distribution.clone(),
            order,
            by: by.0.clone(),
            matched: None,
        };
        // It goes on when the caller leaves: what holds is written down and remembered.
        let finished = tokio::spawn(self.clone().finished(accepted, resolved, hold));
        match finished.await {
            Ok(finished) => finished,
            Err(gone) => Err(Refused::Unwritable(io::Error::other(gone))),
        }
    }

    /// Counts what `accepted` covers, writes it down, and remembers it.
    async fn finished(
        self,
        accepted: Invalidation,
        resolved: Resolved,
        hold: Hold,
    ) -> Result<Arc<Invalidation>, Refused> {
        let matched = self.swept(accepted.order.mode, &resolved).await;
        let invalidation = Arc::new(Invalidation {
            matched,
            ..accepted
        });
        match self.written(invalidation.clone(), hold).await {
            Ok(()) => Ok(invalidation),
            Err(error) => {
                let sequence = invalidation.sequence;
                self.0.parts.events.journal_failed(sequence, &error);
                Err(Refused::Unwritable(error))
            }
        }
    }

    /// What `order` would cover now; changes nothing. [`Refused::Busy`] when too much is
    /// being counted already.
    pub async fn preview(&self, site: &Arc<Snapshot>, order: &Order) -> Result<Preview, Refused> {
        let resolved = resolve(site, &self.0.keys, order)?;
        if let Some(reference) = &order.reference
            && let Claim::Taken(known) = self.0.register.claim(&resolved.distribution, order)
        {
            let (reference, id) = (reference.clone(), known.id.clone());
            return Err(Refused::ReferenceTaken { reference, id });
        }
        self.counted(&resolved).await
    }

    /// Whether `order` could be accepted in `site`, its reference aside; changes nothing.
    pub fn check(&self, site: &Snapshot, order: &Order) -> Result<(), Refused> {
        resolve(site, &self.0.keys, order).map(drop)
    }

    /// The number of the latest invalidation, the viewers' unsafe requests included.
    pub fn head(&self) -> Sequence {
        self.0.parts.ledger.head()
    }

    /// What the ledger still holds, since something stored may be older.
    pub fn entries(&self) -> u64 {
        self.0.parts.ledger.usage().entries
    }

    /// The invalidation with this id, if it is among the last that are remembered.
    pub fn get(&self, id: &str) -> Option<Arc<Invalidation>> {
        self.0.register.get(id)
    }

    /// The last invalidations, 1,000 at most, newest first.
    pub fn list(&self) -> Vec<Arc<Invalidation>> {
        self.0.register.list()
    }

    /// Resolves `order`, and holds its reference.
    async fn claim(&self, site: &Snapshot, order: &Order) -> Result<Taken, Refused> {
        let resolved = resolve(site, &self.0.keys, order)?;
        loop {
            match self.0.register.claim(&resolved.distribution, order) {
                Claim::Free(hold) => return Ok(Taken::New(resolved, hold)),
                Claim::Known(known) => return Ok(Taken::Known(known)),
                Claim::Taken(known) => {
                    return Err(Refused::ReferenceTaken {
                        reference: order.reference.clone().unwrap_or_default(),
                        id: known.id.clone(),
                    });
                }
                // It is closed without a value when the other call is over.
                Claim::Held(mut over) => drop(over.changed().await),
            }
        }
    }

    /// Writes `invalidation` down and remembers it.
    async fn written(&self, invalidation: Arc<Invalidation>, hold: Hold) -> io::Result<()> {
        let register = self.0.register.clone();
        let Some(journal) = &self.0.journal else {
            register.remember(invalidation);
            return Ok(());
        };
        let line = record::write(&invalidation);
        let (tell, told) = oneshot::channel();
        journal.append(
            line,
            Box::new(move |written| {
                if written.is_ok() {
                    register.remember(invalidation);
                }
                // Whoever waits for the reference finds it remembered, or may try.
                drop(hold);
                let _ = tell.send(written);
            }),
        );
        told.await
            .unwrap_or_else(|_| Err(io::Error::other("its thread is gone")))
    }
}

/// What became of an order's reference.
enum Taken {
    New(Resolved, Hold),
    Known(Arc<Invalidation>),
}

/// The journal at `path`, once what it remembers is in `register` and counts in the ledger.
fn opened(parts: &Parts, register: &Register, path: PathBuf) -> io::Result<Journal> {
    let kept = Kept {
        records: REMEMBERED_MAX,
        bytes: REMEMBERED_BYTES_MAX,
    };
    let replayed = {
        let (parts, register, path) = (parts.clone(), register.clone(), path.clone());
        Box::new(move |replay: Replay| {
            let read: Vec<Invalidation> = replay
                .records
                .iter()
                .filter_map(|line| record::read(line))
                .collect();
            let last = read.iter().map(|one| one.sequence).max();
            if let Some(last) = last
                .map(Sequence)
                .filter(|&last| last > parts.ledger.head())
            {
                parts.ledger.resume(last);
            }
            let unread = replay.records.len() - read.len();
            parts
                .events
                .journal_opened(&path, read.len(), unread, replay.cut_bytes);
            for invalidation in read {
                register.remember(Arc::new(invalidation));
            }
        })
    };
    let (journal, unopened) = Journal::start(path.clone(), kept, replayed)?;
    if let Some(error) = unopened {
        parts.events.journal_unusable(&path, &error);
    }
    Ok(journal)
}

#[cfg(test)]
mod tests;
