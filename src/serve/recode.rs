//! Which bytes of a stored answer a viewer gets, and the making of those there are not yet.
//!
//! A hit never waits for a compressor: until its coding is there, a viewer gets the content as
//! it is. Only who accepts nothing that is at hand, the origin's own coding, waits for the
//! content to be decoded, once for all. The work is bounded: small bodies are coded where they
//! were asked for, in well under a millisecond, larger ones on a thread apart, few at a time.
//!
//! Only stored answers are coded, which are the same for everybody. So nobody can learn a
//! secret from the length of a coding by mixing guesses into it (BREACH): what is secret is
//! not stored, and what is passed on is passed as it is.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use smallvec::SmallVec;
use tokio::{sync::Semaphore, task};

use super::Way;
use crate::{
    coding::{self, Sink, Unmade},
    fields::encoding::Coding,
    observe::{Events, Went},
    policy::{
        Ask, Key, Meta, Rules, recode,
        represent::{self, Wanted},
    },
    store::{Body, Claim, Head, Object, Recoded, Store},
};

/// The largest body that is coded where it was asked for, in bytes: half a millisecond of
/// brotli.
const CODED_HERE_BYTES_MAX: usize = 32 << 10;

/// The largest coding that is decoded where it was asked for, in bytes: it becomes 1 MiB at
/// most ([`recode::DECODED_BYTES_FREE`]), which takes gzip two milliseconds.
const DECODED_HERE_BYTES_MAX: usize = 8 << 10;

/// How many bodies of one worker are encoded on a thread apart at a time, and how many are
/// decoded. Half of the processors' time is left to those who serve when all workers encode.
/// Each takes the body, which is stored, its coding, which is on the store's account, and what
/// the coder needs: at most 20 MiB for brotli.
pub const RECODINGS_MAX: usize = 1;

/// Room for the coding of bodies, of this worker; clones share it.
#[derive(Clone, Debug)]
pub struct Recoder {
    encoding: Arc<Semaphore>,
    /// Apart, since somebody waits for these.
    decoding: Arc<Semaphore>,
}

impl Default for Recoder {
    fn default() -> Self {
        let room = || Arc::new(Semaphore::new(RECODINGS_MAX));
        Self {
            encoding: room(),
            decoding: room(),
        }
    }
}

/// What of an object answers a viewer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chosen<'a> {
    pub(super) head: &'a Head,
    pub(super) body: Body<'a>,
    /// What the viewer would have liked better, had somebody made it.
    pub(super) missing: Option<Missing>,
    /// Whether it is what the origin sent.
    pub(super) own: bool,
    /// Whether the viewer accepts what the origin sent as well.
    pub(super) or_own: bool,
}

/// A coding that nobody has made so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The viewer is content with what there is.
    Better(Coding),
    /// The viewer accepts nothing that there is.
    Decoded,
    /// The viewer accepts nothing that there is or will be.
    Undecodable,
}

impl<'a> Chosen<'a> {
    /// The bytes that the origin sent.
    pub(super) fn own(object: &'a Object) -> Self {
        Self {
            head: &object.head,
            body: object.body(),
            missing: None,
            own: true,
            or_own: true,
        }
    }

    /// What of `object` the viewer gets now: a comparison where there are no codings of it,
    /// otherwise the reading of one field.
    pub(super) fn of(ask: &Ask, rules: &Rules, object: &'a Object) -> Self {
        let own = Self::own(object);
        let Some(response) = object.meta.recodable else {
            return own;
        };
        let made = |coding| match object.recoded(coding) {
            Recoded::Made(recoding) => Some(Self {
                head: &recoding.head,
                body: recoding.body(),
                missing: None,
                own: false,
                or_own: false,
            }),
            Recoded::NotYet | Recoded::Never => None,
        };
        match represent::wanted(ask, rules, response) {
            Wanted::Own => own,
            Wanted::Decoded => made(Coding::Identity).unwrap_or_else(|| {
                let missing = match object.recoded(Coding::Identity) {
                    Recoded::Never => Missing::Undecodable,
                    Recoded::NotYet | Recoded::Made(_) => Missing::Decoded,
                };
                Self {
                    missing: Some(missing),
                    or_own: false,
                    ..own
                }
            }),
            Wanted::Best(codings) => {
                let best = codings.preferred(&Coding::ALL).unwrap_or(Coding::Identity);
                if best == Coding::Identity {
                    return own;
                }
                let or_own = codings.accepts(Coding::Identity);
                if let Some(made) = made(best) {
                    return Self { or_own, ..made };
                }
                let wanted = matches!(object.recoded(best), Recoded::NotYet);
                let missing = wanted.then_some(Missing::Better(best));
                let at_hand =
                    |coding: &Coding| *coding == Coding::Identity || made(*coding).is_some();
                let offered: SmallVec<[Coding; 4]> =
                    Coding::ALL.into_iter().filter(at_hand).collect();
                let next = codings.preferred(&offered).and_then(made);
                Self {
                    missing,
                    or_own,
                    ..next.unwrap_or(own)
                }
            }
        }
    }
}

/// Whether the viewer accepts what the origin sent of such a response.
pub(super) fn takes(way: &Way, meta: &Meta) -> bool {
    meta.recodable.is_none_or(|response| {
        represent::wanted(&way.ask, way.rules(), response) != Wanted::Decoded
    })
}

/// Sees to it that `coding` of `object`, which lies under `key`, will be there for those who
/// come later.
pub(super) fn begin(way: &Way, key: Key, object: &Arc<Object>, coding: Coding) {
    if let Some(claim) = way.edge.store.claim(key, object, coding) {
        tokio::spawn(make(Work::of(way, key), claim));
    }
}

/// The same for an answer just stored, whose first viewer will probably not be the only one to
/// like what it likes; returns when it is made.
pub(super) async fn filled(way: &Way, key: Key, object: &Arc<Object>) {
    if let Some(Missing::Better(coding)) = way.chosen(object).missing
        && let Some(claim) = way.edge.store.claim(key, object, coding)
    {
        make(Work::of(way, key), claim).await;
    }
}

/// Returns once there is of `object` what the viewer accepts, or it is known that there will
/// not be. Dropping it stops only this wait.
pub(super) async fn ready(way: &Way, key: Key, object: &Arc<Object>) {
    // Twice, if a first one gave its claim back.
    for _ in 0..2 {
        if way.chosen(object).missing != Some(Missing::Decoded) {
            return;
        }
        begin(way, key, object, Coding::Identity);
        if let Some(recodings) = object.recodings() {
            recodings.settled(Coding::Identity).await;
        }
    }
}

/// What it takes to make a coding.
struct Work {
    store: Store,
    events: Arc<Events>,
    recoder: Recoder,
    key: Key,
}

impl Work {
    fn of(way: &Way, key: Key) -> Self {
        let edge = &way.edge;
        Self {
            store: edge.store.clone(),
            events: edge.events.clone(),
            recoder: edge.recoder.clone(),
            key,
        }
    }

    /// Makes what `claim` is for, and keeps it beside its object.
    fn done(&self, claim: Claim) {
        let coding = claim.coding();
        if let Some(went) = self.tried(claim) {
            self.events.recoded(coding, went);
        }
    }

    /// How it went; `None` where the size of the body forbids it.
    fn tried(&self, claim: Claim) -> Option<Went> {
        let object = claim.object().clone();
        let own = object.meta.recodable?.own;
        let bytes_max =
            recode::result_max(own, object.body().len() as u64, self.store.object_max())?;
        let Some(mut charge) = self.store.charge(0) else {
            return Some(Went::NoRoom);
        };
        let mut room = |bytes| charge.grow(bytes as u64);
        let sink = Sink::new(usize::try_from(bytes_max).unwrap_or(usize::MAX), &mut room);
        let made = || match own {
            Coding::Identity => coding::encode(claim.coding(), &object.body(), sink),
            own => coding::decode(own, &object.body(), sink),
        };
        // The bytes are an origin's, and the coders not ours.
        let made = catch_unwind(AssertUnwindSafe(made)).unwrap_or(Err(Unmade::Corrupt));
        Some(match made {
            Ok(body) if self.store.recoded(self.key, claim, &body) => Went::Made,
            Ok(_) | Err(Unmade::NoRoom) => Went::NoRoom,
            Err(Unmade::TooLarge) => Went::TooLarge,
            Err(Unmade::Corrupt) => Went::Corrupt,
        })
    }
}

/// Makes what `claim` is for: here where that is quick, otherwise on a thread apart.
async fn make(work: Work, claim: Claim) {
    let bytes = claim.object().body().len();
    let decoding = claim.coding() == Coding::Identity;
    let here_max = if decoding {
        DECODED_HERE_BYTES_MAX
    } else {
        CODED_HERE_BYTES_MAX
    };
    if bytes <= here_max {
        return work.done(claim);
    }
    let Recoder {
        encoding: room,
        decoding: waited,
    } = work.recoder.clone();
    let room = if decoding {
        waited.acquire_owned().await.ok()
    } else {
        // A later hit asks again.
        room.try_acquire_owned().ok()
    };
    let Some(room) = room else {
        return claim.release();
    };
    let apart = task::spawn_blocking(move || {
        work.done(claim);
        drop(room);
    });
    // Where the thread panicked, the claim ended with it.
    let _ = apart.await;
}
