//! `warmfront run`: the daemon.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, ValueEnum};
use tokio::runtime::{Builder, Runtime};

use super::{EX_CONFIG, EX_USAGE, failed};
use crate::{
    app::{self, End, Outside, Prepared, Succession},
    observe::{self, BadLog, Format},
};

/// Threads that read files and names for the daemon's own runtime; viewers have others.
const BLOCKING_THREADS_MAX: usize = 4;

/// The options of `warmfront run`.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// The configuration to serve; changes to it are followed
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Take the place of the process that serves with this configuration, without losing a
    /// request; start as usual when there is none (see `server.hand_over`)
    #[arg(long)]
    pub take_over: bool,
    /// What is logged: a level (error, warn, info, debug), or target=level,…
    #[arg(
        long,
        value_name = "FILTER",
        env = "WARMFRONT_LOG",
        default_value = "info"
    )]
    pub log_level: String,
    /// How a log line looks
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

impl Run {
    /// Serves until it is told to end. 0 after draining; 78 when the configuration
    /// is refused at the start; 64 for a log filter that cannot be read; else 1.
    pub fn run(self) -> ExitCode {
        let format = match self.log_format {
            LogFormat::Text => Format::Text,
            LogFormat::Json => Format::Json,
        };
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(error) => return failed(&error),
        };
        let succession = match self.take_over {
            true => Succession::TakeOver,
            false => Succession::Begin,
        };
        let prepared = {
            let _within = runtime.enter();
            // Before the log, whose thread is the first besides this one.
            app::prepare(self.config, succession)
        };
        // Held to the end: dropping it writes the last lines.
        let _log = match observe::install(&self.log_level, format) {
            Ok(log) => log,
            Err(error @ BadLog::Unreadable { .. }) => {
                failed(&error.into());
                return ExitCode::from(EX_USAGE);
            }
            Err(error) => return failed(&error.into()),
        };
        match serve(prepared, runtime) {
            End::Drained => ExitCode::SUCCESS,
            End::Misconfigured => ExitCode::from(EX_CONFIG),
            End::Cut | End::Failed => ExitCode::FAILURE,
        }
    }
}

/// The daemon's own runtime, which answers the admin API and little else.
fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .context("start the runtime")
}

/// Runs what was prepared on `runtime`, to its end.
fn serve(prepared: Prepared, runtime: Runtime) -> End {
    let outside = Outside::system();
    observe::log_panics(outside.events.clone());
    let end = runtime.block_on(app::run(prepared, outside));
    // A file system that hangs must not keep the process.
    runtime.shutdown_background();
    end
}
