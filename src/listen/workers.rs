//! The threads that serve viewers.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc as std_mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use rustix::process::{Resource, getrlimit};
use rustls::server::ProducesTickets;
use tokio::sync::{mpsc, oneshot};

use super::{
    Bounds, Respond,
    accept::LiveTransport,
    census::Census,
    certs::{self, Keyring},
    proxy::Doorstep,
    roll::{Roll, Tally},
    socket::{dealt, listeners},
    sweep::LiveBounds,
    worker::{Command, Worker, runtime},
};
use crate::site::{Certificate, Proxies, Transport};

/// Viewers' connections at once, in the whole process; further ones are closed
/// as soon as they are accepted. Fewer where the process may open fewer files:
/// a quarter of those is left for origins and everything else.
///
/// At about 1 KiB each while silent, 5 KiB idle and 20 KiB active (measured with
/// 5,000), 1.3 GiB at worst, and what answers hold.
pub const CONNECTIONS_MAX: usize = 65_536;

/// What all workers see.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) bounds: Arc<LiveBounds>,
    pub(super) connections_max: AtomicUsize,
    pub(super) doorstep: Doorstep,
    pub(super) per_address_max: AtomicUsize,
    pub(super) census: Arc<Census>,
    /// The certificates that new connections are shown.
    pub(super) keyring: ArcSwapOption<Keyring>,
    rolls: Vec<Arc<Roll>>,
}

impl Shared {
    pub(super) fn open(&self) -> usize {
        self.rolls.iter().map(|roll| roll.open()).sum()
    }
}

/// The running workers. Dropping it stops them at once; [`Workers::drain`] first
/// to lose nothing.
#[derive(Debug)]
pub struct Workers {
    shared: Arc<Shared>,
    threads: Vec<Thread>,
    /// Where all of them accept, and what their connections begin with.
    addresses: Mutex<Vec<(SocketAddr, Arc<LiveTransport>)>>,
    /// Encrypts the tickets of all of them, as long as they live.
    ticketer: Arc<dyn ProducesTickets>,
}

/// Sockets that listen and are not accepted from. Dropping it closes them.
#[derive(Debug)]
pub struct Bound {
    address: SocketAddr,
    /// One list for each worker.
    sockets: Vec<Vec<TcpListener>>,
    spares: Vec<TcpListener>,
}

impl Bound {
    /// Where viewers connect, port 0 filled in.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[derive(Debug)]
struct Thread {
    commands: Option<mpsc::UnboundedSender<Command>>,
    handle: Option<JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` threads (one if that is 0) that accept nowhere yet.
    ///
    /// `make` is called on each thread, inside its runtime, with the thread's
    /// number; what it makes answers that thread's requests and dies with it.
    /// Fails when a thread or its runtime cannot be had, or `make` panics; then
    /// none is left.
    pub fn start<R, F>(count: usize, make: F) -> io::Result<Self>
    where
        R: Respond,
        F: Fn(usize) -> R + Send + Sync + 'static,
    {
        let count = count.max(1);
        let ticketer = certs::ticketer().map_err(io::Error::other)?;
        let room = connections_max(files_max());
        let shared = Arc::new(Shared {
            bounds: Arc::new(LiveBounds::new(Bounds::default())),
            doorstep: Doorstep::default(),
            connections_max: AtomicUsize::new(room),
            per_address_max: AtomicUsize::new(per_address_max(room)),
            census: Arc::default(),
            keyring: ArcSwapOption::empty(),
            rolls: (0..count).map(|_| Arc::default()).collect(),
        });
        let make = Arc::new(make);
        let (ready, started) = std_mpsc::channel();
        let mut threads = Vec::with_capacity(count);
        for index in 0..count {
            let (shared, make, ready) = (Arc::clone(&shared), Arc::clone(&make), ready.clone());
            threads.push(Thread::start(index, shared, move || make(index), ready)?);
        }
        drop(ready);
        let workers = Self {
            shared,
            threads,
            addresses: Mutex::default(),
            ticketer,
        };
        for _ in 0..count {
            started
                .recv()
                .map_err(|_| io::Error::other("a worker thread died as it started"))??;
        }
        Ok(workers)
    }

    /// Accepts viewers at `address`, with a socket for every worker; where, once
    /// port 0 is a number. Their connections begin with `transport`.
    ///
    /// Connections are taken when it returns. The error names the address and
    /// what is wrong: that something listens there already, this process included.
    pub fn open(&self, address: SocketAddr, transport: Transport) -> io::Result<SocketAddr> {
        let mut bound = self.bind(address, Vec::new())?;
        bound.spares.clear();
        let address = bound.address;
        self.accept(bound, transport);
        Ok(address)
    }

    /// Sockets at `address` for every worker, from which nothing is accepted yet: those that
    /// were `inherited`, or new ones where there are none. Errs as [`Workers::open`] does.
    pub fn bind(&self, address: SocketAddr, inherited: Vec<TcpListener>) -> io::Result<Bound> {
        let spares = match inherited.is_empty() {
            true => listeners(address, self.threads.len())?,
            false => inherited,
        };
        let address = match spares.first() {
            Some(socket) => socket.local_addr()?,
            None => address,
        };
        Ok(Bound {
            address,
            sockets: dealt(&spares, self.threads.len())?,
            spares,
        })
    }

    /// Accepts viewers at what [`Workers::bind`] bound; its spares, which hold every socket
    /// once more. As long as they live, closing the address leaves the kernel queueing there.
    pub fn accept(&self, bound: Bound, transport: Transport) -> Vec<TcpListener> {
        let transport = Arc::new(LiveTransport::new(transport));
        for (thread, sockets) in self.threads.iter().zip(bound.sockets) {
            for socket in sockets {
                thread.tell(Command::Open(bound.address, socket, Arc::clone(&transport)));
            }
        }
        self.addresses().push((bound.address, transport));
        bound.spares
    }

    /// Accepts no more at `address`; connections made there go on. False if that
    /// was not open.
    ///
    /// What the kernel had queued is accepted first. When it returns, the address
    /// is free. Dropping it only stops the wait.
    pub async fn close(&self, address: SocketAddr) -> bool {
        {
            let mut addresses = self.addresses();
            let Some(at) = addresses.iter().position(|(open, _)| *open == address) else {
                return false;
            };
            addresses.remove(at);
        }
        self.tell_all(|closed| Command::Close(address, closed))
            .await;
        true
    }

    /// Where viewers are accepted now.
    pub fn listening(&self) -> Vec<SocketAddr> {
        self.addresses().iter().map(|(open, _)| *open).collect()
    }

    /// What connections begin with that come to `address` from now on; those that are open
    /// go on. False if it is not open.
    pub fn set_transport(&self, address: SocketAddr, transport: Transport) -> bool {
        let addresses = self.addresses();
        let open = addresses.iter().find(|(open, _)| *open == address);
        open.inspect(|(_, live)| live.set(transport)).is_some()
    }

    /// Shows `certificates` to connections that come from now on; those that are open go on.
    ///
    /// Errs when the library refuses one; then the ones before are shown on.
    pub fn set_certificates(&self, certificates: &[Certificate]) -> Result<(), rustls::Error> {
        let keyring = Keyring::of(certificates, &self.ticketer)?;
        self.shared.keyring.store(keyring.map(Arc::new));
        Ok(())
    }

    /// New bounds, from the next sweep on, for open connections too.
    pub fn set_bounds(&self, bounds: Bounds) {
        self.shared.bounds.set(bounds);
    }

    /// What stands before us, for connections that come from now on. To be said before a
    /// listener opens that it names.
    pub fn set_proxies(&self, proxies: Proxies) {
        self.shared.doorstep.set(proxies);
    }

    /// Other limits for connections that come from now on: `max` at once, and of those
    /// `per_address` from one address. `None` for the first is [`CONNECTIONS_MAX`], or fewer
    /// where the process may open fewer files; for the second, half of the first.
    pub fn set_connections_max(&self, max: Option<usize>, per_address: Option<usize>) {
        let max = max.unwrap_or_else(|| connections_max(files_max()));
        let per_address = per_address.unwrap_or_else(|| per_address_max(max));
        self.shared.connections_max.store(max, Relaxed);
        self.shared.per_address_max.store(per_address, Relaxed);
    }

    /// Open connections, upgraded ones included.
    pub fn connections(&self) -> usize {
        self.shared.open()
    }

    /// What happened at the doors since the start.
    pub fn tally(&self) -> Tally {
        self.shared.rolls.iter().map(|roll| roll.tally()).sum()
    }

    /// Stops accepting, lets requests in flight finish for at most `within`, then
    /// cuts the rest; how many connections were cut.
    ///
    /// HTTP/1 viewers read `Connection: close` on their last answer, HTTP/2 ones
    /// get GOAWAY. Idle connections may send one request more for some seconds, half of
    /// `within` at most, before they close. Afterwards the workers are
    /// gone, and nothing can be opened. Dropping it only stops the wait.
    pub async fn drain(&self, within: Duration) -> usize {
        self.addresses().clear();
        let cut = self
            .tell_all(|drained| Command::Drain(within, drained))
            .await;
        for thread in &self.threads {
            thread.tell(Command::Stop);
        }
        cut.into_iter().sum()
    }

    /// Tells every worker, then waits for their answers; none from one that is gone.
    async fn tell_all<T>(&self, command: impl Fn(oneshot::Sender<T>) -> Command) -> Vec<T> {
        let mut waiting = Vec::with_capacity(self.threads.len());
        for thread in &self.threads {
            let (answer, answered) = oneshot::channel();
            thread.tell(command(answer));
            waiting.push(answered);
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for answered in waiting {
            answers.extend(answered.await);
        }
        answers
    }

    fn addresses(&self) -> std::sync::MutexGuard<'_, Vec<(SocketAddr, Arc<LiveTransport>)>> {
        self.addresses
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for thread in &mut self.threads {
            thread.commands = None;
        }
        for thread in &mut self.threads {
            if let Some(handle) = thread.handle.take() {
                // It ended by panic: the panic was reported when it happened.
                let _ = handle.join();
            }
        }
    }
}

impl Thread {
    fn start<R: Respond>(
        index: usize,
        shared: Arc<Shared>,
        make: impl FnOnce() -> R + Send + 'static,
        ready: std_mpsc::Sender<io::Result<()>>,
    ) -> io::Result<Self> {
        let (commands, told) = mpsc::unbounded_channel();
        let roll = Arc::clone(&shared.rolls[index]);
        let work = move || {
            let runtime = match runtime() {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error))),
            };
            runtime.block_on(async move {
                let worker = Worker {
                    respond: make(),
                    roll,
                    shared,
                };
                // Its receiver is gone when another worker failed; then so are the commands.
                let _ = ready.send(Ok(()));
                drop(ready);
                worker.work(told).await;
            });
            // A blocking call that hangs must not keep the process.
            runtime.shutdown_background();
        };
        let handle = thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(work)?;
        Ok(Self {
            commands: Some(commands),
            handle: Some(handle),
        })
    }

    /// A worker that has drained hears nothing any more.
    fn tell(&self, command: Command) {
        if let Some(commands) = &self.commands {
            let _ = commands.send(command);
        }
    }
}

/// How many connections fit a process that may open `files` files.
fn connections_max(files: usize) -> usize {
    CONNECTIONS_MAX.min(files - files / 4)
}

/// How many of `connections` one address may hold: it leaves as many to others. Behind a
/// balancer that opens a connection for each of its own, all come from a few addresses.
fn per_address_max(connections: usize) -> usize {
    connections.div_ceil(2)
}

/// How many files this process may open; the soft limit counts.
fn files_max() -> usize {
    let soft = getrlimit(Resource::Nofile).current;
    soft.map_or(usize::MAX, |soft| {
        usize::try_from(soft).unwrap_or(usize::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_files_is_left_for_others() {
        assert_eq!(connections_max(1024), 768);
        assert_eq!(connections_max(1_048_576), CONNECTIONS_MAX);
        assert_eq!(connections_max(usize::MAX), CONNECTIONS_MAX);
    }
}
