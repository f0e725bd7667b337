//! Taking connections from a listening socket.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    select,
    sync::Semaphore,
    task::yield_now,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    Respond, Viewer,
    conn::{Expected, connection},
    roll::Roll,
    secure::{Desk, secured},
    workers::Shared,
};
use crate::{observe, policy::Scheme, site::Transport};

/// How long nothing is accepted after the process ran out of what a connection
/// takes (descriptors, memory). The kernel's queue holds viewers meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Where accepted connections go.
#[derive(Clone)]
pub(super) struct Door<R> {
    /// What new connections begin with; a reload may change it.
    pub(super) transport: Arc<LiveTransport>,
    pub(super) respond: R,
    pub(super) roll: Arc<Roll>,
    pub(super) shared: Arc<Shared>,
    /// Room to compute handshakes, of this worker.
    pub(super) turns: Arc<Semaphore>,
}

/// What the connections of one listener begin with, seen by every worker.
#[derive(Debug)]
pub(super) struct LiveTransport(AtomicBool);

impl LiveTransport {
    pub(super) fn new(transport: Transport) -> Self {
        Self(AtomicBool::new(transport == Transport::Tls))
    }

    pub(super) fn set(&self, transport: Transport) {
        self.0.store(transport == Transport::Tls, Relaxed);
    }

    fn now(&self) -> Transport {
        if self.0.load(Relaxed) {
            Transport::Tls
        } else {
            Transport::Plain
        }
    }
}

impl<R: Respond> Door<R> {
    /// Accepts until `stop`, then what the kernel had queued until then:
    /// closing the socket would reset those.
    pub(super) async fn stand(self, listener: TcpListener, stop: CancellationToken) {
        let here = listener.local_addr().ok();
        let mut failed = false;
        loop {
            let accepted = select! {
                biased;
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    failed = false;
                    self.greet(stream, address, here);
                }
                Err(error) if is_the_viewers(&error) => {}
                Err(error) => {
                    // Once per row of failures: it may repeat four times a second.
                    if !failed {
                        observe::cannot_accept(None, &error);
                    }
                    failed = true;
                    select! { () = stop.cancelled() => break, () = sleep(ACCEPT_PAUSE) => {} }
                }
            }
        }
        // One turn of the runtime, so that it has heard of what is queued.
        yield_now().await;
        while let Some((stream, address)) = queued(&listener).await {
            self.greet(stream, address, here);
        }
    }

    pub(super) fn enter(&self, stream: TcpStream, address: SocketAddr) {
        if self.shared.open() >= self.shared.connections_max.load(Relaxed) {
            self.roll.turned_away();
            return;
        }
        // `[::]` accepts IPv4 too, and calls it `::ffff:192.0.2.1`.
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let per_address_max = self.shared.per_address_max.load(Relaxed);
        let Some(seat) = self.shared.census.seat(address.ip(), per_address_max) else {
            self.roll.turned_away();
            return observe::connection_crowded(address.ip());
        };
        let viewer = Viewer {
            address,
            scheme: Scheme::Http,
            covered: None,
            interims: None,
        };
        let respond = self.respond.clone();
        match self.transport.now() {
            Transport::Plain => {
                let place = self.roll.admit().with(seat);
                tokio::spawn(connection(stream, Expected::Sniff, viewer, respond, place));
            }
            Transport::Tls => {
                // Between two reloads there may be nothing to show: nothing is said then.
                let Some(keyring) = self.shared.keyring.load_full() else {
                    return;
                };
                let turns = Arc::clone(&self.turns);
                let place = self.roll.admit().with(seat);
                tokio::spawn(secured(
                    stream,
                    Desk { keyring, turns },
                    viewer,
                    respond,
                    place,
                ));
            }
        }
    }
}

async fn queued(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    poll_fn(|cx| {
        Poll::Ready(match listener.poll_accept(cx) {
            Poll::Ready(accepted) => accepted.ok(),
            Poll::Pending => None,
        })
    })
    .await
}

/// Whether one connection failed, rather than the socket or the process
/// (accept(2): "already-pending network errors on the new socket").
fn is_the_viewers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::Interrupted
    )
}
