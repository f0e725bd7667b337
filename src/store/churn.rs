//! What becomes of the room of a store in which much changes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{Found, Object, Store, UNKEPT_SHARE, Unkept};
use crate::{
    fields::encoding::Coding,
    policy::{
        Key, Meta,
        marks::Sequence,
        settle::{self, Times},
        tests::{NOW, ask, fields, rules},
    },
};

/// What all objects may take.
const ROOM: u64 = 1 << 20;

fn store() -> Store {
    let memory = ROOM * UNKEPT_SHARE / (UNKEPT_SHARE - 1);
    Store::new(memory, 1 << 16)
}

/// An answer that other codings may be made of; it varies by `X-A`, unless that is nothing.
fn head(variant: &str) -> (Meta, HeaderMap) {
    let mut ask = ask("/a");
    ask.headers = fields(&[("x-a", variant)]).into();
    let vary = if variant.is_empty() { "" } else { "X-A" };
    let named = [
        ("cache-control", "max-age=60"),
        ("content-type", "text/plain"),
        ("vary", vary),
    ];
    let headers = fields(&named);
    let times = Times {
        asked: NOW,
        received: NOW,
        born: Sequence::default(),
    };
    let meta = settle::meta(&ask, &rules(), StatusCode::OK, &headers, times).unwrap();
    (meta, headers)
}

fn keep(store: &Store, key: u128, variant: &str, bytes: usize) -> Result<Arc<Object>, Unkept> {
    let (meta, headers) = head(variant);
    let body = [Bytes::from(vec![b'x'; bytes])];
    store.keep(Key(key), (meta, &headers), &body, NOW)
}

fn find(store: &Store, key: u128) -> Option<Arc<Object>> {
    match store.find(Key(key), |_| true) {
        Found::Object(object) => Some(object),
        Found::Nothing | Found::OtherVariants => None,
    }
}

/// 5,000 changes to 400 keys, together more than there is room for.
fn churn(store: &Store, seed: u64) {
    let mut state = seed;
    let mut dice = |sides: u64| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 33) % sides
    };
    for _ in 0..5_000 {
        let key = u128::from(dice(400));
        match (dice(10), find(store, key)) {
            (0, Some(object)) => store.forget(Key(key), &object),
            (1, _) => store.remove(Key(key)),
            (2 | 3, Some(old)) => {
                let mut headers = old.head.to_map();
                let filler = "x".repeat(dice(1_000) as usize);
                headers.insert("x-filler", filler.parse().unwrap());
                let _ = store.refresh(Key(key), &old, (old.meta.clone(), &headers), NOW);
            }
            (4 | 5, Some(object)) => {
                if let Some(claim) = store.claim(Key(key), &object, Coding::Br) {
                    store.recoded(Key(key), claim, &vec![0; dice(4_000) as usize]);
                }
            }
            (6, _) => {
                let variant = dice(3).to_string();
                let _ = keep(store, key, &variant, dice(2_000) as usize);
            }
            _ => {
                let bytes = 1 << dice(15);
                let _ = keep(store, key, "", bytes);
            }
        }
    }
}

/// What the index believes, what there is, and what the budget counts come to the same, whatever is
/// done on one thread or on several.
fn the_index_knows_what_it_holds(threads: u64) {
    let store = store();
    for round in 0..5 {
        thread::scope(|scope| {
            for thread in 0..threads {
                let store = &store;
                scope.spawn(move || churn(store, round * threads + thread));
            }
        });
        let (believed, real) = store.0.memory.weights();
        assert_eq!(believed, real, "in round {round}");
    }
    assert!(store.usage().evictions > 0);
    let (_, real) = store.0.memory.weights();
    assert_eq!(store.usage().bytes, real);
}

#[test]
fn the_index_knows_what_it_holds_after_churn() {
    the_index_knows_what_it_holds(1);
}

#[test]
fn the_index_knows_what_it_holds_after_churn_by_many() {
    the_index_knows_what_it_holds(4);
}

/// A size that was not the entry's first was once given back for the one that it had taken,
/// and a little of the room was lost each time.
#[test]
fn what_changed_its_size_and_went_gives_back_what_it_took() {
    let store = store();
    for (before, after) in [(20_000, 5), (5, 20_000)] {
        keep(&store, 1, "", before).unwrap();
        let object = keep(&store, 1, "", after).unwrap();
        store.forget(Key(1), &object);
        assert_eq!(store.0.memory.weights(), (0, 0));
    }
}

/// As much is kept after many changes as before.
#[test]
fn the_fill_does_not_shrink_under_churn() {
    let store = store();
    let fill = |first: u128| {
        for key in first..first + 2_000 {
            let _ = keep(&store, key, "", 2_000);
        }
        store.0.memory.weights().1
    };
    let before = fill(1_000_000);
    for round in 0..2_000 {
        let key = round % 40;
        let _ = keep(&store, key, "", 20_000);
        if let Ok(small) = keep(&store, key, "", 5) {
            store.forget(Key(key), &small);
        }
    }
    let after = fill(2_000_000);
    assert!(before > ROOM * 9 / 10, "{before} of {ROOM}");
    assert!(after > ROOM * 9 / 10, "{after} of {ROOM}");
}

/// What is asked for stays, though there comes more that nobody asks for twice than there is
/// room for.
#[test]
fn a_scan_pushes_out_nothing_that_is_wanted() {
    let store = store();
    let wanted = 0..200;
    for key in wanted.clone() {
        keep(&store, key, "", 1_000).unwrap();
    }
    for scanned in 0..20_000 {
        find(&store, scanned % 200);
        keep(&store, 1_000 + scanned, "", 1_000).unwrap();
    }
    let left = wanted.filter(|&key| find(&store, key).is_some()).count();
    assert!(left > 190, "{left}");
    assert!(store.usage().evictions > 19_000);
}

/// What comes back soon after it went for want of room is wanted, too.
#[test]
fn what_comes_back_is_not_new() {
    let store = store();
    let scan = |first: u128| {
        for key in first..first + 5_000 {
            keep(&store, key, "", 1_000).unwrap();
        }
    };
    scan(1_000);
    let there = |key| find(&store, key).is_some();
    let gone: Vec<u128> = (1_000..6_000)
        .rev()
        .filter(|&key| !there(key))
        .take(100)
        .collect();
    for &key in &gone {
        keep(&store, key, "", 1_000).unwrap();
    }
    scan(100_000);
    let left = gone.iter().filter(|&&key| there(key)).count();
    assert!(left > 50, "{left}");
}

/// Whichever keys large answers have, there is room for all that are not more than there is.
#[test]
fn room_is_one_for_all_keys() {
    let store = Store::new(64 << 20, 8 << 20);
    for key in 0..30 {
        keep(&store, key, "", 7 << 20).unwrap();
    }
    let left = (0..30).filter(|&key| find(&store, key).is_some());
    assert_eq!(left.count(), 7);
}

#[test]
fn what_there_is_no_room_for_leaves_nothing_to_stand_in_its_place() {
    let store = store();
    keep(&store, 1, "", 5).unwrap();
    let large = keep(&store, 1, "", ROOM as usize + 1);
    assert_eq!(large.unwrap_err(), Unkept::NoRoom);
    assert!(find(&store, 1).is_none());
    assert_eq!(store.usage().bytes, 0);
}

/// Changes the other variant of key 1 over and over, beside `meanwhile`.
fn beside_changes(store: &Store, meanwhile: impl Fn()) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for bytes in 0..5_000 {
                keep(store, 1, "changing", bytes % 100).unwrap();
            }
            over.store(true, Ordering::Release);
        });
        while !over.load(Ordering::Acquire) {
            meanwhile();
        }
    });
}

/// A coding that came while a change was counted was counted for the entry and not for its part.
#[test]
fn a_coding_that_comes_amid_a_change_is_counted_once() {
    let store = store();
    beside_changes(&store, || {
        let object = keep(&store, 1, "recoded", 10).unwrap();
        for coding in Coding::ALL {
            if let Some(claim) = store.claim(Key(1), &object, coding) {
                store.recoded(Key(1), claim, b"coded");
            }
        }
    });
    let (believed, real) = store.0.memory.weights();
    assert_eq!(believed, real);
}

#[test]
fn a_change_beside_it_hides_no_variant_from_a_viewer() {
    let store = store();
    let lasting = keep(&store, 1, "lasting", 10).unwrap();
    beside_changes(&store, || {
        let found = store.find(Key(1), |object| std::ptr::eq(object, &*lasting));
        assert!(matches!(found, Found::Object(_)), "{found:?}");
    });
}

/// A sweep lets the ledger forget what it has judged everything by.
#[test]
fn a_change_beside_it_hides_no_variant_from_a_walk() {
    let store = store();
    let lasting = keep(&store, 1, "lasting", 10).unwrap();
    beside_changes(&store, || {
        let seen = store
            .objects()
            .any(|(_, object)| Arc::ptr_eq(&object, &lasting));
        assert!(seen);
    });
}
