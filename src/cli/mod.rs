//! The command line: what a person types, what is printed, and the exit codes.
//!
//! | code | means |
//! |---|---|
//! | 0 | done |
//! | 64 | the command line is not understood (`EX_USAGE`) |
//! | 78 | a configuration is refused (`EX_CONFIG`) |
//! | 1 | anything else |

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};

pub mod admin;
pub mod check;
pub mod demo;
pub mod explain;
pub mod invalidate;
pub mod reload;
pub mod run;
pub mod status;

use self::{
    check::Check, demo::Demo, explain::Explain, invalidate::Invalidate, reload::Reload, run::Run,
    status::Status,
};

/// The exit code for a command line that is not understood, of sysexits.h.
const EX_USAGE: u8 = 64;
/// The exit code for a configuration that is refused, of sysexits.h.
const EX_CONFIG: u8 = 78;

/// A self-hosted caching edge for slow HTTP APIs
#[derive(Debug, Parser)]
#[command(name = "warmfront", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves what a configuration says, until SIGTERM or SIGINT
    Run(Run),
    /// Shows every problem and every warning of configuration files
    Check(Check),
    /// Shows what would become of a request, and why
    Explain(Explain),
    /// Makes a running daemon forget what it has stored, or take it as stale
    Invalidate(Invalidate),
    /// Makes a running daemon load its configuration anew
    Reload(Reload),
    /// Shows how a running daemon is
    Status(Status),
    /// Shows a slow API before and after, with everything in this one process
    Demo(Demo),
}

/// Does what this process was called for.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => cli.run(),
        Err(told) => {
            // `--help` and `--version` come this way too, for standard output.
            let _ = told.print();
            if told.use_stderr() {
                ExitCode::from(EX_USAGE)
            } else {
                ExitCode::SUCCESS
            }
        }
    }
}

impl Cli {
    fn run(self) -> ExitCode {
        match self.command {
            Command::Run(run) => run.run(),
            Command::Check(check) => check.run(),
            Command::Explain(explain) => explain.run(),
            Command::Invalidate(invalidate) => invalidate.run(),
            Command::Reload(reload) => reload.run(),
            Command::Status(status) => status.run(),
            Command::Demo(demo) => match demo::run(&demo) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error),
            },
        }
    }
}

/// Says why a command failed, causes included, and ends with 1.
fn failed(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "warmfront: {error:#}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_free_of_contradictions() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_not_understood_is_told_on_stderr_and_help_is_not() {
        let told = |words: &[&str]| Cli::try_parse_from(words).unwrap_err().use_stderr();
        assert!(told(&["warmfront", "run"]));
        assert!(told(&["warmfront", "serve"]));
        assert!(told(&[
            "warmfront",
            "run",
            "--config",
            "a.toml",
            "--log-format",
            "xml"
        ]));
        assert!(!told(&["warmfront", "--help"]));
        assert!(!told(&["warmfront", "run", "--help"]));
    }
}
