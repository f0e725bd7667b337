//! The daemon: everything built from one snapshot, kept in step with the next ones.
//!
//! [`App`] owns what lives as long as the process (store, flights, workers and
//! their connections to origins) and what a reload moves (the site, listeners,
//! the admin door). [`App::apply`] does whatever can fail before the one step
//! that requests see: a single pointer is exchanged, so that every request is
//! served by exactly one configuration, and a refused one changes nothing.
//!
//! Between two processes it is as between two configurations: the next one has the sockets and
//! everything that can fail behind it before this one lets go ([`App::hand_over`]).
//!
//! [`run`] is the daemon's whole life around it: signals, files, and the end.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    admin::{Phase, Readiness, ReloadCall, Reloads},
    config,
    flight::Flights,
    handover::{Inherited, Offer, Predecessor, Spares},
    invalidate::{self, Invalidations, sweep},
    ledger::Ledger,
    listen::{Bounds, Workers},
    observe::Stop,
    serve::{Edge, Limits, Searches, Site},
    site::{Listener, Snapshot},
    store::Store,
};

mod confine;
mod gates;
mod inheritance;
mod limits;
mod office;
mod outside;
mod prepare;
mod reload;
mod run;
mod signals;
mod sources;
mod succession;
mod watch;
mod worker;

pub use inheritance::Inheritance;
pub use outside::Outside;
pub use prepare::{Prepared, Succession, prepare};
pub use run::{End, run};

use gates::{Gate, Opened, bind, everything};
use office::{Desk, Office};
use worker::Serving;

/// How long a worker may take to let go of a listener; it looks at its commands
/// between requests, so this passes only when it is stuck.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// A running daemon. Dropping it stops at once; [`App::stop`] first to lose nothing.
#[derive(Debug)]
pub struct App {
    outside: Outside,
    site: Arc<ArcSwap<Site>>,
    /// What the process was started with: workers and the store's size stay so.
    started_with: Arc<Snapshot>,
    workers: Arc<Workers>,
    /// One per worker.
    edges: Vec<Arc<Edge>>,
    gates: Vec<Gate>,
    office: Option<Office>,
    /// What the next process may be given.
    spares: Spares,
    /// Where it asks, until somebody waits for it.
    offer: Option<Offer>,
    /// What the office answers from.
    desk: Desk,
    /// Where it asks for reloads, until somebody takes them.
    reload_calls: Option<mpsc::Receiver<ReloadCall>>,
    readiness: Readiness,
    /// Cancelled when a worker is gone.
    lost: CancellationToken,
    /// Reclaims what was invalidated, beside the workers' threads.
    _sweep: AbortOnDropHandle<()>,
}

/// Why a configuration cannot be served on this machine.
#[derive(Debug, thiserror::Error)]
pub enum Unservable {
    /// A viewers' listener; the error names the address.
    #[error("cannot listen for viewers: {0}")]
    Listener(#[source] io::Error),
    /// The admin listener.
    #[error("cannot listen for the admin API: address {address}: {source}")]
    Admin {
        /// Where it should be.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A certificate that the library does not take.
    #[error("cannot show the certificates: {0}")]
    Certificates(#[source] rustls::Error),
    /// The threads that serve.
    #[error("cannot start the workers: {0}")]
    Workers(#[source] io::Error),
    /// The thread that writes the journal.
    #[error("cannot start writing the journal: {0}")]
    Journal(#[source] io::Error),
}

impl App {
    /// Serves `snapshot` from when it returns. To be called within a runtime that
    /// goes on running, which answers the admin API; viewers have their own.
    ///
    /// Errs when an address cannot be bound or threads cannot be had; then
    /// nothing is left behind.
    pub fn start(snapshot: Arc<Snapshot>, outside: Outside) -> Result<Self, Unservable> {
        Self::follow(snapshot, outside, Inheritance::default())
    }

    /// As [`App::start`], with sockets that others have bound, in the place of the process
    /// before. That one is told to let go after everything that can fail; until then it serves.
    ///
    /// Blocks until it has, 10 seconds at most.
    pub fn follow(
        snapshot: Arc<Snapshot>,
        outside: Outside,
        inheritance: Inheritance,
    ) -> Result<Self, Unservable> {
        let events = outside.events.clone();
        let site = Site {
            meters: events.meters(&snapshot),
            limits: Limits::of(&snapshot, outside.clock, &Limits::default()),
            snapshot: snapshot.clone(),
        };
        let site = Arc::new(ArcSwap::from_pointee(site));
        let store = Store::new(snapshot.cache.memory, snapshot.cache.object_max);
        let (ledger, flights) = (Ledger::default(), Flights::default());
        let lost = CancellationToken::new();

        let edges = Arc::<Mutex<Vec<Arc<Edge>>>>::default();
        let make = {
            let (outside, site, lost) = (outside.clone(), site.clone(), lost.clone());
            let (store, edges) = (store.clone(), edges.clone());
            let (ledger, flights) = (ledger.clone(), flights.clone());
            let searches = Searches::default();
            move |_worker: usize| {
                let edge = worker::edge(&outside, &site, &store, &ledger, &searches, &flights);
                edges
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(edge.clone());
                Serving::new(edge, lost.clone())
            }
        };
        let workers = Workers::start(snapshot.server.workers, make).map_err(Unservable::Workers)?;
        let edges = edges.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Inheritance {
            mut sockets,
            predecessor,
        } = inheritance;
        let opened = bind(&workers, &everything(&snapshot), &mut sockets)?;
        workers
            .set_certificates(&snapshot.certificates)
            .map_err(Unservable::Certificates)?;
        for address in sockets.unclaimed() {
            events.socket_unclaimed(address);
        }
        drop(sockets);
        if let Some(Err(error)) = predecessor.map(Predecessor::succeed) {
            events.predecessor_silent(&error);
        }
        let parts = invalidate::Parts {
            ledger: ledger.clone(),
            store: store.clone(),
            clock: outside.clock,
            events: events.clone(),
        };
        let journal = snapshot.admin.as_ref().and_then(|one| one.journal.clone());
        // After the process before has let go of it, and before anybody is served: the ledger
        // goes on from where it was.
        let invalidations = Invalidations::open(parts, journal).map_err(Unservable::Journal)?;
        invalidations.follow(&snapshot);
        let (reloads, reload_calls) = Reloads::new();
        let readiness = Readiness::default();
        let desk = Desk {
            readiness: readiness.clone(),
            started: outside.clock.now(),
            site: site.clone(),
            store: store.clone(),
            invalidations,
            reloads,
        };
        let mut app = Self {
            site,
            started_with: snapshot.clone(),
            workers: Arc::new(workers),
            edges,
            gates: Vec::new(),
            office: None,
            spares: Spares::default(),
            offer: None,
            desk,
            reload_calls: Some(reload_calls),
            readiness,
            lost,
            outside,
            _sweep: AbortOnDropHandle::new(tokio::spawn(sweep::run(store.clone(), ledger.clone()))),
        };
        app.bound(&snapshot);
        app.workers.set_proxies(snapshot.proxies.clone());
        sources::show(&app.outside.events, &app.workers, store, ledger, flights);
        app.enter(opened);
        app.readiness.enter(Phase::Ready);
        app.offer(snapshot.server.hand_over.as_deref());
        events.started(snapshot.generation, &snapshot.digest, app.edges.len());
        Ok(app)
    }

    /// Where viewers are served, ports filled in.
    pub fn listening(&self) -> Vec<SocketAddr> {
        self.gates.iter().map(|gate| gate.bound).collect()
    }

    /// Where the admin API answers, if it does.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.office.as_ref().map(Office::address)
    }

    /// The reloads that the admin API asks for; `None` when somebody has taken them. What
    /// is not answered is told the caller.
    fn take_reload_calls(&mut self) -> Option<mpsc::Receiver<ReloadCall>> {
        self.reload_calls.take()
    }

    /// The configuration that serves.
    pub fn running(&self) -> Arc<Snapshot> {
        self.site.load().snapshot.clone()
    }

    /// Serves `next` instead of what is running.
    ///
    /// Every request that begins after it returns sees `next`, and none sees a
    /// mixture; requests under way, connections and the cache are kept. What only
    /// a new process can follow is warned about. Errs when an address cannot be
    /// bound; then nothing has changed. Not to be dropped half-way: listeners
    /// that should close might stay open.
    pub async fn apply(&mut self, next: Arc<Snapshot>) -> Result<(), Unservable> {
        let changes = config::diff(&self.running(), &next);
        let opened = bind(&self.workers, &changes, &mut Inherited::default())?;
        self.workers
            .set_certificates(&next.certificates)
            .map_err(Unservable::Certificates)?;
        // From here on nothing fails.
        self.bound(&next);
        // Before anything is accepted there: no connection may come in unintroduced.
        self.workers.set_proxies(next.proxies.clone());
        self.change(&changes.change);
        self.desk.invalidations.follow(&next);
        let events = &self.outside.events;
        let meters = events.meters(&next);
        self.site.store(Arc::new(Site {
            meters,
            limits: Limits::of(&next, self.outside.clock, &self.site.load().limits),
            snapshot: next.clone(),
        }));
        events.configuration_reloaded(next.generation, &next.digest, next.listeners.len());
        for restart in config::diff(&self.started_with, &next).restart {
            events.configuration_warning(&restart);
        }
        let office = self.office.take_if(|_| changes.admin_close.is_some());
        self.enter(opened);
        if let Some(office) = office {
            self.outside.events.listener_closed(office.address());
            self.shut(office).await;
        }
        let gone = |gate: &mut Gate| changes.close.contains(&gate.listener);
        let gone: Vec<Gate> = self.gates.extract_if(.., gone).collect();
        self.close(&gone).await;
        for gate in gone {
            self.outside.events.listener_closed(gate.bound);
        }
        for edge in &self.edges {
            edge.origins.retain(&next.origins);
        }
        Ok(())
    }

    /// Refuses new connections, lets requests under way end for as long as the
    /// configuration says, then ends. The admin API answers until then, not ready.
    pub async fn stop(mut self, why: Stop) {
        let events = self.outside.events.clone();
        let within = self.running().server.drain_timeout;
        self.readiness.enter(Phase::Draining);
        // Nobody follows a process that ends by itself.
        self.offer = None;
        self.spares.clear();
        events.draining(why, within);
        let cut = self.workers.drain(within).await;
        if cut > 0 {
            events.drain_overdue(cut);
        }
        if let Some(office) = self.office.take() {
            office.close().await;
        }
        events.stopped();
    }

    /// Returns when a worker's thread is gone, which only a defect explains.
    async fn worker_lost(&self) {
        self.lost.cancelled().await;
    }

    /// Makes what was opened part of this daemon, and says so.
    fn enter(&mut self, opened: Opened) {
        let events = &self.outside.events;
        for (listener, socket) in opened.gates {
            let bound = socket.address();
            self.spares
                .hold(bound, self.workers.accept(socket, listener.transport));
            events.listening(bound, "viewers");
            self.gates.push(Gate { listener, bound });
        }
        if let Some(door) = opened.office {
            events.listening(door.address(), "admin");
            // Without it the next process binds the address itself.
            let spare = door.spare().into_iter().collect();
            self.spares.hold(door.address(), spare);
            self.office = Some(Office::open(door, &self.outside, &self.desk));
        }
    }

    /// How many viewers, and how long they may take.
    fn bound(&self, site: &Snapshot) {
        self.workers.set_bounds(bounds(site));
        let server = &site.server;
        self.workers
            .set_connections_max(server.connections_max, server.connections_per_address_max);
    }

    /// Lets listeners that stay begin their connections as `changed` says.
    fn change(&mut self, changed: &[Listener]) {
        for listener in changed {
            let same = |gate: &&mut Gate| gate.listener.address == listener.address;
            if let Some(gate) = self.gates.iter_mut().find(same) {
                gate.listener = listener.clone();
                self.workers.set_transport(gate.bound, listener.transport);
            }
        }
    }

    async fn close(&self, gates: &[Gate]) {
        for gate in gates {
            self.spares.release(gate.bound);
            let _ = timeout(CLOSE_MAX, self.workers.close(gate.bound)).await;
        }
    }

    async fn shut(&self, office: Office) {
        self.spares.release(office.address());
        office.close().await;
    }
}

fn bounds(site: &Snapshot) -> Bounds {
    let (header_timeout, idle_timeout) = (site.server.header_timeout, site.server.idle_timeout);
    Bounds {
        header_timeout,
        idle_timeout,
    }
}
