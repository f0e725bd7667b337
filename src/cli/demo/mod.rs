//! `warmfront demo`: a slow API, an edge in front of it, and what difference that makes.
//!
//! Everything runs in this process and is reached over real sockets: an HTTPS
//! clinic whose searches take seconds, and the edge as `run` would start it,
//! with the configuration shipped as `config/clinic.toml`.

use std::{io::Write as _, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

mod authority;
mod clinic;
mod directory;
mod edge;
mod measure;
mod ports;
mod progress;
mod recipes;
mod report;
mod scratch;
mod viewer;

use authority::Authority;
use clinic::Clinic;
use edge::{Edge, Here};
use measure::Course;
use ports::Place;
use report::Report;
use scratch::Scratch;

/// The edge's port unless another is asked for.
const EDGE_PORT: u16 = 8080;

/// The clinic's port unless another is asked for.
const CLINIC_PORT: u16 = 8443;

/// The port of the edge's metrics.
const ADMIN_PORT: u16 = 9900;

/// Shows a slow API before and after: a clinic's HTTPS search, and an edge in front of it
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Ends after the table instead of going on serving
    #[arg(long)]
    once: bool,
    /// Prints the measurements as JSON
    #[arg(long)]
    json: bool,
    /// Where the edge listens [default: 127.0.0.1:8080, or a free port]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where the clinic listens [default: 127.0.0.1:8443, or a free port]
    #[arg(long, value_name = "ADDRESS")]
    origin: Option<SocketAddr>,
}

/// Runs the demo until it is done (`--once`) or stopped with SIGINT or SIGTERM.
///
/// Errs when something cannot be started, and when the edge answers otherwise
/// than the clinic would.
pub fn run(demo: &Demo) -> anyhow::Result<()> {
    // One thread: the clinic waits rather than works, and the viewers ask one after another.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the demo's runtime")?;
    runtime.block_on(show(demo))
}

/// Sets everything up, measures, reports, and takes everything down again.
async fn show(demo: &Demo) -> anyhow::Result<()> {
    let mut stop = Stop::listen().context("wait for signals")?;
    let scratch = Scratch::new().context("folder for the demo's files")?;
    let stage = Stage::set(demo, &scratch)?;
    let shown = tokio::select! {
        () = stop.asked() => Ok(()),
        shown = stage.show(demo) => shown,
    };
    // Requests under way may end, unless somebody asks twice.
    tokio::select! {
        () = stop.asked() => {}
        stopped = stage.edge.stop() => stopped?,
    }
    shown
}

/// The clinic and the edge, both serving.
struct Stage {
    authority: Authority,
    clinic: Clinic,
    clinic_at: SocketAddr,
    edge: Edge,
    edge_at: SocketAddr,
    ca: PathBuf,
    config: PathBuf,
    metrics: String,
}

impl Stage {
    fn set(demo: &Demo, scratch: &Scratch) -> anyhow::Result<Self> {
        let clinic_at = place("the clinic", demo.origin, CLINIC_PORT)?;
        let edge_at = place("the edge", demo.listen, EDGE_PORT)?;
        let admin_at = place("the edge's metrics", None, ADMIN_PORT)?;

        let authority = Authority::new(clinic_at.address.ip()).context("demo certificates")?;
        let ca = scratch
            .write("ca.pem", authority.pem())
            .context("write ca.pem")?;
        let config = edge::configuration(&Here {
            listener: edge_at.address,
            admin: admin_at.address,
            origin: clinic_at.reach(),
            ca: &ca,
        });
        let config = scratch
            .write("clinic.toml", &config)
            .context("write clinic.toml")?;

        let (clinic_reach, edge_reach, metrics) = (
            clinic_at.reach(),
            edge_at.reach(),
            format!("http://{}/metrics", admin_at.reach()),
        );
        let clinic = Clinic::start(clinic_at.listener, &authority)?;
        // The edge opens its own sockets, one per worker, in the places kept for it until here.
        drop((edge_at.listener, admin_at.listener));
        let edge = Edge::start(&config)?;
        Ok(Self {
            authority,
            clinic,
            clinic_at: clinic_reach,
            edge,
            edge_at: edge_reach,
            ca,
            config,
            metrics,
        })
    }

    /// Measures and prints, then returns only with `--once`. With `--json` nothing but the data
    /// goes to stdout.
    async fn show(&self, demo: &Demo) -> anyhow::Result<()> {
        let course = Course {
            clinic: self.clinic_at,
            edge: self.edge_at,
            tls: Arc::new(self.authority.viewer()?),
            counts: self.clinic.counts(),
        };
        let report = Report {
            searches: course.run().await?,
            edge: format!("http://{}", self.edge_at),
            origin: format!("https://{}", self.clinic_at),
            ca: self.ca.clone(),
            config: self.config.clone(),
            metrics: self.metrics.clone(),
        };
        let mut stdout = std::io::stdout().lock();
        match demo.json {
            true => writeln!(stdout, "{}", report.json()?)?,
            false => writeln!(stdout, "{}", report.text())?,
        }
        if !demo.once {
            match demo.json {
                true => tell(&recipes::text(&report)),
                false => writeln!(stdout, "\n{}", recipes::text(&report))?,
            }
            drop(stdout);
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

/// Finds a place to listen, and tells when it is not the default one.
fn place(who: &str, asked: Option<SocketAddr>, port: u16) -> anyhow::Result<Place> {
    let place = Place::find(asked, port).with_context(|| format!("no place for {who}"))?;
    if let Some(taken) = place.instead_of {
        tell(&format!(
            "port {taken} is taken: {who} is on {}",
            place.address
        ));
    }
    Ok(place)
}

/// A line for the person at the terminal. A closed stderr is no reason to stop.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The signals that end the demo.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self {
            interrupt,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Returns when one of them has come.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
