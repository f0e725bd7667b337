//! A script: the rule it proves, and the steps that prove it.

use std::time::Duration;

use warmfront::policy::marks::Mode;

use super::line::{Body, Field, Rest};

mod act;
mod read;

pub(crate) use read::{Mistake, read};

/// A named list of steps.
#[derive(Debug)]
pub(crate) struct Script {
    /// The rule, as the script's first line says it.
    pub(crate) title: String,
    /// Where the title stands, from 1.
    pub(crate) line: usize,
    /// What happens, in order.
    pub(crate) steps: Vec<Step>,
    /// The text, from the title on.
    pub(crate) text: Vec<String>,
}

/// One thing that happens or is seen.
#[derive(Debug)]
pub(crate) struct Step {
    /// Where it stands, from 1.
    pub(crate) line: usize,
    /// The viewer, or the exchange with the origin.
    pub(crate) lane: u32,
    /// What it is.
    pub(crate) act: Act,
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum Act {
    /// Another configuration.
    Config(toml::Table),
    /// Time passes.
    Wait(Duration),
    /// Something is invalidated.
    Invalidate(Invalidate),
    /// A viewer acts.
    Viewer(ViewerAct),
    /// The origin acts, or is looked at.
    Origin(OriginAct),
    /// A viewer is looked at.
    Expect(Expected),
}

/// An invalidation.
#[derive(Debug)]
pub(crate) struct Invalidate {
    pub(crate) mode: Mode,
    pub(crate) items: Vec<Item>,
}

/// What an invalidation is about.
#[derive(Debug)]
pub(crate) enum Item {
    /// A page, or everything behind a prefix that ends with `*`.
    Path(String),
    /// A tag.
    Tag(String),
    /// A parameter of the behaviour that this path belongs to.
    Where {
        path: String,
        name: String,
        value: String,
    },
}

/// What a viewer does.
#[derive(Debug)]
pub(crate) enum ViewerAct {
    /// Sends a request.
    Ask(Request),
    /// Sends more of its body.
    More(Body),
    /// Sends these bytes, whatever they are.
    Raw(Vec<u8>),
    /// Closes its connection.
    Leave,
    /// Stops reading.
    Pause,
    /// Reads on.
    Resume,
}

/// A viewer's request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: String,
    /// Whether the connection it opens counts as TLS.
    pub(crate) scheme: warmfront::policy::Scheme,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Option<Body>,
}

/// What the origin does, or how it is looked at.
#[derive(Debug)]
pub(crate) enum OriginAct {
    /// Looks at the request that waits.
    Asked(Asked),
    /// The edge has given this request up.
    Gone,
    /// Answers, or part of that.
    Reply(Reply),
    /// Closes every kept connection that is idle.
    Hangup,
    /// Refuses the next connections.
    Refuse(usize),
    /// Lets the next connections hang.
    Hang(usize),
}

/// What is sent back to one request.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Nothing for a while, before what comes next.
    Stall(Duration),
    /// Only so many bytes of the next answer's body; then the connection closes.
    Cut(usize),
    /// A head that is not the last.
    Interim(Answer),
    /// The answer.
    Answer(Answer),
    /// More of the answer's body.
    More(Body),
    /// The end of the answer's body, with these.
    Trailers(Vec<Field>),
    /// These bytes, whatever they are; more may follow.
    Raw(Vec<u8>, Rest),
    /// The connection closes under the request.
    Close,
}

/// What a request must look like at the origin.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Method and target.
    pub(crate) line: Option<String>,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Option<Body>,
}

/// A response of the origin.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Option<Body>,
}

/// What a viewer must see.
#[derive(Debug)]
pub(crate) enum Expected {
    /// A response.
    Response(Answer),
    /// More of its body.
    More(Body),
    /// The end of its body, with these.
    Trailers(Vec<Field>),
    /// A body that ends too early.
    Broken,
    /// A connection that we closed.
    Closed,
    /// Nothing, so far.
    Pending,
}
