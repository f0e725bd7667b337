//! Playing histories: many seeds, or one again.
//!
//! `WARMFRONT_SEEDS=n` plays the first n seeds instead of the usual number; a night of them is
//! `WARMFRONT_SEEDS=1000000 cargo test --release --test it history:: -- --nocapture`.
//! `WARMFRONT_SEED=s` plays one and prints all that happened (with `--nocapture`). The same
//! seed draws the same viewers, answers and times; only what the store evicts is up to hash
//! values that differ between runs, so one is played again until it breaks a rule.

use std::{
    collections::BTreeMap,
    env, iter,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
};

use super::witness::Seen;
use crate::harness::{
    idle::{self, Idle},
    panics,
};

/// How often a history is replayed until it breaks a rule.
const REPLAYS_MAX: usize = 100;

/// How much of a failing history is told, in lines.
const TOLD_LINES: usize = 60;

/// How many seeds may break a rule before no more are played.
const BROKEN_MAX: usize = 40;

/// Plays the usual number of `seeds`, or what the environment says; panics when one breaks a
/// rule, or when something of `kinds` never happened, without which they prove too little.
pub(super) fn all<M>(seeds: u64, kinds: &[&str], play: impl Fn(u64) -> Seen<M> + Sync) {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("WARMFRONT_SEED") {
        return again(seed, play);
    }
    let seeds = number("WARMFRONT_SEEDS").unwrap_or(seeds);
    let Played { happened, wrong } = played(seeds, &play);
    let story = wrong.first_key_value().map(|(seed, (_, lines))| {
        let told = lines.len().saturating_sub(TOLD_LINES);
        format!("\nthe end of seed {seed}:\n{}", lines[told..].join("\n"))
    });
    let story = story.unwrap_or_default();
    let named: Vec<_> = wrong
        .iter()
        .map(|(seed, (rule, _))| format!("WARMFRONT_SEED={seed}  {rule}"))
        .collect();
    let (count, named) = (wrong.len(), named.join("\n"));
    assert!(wrong.is_empty(), "{count} broke a rule:\n{named}{story}");
    let missing: Vec<_> = kinds
        .iter()
        .filter(|kind| !happened.contains_key(**kind))
        .collect();
    assert!(
        missing.is_empty(),
        "never happened: {missing:?}\n{happened:#?}"
    );
}

/// Plays one seed until it breaks a rule, and tells all of it.
#[expect(clippy::print_stdout, reason = "who plays one seed wants to read it")]
fn again<M>(seed: u64, play: impl Fn(u64) -> Seen<M>) {
    let plays = iter::repeat_with(|| play(seed)).take(REPLAYS_MAX);
    let seen = plays.reduce(|before, seen| if before.wrong.is_some() { before } else { seen });
    let seen = seen.expect("it is played at least once");
    println!("{}\n{:#?}", seen.lines.join("\n"), seen.tally);
    assert_eq!(seen.wrong, None, "seed {seed}");
}

/// What came of all seeds.
#[derive(Default)]
struct Played {
    /// How often what happened.
    happened: BTreeMap<&'static str, usize>,
    /// The seeds that broke a rule: which, and what happened until then.
    wrong: BTreeMap<u64, (String, Vec<String>)>,
}

/// Plays every seed, some on each core.
fn played<M>(seeds: u64, play: &(impl Fn(u64) -> Seen<M> + Sync)) -> Played {
    let (next, broken) = (AtomicU64::new(0), AtomicUsize::new(0));
    let some = || {
        let mut played = Played::default();
        let draw = || {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            (seed < seeds && broken.load(Ordering::Relaxed) < BROKEN_MAX).then_some(seed)
        };
        for seed in iter::from_fn(draw) {
            let seen = play(seed);
            for (kind, times) in seen.tally {
                *played.happened.entry(kind).or_default() += times;
            }
            if let Some(rule) = seen.wrong {
                broken.fetch_add(1, Ordering::Relaxed);
                played.wrong.insert(seed, (rule, seen.lines));
            }
        }
        played
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(some)).collect();
        let all = threads.into_iter().map(|thread| thread.join().unwrap());
        all.fold(Played::default(), |mut all, some| {
            for (kind, times) in some.happened {
                *all.happened.entry(kind).or_default() += times;
            }
            all.wrong.extend(some.wrong);
            all
        })
    })
}

/// Plays `history` in a runtime of its own; what was seen, panics included.
pub(super) fn play<M>(history: impl AsyncFnOnce(Idle) -> Seen<M>) -> Seen<M> {
    panics::forget();
    let (runtime, idle) = idle::runtime();
    let mut seen = runtime.block_on(history(idle));
    drop(runtime);
    if let Some(panic) = panics::seen() {
        seen.lines.push(format!("!! {panic}"));
        seen.wrong = Some(format!("something panicked: {panic}"));
    }
    seen
}
