//! Viewers' connections: from a socket to requests that somebody answers.
//!
//! [`Workers`] are threads that share nothing on the way of a request. Each has
//! a single-threaded runtime and a listening socket of its own for every
//! address (`SO_REUSEPORT`), so the kernel spreads connections and nobody
//! steals tasks. Behind TLS or not, a [`connection`] finds out which HTTP it speaks, lets hyper
//! speak it, and hands each request to a [`Respond`].
//!
//! What may wait has a bound, and no bound costs a request anything: there are
//! no timers per connection. I/O and requests count what happens in the
//! connection's vitals, and a [`sweep`] per worker looks at all of them twice a
//! second and closes what is overdue.
//!
//! | bound | where |
//! |---|---|
//! | first byte, whole head, idle time | [`Bounds`], live |
//! | a viewer that stops reading, or stops sending a body | `overdue.rs` |
//! | what an idle connection keeps of its heads | `heads.rs` |
//! | bytes of a head, streams, windows, resets | `protocol.rs` |
//! | frames that are worth nothing | `calm.rs` |
//! | where a message ends, in one reading | `messages.rs` |
//! | interim responses to one request | `outbox.rs` |
//! | a PROXY protocol header, where one is asked for | `proxy.rs` |
//! | open connections, in all and from one address | [`CONNECTIONS_MAX`], `census.rs` |
//! | handshakes computed at once | `secure.rs` |
//! | draining | the deadline given to [`Workers::drain`] |
//!
//! Only this module and `origin` know sockets, and nothing above this floor
//! knows which version of HTTP a viewer speaks.

use std::{error::Error, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;

use crate::{
    policy::lines::Lines,
    serve::{self, Edge, Plain, PlainAsk, PlainHead, ReplyBody, Viewer},
};

mod accept;
mod batch;
mod calm;
mod census;
mod certs;
mod conn;
mod express;
mod frames;
mod head;
mod heads;
mod layers;
mod messages;
mod outbox;
mod outgoing;
mod overdue;
mod protocol;
mod proxy;
mod roll;
mod secure;
mod socket;
mod streams;
mod sweep;
mod talk;
mod vitals;
mod watch;
mod wire;
mod worker;
mod workers;

pub use conn::{Expected, connection};
pub use roll::{Place, Roll, Tally};
pub use sweep::{LiveBounds, sweep};
pub use workers::{Bound, CONNECTIONS_MAX, Workers};

/// Answers requests. One value per worker; it is cloned for every request, so
/// it is an `Arc` or as small.
pub trait Respond: Clone + Send + Sync + Unpin + 'static {
    /// The answer's body. An error breaks the answer off where it is.
    type Body: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;

    /// What is known of a plain request that is not at hand.
    type Asked: Send + 'static;

    /// Writes the head of the answer to a plain request, a GET without content over HTTP/1.1,
    /// to `out` if it is at hand; `None` where [`respond`](Self::respond) is to be asked.
    ///
    /// `head` is the request's, and read only for whoever wants it; `None` if it is not plain.
    /// A panic counts as `None`.
    fn at_hand(
        &self,
        head: impl FnOnce() -> Option<PlainHead>,
        viewer: &Viewer,
        out: &mut Lines,
    ) -> Option<Plain<Self::Asked>>;

    /// The answer to a plain request that was not at hand, otherwise as
    /// [`respond`](Self::respond) gives it.
    fn respond_plain(
        self,
        asked: Self::Asked,
        viewer: Viewer,
    ) -> impl Future<Output = Response<Self::Body>> + Send + 'static;

    /// The answer to one request.
    ///
    /// Dropped when the viewer leaves before the answer's head; afterwards the
    /// body is dropped instead. A panic becomes a 500 and ends the connection.
    fn respond(
        self,
        request: Request<Incoming>,
        viewer: Viewer,
    ) -> impl Future<Output = Response<Self::Body>> + Send + 'static;
}

impl Respond for Arc<Edge> {
    type Body = ReplyBody;
    type Asked = PlainAsk;

    fn at_hand(
        &self,
        head: impl FnOnce() -> Option<PlainHead>,
        viewer: &Viewer,
        out: &mut Lines,
    ) -> Option<Plain<PlainAsk>> {
        serve::at_hand(self, head, viewer, out)
    }

    fn respond_plain(
        self,
        asked: PlainAsk,
        viewer: Viewer,
    ) -> impl Future<Output = Response<ReplyBody>> + Send {
        serve::respond_plain(self, asked, viewer)
    }

    fn respond(
        self,
        request: Request<Incoming>,
        viewer: Viewer,
    ) -> impl Future<Output = Response<ReplyBody>> + Send {
        serve::respond(self, request, viewer)
    }
}

/// How long viewers may take; follows a reload.
///
/// Deadlines are looked at twice a second: never early, late by a second at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// For the first byte of a connection, and for a whole head from its first byte.
    pub header_timeout: Duration,
    /// Between the end of an answer and the first byte of the next request.
    pub idle_timeout: Duration,
}

impl Default for Bounds {
    /// 10 s for a head, 60 s between requests.
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests;
