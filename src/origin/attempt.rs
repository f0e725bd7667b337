//! Attempts: carrying out what `policy::failover` decides, until a head has arrived.
//!
//! One attempt is a permit and a connection under `connect_timeout`, then the request and
//! the final head under `response_timeout`. That second wait begins when the request has
//! been handed over. While its body is still being uploaded it begins again with every
//! piece, so that a slow uploader is not taken for a slow origin; an upload that stands
//! still for as long ends the attempt too, and it is the viewer's failure if it was the
//! viewer that stood still.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use http::{Method, Request, Response, StatusCode};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use crate::{
    origin::{
        FetchError, Fetched, Timings,
        connection::{Driven, Leg, Lent, Unanswered},
        error::{Cause, Failed},
        head::{framing_http1, framing_http2, invalid, misframed},
        incoming::Incoming,
        interim::{Interim, TOO_MANY},
        patience::Patience,
        plain::{Answer, Plain},
        pool::{Choice, Pool},
        received::{Held, Received},
        request::{for_http1, for_http2},
        sent::{Sent, State, Upload},
        source::{Source, message},
    },
    policy::failover::{self, Blame, Next, Phase, Plan, Retry},
    site::Origin,
};

type Answered = Result<Response<Incoming>, Unanswered>;

/// What the attempts for one request share.
struct Exchange<'a> {
    pool: &'a Arc<Pool>,
    origin: &'a Arc<Origin>,
    source: &'a dyn Source,
    plan: Plan,
    upgrade: bool,
    choice: Choice,
    leg: Leg,
    /// Taken by the first attempt and kept for the others: a place in the queue is not
    /// lost to a refused connection.
    permit: Option<OwnedSemaphorePermit>,
}

/// An attempt that failed, and what is left of the request.
struct Broken {
    failed: Failed,
    left: Left,
}

/// What is left of a request after an attempt that failed.
enum Left {
    /// All of it: as a message, where it was one.
    Whole(Option<Box<Request<Sent>>>),
    /// Nothing: what it had of a body is gone.
    Nothing,
}

/// Sends what `source` makes, with `body`, until a head arrives or the plan gives up.
pub(super) async fn run(
    pool: Arc<Pool>,
    origin: &Arc<Origin>,
    source: &dyn Source,
    body: Sent,
) -> Result<Fetched, FetchError> {
    if source.method() == Method::CONNECT {
        let cause = Cause::Seen("CONNECT asks for a tunnel, not for a response");
        return Err(Failed::new(Blame::Us, Phase::Send, cause).of(origin));
    }
    let upgrade = source.asks_upgrade();
    let plan = Plan {
        attempts_max: origin.connect_attempts,
        idempotent: source.method().is_idempotent(),
        replayable: body.replayable(),
    };
    let choice = if upgrade {
        Choice::Upgrade
    } else {
        Choice::Any
    };
    let leg = if origin.express && !upgrade && plan.replayable {
        Leg::Plain
    } else {
        Leg::Library
    };
    let mut exchange = Exchange {
        pool: &pool,
        origin,
        source,
        plan,
        upgrade,
        choice,
        leg,
        permit: None,
    };
    // Boxed: every future that it passes through would have room for it. Without a body there
    // may never be a message.
    let mut request = (!plan.replayable).then(|| Box::new(message(source, body)));
    let mut attempts_made = 0;
    loop {
        attempts_made += 1;
        let Broken { failed, left } = match exchange.attempt(request).await {
            Ok(fetched) => return Ok(fetched),
            Err(broken) => *broken,
        };
        match (failover::next(&plan, attempts_made, &failed.failure), left) {
            (Next::Retry, Left::Whole(left)) => request = left,
            (Next::Retry, Left::Nothing) | (Next::GiveUp, _) => return Err(failed.of(origin)),
        }
        let kept_failed = matches!(failed.failure.phase, Phase::Send | Phase::Head);
        if exchange.choice == Choice::Any && kept_failed {
            exchange.choice = Choice::New;
        }
    }
}

impl Exchange<'_> {
    /// Sends `request`, or the message that the source makes where there is none yet.
    async fn attempt(
        &mut self,
        request: Option<Box<Request<Sent>>>,
    ) -> Result<Fetched, Box<Broken>> {
        let now = self.pool.clock().instant();
        let connected = match self.at_hand(now) {
            Some(lent) => Ok((
                lent,
                Opened {
                    took: None,
                    at: now,
                },
            )),
            // Boxed, as what is large and rare.
            None => Box::pin(self.connected(now)).await,
        };
        let (left, failed) = match connected {
            Ok((Lent::Plain(plain), opened)) => match self.plain(plain, opened).await {
                Ok(fetched) => return Ok(fetched),
                Err(failed) => (None, failed),
            },
            Ok((Lent::Driven(driven), opened)) => {
                let made = || Box::new(message(self.source, Sent::empty()));
                let request = request.unwrap_or_else(made);
                return Box::pin(self.driven(driven, request, opened)).await;
            }
            Err(failed) => (request, failed),
        };
        let left = Left::Whole(left);
        Err(Box::new(Broken { failed, left }))
    }

    /// Over an HTTP/1.1 connection, in this task.
    async fn plain(&mut self, plain: Plain, opened: Opened) -> Result<Fetched, Failed> {
        let allowed = self.origin.response_timeout;
        // Awaited where it is made: a variable for it would be room for two.
        let answer = plain.exchange(self.source, (opened.at, allowed)).await?;
        Ok(self.answered(answer, &opened))
    }

    /// A response over a connection that is free already, or that the body has.
    fn answered(&mut self, answer: Answer, opened: &Opened) -> Fetched {
        let now = self.pool.clock().instant();
        let held = match (answer.free, self.permit.take()) {
            (Some(plain), Some(permit)) => {
                self.pool.give_back(Lent::Plain(plain), permit, now);
                None
            }
            (None, Some(permit)) => Some(Held {
                lent: None,
                pool: Arc::clone(self.pool),
                permit,
            }),
            (_, None) => None,
        };
        let (head, body) = answer.response.into_parts();
        let body = Incoming::Plain(body);
        Fetched {
            head,
            body: Received::new(body, answer.framing, self.origin, held, None),
            upgraded: None,
            timings: opened.timings(now),
        }
    }

    /// Over a connection that a task of its own drives.
    async fn driven(
        &mut self,
        mut lent: Driven,
        mut request: Box<Request<Sent>>,
        opened: Opened,
    ) -> Result<Fetched, Box<Broken>> {
        let clock = self.pool.clock();
        shape(&mut request, &lent, self.origin).map_err(Broken::beyond_repeat)?;
        let again = lent.kept() && self.plan.replayable;
        let upload = request.body_mut().watched(clock);
        let interim = Interim::watched(&mut request, self.source.on_interim(), &lent);
        let method = request.method().clone();

        let allowed = self.origin.response_timeout;
        let upload_ref = upload.as_deref();
        let mut patience = lent.patience();
        let answered = awaited(
            lent.send(request, &interim),
            upload_ref,
            &interim,
            &mut patience,
            (opened.at, allowed),
        )
        .await;
        lent.keep_patience(patience);
        let timings = opened.timings(clock.instant());
        let response = match answered.map_err(Broken::beyond_repeat)? {
            Ok(response) => response,
            Err(error) => return Err(unanswered(error, lent.kept(), again, upload_ref)),
        };
        self.fetched(response, &method, lent, upload, timings)
            .map_err(Broken::beyond_repeat)
    }

    /// A connection that need not be waited for, nor its permit.
    fn at_hand(&mut self, now: Instant) -> Option<Lent> {
        if self.permit.is_some() {
            return None;
        }
        let (permit, lent) = self.pool.at_hand(self.choice, self.leg, now);
        self.permit = permit;
        lent
    }

    /// A permit and a connection, from `at` on, under one deadline.
    async fn connected(&mut self, mut at: Instant) -> Result<(Lent, Opened), Failed> {
        let clock = self.pool.clock();
        let deadline = at + self.origin.connect_timeout;
        if self.permit.is_none() {
            self.permit = Some(self.pool.permit(deadline).await?);
            at = clock.instant();
        }
        let lending = self.pool.lend(self.choice, self.leg, at, deadline);
        let (lent, took) = lending.await?;
        if took.is_some() {
            at = clock.instant();
        }
        Ok((lent, Opened { took, at }))
    }

    fn fetched(
        &mut self,
        mut response: Response<Incoming>,
        method: &Method,
        lent: Driven,
        upload: Option<Arc<Upload>>,
        timings: Timings,
    ) -> Result<Fetched, Failed> {
        let framing = match &lent {
            Driven::Own(_) => framing_http1(&response, method)?,
            Driven::Stream(_) => framing_http2(&response, method)?,
        };
        let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if switched && !self.upgrade {
            return Err(invalid("101 Switching Protocols without being asked"));
        }
        let upgraded = switched.then(|| hyper::upgrade::on(&mut response));
        let held = match (lent, self.permit.take()) {
            (Driven::Own(own), _) if switched => {
                own.retire();
                None
            }
            _ if misframed(&response) => None,
            (lent, Some(permit)) => Some(Held {
                lent: Some(Lent::Driven(lent)),
                pool: Arc::clone(self.pool),
                permit,
            }),
            (_, None) => None,
        };
        let (head, incoming) = response.into_parts();
        let body = Received::new(incoming, framing, self.origin, held, upload);
        Ok(Fetched {
            head,
            body,
            upgraded,
            timings,
        })
    }
}

/// How an exchange came by its connection.
struct Opened {
    /// How long opening it took; `None` for a kept one.
    took: Option<Duration>,
    /// When it was at hand.
    at: Instant,
}

impl Opened {
    /// The timings of an exchange whose head has come `now`.
    fn timings(&self, now: Instant) -> Timings {
        Timings {
            connect: self.took,
            first_byte: now - self.at,
            at: now,
        }
    }
}

impl Broken {
    /// The request is gone, and it does not matter.
    fn beyond_repeat(failed: Failed) -> Box<Self> {
        Box::new(Self {
            failed,
            left: Left::Nothing,
        })
    }
}

/// Waits for the final head: `allowed` from `started`, or from the last progress of the
/// upload where there is one.
async fn awaited(
    response: impl Future<Output = Answered>,
    upload: Option<&Upload>,
    interim: &Interim,
    patience: &mut Patience,
    (started, allowed): (Instant, Duration),
) -> Result<Answered, Failed> {
    let mut response = pin!(response);
    let mut deadline = started + allowed;
    loop {
        tokio::select! {
            biased;
            answered = &mut response => return Ok(answered),
            () = interim.flooded() => return Err(invalid(TOO_MANY)),
            () = poll_fn(|cx| patience.poll_until(cx, deadline)) => {}
        }
        let (state, last) = upload.map_or((State::Ended, started), Upload::state);
        if last + allowed <= deadline {
            let (blame, phase) = match state {
                State::AwaitsViewer | State::Broken => (Blame::Viewer, Phase::Send),
                State::AwaitsOrigin => (Blame::Origin, Phase::Send),
                State::Ended => (Blame::Origin, Phase::Head),
            };
            return Err(Failed::timed_out(blame, phase, allowed));
        }
        deadline = last + allowed;
    }
}

fn shape(request: &mut Request<Sent>, lent: &Driven, origin: &Origin) -> Result<(), Failed> {
    match lent {
        Driven::Own(_) => for_http1(request),
        Driven::Stream(_) => for_http2(request, origin.protocol),
    }
}

/// Why there was no response, and whether the request may be sent again; `again` is whether
/// it can be made once more.
fn unanswered(
    Unanswered { cause, unsent }: Unanswered,
    kept: bool,
    again: bool,
    upload: Option<&Upload>,
) -> Box<Broken> {
    let upload = upload.map(|upload| upload.state().0);
    let (blame, phase, retry) = if unsent.is_some() {
        (Blame::Network, Phase::Send, Retry::Unsent)
    } else if upload == Some(State::Broken) {
        (Blame::Viewer, Phase::Send, Retry::No)
    } else if cause.unprocessed() {
        let retry = if again { Retry::Unsent } else { Retry::No };
        (Blame::Origin, Phase::Send, retry)
    } else if cause.broke_protocol() {
        (Blame::Origin, Phase::Head, Retry::No)
    } else if cause.is_ours() {
        (Blame::Us, Phase::Send, Retry::No)
    } else {
        let uploading = upload.is_some_and(|state| state != State::Ended);
        let phase = if uploading { Phase::Send } else { Phase::Head };
        (
            Blame::Network,
            phase,
            if kept { Retry::Reused } else { Retry::No },
        )
    };
    let failed = Failed::new(blame, phase, cause).with_retry(retry);
    let left = match unsent {
        Some(unsent) => Left::Whole(Some(unsent)),
        None if again => Left::Whole(None),
        None => Left::Nothing,
    };
    Box::new(Broken { failed, left })
}
