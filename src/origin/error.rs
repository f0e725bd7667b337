//! Why a fetch failed: a `policy::Failure` and what caused it.

use std::{error::Error, fmt, io, sync::Arc, time::Duration};

use crate::{
    origin::dial::DialError,
    policy::{
        Failure,
        failover::{Blame, Phase, Retry},
    },
    site::{Origin, Protocol},
};

/// A fetch that failed, with the origin it was for.
///
/// Reads `origin "api" (https://api.example.com): connect: connection refused`.
pub struct FetchError {
    failure: Failure,
    origin: Arc<Origin>,
    cause: Cause,
}

/// What was seen.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error("nothing within {0:?}")]
    Waited(Duration),
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Hyper(#[from] hyper::Error),
    #[error(transparent)]
    Http2(#[from] h2::Error),
    #[error("{0}")]
    Seen(&'static str),
}

impl Cause {
    /// Whether it is of what the origin sent, and not of the network.
    pub(super) fn broke_protocol(&self) -> bool {
        match self {
            Self::Hyper(error) => error.is_parse() || source_is_invalid(error),
            // What the origin reset, and what the library found wrong with the origin; the
            // rest is the connection going away, or our own doing.
            Self::Http2(error) => error.is_library() || error.is_reset() && error.is_remote(),
            Self::Io(error) => is_invalid(error),
            Self::Seen(_) => true,
            Self::Waited(_) | Self::Dial(_) => false,
        }
    }

    /// Whether the origin says that it did not look at the request.
    ///
    /// REFUSED_STREAM says that "the stream is being closed prior to any processing having
    /// occurred". "The GOAWAY frame indicates the highest stream number that might have been
    /// processed. Requests on streams with higher numbers are therefore guaranteed to be safe
    /// to retry." (RFC 9113 §8.7) The library ends no others with one.
    pub(super) fn unprocessed(&self) -> bool {
        match self {
            Self::Http2(error) => {
                let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
                error.is_remote() && (error.is_go_away() || refused)
            }
            Self::Waited(_) | Self::Dial(_) | Self::Io(_) | Self::Hyper(_) | Self::Seen(_) => false,
        }
    }

    /// Whether the request was not one that can be sent.
    pub(super) fn is_ours(&self) -> bool {
        match self {
            Self::Hyper(error) => error.is_user(),
            Self::Http2(error) => {
                let reset = error.is_reset() && !error.is_remote() && !error.is_library();
                reset || error.reason().is_none() && !error.is_io()
            }
            Self::Waited(_) | Self::Dial(_) | Self::Io(_) | Self::Seen(_) => false,
        }
    }
}

/// Whether what was read is what hyper, or the stream below it, could make nothing of.
fn source_is_invalid(error: &hyper::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return is_invalid(error);
        }
        source = error.source();
    }
    false
}

fn is_invalid(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
    )
}

/// A failure without its origin, as the parts below an attempt know it.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    pub(super) cause: Cause,
}

impl Failed {
    /// A failure after which nothing is tried again.
    pub(super) fn new(blame: Blame, phase: Phase, cause: impl Into<Cause>) -> Self {
        let failure = Failure {
            blame,
            phase,
            timed_out: false,
            retry: Retry::No,
        };
        Self {
            failure,
            cause: cause.into(),
        }
    }

    /// A wait of ours that ran out after `waited`.
    pub(super) fn timed_out(blame: Blame, phase: Phase, waited: Duration) -> Self {
        let mut failed = Self::new(blame, phase, Cause::Waited(waited));
        failed.failure.timed_out = true;
        failed
    }

    pub(super) fn with_retry(mut self, retry: Retry) -> Self {
        self.failure.retry = retry;
        self
    }

    pub(super) fn of(self, origin: &Arc<Origin>) -> FetchError {
        FetchError {
            failure: self.failure,
            origin: Arc::clone(origin),
            cause: self.cause,
        }
    }
}

impl FetchError {
    /// What decisions need to know of it.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin {
            id,
            protocol,
            host,
            port,
            ..
        } = &*self.origin;
        let (scheme, usual_port) = match protocol {
            Protocol::Http => ("http", 80),
            Protocol::Https => ("https", 443),
        };
        write!(f, "origin {id:?} ({scheme}://{host}")?;
        if *port != usual_port {
            write!(f, ":{port}")?;
        }
        write!(f, "): {}: {}", word(self.failure.phase), self.cause)?;
        // hyper's errors name their cause only as their source.
        let mut source = self.cause.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchError")
            .field("failure", &self.failure)
            .field("origin", &self.origin.id)
            .field("cause", &self.cause)
            .finish()
    }
}

impl Error for FetchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

const fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Resolve => "resolve",
        Phase::Connect => "connect",
        Phase::Tls => "tls",
        Phase::Verify => "certificate",
        Phase::Send => "send",
        Phase::Head => "response head",
        Phase::Body => "response body",
    }
}
