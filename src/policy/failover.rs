//! Whether a failed attempt at the origin is tried again.
//!
//! Connecting is repeated, sending hardly ever: "A client SHOULD NOT automatically
//! retry a request with a non-idempotent method unless it has some means to know
//! that the request semantics are actually idempotent, regardless of the method,
//! or some means to detect that the original request was never applied."
//! (RFC 9110 §9.2.2)
//!
//! CloudFront also repeats GET and HEAD after a response timeout, up to its
//! connection attempts. That is deliberately absent: an API that needs more than
//! its timeout for one question is not helped by being asked three times at once.

/// What went wrong between us and an origin, as decisions need to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whose fault it was.
    pub blame: Blame,
    /// What was under way.
    pub phase: Phase,
    /// Whether a bound on waiting ended it.
    pub timed_out: bool,
    /// Whether the request may be sent again.
    pub retry: Retry,
}

/// Whose fault a failure was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The origin broke the protocol, or its certificate is not trusted.
    Origin,
    /// It could not be reached, or the connection broke.
    Network,
    /// A bound of ours, or a request that cannot be sent.
    Us,
    /// The viewer stopped sending its request's body, or sent a broken one. Says
    /// nothing about the origin: no stale response stands in, no health suffers.
    Viewer,
}

/// What was under way when an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Looking its name up.
    Resolve,
    /// Opening the connection, or waiting for leave to.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Verifying its certificate, within that handshake.
    Verify,
    /// Sending the request.
    Send,
    /// Waiting for the head of the response.
    Head,
    /// Reading its body.
    Body,
}

/// What repeating would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The origin did not act on it, and the request is still whole: any method
    /// may be repeated.
    Unsent,
    /// A kept connection closed under the request, as idle ones do: an idempotent
    /// request without a body may be repeated once (RFC 9110 §9.2.2, RFC 9112 §9.3.1).
    Reused,
    /// The origin may have acted on it, or repeating cannot help.
    No,
}

/// What bounds the attempts of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How often a connection is attempted, at least 1 (CloudFront: connection attempts).
    pub attempts_max: u32,
    /// Whether the method may be repeated without harm (RFC 9110 §9.2.2).
    pub idempotent: bool,
    /// Whether its body can be sent again.
    pub replayable: bool,
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again, at once; after a kept connection failed, on a new one.
    Retry,
    /// The failure is the answer.
    GiveUp,
}

/// What follows the failure of the last of `attempts_made` attempts, itself counted.
///
/// A kept connection that failed costs no attempt at connecting, so that there are
/// at most `attempts_max + 1` attempts in all.
pub fn next(plan: &Plan, attempts_made: u32, failure: &Failure) -> Next {
    let allowed = match (failure.phase, failure.retry) {
        // An untrusted certificate stays untrusted: asking again only adds delay.
        (Phase::Verify, _) | (_, Retry::No) => false,
        (Phase::Resolve | Phase::Connect | Phase::Tls, _) => attempts_made < plan.attempts_max,
        (_, Retry::Unsent) => attempts_made <= plan.attempts_max,
        // "A client SHOULD NOT automatically retry a failed automatic retry." (RFC 9110 §9.2.2)
        // The next attempt goes over a new connection, so this is met only once.
        (_, Retry::Reused) => {
            attempts_made <= plan.attempts_max && plan.idempotent && plan.replayable
        }
    };
    if allowed { Next::Retry } else { Next::GiveUp }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Plan = Plan {
        attempts_max: 3,
        idempotent: true,
        replayable: true,
    };
    const PUT: Plan = Plan {
        attempts_max: 3,
        idempotent: true,
        replayable: false,
    };
    const POST: Plan = Plan {
        attempts_max: 3,
        idempotent: false,
        replayable: false,
    };
    const BARE_POST: Plan = Plan {
        attempts_max: 3,
        idempotent: false,
        replayable: true,
    };

    const fn failure(blame: Blame, phase: Phase, retry: Retry) -> Failure {
        Failure {
            blame,
            phase,
            timed_out: false,
            retry,
        }
    }

    #[track_caller]
    fn retries(plan: Plan, attempts_made: u32, failure: Failure) {
        assert_eq!(next(&plan, attempts_made, &failure), Next::Retry);
    }

    #[track_caller]
    fn gives_up(plan: Plan, attempts_made: u32, failure: Failure) {
        assert_eq!(next(&plan, attempts_made, &failure), Next::GiveUp);
    }

    #[test]
    fn connecting_is_repeated_for_any_method_up_to_its_attempts() {
        for phase in [Phase::Resolve, Phase::Connect, Phase::Tls] {
            let failed = failure(Blame::Network, phase, Retry::Unsent);
            for plan in [GET, PUT, POST] {
                retries(plan, 1, failed);
                retries(plan, 2, failed);
                gives_up(plan, 3, failed);
                gives_up(plan, 4, failed);
            }
            gives_up(
                Plan {
                    attempts_max: 1,
                    ..GET
                },
                1,
                failed,
            );
            retries(
                GET,
                1,
                Failure {
                    timed_out: true,
                    ..failed
                },
            );
        }
    }

    #[test]
    fn an_untrusted_certificate_is_never_asked_twice() {
        for retry in [Retry::No, Retry::Unsent] {
            gives_up(GET, 1, failure(Blame::Origin, Phase::Verify, retry));
        }
    }

    #[test]
    fn an_unsent_request_is_repeated_for_any_method() {
        let unsent = failure(Blame::Network, Phase::Send, Retry::Unsent);
        for plan in [GET, PUT, POST] {
            retries(plan, 1, unsent);
            retries(plan, 3, unsent);
            gives_up(plan, 4, unsent);
        }
        retries(
            Plan {
                attempts_max: 1,
                ..POST
            },
            1,
            unsent,
        );
    }

    #[test]
    fn a_closed_kept_connection_is_repeated_only_when_harmless() {
        let reused = failure(Blame::Network, Phase::Head, Retry::Reused);
        retries(GET, 1, reused);
        retries(
            Plan {
                attempts_max: 1,
                ..GET
            },
            1,
            reused,
        );
        gives_up(PUT, 1, reused);
        gives_up(POST, 1, reused);
        gives_up(BARE_POST, 1, reused);
    }

    #[test]
    fn a_response_timeout_is_not_repeated() {
        let slow = Failure {
            blame: Blame::Origin,
            phase: Phase::Head,
            timed_out: true,
            retry: Retry::No,
        };
        gives_up(GET, 1, slow);
    }

    #[test]
    fn what_the_origin_may_have_acted_on_is_not_repeated() {
        for phase in [Phase::Connect, Phase::Send, Phase::Head, Phase::Body] {
            gives_up(GET, 1, failure(Blame::Network, phase, Retry::No));
        }
    }
}
