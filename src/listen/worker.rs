//! One worker: a thread, its runtime, and what it is told.

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    runtime::{Builder, Runtime},
    sync::{Semaphore, mpsc, oneshot},
    task::{JoinHandle, yield_now},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    Respond,
    accept::{Door, LiveTransport},
    roll::Roll,
    secure::HANDSHAKES_MAX,
    sweep::sweep,
    workers::Shared,
};
use crate::{observe, time::read_anew};

/// Threads for blocking calls. A worker makes none of its own, but the system's
/// resolver is one, and each runtime has its own pool (512 threads by default).
const BLOCKING_THREADS_MAX: usize = 4;

/// How long a draining worker keeps connections for one request more.
///
/// A viewer does not know that we are about to close: what it sends as we do is lost,
/// on a new connection without a reason to try again (RFC 9112 §9.5). In this time a
/// viewer that is busy sends its next request and reads `Connection: close`; one that
/// stays silent longer is unlikely to begin in the very moment of the close.
pub(super) const LINGER_MAX: Duration = Duration::from_secs(3);

/// What a worker is told.
pub(super) enum Command {
    /// Accept here.
    Open(SocketAddr, std::net::TcpListener, Arc<LiveTransport>),
    /// Stop accepting here; answered when the socket is closed.
    Close(SocketAddr, oneshot::Sender<()>),
    /// Stop accepting, finish within that time; answered with how many were cut.
    /// The worker stays: a viewer of another one may follow a fetch that runs here.
    Drain(Duration, oneshot::Sender<usize>),
    /// End.
    Stop,
}

/// A runtime for one thread.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .on_thread_unpark(read_anew)
        .build()
}

/// A worker's own things.
pub(super) struct Worker<R> {
    pub(super) respond: R,
    pub(super) roll: Arc<Roll>,
    pub(super) shared: Arc<Shared>,
}

/// Somebody accepting.
struct Standing {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl<R: Respond> Worker<R> {
    /// Obeys until it is told to stop, or nobody is left to tell it; what is still
    /// open then is cut.
    pub(super) async fn work(self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let sweeping = sweep(Arc::clone(&self.roll), Arc::clone(&self.shared.bounds));
        tokio::spawn(sweeping);
        let turns = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        let mut doors: HashMap<SocketAddr, Vec<Standing>> = HashMap::new();
        while let Some(command) = commands.recv().await {
            match command {
                Command::Open(address, listener, transport) => {
                    match self.open(listener, transport, &turns) {
                        Ok(standing) => {
                            doors.entry(address).or_default().push(standing);
                        }
                        Err(error) => observe::cannot_accept(Some(address), &error),
                    }
                }
                Command::Close(address, closed) => {
                    for standing in doors.remove(&address).into_iter().flatten() {
                        standing.leave().await;
                    }
                    // Nobody waits for it: then nobody is told.
                    let _ = closed.send(());
                }
                Command::Drain(within, drained) => {
                    for standing in doors.drain().flat_map(|(_, standings)| standings) {
                        standing.leave().await;
                    }
                    let _ = drained.send(self.drain(within).await);
                }
                Command::Stop => return,
            }
        }
    }

    fn open(
        &self,
        listener: std::net::TcpListener,
        transport: Arc<LiveTransport>,
        turns: &Arc<Semaphore>,
    ) -> io::Result<Standing> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let door = Door {
            transport,
            respond: self.respond.clone(),
            roll: Arc::clone(&self.roll),
            shared: Arc::clone(&self.shared),
            turns: Arc::clone(turns),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(door.stand(listener, stop.clone()));
        Ok(Standing { stop, task })
    }

    async fn drain(&self, within: Duration) -> usize {
        // One turn of the runtime: a request that has arrived is read, and so
        // its connection is not taken for an idle one.
        yield_now().await;
        let linger = LINGER_MAX.min(within / 2);
        if timeout(linger, self.roll.last()).await.is_ok()
            || timeout(within - linger, self.roll.retire()).await.is_ok()
        {
            return 0;
        }
        self.roll.cut()
    }
}

impl Standing {
    async fn leave(self) {
        self.stop.cancel();
        // It panics only if the runtime is broken; the socket is closed then too.
        let _ = self.task.await;
    }
}
