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

use rustix::process::{Resource, getrlimit};
use tokio::sync::{mpsc, oneshot};

use super::{
    Bounds, Respond,
    proxy::Doorstep,
    roll::{Roll, Tally},
    socket::{dealt, listeners},
    sweep::LiveBounds,
    worker::{Command, Worker, runtime},
};
use crate::site::Proxies;

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
    /// Where all of them accept.
    addresses: Mutex<Vec<SocketAddr>>,
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
        let shared = Arc::new(Shared {
            bounds: Arc::new(LiveBounds::new(Bounds::default())),
            connections_max: AtomicUsize::new(connections_max(files_max())),
            doorstep: Doorstep::default(),
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
        };
        for _ in 0..count {
            started
                .recv()
                .map_err(|_| io::Error::other("a worker thread died as it started"))??;
        }
        Ok(workers)
    }

    /// Accepts viewers at `address`, with a socket for every worker; where, once
    /// port 0 is a number.
    ///
    /// Connections are taken when it returns. The error names the address and
    /// what is wrong: that something listens there already, this process included.
    pub fn open(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        let mut bound = self.bind(address, Vec::new())?;
        bound.spares.clear();
        let address = bound.address;
        self.accept(bound);
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
    pub fn accept(&self, bound: Bound) -> Vec<TcpListener> {
        for (thread, sockets) in self.threads.iter().zip(bound.sockets) {
            for socket in sockets {
                thread.tell(Command::Open(bound.address, socket));
            }
        }
        self.addresses().push(bound.address);
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
            let Some(at) = addresses.iter().position(|open| *open == address) else {
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
        self.addresses().clone()
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

    /// Another limit than [`CONNECTIONS_MAX`], for connections that come from now on.
    pub fn set_connections_max(&self, max: usize) {
        self.shared.connections_max.store(max, Relaxed);
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

    fn addresses(&self) -> std::sync::MutexGuard<'_, Vec<SocketAddr>> {
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
