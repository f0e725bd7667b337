//! The admin listener: few connections, each with a deadline for its head.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use http::Request;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::auth::Peer;
use crate::{observe::Events, time::Clock};

/// Connections served at once: probes, a scraper and an operator or two. More
/// wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 64;

/// For a head to arrive, the idle time before it included: 64 silent peers hold
/// the door no longer than this.
const HEAD_MAX: Duration = Duration::from_secs(10);

/// A connection's life, so that a peer that does not read its answers gives its
/// place back. A scraper that keeps its connection notices one close in five minutes.
const LIFE_MAX: Duration = Duration::from_secs(300);

/// Bytes of a head.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// The pause after a failed accept: without file descriptors it fails at once
/// again, and a loop without a pause would take a whole core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound admin listener.
#[derive(Debug)]
pub struct Door {
    listener: std::net::TcpListener,
    address: SocketAddr,
}

impl Door {
    /// Binds `address`; port 0 takes any. Errs when the system refuses.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        Self::over(std::net::TcpListener::bind(address)?)
    }

    /// Over a socket that listens already. Errs when the system refuses.
    pub fn over(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// A second hold on its socket. As long as it lives, the kernel queues connections there.
    pub fn spare(&self) -> io::Result<std::net::TcpListener> {
        self.listener.try_clone()
    }

    /// Where it is bound, the port filled in.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`; then the listener closes, and answers under way end.
    ///
    /// Dropping the future closes the listener, and leaves connections to their
    /// own deadlines. Errs when the runtime cannot watch the listener.
    pub async fn serve(
        self,
        router: Router,
        events: Arc<Events>,
        clock: Clock,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let open = TaskTracker::new();
        let accept = async {
            loop {
                let Ok(place) = places.clone().acquire_owned().await else {
                    return;
                };
                match listener.accept().await {
                    Ok((tcp, peer)) => {
                        let connection = connection((tcp, peer), router.clone(), stop.clone());
                        open.spawn(async move {
                            connection.await;
                            drop(place);
                        });
                    }
                    Err(cause) => {
                        events.accept_failed(self.address, &cause, clock.now());
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = accept => {}
            () = stop.cancelled() => {}
        }
        drop(listener);
        open.close();
        open.wait().await;
        Ok(())
    }
}

/// One connection, until the peer leaves, is too slow, or `stop`.
async fn connection((tcp, peer): (TcpStream, SocketAddr), router: Router, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    let named = move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        request
    };
    let service = TowerToHyperService::new(router.map_request(named));
    let connection = http.serve_connection(TokioIo::new(tcp), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // Whatever went wrong, the peer knows; the log has nothing to add.
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
        () = sleep(LIFE_MAX) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(HEAD_MAX, connection).await;
}
