//! The rules of the ledger, one test for each.

use std::{sync::atomic::AtomicBool, thread};

use super::*;
use crate::policy::{
    marks,
    tests::{ask, fields, rules},
};

use Mode::{Hard, Soft};

fn marks_of(target: &str, tags: &str) -> Marks {
    Marks::of(&ask(target), &rules(), &fields(&[("cache-tag", tags)])).unwrap()
}

fn page(target: &str) -> Selector {
    let ask = ask(target);
    Selector::page("test", &rules().key, ask.path(), ask.query())
}

fn tag(tag: &str) -> Selector {
    Selector::tag("test", tag.as_bytes())
}

fn prefix(prefix: &str) -> Selector {
    Selector::prefix("test", prefix)
}

/// Sweeps a store in which nothing is.
fn sweep(ledger: &Ledger) {
    if let Some(horizon) = ledger.horizon() {
        ledger.forget(horizon);
    }
}

#[test]
fn what_was_asked_for_before_is_covered_and_what_after_is_not() {
    let ledger = Ledger::default();
    let born = ledger.head();
    let marks = marks_of("/a", "");
    assert_eq!(ledger.covers(&marks, born), None);
    let at = ledger.accept(Hard, [page("/a")]);
    assert_eq!(ledger.covers(&marks, born), Some(Hard));
    assert_eq!(ledger.head(), at);
    assert_eq!(ledger.covers(&marks, ledger.head()), None);
}

#[test]
fn only_what_a_selector_is_about_is_covered() {
    let target = Selector::Mark(marks::target(&ask("/a?q=1"), &rules()));
    let parameter = Selector::parameter("test", "*", b"q", b"1");
    for selector in [
        page("/a?q=1"),
        tag("t"),
        prefix("/a"),
        prefix(""),
        target,
        parameter,
    ] {
        let ledger = Ledger::default();
        ledger.accept(
            Hard,
            [page("/b"), tag("tt"), prefix("/ab"), selector.clone()],
        );
        let covered = |target, tags| ledger.covers(&marks_of(target, tags), Sequence(0));
        assert_eq!(covered("/a?q=1", "s, t"), Some(Hard), "{selector:?}");
        let everything = selector == prefix("");
        assert_eq!(covered("/c?q=2", "s").is_some(), everything, "{selector:?}");
    }
}

#[test]
fn hard_wins_over_soft() {
    let ledger = Ledger::default();
    let marks = marks_of("/a", "t");
    ledger.accept(Soft, [tag("t")]);
    assert_eq!(ledger.covers(&marks, Sequence(0)), Some(Soft));
    let hard = ledger.accept(Hard, [prefix("/")]);
    assert_eq!(ledger.covers(&marks, Sequence(0)), Some(Hard));
    ledger.accept(Soft, [page("/a")]);
    assert_eq!(ledger.covers(&marks, Sequence(0)), Some(Hard));
    assert_eq!(ledger.covers(&marks, hard), Some(Soft));
}

#[test]
fn the_latest_is_that_of_the_marks() {
    let ledger = Ledger::default();
    let latest = |target| ledger.latest(|| marks_of(target, ""));
    assert_eq!(latest("/a"), Sequence(0));
    let at = ledger.accept(Hard, [page("/a")]);
    ledger.accept(Soft, [page("/b")]);
    assert_eq!((latest("/a"), latest("/c")), (at, Sequence(0)));
    let all = ledger.accept(Soft, [prefix("/")]);
    assert_eq!((latest("/a"), latest("/c")), (all, all));
}

#[test]
fn what_may_answer_other_queries_is_covered_by_what_is_about_any() {
    let mut rules = rules();
    rules.no_vary_search = true;
    let headers = fields(&[("no-vary-search", "params")]);
    let marks = Marks::of(&ask("/a?q=1"), &rules, &headers).unwrap();
    let covered = |selector| {
        let ledger = Ledger::default();
        ledger.accept(Hard, [selector]);
        ledger.covers(&marks, Sequence(0)).is_some()
    };
    assert!(covered(page("/a?q=2")) && covered(prefix("/a?q=2")));
    assert!(covered(Selector::parameter("test", "*", b"q", b"2")));
    assert!(!covered(tag("t")) && !covered(prefix("/b")));
}

#[test]
fn a_full_ledger_covers_everything_older() {
    let ledger = Ledger::default();
    let born = ledger.head();
    let long = "x".repeat(2_000);
    for batch in 0..12 {
        let prefixes = (0..10_000).map(|number| prefix(&format!("/{batch}-{number}-{long}")));
        ledger.accept(Hard, prefixes);
    }
    let usage = ledger.usage();
    assert!(
        usage.raises > 0 && usage.bytes <= BYTES_MAX as u64,
        "{usage:?}"
    );
    assert_eq!(ledger.covers(&marks_of("/a", ""), born), Some(Hard));
    assert_eq!(ledger.covers(&marks_of("/a", ""), ledger.head()), None);
    assert_eq!(ledger.latest(|| marks_of("/a", "")), usage.floor);
}

#[test]
fn numbers_go_on_after_a_restart_and_nothing_from_before_is_current() {
    let ledger = Ledger::default();
    ledger.resume(Sequence(41));
    assert_eq!(ledger.covers(&marks_of("/a", ""), Sequence(40)), Some(Hard));
    assert_eq!(ledger.covers(&marks_of("/a", ""), ledger.head()), None);
    assert_eq!(ledger.accept(Soft, [tag("t")]), Sequence(42));
}

#[test]
fn a_sweep_lets_go_of_all_there_was() {
    let ledger = Ledger::default();
    assert_eq!(ledger.horizon(), None);
    ledger.accept(Hard, [page("/a"), tag("t"), prefix("/b")]);
    let head = ledger.accept(Soft, [prefix("/c")]);
    assert_eq!(ledger.usage().entries, 5);
    sweep(&ledger);
    let usage = ledger.usage();
    assert_eq!((usage.entries, usage.floor), (0, head));
    // Who was not looked at is covered, who was is not.
    assert_eq!(ledger.covers(&marks_of("/d", ""), Sequence(1)), Some(Hard));
    assert_eq!(ledger.covers(&marks_of("/d", ""), head), None);
    assert_eq!(ledger.horizon(), None);
}

#[test]
fn what_is_accepted_during_a_sweep_is_kept_for_the_next() {
    let ledger = Ledger::default();
    ledger.accept(Hard, [tag("t")]);
    let horizon = ledger.horizon().unwrap();
    ledger.accept(Soft, [tag("t")]);
    assert_eq!(ledger.covers(&marks_of("/a", "t"), Sequence(0)), Some(Hard));
    ledger.forget(horizon);
    assert_eq!(ledger.usage().entries, 1);
    assert_eq!(
        ledger.covers(&marks_of("/a", "t"), horizon.head),
        Some(Soft)
    );
    sweep(&ledger);
    assert_eq!(ledger.usage().entries, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_fetch_under_way_needs_is_kept_until_it_ends() {
    let ledger = Ledger::default();
    let (old, young) = (ledger.birth(), ledger.birth());
    ledger.accept(Hard, [tag("t")]);
    let after = ledger.birth();
    ledger.news().await;
    sweep(&ledger);
    assert_eq!(ledger.usage().entries, 1);
    assert_eq!(ledger.covers(&marks_of("/a", ""), old.born()), None);
    drop(young);
    drop(old);
    // Only the last of them rings.
    ledger.news().await;
    sweep(&ledger);
    assert_eq!(ledger.usage().entries, 0);
    assert_eq!(ledger.covers(&marks_of("/a", ""), after.born()), None);
}

#[tokio::test(start_paused = true)]
async fn what_came_while_a_fetch_kept_the_older_is_forgotten_after_it() {
    let ledger = Ledger::default();
    let old = ledger.birth();
    ledger.accept(Hard, [tag("t")]);
    sweep(&ledger);
    ledger.accept(Hard, [tag("u")]);
    sweep(&ledger);
    assert_eq!(ledger.usage().entries, 2);
    drop(old);
    for _ in 0..2 {
        ledger.news().await;
        sweep(&ledger);
    }
    assert_eq!(ledger.usage().entries, 0);
    assert_eq!(ledger.horizon(), None);
}

#[test]
fn an_accepted_invalidation_is_seen_by_whoever_asks_then() {
    let ledger = Ledger::default();
    let done = AtomicBool::new(false);
    let marks = marks_of("/a", "t");
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                sweep(&ledger);
            }
        });
        let noise = [tag("x"), page("/x"), prefix("/x")];
        for round in 0..2_000 {
            let born = ledger.birth();
            let mode = if round % 2 == 0 { Hard } else { Soft };
            ledger.accept(mode, noise.clone());
            ledger.accept(mode, [tag("t")]);
            assert_eq!(ledger.covers(&marks, born.born()), Some(mode), "{round}");
            ledger.accept(Hard, noise.clone());
        }
        done.store(true, Ordering::Relaxed);
    });
}
