//! An answer on its way out, wherever it comes from.
//!
//! Hits, misses, passing answers and errors all leave through here when their behaviour has
//! fields, CORS or error answers of its own; the others never see it.

use http::{Method, Response};

use super::{ReplyBody, Way, reply::Meter};
use crate::{
    policy::finish::{self, To},
    site::Route,
};

/// What finishing needs to know of a request that is gone by then.
#[derive(Debug)]
pub(super) struct Finish {
    route: Route,
    to: To,
    /// Whether the answer has no content of its own: it is one to HEAD.
    bare: bool,
    meter: Meter,
}

impl Finish {
    /// `None` where answers leave as they are.
    pub(super) fn of(way: &Way) -> Option<Self> {
        let rules = &way.rules().viewer;
        (!rules.leaves_answers_alone()).then(|| Self {
            route: way.route.clone(),
            to: To::of(&way.ask, rules),
            bare: way.ask.method == Method::HEAD,
            meter: way.meter(),
        })
    }

    /// `answer` as the viewer sees it.
    pub(super) fn finish(self, mut answer: Response<ReplyBody>) -> Response<ReplyBody> {
        let rules = &self.route.behaviour().rules.viewer;
        let mut status = answer.status();
        let content = finish::finish(rules, &self.to, &mut status, answer.headers_mut());
        *answer.status_mut() = status;
        match content {
            None => answer,
            Some(_) if self.bare => answer.map(|_told| ReplyBody::empty(self.meter)),
            Some(content) => {
                let body = ReplyBody::whole(content.body.clone(), self.meter);
                answer.map(|_told| body)
            }
        }
    }
}
