//! What the ledger takes, as the allocator counts it, and what it keeps up with.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use allocation_counter::measure;
use warmfront::{
    ledger::Ledger,
    policy::{
        marks::{Kind, Mark, Mode},
        selector::Selector,
    },
};

/// What an entry may take on average, in bytes; tables and trees included.
const ENTRY_BYTES_MAX: u64 = 200;

/// Enough for tables to be large, on both sides of a doubling.
const COUNTS: [u64; 3] = [60_000, 100_000, 120_000];

/// What `selector` of each number up to `count` takes, in bytes each.
fn bytes_each(count: u64, selector: impl Fn(u64) -> Selector) -> u64 {
    let mut ledger = None;
    let taken = measure(|| {
        let new = Ledger::default();
        for number in 0..count {
            new.accept(Mode::Hard, [selector(number)]);
        }
        ledger = Some(new);
    });
    let bytes = taken.bytes_current as u64;
    let usage = ledger.map(|ledger| ledger.usage()).unwrap_or_default();
    assert_eq!(usage.raises, 0, "{usage:?}");
    assert!(
        usage.bytes * 2 >= bytes && usage.bytes <= bytes * 2,
        "it says {usage:?}, and takes {bytes}"
    );
    bytes / count
}

#[test]
fn an_entry_takes_at_most_two_hundred_bytes() {
    for count in COUNTS {
        let tag = bytes_each(count, |number| {
            Selector::tag("clinic", format!("practice:{number}").as_bytes())
        });
        let folders = bytes_each(count, |number| {
            Selector::prefix("clinic", &format!("/practices/{number}/providers/"))
        });
        // Spread like hashes, with little in common.
        let scattered = bytes_each(count, |number| {
            let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            Selector::prefix("clinic", &format!("/media/{spread:016x}/{number:08x}/"))
        });
        println!("{count}: a tag {tag}, a folder {folders}, a scattered prefix {scattered} bytes");
        assert!(tag.max(folders).max(scattered) <= ENTRY_BYTES_MAX);
    }
}

#[test]
fn a_prefix_frees_what_it_makes_redundant() {
    let ledger = Ledger::default();
    let taken = measure(|| {
        for number in 0..10_000 {
            ledger.accept(
                Mode::Hard,
                [Selector::prefix("clinic", &format!("/a/{number}/"))],
            );
        }
        ledger.accept(Mode::Hard, [Selector::prefix("clinic", "/a")]);
    });
    assert!(taken.bytes_current < 1_000, "{taken:?}");
    assert_eq!(ledger.usage().entries, 1);
}

#[test]
fn what_was_accepted_is_covered_while_sweeps_turn_the_pages() {
    let ledger = Ledger::default();
    let ended = AtomicBool::new(false);
    let mark = |number: u128| Selector::Mark(Mark::new(Kind::Tag, number << 64));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                if let Some(horizon) = ledger.horizon() {
                    ledger.forget(horizon);
                }
            }
        });
        let mut last = ledger.head();
        for number in 0..50_000 {
            let next = ledger.accept(Mode::Hard, [mark(number)]);
            assert!(next > last);
            last = next;
        }
        ended.store(true, Ordering::Relaxed);
    });
    if let Some(horizon) = ledger.horizon() {
        ledger.forget(horizon);
    }
    assert_eq!((ledger.usage().entries, ledger.usage().raises), (0, 0));
}
