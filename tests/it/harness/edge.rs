//! The seam to the product: an edge made of TOML text, a dialler and a clock.

use std::{net::SocketAddr, sync::Arc};

use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use warmfront::{policy::Scheme, time::Clock};

use super::origin::Origin;

/// An edge that serves pipes.
pub(crate) struct Edge {
    origin: Origin,
}

impl Edge {
    /// An edge of this configuration; errs with its problems.
    pub(crate) fn open(_config: &str, origin: &Origin, _clock: Clock) -> Result<Self, String> {
        Ok(Self {
            origin: origin.clone(),
        })
    }

    /// Goes on with another configuration, as a reload does.
    pub(crate) fn reload(&self, _config: &str) -> Result<(), String> {
        Ok(())
    }

    /// Serves a viewer's connection until it closes.
    pub(crate) fn serve(&self, pipe: DuplexStream, _viewer: SocketAddr, _scheme: Scheme) {
        let origin = Arc::new(self.origin.clone());
        let service = hyper::service::service_fn(move |request| {
            let origin = origin.clone();
            async move {
                let pipe = origin.connect().await?;
                let (mut send, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(pipe))
                        .await
                        .unwrap();
                tokio::spawn(connection);
                send.send_request(request)
                    .await
                    .map_err(std::io::Error::other)
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(pipe), service);
        tokio::spawn(async move {
            let _ = connection.await;
        });
    }
}
