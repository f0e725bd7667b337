//! The origins: kept connections, attempts, and the bodies that flow both ways.
//!
//! [`Origins::send`] takes what makes a request and returns when the final head of the response
//! has arrived. Below it: `attempt` carries out what `policy::failover`
//! decides, `pool` lends connections, `kept` keeps them, `connection` is one of them, `tls`
//! verifies whom we speak to, and [`Dial`] is the seam that tests replace.
//!
//! A request without a body goes over HTTP/1.1 by our own hand (`plain`), for half the work.
//! Everything else is built on hyper's HTTP/1.1 connections and not on its pooling client, which
//! bounds nothing per host and lets a request wait unseen for a stream of a busy HTTP/2
//! connection; and on `h2` itself for HTTP/2, since hyper hides interim responses there.
//!
//! What is bounded: connecting by `connect_timeout` (waiting for a permit, name, TCP and
//! TLS together, per attempt), the final head and every pause within a body by
//! `response_timeout`, exchanges by [`EXCHANGES_MAX`], idle connections by [`IDLE_MAX`]
//! and `keepalive`, heads by [`HEAD_BYTES_MAX`] and [`FIELDS_MAX`], interim responses by
//! [`INTERIM_MAX`].

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, StatusCode, response};
use tokio::time::Instant;

use crate::{site::Origin, time::Clock};

mod attempt;
mod connection;
mod dial;
mod error;
mod head;
mod heads;
mod http2;
mod incoming;
mod interim;
mod kept;
mod patience;
mod plain;
mod pool;
mod received;
mod request;
mod sent;
mod source;
mod tls;

pub use self::{
    connection::{FIELDS_MAX, HEAD_BYTES_MAX},
    dial::{Dial, DialError, Dialling, Io, Network},
    error::FetchError,
    http2::STREAMS_MAX,
    interim::INTERIM_MAX,
    kept::IDLE_MAX,
    pool::EXCHANGES_MAX,
    received::Received,
    sent::{BrokenUpload, Sent},
    source::Source,
};

use self::pool::Pool;

/// The connections of one worker to all its origins.
///
/// Connections are driven by tasks of the runtime that asked for them, so every
/// runtime has its own `Origins`; dropping it closes the idle ones.
pub struct Origins {
    dial: Arc<dyn Dial>,
    clock: Clock,
    /// Few enough to be searched in order, and each found by its address first.
    pools: Mutex<Vec<Arc<Pool>>>,
}

/// A response, up to its body.
pub struct Fetched {
    /// The final head, as the origin sent it; hop-by-hop fields are still in it.
    pub head: response::Parts,
    /// The body; it holds the connection until its end. Boxed, since it is handed on often.
    pub body: Box<Received>,
    /// The connection itself, after `101 Switching Protocols` only (RFC 9110 §15.2.2).
    pub upgraded: Option<hyper::upgrade::OnUpgrade>,
    /// How long it took.
    pub timings: Timings,
}

/// How long the successful attempt took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// Opening the connection: name, TCP and TLS. `None` when a kept one was used.
    pub connect: Option<Duration>,
    /// From handing the request to the connection to the final head.
    pub first_byte: Duration,
    /// When that was there.
    pub at: Instant,
}

/// What to do with interim responses, `103 Early Hints` above all (RFC 8297).
///
/// It is called in the order of arrival, before [`Origins::send`] returns, and again when the
/// request is repeated.
/// `100 Continue` is not passed on: nobody here sent an `Expect`. Neither is a 101 that an
/// HTTP/2 origin sends before its response, where it means nothing (RFC 9113 §8.6).
#[derive(Clone)]
pub struct OnInterim(Arc<Pass>);

type Pass = dyn Fn(StatusCode, &HeaderMap) + Send + Sync;

impl OnInterim {
    /// Calls `pass` with every interim response; it runs on the connection's task, or on the
    /// sender's, and must not block.
    pub fn new(pass: impl Fn(StatusCode, &HeaderMap) + Send + Sync + 'static) -> Self {
        Self(Arc::new(pass))
    }
}

impl fmt::Debug for OnInterim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnInterim")
    }
}

impl Origins {
    /// No connections yet; they will be opened through `dial`.
    pub fn new(dial: Arc<dyn Dial>, clock: Clock) -> Self {
        Self {
            dial,
            clock,
            pools: Mutex::default(),
        }
    }

    /// Sends what `source` makes, with `body`, to `origin`, and returns when the final head has
    /// arrived.
    ///
    /// A change of protocols has an HTTP/1.1 connection of its own. `Content-Length` and
    /// `Transfer-Encoding` are set here, from the body.
    ///
    /// Takes at most `connect_timeout` per attempt at connecting, of which there are at
    /// most `connect_attempts`, and then `response_timeout` from the end of the request's
    /// body (or from its last progress). Dropping the future cancels the attempt: over
    /// HTTP/1.1 its connection is closed, over HTTP/2 its stream is reset.
    ///
    /// # Errors
    ///
    /// When `policy::failover` says to give up: the failure of the last attempt.
    pub fn send<'a>(
        &self,
        origin: &'a Arc<Origin>,
        source: &'a dyn Source,
        body: Sent,
    ) -> impl Future<Output = Result<Fetched, FetchError>> + use<'a> {
        attempt::run(self.pool(origin), origin, source, body)
    }

    /// Closes the kept connections of origins that `keep` does not hold (after a reload).
    ///
    /// Exchanges under way end in peace, and close their connections behind them.
    pub fn retain(&self, keep: &[Arc<Origin>]) {
        let mut gone = Vec::new();
        {
            let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
            for pool in std::mem::take(&mut *pools) {
                if keep.iter().any(|origin| pool.serves(origin)) {
                    pools.push(pool);
                } else {
                    gone.push(pool);
                }
            }
        }
        // Closing wakes tasks; that needs no lock of ours.
        for pool in gone {
            pool.close();
        }
    }

    fn pool(&self, origin: &Arc<Origin>) -> Arc<Pool> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.iter().find(|pool| pool.is_of(origin)) {
            return Arc::clone(pool);
        }
        if let Some(pool) = pools.iter().find(|pool| pool.serves(origin)) {
            return Arc::clone(pool);
        }
        let pool = Arc::new(Pool::new(
            Arc::clone(origin),
            Arc::clone(&self.dial),
            self.clock,
        ));
        pools.push(Arc::clone(&pool));
        pool
    }
}

impl fmt::Debug for Fetched {
    /// Without the fields: they may be somebody's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("status", &self.head.status)
            .field("body", &self.body)
            .field("timings", &self.timings)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Origins")
    }
}
