//! How a failure is told to the viewer: the one table.
//!
//! Nothing else turns a failure into a status. The statuses are CloudFront's: what
//! could not be reached or understood is 502, what took too long 504, what we have
//! no room for 503 (RFC 9110 §15.6).

use http::StatusCode;

use crate::policy::failover::{Blame, Failure, Phase};

/// What a viewer is told about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status of the response.
    pub status: StatusCode,
    /// The `error` member of its body; outside programs rely on it.
    pub error: &'static str,
    /// The same for a human, and for `Cache-Status` (RFC 9211 §2.9).
    pub detail: &'static str,
}

impl Answer {
    const fn new(status: StatusCode, error: &'static str, detail: &'static str) -> Self {
        Self {
            status,
            error,
            detail,
        }
    }
}

/// What a viewer is told when `failure` is final and no stored response stands in.
pub fn answer(failure: &Failure) -> Answer {
    match (failure.blame, failure.phase, failure.timed_out) {
        (Blame::Viewer, _, timed_out) => upload(timed_out),
        (Blame::Us, phase, timed_out) => ours(phase, timed_out),
        (Blame::Origin | Blame::Network, Phase::Verify, _) => Answer::new(
            StatusCode::BAD_GATEWAY,
            "origin_untrusted",
            "the certificate of the origin is not trusted",
        ),
        (_, Phase::Resolve | Phase::Connect | Phase::Tls, true) => Answer::new(
            StatusCode::GATEWAY_TIMEOUT,
            "origin_connect_timeout",
            "no connection to the origin within its connect timeout",
        ),
        (_, Phase::Resolve, false) => Answer::new(
            StatusCode::BAD_GATEWAY,
            "origin_unresolved",
            "the name of the origin was not found",
        ),
        (_, Phase::Connect, false) => Answer::new(
            StatusCode::BAD_GATEWAY,
            "origin_unreachable",
            "no connection to the origin could be opened",
        ),
        (_, Phase::Tls, false) => Answer::new(
            StatusCode::BAD_GATEWAY,
            "origin_tls",
            "the TLS handshake with the origin failed",
        ),
        (_, Phase::Send | Phase::Head | Phase::Body, true) => Answer::new(
            StatusCode::GATEWAY_TIMEOUT,
            "origin_timeout",
            "nothing from the origin within its response timeout",
        ),
        (Blame::Origin, Phase::Send | Phase::Head | Phase::Body, false) => Answer::new(
            StatusCode::BAD_GATEWAY,
            "origin_invalid_response",
            "the response of the origin breaks the protocol or a bound",
        ),
        (Blame::Network, Phase::Send | Phase::Head | Phase::Body, false) => Answer::new(
            StatusCode::BAD_GATEWAY,
            "origin_closed",
            "the connection to the origin broke before its response was complete",
        ),
    }
}

/// The viewer's own request broke off (RFC 9110 §15.5.1, §15.5.9).
const fn upload(timed_out: bool) -> Answer {
    if timed_out {
        Answer::new(
            StatusCode::REQUEST_TIMEOUT,
            "upload_timeout",
            "the body of the request stopped arriving",
        )
    } else {
        Answer::new(
            StatusCode::BAD_REQUEST,
            "upload_broken",
            "the body of the request is broken or incomplete",
        )
    }
}

/// Bounds and settings of ours.
const fn ours(phase: Phase, timed_out: bool) -> Answer {
    match (phase, timed_out) {
        (Phase::Resolve | Phase::Connect | Phase::Tls, _) | (_, true) => Answer::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "origin_busy",
            "as many requests to the origin as allowed are under way",
        ),
        (Phase::Verify, false) => Answer::new(
            StatusCode::BAD_GATEWAY,
            "origin_trust_missing",
            "there is no usable authority to verify the origin against",
        ),
        (Phase::Send | Phase::Head | Phase::Body, false) => Answer::new(
            StatusCode::BAD_GATEWAY,
            "request_unsendable",
            "the request cannot be expressed towards the origin",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::failover::Retry;

    #[track_caller]
    fn check(blame: Blame, phase: Phase, timed_out: bool, status: u16, error: &str) {
        let told = answer(&Failure {
            blame,
            phase,
            timed_out,
            retry: Retry::No,
        });
        assert_eq!((told.status.as_u16(), told.error), (status, error));
    }

    #[test]
    fn what_cannot_be_reached_is_a_bad_gateway() {
        check(
            Blame::Network,
            Phase::Resolve,
            false,
            502,
            "origin_unresolved",
        );
        check(
            Blame::Network,
            Phase::Connect,
            false,
            502,
            "origin_unreachable",
        );
        check(Blame::Network, Phase::Tls, false, 502, "origin_tls");
        check(Blame::Origin, Phase::Tls, false, 502, "origin_tls");
        check(Blame::Origin, Phase::Verify, false, 502, "origin_untrusted");
    }

    #[test]
    fn a_wait_that_ran_out_is_a_gateway_timeout() {
        for phase in [Phase::Resolve, Phase::Connect, Phase::Tls] {
            check(Blame::Network, phase, true, 504, "origin_connect_timeout");
        }
        for phase in [Phase::Send, Phase::Head, Phase::Body] {
            check(Blame::Origin, phase, true, 504, "origin_timeout");
            check(Blame::Network, phase, true, 504, "origin_timeout");
        }
    }

    #[test]
    fn a_broken_response_is_a_bad_gateway() {
        for phase in [Phase::Send, Phase::Head, Phase::Body] {
            check(Blame::Origin, phase, false, 502, "origin_invalid_response");
            check(Blame::Network, phase, false, 502, "origin_closed");
        }
    }

    #[test]
    fn our_own_bounds_are_told_apart() {
        check(Blame::Us, Phase::Connect, true, 503, "origin_busy");
        check(Blame::Us, Phase::Connect, false, 503, "origin_busy");
        check(Blame::Us, Phase::Verify, false, 502, "origin_trust_missing");
        check(Blame::Us, Phase::Send, false, 502, "request_unsendable");
    }

    #[test]
    fn a_broken_upload_is_the_viewers_error() {
        check(Blame::Viewer, Phase::Send, true, 408, "upload_timeout");
        check(Blame::Viewer, Phase::Send, false, 400, "upload_broken");
    }
}
