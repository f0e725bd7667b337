//! What an origin says before its response: `103 Early Hints` above all.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{HeaderMap, Request, StatusCode};
use tokio::sync::Notify;

use crate::origin::{
    OnInterim,
    connection::{Driven, FIELDS_MAX},
    error::Cause,
    sent::Sent,
};

/// How many interim responses may precede the final one; more are an invalid response.
/// `103 Early Hints` usually comes once.
pub const INTERIM_MAX: usize = 32;

/// Interim responses of one attempt: passed on, counted.
#[derive(Default)]
pub(super) struct Interim {
    pass: Option<OnInterim>,
    seen: AtomicUsize,
    flooded: Notify,
}

/// Why a response with more of them is invalid.
pub(super) const TOO_MANY: &str = "too many interim responses";

impl Interim {
    /// Those to a request, which go there.
    pub(super) fn new(pass: Option<OnInterim>) -> Self {
        Self {
            pass,
            ..Self::default()
        }
    }

    /// Watches those to `request`, which go there. Over HTTP/1.1 hyper shows them, as the request
    /// says; over HTTP/2 whoever sends it does.
    pub(super) fn watched(
        request: &mut Request<Sent>,
        pass: Option<OnInterim>,
        lent: &Driven,
    ) -> Arc<Self> {
        let interim = Arc::new(Self::new(pass));
        if matches!(lent, Driven::Own(_)) {
            let shown = Arc::clone(&interim);
            hyper::ext::on_informational(request, move |response| {
                if shown.saw(response.status(), response.headers()).is_err() {
                    shown.flooded.notify_one();
                }
            });
        }
        interim
    }

    /// Comes when one too many was seen by whoever shows them; it is told apart from the answer.
    pub(super) async fn flooded(&self) {
        self.flooded.notified().await;
    }

    /// Counts one and passes it on; an error when it is no such response, or one too many.
    pub(super) fn saw(&self, status: StatusCode, headers: &HeaderMap) -> Result<(), Cause> {
        if self.seen.fetch_add(1, Ordering::Relaxed) >= INTERIM_MAX {
            return Err(Cause::Seen(TOO_MANY));
        }
        if headers.len() > FIELDS_MAX {
            return Err(Cause::Seen("too many fields"));
        }
        // "HTTP/2 removes support for the 101 (Switching Protocols) informational status
        // code" (RFC 9113 §8.6); over HTTP/1.1 it is a final one, and not seen here.
        let ours = matches!(
            status,
            StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS
        );
        if let (Some(OnInterim(pass)), false) = (&self.pass, ours) {
            pass(status, headers);
        }
        Ok(())
    }
}
