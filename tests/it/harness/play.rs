//! Playing a script: its steps, one after the other, against an edge.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{io::duplex, sync::Notify, time};
use warmfront::{
    policy::Scheme,
    time::{Clock, Timestamp},
};

use super::{
    address, date,
    edge::Edge,
    idle::{self, Idle},
    line::{Field, duration},
    origin::{Origin, PIPE_BYTES},
    panics,
    script::{Act, Expected, OriginAct, Reply, Script, Step, ViewerAct},
    site,
    viewer::{Miss, Viewer},
};

/// When every script begins: Sun, 22 Nov 2026 12:00:00 GMT.
const START: Timestamp = Timestamp::from_unix(1_795_348_800);

/// Why a script does not hold.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The line that failed; the title's when something was left over.
    pub(crate) line: usize,
    /// What was wanted and what was seen.
    pub(crate) said: String,
}

/// Plays a script on a runtime of its own; with what is plain beneath the HTTP library, or all
/// of it through that.
pub(crate) fn play(script: &Script, express: bool) -> Result<(), Failure> {
    panics::forget();
    let (runtime, idle) = idle::runtime();
    let mut played = runtime.block_on(World::play(script, idle, express));
    drop(runtime);
    if let Some(panic) = panics::seen() {
        let failure = played.err().unwrap_or(Failure {
            line: script.line,
            said: String::new(),
        });
        let said = format!("something panicked: {panic}\n{}", failure.said);
        played = Err(Failure {
            line: failure.line,
            said,
        });
    }
    played
}

/// Everything a script acts on.
struct World {
    clock: Clock,
    idle: Idle,
    bell: Arc<Notify>,
    origin: Origin,
    edge: Edge,
    viewers: BTreeMap<u32, Viewer>,
    express: bool,
}

impl World {
    async fn play(script: &Script, idle: Idle, express: bool) -> Result<(), Failure> {
        // The first configuration is there from the start.
        let (config, steps) = match script.steps.split_first() {
            Some((
                Step {
                    act: Act::Config(config),
                    ..
                },
                steps,
            )) => (config.clone(), steps),
            _ => (toml::Table::new(), &script.steps[..]),
        };
        let mut world = Self::new(&config, idle, express).map_err(|said| Failure {
            line: script.steps[0].line,
            said,
        })?;
        for (at, step) in steps.iter().enumerate() {
            // The lines of a range happen at once.
            let settles = steps.get(at + 1).is_none_or(|next| next.line != step.line);
            world.step(step).await.map_err(|said| Failure {
                line: step.line,
                said,
            })?;
            if settles {
                world.idle.settled().await;
            }
        }
        world.leftover().map_or(Ok(()), |said| {
            Err(Failure {
                line: script.line,
                said,
            })
        })
    }

    fn new(config: &toml::Table, idle: Idle, express: bool) -> Result<Self, String> {
        let clock = Clock::simulated(START);
        let bell = Arc::new(Notify::new());
        let origin = Origin::new(clock, bell.clone());
        let text = site::toml(&switched(config, express))?;
        let edge = Edge::open(&text, Arc::new(origin.clone()), clock)?;
        edge.sweep();
        Ok(Self {
            clock,
            idle,
            bell,
            origin,
            edge,
            viewers: BTreeMap::new(),
            express,
        })
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match &step.act {
            Act::Config(config) => {
                let config = switched(config, self.express);
                self.edge.reload(&site::toml(&config)?)
            }
            Act::Wait(span) => {
                time::sleep(*span).await;
                Ok(())
            }
            Act::Viewer(act) => self.viewer(step.lane, act),
            Act::Invalidate(act) => self.edge.invalidate(act),
            Act::Origin(act) => {
                let fields = match act {
                    OriginAct::Asked(asked) => self.dated(&asked.fields)?,
                    OriginAct::Reply(Reply::Interim(answer) | Reply::Answer(answer)) => {
                        self.dated(&answer.fields)?
                    }
                    OriginAct::Reply(Reply::Trailers(fields)) => self.dated(fields)?,
                    _ => Vec::new(),
                };
                self.origin.act(step.lane, act, &fields)
            }
            Act::Expect(expected) => self.expect(step.lane, expected).await,
        }
    }

    fn viewer(&mut self, lane: u32, act: &ViewerAct) -> Result<(), String> {
        let nobody = || format!("viewer#{lane} has no connection");
        match act {
            ViewerAct::Ask(request) => {
                let fields = self.dated(&request.fields)?;
                self.connected(lane, request.scheme).ask(request, &fields);
            }
            ViewerAct::Raw(bytes) => self.connected(lane, Scheme::Http).raw(bytes.clone()),
            ViewerAct::More(body) => self.viewers.get(&lane).ok_or_else(nobody)?.more(body),
            ViewerAct::Leave => self.viewers.remove(&lane).ok_or_else(nobody)?.leave(),
            ViewerAct::Pause => self.viewers.get(&lane).ok_or_else(nobody)?.pause(),
            ViewerAct::Resume => self.viewers.get(&lane).ok_or_else(nobody)?.resume(),
        }
        Ok(())
    }

    /// The viewer with its connection, a new one if the edge closed the last.
    fn connected(&mut self, lane: u32, scheme: Scheme) -> &mut Viewer {
        if self.viewers.get(&lane).is_none_or(Viewer::is_done) {
            let (near, far) = duplex(PIPE_BYTES);
            self.edge.serve(near, address(lane), scheme);
            self.viewers
                .insert(lane, Viewer::new(far, self.bell.clone()));
        }
        self.viewers
            .get_mut(&lane)
            .expect("it was there or put there")
    }

    /// Looks for what is expected; while the origin stalls, time passes.
    async fn expect(&self, lane: u32, expected: &Expected) -> Result<(), String> {
        let fields = match expected {
            Expected::Response(answer) => &answer.fields[..],
            Expected::Trailers(fields) => fields,
            _ => &[],
        };
        let viewer = self
            .viewers
            .get(&lane)
            .ok_or_else(|| format!("viewer#{lane} has asked nothing"))?;
        loop {
            self.idle.settled().await;
            match viewer.expect(expected, &self.dated(fields)?) {
                Ok(()) => return Ok(()),
                Err(Miss::Early(_)) if self.origin.stalled() > 0 => self.bell.notified().await,
                Err(Miss::Wrong(said)) => return Err(said),
                Err(Miss::Early(said)) => return Err(self.explain(said)),
            }
        }
    }

    /// Why nothing came, as far as the origin's side tells.
    fn explain(&self, said: String) -> String {
        match self.origin.waiting().first() {
            None => said,
            Some(request) => {
                format!("{said}\na request that nobody scripted waits at the origin:\n{request}")
            }
        }
    }

    fn leftover(&self) -> Option<String> {
        let unseen = |(lane, viewer): (&u32, &Viewer)| {
            viewer
                .leftover()
                .map(|said| format!("viewer#{lane}: {said}"))
        };
        self.origin
            .leftover()
            .or_else(|| self.viewers.iter().find_map(unseen))
    }

    /// Fields with `date`, `date+60s` and `date-1h` as the dates they stand for.
    fn dated(&self, fields: &[Field]) -> Result<Vec<Field>, String> {
        let now = self.clock.now();
        let dated = |field: &Field| match field {
            Field::Is(name, value) => match moment(value, now)? {
                Some(moment) => Ok(Field::Is(name.clone(), date(moment))),
                None => Ok(field.clone()),
            },
            Field::Not(_) => Ok(field.clone()),
        };
        fields.iter().map(dated).collect()
    }
}

/// `config`, with what is plain beneath the HTTP library or not, unless it says so itself.
fn switched(config: &toml::Table, express: bool) -> toml::Table {
    let mut config = config.clone();
    let server = config
        .entry("server")
        .or_insert_with(|| toml::Value::Table(toml::Table::new()));
    if let toml::Value::Table(server) = server {
        server
            .entry("express")
            .or_insert(toml::Value::Boolean(express));
    }
    config
}

/// The moment that `date+60s` stands for; `None` when `text` is no such form.
fn moment(text: &str, now: Timestamp) -> Result<Option<Timestamp>, String> {
    let Some(span) = text.strip_prefix("date") else {
        return Ok(None);
    };
    if let Some(later) = span.strip_prefix('+') {
        return Ok(Some(now.after(duration(later)?)));
    }
    if let Some(earlier) = span.strip_prefix('-') {
        let seconds = now.unix() - duration(earlier)?.as_secs();
        return Ok(Some(Timestamp::from_unix(seconds)));
    }
    Ok(span.is_empty().then_some(now))
}
