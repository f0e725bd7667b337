//! Whether a failed attempt at the origin is tried again.

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
}

/// What was under way when an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Looking its name up.
    Resolve,
    /// Opening the connection.
    Connect,
    /// The TLS handshake.
    Tls,
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
    /// Nothing of the request was written: any method may be repeated.
    Unsent,
    /// A kept connection closed under the request, as idle ones do: an idempotent
    /// request without a body may be repeated once (RFC 9110 §9.2.2, RFC 9112 §9.3.1).
    Reused,
    /// The origin may have acted on it.
    No,
}
