//! A hit whose head is written where it is read: no future, no response, no map of its fields.
//!
//! It decides by the same functions as [`respond`](super::respond), which answers whatever is
//! not as plain as this: a fresh answer in memory, to a viewer that asked for all of it or has
//! it already, of a behaviour that leaves answers as they are.

use std::sync::Arc;

use arc_swap::Guard;
use bytes::Bytes;

use super::{Edge, Malformed, Site, Viewer, ask, hit, part, recode::Chosen, reusable};
use crate::{
    fields::{host::Host, section::Section, target::Target},
    policy::{
        Ask, ServerTiming, deliver,
        intent::{self, Intent},
        lines::{self, Length, Lines, SHORT_MAX},
        peer,
        precondition::{self, Verdict},
        reuse::Reuse,
    },
    store::{Found, Said},
};

/// The head of a plain request.
#[derive(Debug)]
pub struct PlainHead {
    /// What it asks for, in origin form.
    pub target: Target,
    /// The host that it names; `None` where it has not one `Host` field, and that a sound one.
    pub host: Option<Host>,
    /// Its fields; none is about the connection, but for `Connection: keep-alive`, and none about
    /// content.
    pub headers: Section,
}

/// What became of a plain request: a GET without content over HTTP/1.1.
pub enum Plain<A> {
    /// The head of its answer is written; this is the body, unless that is short and written
    /// as well.
    AtHand(Bytes),
    /// It is not at hand, and [`respond_plain`](super::respond_plain) has the answer.
    Asked(A),
}

/// A plain request that was looked at, and what was seen of it.
#[derive(Debug)]
pub struct PlainAsk {
    /// The configuration it came upon.
    pub(super) site: Arc<Site>,
    pub(super) checked: Result<Box<Ask>, Box<(Malformed, Section)>>,
    /// What becomes of it, where that was found out.
    pub(super) intent: Option<Intent>,
}

/// Writes the head of the answer to a plain request to `out` if it is at hand, and counts it;
/// a short body is written as well. Otherwise nothing is counted; `None`, and `head` may not be
/// read, where the HTTP library is to read it.
pub fn at_hand(
    edge: &Edge,
    head: impl FnOnce() -> Option<PlainHead>,
    viewer: &Viewer,
    out: &mut Lines,
) -> Option<Plain<PlainAsk>> {
    let site = edge.site.load();
    if !site.snapshot.server.express {
        return None;
    }
    let head = head()?;
    let mut checked = ask::plain(head, viewer, edge.clock.now());
    let mut intent = None;
    if let Ok(ask) = &mut checked {
        peer::look_behind(ask, &site.snapshot.proxies.trusted);
        if let Some(body) = written(edge, &site, (ask, viewer), &mut intent, out) {
            return Some(Plain::AtHand(body));
        }
    }
    Some(Plain::Asked(PlainAsk {
        site: Guard::into_inner(site),
        checked: checked.map(Box::new).map_err(Box::new),
        intent,
    }))
}

/// Writes the head of the answer to `ask` if it is at hand; its body then.
fn written(
    edge: &Edge,
    site: &Site,
    (ask, viewer): (&Ask, &Viewer),
    intent: &mut Option<Intent>,
    out: &mut Lines,
) -> Option<Bytes> {
    let covered = viewer.covered.as_ref();
    if covered.is_some_and(|names| !names.cover(&ask.host)) {
        return None;
    }
    let now = ask.at;
    let behaviour = site.snapshot.behaviour(&ask.host, ask.path())?;
    let rules = &behaviour.rules;
    let plain = rules.viewer.leaves_answers_alone()
        && rules.viewer.server_timing == ServerTiming::Off
        && rules.viewer.rate_limit.is_none();
    let secret = site.snapshot.server.debug_secret.as_ref();
    if !plain || secret.is_some_and(|secret| secret.opens(&ask.headers)) {
        return None;
    }
    let Intent::Cache(key) = *intent.insert(intent::intent(ask, rules)) else {
        return None;
    };
    let key = edge.searches.looked_up(ask, rules, key);
    let Found::Object(object) = edge.find(key, ask, rules) else {
        return None;
    };
    let Reuse::Serve(standing) = reusable(&object, ask, rules, now) else {
        return None;
    };
    let chosen = Chosen::of(ask, rules, &object);
    if chosen.missing.is_some() || part::wanted(&ask.headers) {
        return None;
    }
    let made = edge.ids.text();
    let request_id = deliver::request_id(&ask.headers).unwrap_or(&made);
    let meters = site.meters.behaviour(behaviour.index);
    let (status, body) = (chosen.head.status(), chosen.body);
    let unmodified = precondition::conditional(&ask.headers)
        && precondition::verdict(ask, status, hit::validators(chosen.head), now)
            == Verdict::NotModified;
    if unmodified {
        lines::not_modified(chosen.head.iter(), standing, request_id, out);
        meters.requests.count(hit::result(standing));
        return Some(Bytes::new());
    }
    let length = match chosen.head.said() {
        Said::Length => Length::Stored,
        Said::Nothing => Length::Unsaid(body.len() as u64),
        Said::Otherwise => return None,
    };
    if !lines::hit(
        status,
        chosen.head.lines(),
        length,
        standing,
        request_id,
        out,
    ) {
        return None;
    }
    meters.requests.count(hit::result(standing));
    meters.viewer_bytes.more(body.len() as u64);
    if !chosen.own {
        let saved = object.body().len().saturating_sub(body.len());
        meters.saved_bytes.more(saved as u64);
    }
    if body.len() > SHORT_MAX {
        return Some(body.share());
    }
    out.push(&body);
    Some(Bytes::new())
}
