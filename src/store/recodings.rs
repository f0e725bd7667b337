//! A stored body in other codings than the one it came in.
//!
//! They hang from their object: whatever ends it, or stands in its way, ends or stands in the
//! way of all of them, and finding one is no second look-up. Each is made once, by whoever
//! claims it; what could not be made, or was not worth it, is remembered as well.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU8, Ordering},
};

use http::{HeaderMap, StatusCode};
use tokio::sync::Notify;

use super::{Apart, Body, Charge, Head, Object, head, object::ALLOCATION_BYTES};
use crate::{fields::encoding::Coding, policy::represent};

/// The codings of one body.
#[derive(Debug, Default)]
pub struct Recodings {
    /// By their position in [`Coding::ALL`]. Each is written once, by who claimed it; `None` is
    /// one that there will not be.
    made: [OnceLock<Option<Box<Recoding>>>; Coding::ALL.len()],
    /// A bit for each that somebody makes or has made.
    claimed: AtomicU8,
    /// Told when a claim ends.
    ended: Notify,
}

/// A body in another coding, with the head that says so.
#[derive(Debug)]
pub struct Recoding {
    /// Its fields.
    pub head: Head,
    /// Its bytes, if they are not in the block of its head.
    apart: Option<Box<Apart>>,
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
        match self.made[coding as usize].get() {
            Some(Some(recoding)) => Recoded::Made(recoding),
            Some(None) => Recoded::Never,
            None => Recoded::NotYet,
        }
    }

    /// Returns once there is a coding, or there will not be, or nobody makes it any more.
    ///
    /// Dropping it stops only this wait.
    pub async fn settled(&self, coding: Coding) {
        let made = &self.made[coding as usize];
        loop {
            // Begun before the look: an end between the two is not missed.
            let ended = self.ended.notified();
            if made.get().is_some() || self.claimed.load(Ordering::Acquire) & bit(coding) == 0 {
                return;
            }
            ended.await;
        }
    }

    /// The same codings under the new head that `headers` are; those for which there is no
    /// room, on the account that `charge` is of, are left to be made anew.
    pub(super) fn under(&self, status: StatusCode, headers: &HeaderMap, charge: &Charge) -> Self {
        let recodings = Self::default();
        for (coding, made) in Coding::ALL.into_iter().zip(&self.made) {
            match made.get() {
                None => {}
                Some(None) => recodings.end(coding, None),
                Some(Some(old)) => {
                    let body = old.body();
                    let headers = represent::head(headers, coding, body.len() as u64);
                    let cost = Recoding::cost_of(&headers, body.apart_bytes());
                    if let Some(charge) = charge.beside(cost) {
                        let recoding = Recoding {
                            head: Head::alone(status, &headers, body.len()),
                            apart: Some(Box::new(body.apart())),
                            charge,
                        };
                        recodings.end(coding, Some(recoding));
                    }
                }
            }
        }
        recodings
    }

    /// What the codings take beside this, in bytes.
    pub(super) fn cost(&self) -> u64 {
        let made = self.made.iter().filter_map(|made| made.get()?.as_ref());
        made.map(|recoding| recoding.charge.bytes()).sum()
    }

    /// Writes what became of `coding`, unless that is written.
    fn end(&self, coding: Coding, made: Option<Recoding>) {
        // Whoever claimed it is the only one to write, and writes once.
        let _ = self.made[coding as usize].set(made.map(Box::new));
    }

    /// Whether the caller is the one to make `coding`.
    fn claim(&self, coding: Coding) -> bool {
        let bit = bit(coding);
        // The first is the cheaper one, and nearly always enough.
        self.claimed.load(Ordering::Relaxed) & bit == 0
            && self.claimed.fetch_or(bit, Ordering::AcqRel) & bit == 0
    }
}

const fn bit(coding: Coding) -> u8 {
    1 << coding as u8
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
    /// See [`Store::claim`](super::Store::claim).
    pub(super) fn take(object: &Arc<Object>, coding: Coding) -> Option<Self> {
        let free = object.with_recodings()?.claim(coding);
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
        if let Some(recodings) = self.object.recodings() {
            recodings.end(self.coding, Some(recoding));
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(recodings) = self.object.recodings() else {
            return;
        };
        if self.released {
            let others = !bit(self.coding);
            recodings.claimed.fetch_and(others, Ordering::Release);
        } else {
            recodings.end(self.coding, None);
        }
        recodings.ended.notify_waiters();
    }
}

impl Recoding {
    /// Makes one, copying fields and body into one block.
    pub(super) fn new(
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        charge: Charge,
    ) -> Self {
        Self {
            head: Head::new(status, headers, std::iter::once(body)),
            apart: None,
            charge,
        }
    }

    /// Its bytes.
    pub fn body(&self) -> Body<'_> {
        Body::of(&self.head, self.apart.as_deref())
    }

    /// What one with these fields and a body of `body_bytes` takes in all, in bytes.
    pub(super) fn cost_of(headers: &HeaderMap, body_bytes: usize) -> u64 {
        let fixed = size_of::<Self>() + ALLOCATION_BYTES;
        (fixed + head::lines_bytes(headers) + body_bytes) as u64
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;
    use crate::{
        policy::{
            Key,
            marks::Sequence,
            settle::{self, Times},
            tests::{NOW, ask, fields, rules},
        },
        store::{Found, Store, Unkept},
    };
    use bytes::Bytes;

    fn keep(store: &Store, key: u128, bytes: usize) -> Result<Arc<Object>, Unkept> {
        let headers = fields(&[
            ("cache-control", "max-age=60"),
            ("content-type", "text/plain"),
            ("etag", "\"1\""),
        ]);
        let times = Times {
            asked: NOW,
            received: NOW,
            born: Sequence::default(),
        };
        let meta = settle::meta(&ask("/a"), &rules(), StatusCode::OK, &headers, times).unwrap();
        let body = Bytes::from(vec![b'x'; bytes]);
        store.keep(Key(key), (meta, &headers), &[body], NOW)
    }

    fn find(object: &Object, coding: Coding) -> Recoded<'_> {
        object.recoded(coding)
    }

    #[test]
    fn a_coding_is_claimed_once_and_found_by_all() {
        let store = Store::new(1 << 20, 1 << 16);
        let object = keep(&store, 1, 2_000).unwrap();
        assert!(matches!(find(&object, Coding::Br), Recoded::NotYet));
        let claim = store.claim(Key(1), &object, Coding::Br).unwrap();
        assert!(store.claim(Key(1), &object, Coding::Br).is_none());
        assert!(store.recoded(Key(1), claim, b"coded"));
        let Recoded::Made(made) = find(&object, Coding::Br) else {
            panic!("not found")
        };
        assert_eq!(&*made.body(), b"coded");
        assert_eq!(made.head.get(&http::header::ETAG), Some(&b"W/\"1\""[..]));
        assert!(store.claim(Key(1), &object, Coding::Br).is_none());
        assert!(matches!(find(&object, Coding::Gzip), Recoded::NotYet));
    }

    #[test]
    fn a_claim_that_ends_without_a_coding_says_that_there_is_none() {
        let store = Store::new(1 << 20, 1 << 16);
        let object = keep(&store, 1, 2_000).unwrap();
        store.claim(Key(1), &object, Coding::Br).unwrap().release();
        assert!(matches!(find(&object, Coding::Br), Recoded::NotYet));
        drop(store.claim(Key(1), &object, Coding::Br).unwrap());
        assert!(matches!(find(&object, Coding::Br), Recoded::Never));
        assert!(store.claim(Key(1), &object, Coding::Br).is_none());
    }

    #[tokio::test]
    async fn who_waits_is_woken_however_a_claim_ends() {
        let store = Store::new(1 << 20, 1 << 16);
        let ends: [fn(&Store, Claim); 3] = [
            |store, claim| assert!(store.recoded(Key(1), claim, b"coded")),
            |_, claim| claim.release(),
            |_, claim| drop(claim),
        ];
        for end in ends {
            let object = keep(&store, 1, 2_000).unwrap();
            let claim = store.claim(Key(1), &object, Coding::Identity).unwrap();
            let waited = object.clone();
            let waiting = tokio::spawn(async move {
                let recodings = waited.recodings().unwrap();
                recodings.settled(Coding::Identity).await;
            });
            yield_now().await;
            assert!(!waiting.is_finished());
            end(&store, claim);
            waiting.await.unwrap();
        }
    }

    #[test]
    fn codings_count_and_make_room_like_any_object() {
        let memory = 1 << 20;
        let store = Store::new(memory, 1 << 16);
        let (mut kept, mut coded) = (0, 0);
        for key in 0..3_000 {
            if let Ok(object) = keep(&store, key, 2_000) {
                kept += 1;
                let claim = store.claim(Key(key), &object, Coding::Br).unwrap();
                coded += usize::from(store.recoded(Key(key), claim, &[0; 1_500]));
            }
            assert!(store.usage().bytes <= memory);
        }
        // The index knows what they weigh, and makes room for them all along; how soon what it
        // evicts is given back depends on who else runs.
        assert!(kept > 500 && coded > kept / 2, "{coded} of {kept}");
        let usage = store.usage();
        assert!(usage.keys < 300 && usage.evictions > 0, "{usage:?}");
    }

    #[test]
    fn what_is_forgotten_takes_its_codings_along() {
        let store = Store::new(1 << 20, 1 << 16);
        let object = keep(&store, 1, 2_000).unwrap();
        let before = store.usage().bytes;
        let claim = store.claim(Key(1), &object, Coding::Br).unwrap();
        assert!(store.recoded(Key(1), claim, &[0; 1_000]));
        assert!(store.usage().bytes > before + 1_000);
        store.forget(Key(1), &object);
        drop(object);
        assert_eq!(store.usage().bytes, 0);
    }

    #[test]
    fn a_refresh_moves_codings_under_the_new_head() {
        let store = Store::new(1 << 20, 1 << 16);
        let old = keep(&store, 1, 2_000).unwrap();
        let claim = store.claim(Key(1), &old, Coding::Br).unwrap();
        assert!(store.recoded(Key(1), claim, b"coded"));
        drop(store.claim(Key(1), &old, Coding::Gzip).unwrap());
        let mut headers = old.head.to_map();
        headers.insert("etag", "\"2\"".parse().unwrap());
        let head = (old.meta.clone(), &headers);
        let new = store.refresh(Key(1), &old, head, NOW).unwrap();
        let Recoded::Made(made) = find(&new, Coding::Br) else {
            panic!("not found")
        };
        assert_eq!(&*made.body(), b"coded");
        assert_eq!(made.head.get(&http::header::ETAG), Some(&b"W/\"2\""[..]));
        assert!(matches!(find(&new, Coding::Gzip), Recoded::Never));
        assert!(matches!(find(&new, Coding::Zstd), Recoded::NotYet));
        assert!(matches!(store.find(Key(1), |_| true), Found::Object(_)));
    }
}
