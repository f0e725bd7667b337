//! Histories: what random viewers and a random origin make of the real edge.
//!
//! A history is drawn from a seed: concurrent viewers, slow or leaving, with and without
//! credentials; an origin that answers each request as chance has it; clock jumps, outages,
//! reloads, and a memory so small that there are evictions. All of it runs over pipes in
//! simulated time, and each thing that happens is judged at once by the rules in [`model`].
//!
//! [`invalidation`] has histories of its own, about what may be served after an invalidation.
//! [`seeds`] says how to play more of them, or one again.

mod dice;
mod facts;
mod invalidation;
mod model;
mod origin;
mod rules;
mod seeds;
mod talk;
mod viewer;
mod witness;
mod word;

use std::{sync::Arc, time::Duration};

use http::{Method, Version};
use tokio::{io::duplex, time::sleep};
use warmfront::{
    fields::{host::Host, section::Section, target::Target},
    policy::{Ask, Key, Scheme, partial},
    site::{Routed, Snapshot},
    store::Store,
    time::{Clock, Timestamp},
};

use crate::harness::{address, edge::Edge, idle::Idle, site};
use dice::{Dice, For};
use facts::Question;
use origin::Origin;
use talk::Manner;
use viewer::PATHS;
use witness::{Seen, Witness};

/// How many histories are played.
const SEEDS: u64 = 64;

/// The steps of a history.
const STEPS: usize = 120;

/// When every history begins: Sun, 22 Nov 2026 12:00:00 GMT.
const START: Timestamp = Timestamp::from_unix(1_795_348_800);

/// Longer than anything goes on by itself: four connections that do not open, an answer in
/// four pieces with pauses, and a viewer that reads 40 kB in pieces of 200 bytes.
const DRAIN: Duration = Duration::from_secs(1_000);

/// What must have happened in enough histories for them to prove anything.
const KINDS: &[&str] = &[
    "304s",
    "304s to viewers",
    "answers for a failing origin",
    "broken bodies",
    "collapsed answers",
    "completed parts",
    "errors of the edge",
    "evictions",
    "failed connections",
    "fresh hits",
    "other variants",
    "parts",
    "parts not completed",
    "parts of parts",
    "posts",
    "refreshed answers",
    "reloads",
    "stale hits",
    "viewers that left",
];

#[test]
fn no_history_breaks_a_rule() {
    seeds::all(SEEDS, KINDS, play);
}

/// Plays the history of a seed.
fn play(seed: u64) -> Seen {
    seeds::play(async |idle| {
        let mut history = History::begin(seed, idle);
        history.play().await;
        std::mem::take(&mut *history.witness.seen())
    })
}

/// One history.
struct History {
    seed: u64,
    idle: Idle,
    edge: Edge,
    origin: Origin,
    witness: Witness,
    rules: rules::Rules,
}

impl History {
    fn begin(seed: u64, idle: Idle) -> Self {
        let clock = Clock::simulated(START);
        let witness = Witness::new(clock);
        let origin = Origin::new(seed, START, witness.clone());
        let rules = rules::ALL[0];
        let config = site::toml(&rules.config()).unwrap();
        let store = Store::new(rules::MEMORY_BYTES, rules::OBJECT_BYTES_MAX);
        let edge = Edge::with_store(store, &config, Arc::new(origin.clone()), clock).unwrap();
        Self {
            seed,
            idle,
            edge,
            origin,
            witness,
            rules,
        }
    }

    /// Plays until a rule is broken, or to the end.
    async fn play(&mut self) {
        for number in 0..STEPS {
            self.step(&mut Dice::of(self.seed, For::Step, number)).await;
            self.idle.settled().await;
            self.look();
            if self.witness.seen().wrong.is_some() {
                return;
            }
        }
        sleep(DRAIN).await;
        self.idle.settled().await;
        self.look();
        self.at_rest();
    }

    async fn step(&mut self, dice: &mut Dice) {
        match dice.below(100) {
            0..50 => self.viewers(dice),
            50..85 => {
                let span = match dice.below(100) {
                    0..40 => dice.between(1, 900),
                    40..75 => dice.between(900, 5_000),
                    75..96 => dice.between(5_000, 30_000),
                    _ => dice.between(100_000, 4_000_000),
                };
                self.witness.note(&format!("-- {span} ms"));
                sleep(Duration::from_millis(span)).await;
            }
            85..95 => {
                let until = self.witness.now() + dice.between(500, 15_000);
                self.origin.away_until(until);
                self.witness
                    .note(&format!("-- the origin is away until {until} ms"));
            }
            _ => {
                self.rules = dice.one(rules::ALL);
                self.edge
                    .reload(&site::toml(&self.rules.config()).unwrap())
                    .unwrap();
                self.witness.note(&format!("-- {:?}", self.rules));
                self.witness.seen().tally("reloads");
            }
        }
    }

    /// Some viewers ask for one path at once.
    fn viewers(&self, dice: &mut Dice) {
        let path = dice.one(PATHS);
        for _ in 0..dice.one(&[1, 1, 1, 2, 3, 6]) {
            let number = self.witness.seen().model.questions.len();
            let mut dice = Dice::of(self.seed, For::Viewer, number);
            let known = self.origin.good(path).map_or(0, |good| good + 1);
            let question = Question::drawn(path, self.rules, known, &mut dice);
            let manner = Manner::drawn(&mut dice);
            if question.method == "POST" {
                self.witness.seen().tally("posts");
            }
            let number = self.witness.asks(question.clone(), &manner.to_string());
            let (near, far) = duplex(manner.pipe_bytes());
            self.edge
                .serve(near, address(number as u32 % 200), Scheme::Http);
            tokio::spawn(viewer::ask(
                far,
                (number, question),
                manner,
                self.witness.clone(),
            ));
        }
    }

    /// What holds at every moment.
    fn look(&self) {
        let store = &self.edge.inner().store;
        let bytes = store.usage().bytes;
        let said = format!("the store holds {bytes} bytes");
        self.witness.demand(bytes <= rules::MEMORY_BYTES, &said);
    }

    /// What holds when nobody asks for anything.
    fn at_rest(&self) {
        let edge = self.edge.inner();
        let usage = edge.store.usage();
        let open = edge.flights.len();
        self.witness
            .demand(open == 0, &format!("{open} flights are still open"));
        self.forget_all();
        let bytes = edge.store.usage().bytes;
        let said = format!("{bytes} bytes are taken, and nothing is stored");
        self.witness.demand(bytes == 0, &said);
        let mut seen = self.witness.seen();
        let questions = seen.model.questions.iter();
        let waiting = questions.filter(|question| !question.over).count();
        let fetching = seen
            .model
            .fetches
            .iter()
            .filter(|fetch| fetch.ended.is_none())
            .count();
        for _ in 0..usage.evictions {
            seen.tally("evictions");
        }
        drop(seen);
        let said = format!("{waiting} viewers still wait, {fetching} fetches are open");
        self.witness.demand(waiting + fetching == 0, &said);
    }
    /// Ends all that is stored.
    fn forget_all(&self) {
        let edge = self.edge.inner();
        let snapshot = edge.site.load().snapshot.clone();
        let keys: Vec<_> = PATHS
            .iter()
            .flat_map(|path| keys(&snapshot, path))
            .collect();
        for key in keys {
            edge.store.remove(key);
        }
    }
}

/// The keys of what is stored for `path`: the whole, and a part.
fn keys(snapshot: &Arc<Snapshot>, path: &str) -> [Key; 2] {
    let (host, _) = Host::parse_authority(b"example.test").unwrap();
    let Routed::To(route) = snapshot.route(&host, path) else {
        panic!("no behaviour for {path}");
    };
    let ask = Ask {
        method: Method::GET,
        scheme: Scheme::Http,
        host,
        target: Target::parse(path).unwrap(),
        rewritten: None,
        headers: Section::default(),
        has_body: false,
        version: Version::HTTP_11,
        viewer: address(1),
        peer: std::net::IpAddr::from([192, 0, 2, 1]),
        at: START,
    };
    let rules = &route.behaviour().rules;
    [rules.key.key(&ask), partial::key(&ask, rules)]
}
