//! A stored body in other codings than the one it came in.
//!
//! They hang from their object: whatever ends it, or stands in its way, ends or stands in the
//! way of all of them, and finding one is no second look-up. Each is made once, by whoever
//! claims it; what could not be made, or was not worth it, is remembered as well.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::sync::Notify;

use super::{
    Charge, Head, Object,
    object::{self, ALLOCATION_BYTES},
};
use crate::{fields::encoding::Coding, policy::recode};

/// The codings of one body.
#[derive(Debug, Default)]
pub struct Recodings {
    /// By their position in [`Coding::ALL`].
    slots: [Slot; Coding::ALL.len()],
    /// Told when a claim ends.
    ended: Notify,
}

/// One coding. `made` is written once, by who claimed it; `None` is one that there will not be.
#[derive(Debug, Default)]
struct Slot {
    claimed: AtomicBool,
    made: OnceLock<Option<Box<Recoding>>>,
}

/// A body in another coding, with the head that says so.
#[derive(Debug)]
pub struct Recoding {
    /// Its fields.
    pub head: Head,
    /// Its bytes.
    pub body: Bytes,
    charge: Charge,
}

/// What there is of one coding.
#[derive(Clone, Copy, Debug)]
pub enum Recoded<'a> {
    /// It is here.
    Made(&'a Recoding),
    /// Nobody has made it so far.
    NotYet,
    /// It could not be made, or was not worth keeping.
    Never,
}

impl Recodings {
    /// What there is of `coding`; one load.
    pub fn find(&self, coding: Coding) -> Recoded<'_> {
        match self.slot(coding).made.get() {
            Some(Some(recoding)) => Recoded::Made(recoding),
            Some(None) => Recoded::Never,
            None => Recoded::NotYet,
        }
    }

    /// Returns once there is a coding, or there will not be, or nobody makes it any more.
    ///
    /// Dropping it stops only this wait.
    pub async fn settled(&self, coding: Coding) {
        let slot = self.slot(coding);
        loop {
            // Begun before the look: an end between the two is not missed.
            let ended = self.ended.notified();
            if slot.made.get().is_some() || !slot.claimed.load(Ordering::Acquire) {
                return;
            }
            ended.await;
        }
    }

    /// The same codings under the new head that `headers` are; those for which there is no
    /// room, on the account that `charge` is of, are left to be made anew.
    pub(super) fn under(&self, status: StatusCode, headers: &HeaderMap, charge: &Charge) -> Self {
        let recodings = Self::default();
        for (coding, slot) in Coding::ALL.into_iter().zip(&self.slots) {
            match slot.made.get() {
                None => {}
                Some(None) => recodings.end(coding, None),
                Some(Some(old)) => {
                    let headers = recode::head(headers, coding, old.body.len() as u64);
                    let cost = Recoding::cost_of(&headers, old.body.len());
                    if let Some(charge) = charge.beside(cost) {
                        let head = Head::new(status, &headers);
                        let recoding = Recoding::new(head, old.body.clone(), charge);
                        recodings.end(coding, Some(recoding));
                    }
                }
            }
        }
        recodings
    }

    /// What the codings take beside this, in bytes.
    pub(super) fn cost(&self) -> u64 {
        let made = self
            .slots
            .iter()
            .filter_map(|slot| slot.made.get()?.as_ref());
        made.map(|recoding| recoding.charge.bytes()).sum()
    }

    /// Writes what became of `coding`, unless that is written.
    fn end(&self, coding: Coding, made: Option<Recoding>) {
        // Whoever claimed it is the only one to write, and writes once.
        let _ = self.slot(coding).made.set(made.map(Box::new));
    }

    fn slot(&self, coding: Coding) -> &Slot {
        &self.slots[coding as usize]
    }
}

/// The right, and the duty, to make one coding of one object. Dropping it says that there will
/// be none.
#[derive(Debug)]
pub struct Claim {
    object: Arc<Object>,
    coding: Coding,
    released: bool,
}

impl Claim {
    /// The right to make `coding` of `object`; `None` when somebody has it, or had it, or
    /// there are no other codings of it.
    pub fn take(object: &Arc<Object>, coding: Coding) -> Option<Self> {
        let claimed = &object.recodings.as_ref()?.slot(coding).claimed;
        // The first is the cheaper one, and nearly always enough.
        let free = !claimed.load(Ordering::Relaxed) && !claimed.swap(true, Ordering::AcqRel);
        free.then(|| Self {
            object: object.clone(),
            coding,
            released: false,
        })
    }

    /// What it is a coding of.
    pub const fn object(&self) -> &Arc<Object> {
        &self.object
    }

    /// What is to be made.
    pub const fn coding(&self) -> Coding {
        self.coding
    }

    /// Gives the right back, for others to take.
    pub fn release(mut self) {
        self.released = true;
    }

    pub(super) fn keep(self, recoding: Recoding) {
        if let Some(recodings) = &self.object.recodings {
            recodings.end(self.coding, Some(recoding));
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(recodings) = &self.object.recodings else {
            return;
        };
        if self.released {
            let claimed = &recodings.slot(self.coding).claimed;
            claimed.store(false, Ordering::Release);
        } else {
            recodings.end(self.coding, None);
        }
        recodings.ended.notify_waiters();
    }
}

impl Recoding {
    pub(super) const fn new(head: Head, body: Bytes, charge: Charge) -> Self {
        Self { head, body, charge }
    }

    /// What one with these fields and a body of `body_bytes` takes in all, in bytes.
    pub(super) fn cost_of(headers: &HeaderMap, body_bytes: usize) -> u64 {
        let fixed = size_of::<Self>() + ALLOCATION_BYTES;
        (fixed + object::head_bytes(headers) + body_bytes) as u64
    }
}
