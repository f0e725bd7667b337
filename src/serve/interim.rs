//! Interim responses on their way to the viewer whose request brought them (RFC 9110 §15.2).
//!
//! "A proxy MUST forward 1xx responses unless the proxy itself requested the generation of
//! the 1xx response." They go to the one viewer for whom the origin was asked: who waits for
//! the same fetch gets its final response only, and so does the store.

use std::{fmt, sync::Arc};

use http::{HeaderMap, StatusCode};

use crate::{origin::OnInterim, policy::deliver};

/// A viewer's connection, as far as interim responses are concerned.
pub trait TakeInterim: Send + Sync + 'static {
    /// Sends an interim response before the final one to `request`, by the number that the
    /// connection gave it.
    ///
    /// Never waits. Drops it without a word when the final response has begun, when the
    /// viewer has left, and when it is more than a connection holds for one request.
    fn take_interim(&self, request: u32, status: StatusCode, headers: &HeaderMap);
}

/// Where the interim responses to one request go. Made and cloned without an allocation.
#[derive(Clone)]
pub struct Interims {
    connection: Arc<dyn TakeInterim>,
    request: u32,
}

impl Interims {
    /// To `connection`, for the request that it knows by this number.
    pub fn new(connection: Arc<dyn TakeInterim>, request: u32) -> Self {
        Self {
            connection,
            request,
        }
    }

    /// Passes one on, with the fields that a viewer may see; never waits.
    pub fn pass(&self, status: StatusCode, headers: &HeaderMap) {
        let headers = deliver::interim(headers);
        self.connection.take_interim(self.request, status, &headers);
    }

    /// What a request to the origin carries, so that its interim responses go there.
    pub(super) fn on_interim(self) -> OnInterim {
        OnInterim::new(move |status, headers| self.pass(status, headers))
    }
}

impl fmt::Debug for Interims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Interims({})", self.request)
    }
}
