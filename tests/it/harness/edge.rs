//! The seam to the product: an edge made of TOML text, a dialler and a clock.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use arc_swap::ArcSwap;
use tokio::io::DuplexStream;
use warmfront::{
    config::{self, Machine},
    fields::host::Host,
    flight::Flights,
    invalidate::sweep,
    ledger::Ledger,
    listen::{self, Bounds, Expected, LiveBounds, Roll, connection},
    observe::Events,
    origin::{Dial, DialError, Dialling, Io, Origins},
    policy::{Scheme, selector::Selector},
    serve::{self, Limits, Recoder, Refreshes, RequestIds, Searches, Site, Viewer},
    site::{Routed, Snapshot},
    store::Store,
    time::Clock,
};

use super::{
    origin::Origin,
    script::{Invalidate, Item},
};

/// An edge that serves pipes.
pub(crate) struct Edge {
    edge: Arc<serve::Edge>,
    generation: Mutex<u64>,
}

impl Edge {
    /// An edge of this configuration; errs with its problems.
    pub(crate) fn open(config: &str, dial: Arc<dyn Dial>, clock: Clock) -> Result<Self, String> {
        let cache = &snapshot(config, 1)?.cache;
        let store = Store::new(cache.memory, cache.object_max);
        Self::with_store(store, config, dial, clock)
    }

    /// The same over a store of one's own, which may be smaller than a configuration may say.
    pub(crate) fn with_store(
        store: Store,
        config: &str,
        dial: Arc<dyn Dial>,
        clock: Clock,
    ) -> Result<Self, String> {
        let snapshot = snapshot(config, 1)?;
        let events = Arc::new(Events::new());
        let edge = serve::Edge {
            site: Arc::new(ArcSwap::from_pointee(site(
                snapshot,
                &events,
                clock,
                &Limits::default(),
            ))),
            store,
            ledger: Ledger::default(),
            searches: Searches::default(),
            flights: Flights::default(),
            refreshes: Refreshes::default(),
            recoder: Recoder::default(),
            origins: Origins::new(dial, clock),
            clock,
            events,
            ids: RequestIds::new(),
        };
        Ok(Self {
            edge: Arc::new(edge),
            generation: Mutex::new(1),
        })
    }

    /// The edge itself.
    pub(crate) fn inner(&self) -> &Arc<serve::Edge> {
        &self.edge
    }

    /// Goes on with another configuration, as a reload does.
    pub(crate) fn reload(&self, config: &str) -> Result<(), String> {
        let mut generation = self.generation.lock().unwrap();
        *generation += 1;
        let snapshot = snapshot(config, *generation)?;
        self.edge.origins.retain(&snapshot.origins);
        let (edge, before) = (&self.edge, self.edge.site.load_full());
        let next = site(snapshot, &edge.events, edge.clock, &before.limits);
        edge.site.store(Arc::new(next));
        Ok(())
    }

    /// Reclaims what is invalidated, as long as the runtime lives.
    pub(crate) fn sweep(&self) {
        tokio::spawn(sweep::run(
            self.edge.store.clone(),
            self.edge.ledger.clone(),
        ));
    }

    /// Invalidates pages, tags and parameters of the distribution that `example.test` belongs to.
    pub(crate) fn invalidate(&self, act: &Invalidate) -> Result<(), String> {
        let (host, _) = Host::parse_authority(b"example.test").expect("it is a host");
        let site = self.edge.site.load().snapshot.clone();
        let routed = |path: &str| match site.route(&host, path) {
            Routed::To(route) => Ok(route),
            _ => Err(format!("`{path}` belongs to no behaviour")),
        };
        let selector = |item: &Item| {
            Ok(match item {
                Item::Path(path) => match path.strip_suffix('*') {
                    Some(prefix) => Selector::prefix(&routed("/")?.distribution().id, prefix),
                    None => {
                        let (path, query) = match path.split_once('?') {
                            Some((path, query)) => (path, Some(query)),
                            None => (&**path, None),
                        };
                        let route = routed(path)?;
                        let spec = &route.behaviour().rules.key;
                        Selector::page(&route.distribution().id, spec, path, query)
                    }
                },
                Item::Tag(tag) => Selector::tag(&routed("/")?.distribution().id, tag.as_bytes()),
                Item::Where { path, name, value } => {
                    let route = routed(path)?;
                    let scope = &route.behaviour().rules.key.scope;
                    let (name, value) = (name.as_bytes(), value.as_bytes());
                    Selector::parameter(&scope.distribution, &scope.behaviour, name, value)
                }
            })
        };
        let selectors: Result<Vec<_>, String> = act.items.iter().map(selector).collect();
        self.edge.ledger.accept(act.mode, selectors?);
        Ok(())
    }

    /// Serves a viewer's connection until it closes, or is overdue.
    ///
    /// It has a sweep of its own, which ends with it: a year without viewers is not swept
    /// twice a second.
    pub(crate) fn serve(&self, pipe: DuplexStream, address: SocketAddr, scheme: Scheme) {
        let viewer = Viewer {
            address,
            scheme,
            covered: None,
            interims: None,
        };
        let roll = Arc::<Roll>::default();
        let bounds = Arc::new(LiveBounds::new(Bounds::default()));
        let served = connection(
            pipe,
            Expected::Sniff,
            viewer,
            self.edge.clone(),
            roll.admit(),
        );
        tokio::spawn(async move {
            tokio::select! {
                () = served => {}
                () = listen::sweep(roll, bounds) => {}
            }
        });
    }
}

fn snapshot(config: &str, generation: u64) -> Result<Arc<Snapshot>, String> {
    let machine = Machine {
        reach: None,
        folder: PathBuf::new(),
    };
    match config::parse("script", config, generation, &machine) {
        Ok(loaded) => Ok(loaded.snapshot),
        Err(problems) => Err(format!("{problems}\nin the configuration\n{config}")),
    }
}

fn site(snapshot: Arc<Snapshot>, events: &Events, clock: Clock, before: &Limits) -> Site {
    let meters = events.meters(&snapshot);
    Site {
        limits: Limits::of(&snapshot, clock, before),
        snapshot,
        meters,
    }
}

impl Dial for Origin {
    fn dial<'a>(&'a self, _host: &'a str, _port: u16) -> Dialling<'a> {
        Box::pin(async {
            let stream = self.connect().await.map_err(DialError::Connect)?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}
