//! Histories of invalidations: what the real edge serves after them.
//!
//! Viewers ask for pages close to each other; the origin is slow, confirms some of what it
//! answered before, sends parts, and fails now and then; in between somebody invalidates pages, prefixes,
//! tags, parameters or everything, softly or hard, by the same calls as the admin API or
//! straight in the ledger. Some histories have room for half a dozen answers, some never
//! sweep, some restart. [`model`] has the rules that each thing that happens is judged by:
//!
//! - no answer to who asks after a call stems from what the origin was asked for before it, as
//!   far as the call is about it, except that a soft call lets what was stored serve, stale,
//!   while it is confirmed;
//! - nobody waits for what was asked for before a call that names its page;
//! - what is gone is no validator;
//! - what no call is about goes on serving;
//! - every call has a higher number than those before;
//! - in the end the memory of all that is gone comes back, and the ledger forgets why.

mod call;
mod facts;
mod model;
mod origin;
mod pages;
mod viewer;
mod witness;

use std::{mem, sync::Arc, time::Duration};

use http::HeaderName;
use tokio::{io::duplex, task::yield_now, time::sleep};
use warmfront::{
    invalidate::{Caller, Invalidations, Parts},
    policy::{Scheme, marks::Sequence},
    store::Store,
    time::Clock,
};

use super::{
    START,
    dice::{Dice, For},
    seeds,
    talk::Manner,
    witness::{FETCH, Seen},
};
use crate::harness::{address, edge::Edge, idle::Idle, site};
use call::Call;
use facts::Question;
use model::Model;
use origin::Origin;
use pages::{CONFIG, PAGES, Page};
use witness::Witness;

/// How many histories are played.
const SEEDS: u64 = 500;

/// The steps of a history.
const STEPS: usize = 30;

/// How many pages a history is about.
const PAGES_MAX: u64 = 5;

/// A store that all of a history fits in, and one for half a dozen answers, in bytes.
const ROOMY_BYTES: u64 = 4 << 20;
const NARROW_BYTES: u64 = 10 << 10;

/// The largest body that is kept, in bytes; every one is.
const OBJECT_BYTES_MAX: u64 = 4 << 10;

/// Longer than anything goes on by itself: a fetch, a second one behind it, and a viewer that
/// reads 1,500 bytes in pieces of 200.
const DRAIN: Duration = Duration::from_secs(120);

/// Longer than a sweep waits and takes.
const SWEPT: Duration = Duration::from_secs(3);

/// What must have happened in enough histories for them to prove anything.
const KINDS: &[&str] = &[
    "304s",
    "answers for a failing origin",
    "calls amid others",
    "collapsed answers",
    "compressed hits",
    "everything",
    "evictions",
    "hard",
    "pages",
    "parameters",
    "parts",
    "parts made whole",
    "prefixes",
    "restarts",
    "soft",
    "softly invalidated hits",
    "spared hits",
    "stale hits",
    "stored errors",
    "tags",
    "tags in any case",
];

#[test]
fn nothing_is_served_that_was_invalidated() {
    seeds::all(SEEDS, KINDS, play);
}

/// Plays the history of a seed.
fn play(seed: u64) -> Seen<Model> {
    seeds::play(async |idle| {
        let mut history = History::begin(seed, idle);
        history.play().await;
        mem::take(&mut *history.witness.seen())
    })
}

/// One history.
struct History {
    seed: u64,
    idle: Idle,
    clock: Clock,
    origin: Origin,
    witness: Witness,
    setting: Setting,
    /// One edge after the other. Those before the last have their own viewers to the end.
    lives: Vec<Life>,
}

/// What a history keeps to.
struct Setting {
    pages: Vec<&'static Page>,
    memory: u64,
    /// Whether there are sweeps, or none until the end.
    swept: bool,
    /// Whether calls go the way of the admin API, or straight to the ledger.
    through_orders: bool,
}

/// An edge from one start to the next.
struct Life {
    edge: Edge,
    invalidations: Invalidations,
    /// Where it is yet to go on numbering from.
    resumes: Option<Sequence>,
}

impl History {
    fn begin(seed: u64, idle: Idle) -> Self {
        let clock = Clock::simulated(START);
        let witness = Witness::new(clock);
        let origin = Origin::new(seed, START, witness.clone());
        let setting = Setting::drawn(&mut Dice::of(seed, For::Setting, 0));
        witness.seen().model.roomy = setting.memory == ROOMY_BYTES;
        let lives = vec![Life::begin(&setting, &origin, clock)];
        Self {
            seed,
            idle,
            clock,
            origin,
            witness,
            setting,
            lives,
        }
    }

    /// The edge that answers now.
    fn life(&mut self) -> &mut Life {
        self.lives.last_mut().expect("it begins with one")
    }

    /// Plays until a rule is broken, or to the end.
    async fn play(&mut self) {
        for number in 0..STEPS {
            self.step(&mut Dice::of(self.seed, For::Step, number)).await;
            self.idle.settled().await;
            self.witness.settled();
            if self.witness.seen().wrong.is_some() {
                return;
            }
        }
        sleep(DRAIN).await;
        self.idle.settled().await;
        self.resume();
        self.at_rest().await;
    }

    async fn step(&mut self, dice: &mut Dice) {
        match dice.below(100) {
            0..38 => self.viewers(dice),
            38..70 => {
                let span = match dice.below(100) {
                    0..40 => dice.between(1, 900),
                    40..90 => dice.between(900, 5_000),
                    _ => dice.between(5_000, 20_000),
                };
                self.witness.note(&format!("-- {span} ms"));
                sleep(Duration::from_millis(span)).await;
            }
            70..85 => self.call(dice).await,
            85..97 => {
                self.viewers(dice);
                self.witness.seen().tally("calls amid others");
                for _ in 0..dice.below(30) {
                    yield_now().await;
                }
                self.call(dice).await;
                self.viewers(dice);
            }
            _ => self.restart(dice),
        }
    }

    /// Some viewers ask for one page at once.
    fn viewers(&mut self, dice: &mut Dice) {
        let page = dice.one(&self.setting.pages);
        for _ in 0..dice.one(&[1, 1, 2, 3, 4]) {
            let number = self.witness.seen().model.questions.len();
            let mut dice = Dice::of(self.seed, For::Viewer, number);
            let question = Question::drawn(page, &mut dice);
            let manner = Manner::drawn(&mut dice);
            let number = self.witness.asks(question.clone(), &manner.to_string());
            let (near, far) = duplex(manner.pipe_bytes());
            let viewer = address(number as u32 % 200);
            self.life().edge.serve(near, viewer, Scheme::Http);
            let asked = (number, question);
            tokio::spawn(viewer::ask(far, asked, manner, self.witness.clone()));
        }
    }

    /// Somebody invalidates something.
    async fn call(&mut self, dice: &mut Dice) {
        self.resume();
        let call = Call::drawn(&self.setting.pages, dice);
        let number = self.witness.calls(call.clone());
        let sequence = match self.setting.through_orders {
            true => self.life().order(&call).await,
            false => self.life().accept(&call),
        };
        self.witness.called(number, sequence);
    }

    /// Another edge takes over: it has nothing stored, and goes on numbering, at once or when
    /// it has found out how far its predecessor was.
    fn restart(&mut self, dice: &mut Dice) {
        self.resume();
        let head = self.life().edge.inner().ledger.head();
        let mut life = Life::begin(&self.setting, &self.origin, self.clock);
        life.resumes = Some(head);
        self.lives.push(life);
        self.witness.restarts();
        if dice.percent(70) {
            self.resume();
        }
    }

    /// What was asked for before an edge knows where to go on from is covered.
    fn resume(&mut self) {
        let ledger = self.life().edge.inner().ledger.clone();
        let resumes = self.life().resumes.take();
        // Where nothing was ever invalidated there is nothing to go on from.
        if let Some(head) = resumes.filter(|&head| head > ledger.head()) {
            let number = self.witness.calls(Call::of_everything());
            ledger.resume(head);
            self.witness.resumed(number);
        }
    }

    /// What holds when nobody asks for anything.
    async fn at_rest(&self) {
        if !self.setting.swept {
            self.lives.iter().for_each(|life| life.edge.sweep());
        }
        sleep(SWEPT).await;
        self.idle.settled().await;
        for life in &self.lives {
            self.look(life);
            life.accept(&Call::of_everything());
        }
        if self.witness.seen().wrong.is_some() {
            return;
        }
        sleep(SWEPT).await;
        self.idle.settled().await;
        for life in &self.lives {
            let bytes = life.taken();
            let said = format!("{bytes} bytes are taken, and nothing is stored");
            self.witness.demand(bytes == 0, &said);
        }
        let (waiting, open) = self.witness.seen().model.open();
        let said = format!("{waiting} viewers still wait, {open} fetches are open");
        self.witness.demand(waiting + open == 0, &said);
    }

    /// What holds of an edge that was swept since the last call.
    fn look(&self, life: &Life) {
        let edge = life.edge.inner();
        let open = edge.flights.len();
        let said = format!("{open} flights are still open");
        self.witness.demand(open == 0, &said);
        let notes = edge.ledger.usage().entries;
        let said = format!("the ledger still has {notes} notes");
        self.witness.demand(notes == 0, &said);
        for (_, object) in edge.store.objects() {
            let from = object.head.get(&HeaderName::from_static(FETCH));
            let from = from.and_then(|from| str::from_utf8(from).ok()?.parse().ok());
            let gone = from.is_none_or(|from| self.witness.seen().model.is_gone(from));
            let said = format!("f{from:?} is still stored");
            self.witness.demand(!gone, &said);
        }
        let mut seen = self.witness.seen();
        for _ in 0..edge.store.usage().evictions {
            seen.tally("evictions");
        }
    }
}

impl Setting {
    fn drawn(dice: &mut Dice) -> Self {
        let all: Vec<_> = PAGES.iter().collect();
        let pages = dice.between(1, PAGES_MAX);
        Self {
            pages: (0..pages).map(|_| dice.one(&all)).collect(),
            memory: match dice.below(100) {
                0..70 => ROOMY_BYTES,
                _ => NARROW_BYTES,
            },
            swept: dice.percent(85),
            through_orders: dice.percent(50),
        }
    }
}

impl Life {
    fn begin(setting: &Setting, origin: &Origin, clock: Clock) -> Self {
        let config = site::toml(&CONFIG.parse().expect("it is TOML")).unwrap();
        let store = Store::new(setting.memory, OBJECT_BYTES_MAX);
        let edge = Edge::with_store(store, &config, Arc::new(origin.clone()), clock).unwrap();
        if setting.swept {
            edge.sweep();
        }
        let inner = edge.inner();
        let parts = Parts {
            ledger: inner.ledger.clone(),
            store: inner.store.clone(),
            clock,
            events: inner.events.clone(),
        };
        let invalidations = Invalidations::open(parts, None).unwrap();
        invalidations.follow(&inner.site.load().snapshot);
        Self {
            edge,
            invalidations,
            resumes: None,
        }
    }

    /// Makes a call as the admin API does.
    async fn order(&self, call: &Call) -> u64 {
        let site = self.edge.inner().site.load().snapshot.clone();
        let by = Caller("somebody".to_owned());
        let made = self.invalidations.submit(&site, call.order(), &by).await;
        made.unwrap().sequence
    }

    /// Makes a call straight in the ledger.
    fn accept(&self, call: &Call) -> u64 {
        let edge = self.edge.inner();
        let site = edge.site.load().snapshot.clone();
        let selectors = call.selectors(&site.distributions[0]);
        edge.ledger.accept(call.mode, selectors).0
    }

    /// The bytes that are taken.
    fn taken(&self) -> u64 {
        self.edge.inner().store.usage().bytes
    }
}
