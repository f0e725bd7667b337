//! Where log lines go: stderr, as text or as JSON.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use super::lines::{Lines, Log};

/// What a line looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people; coloured when stderr is a terminal.
    #[default]
    Text,
    /// One object per line, the fields beside the message.
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum BadLog {
    /// The directives are not understood.
    #[error(
        "log filter \"{seen}\" is no level (error, warn, info, debug, trace, off) nor a list of target=level"
    )]
    Unreadable {
        /// What was given.
        seen: String,
    },
    /// Something in this process receives log lines already.
    #[error("logging is set up already")]
    Installed,
    /// The system gives us no thread.
    #[error("no thread to write the log")]
    NoThread(#[source] io::Error),
}

/// Libraries that let a viewer write into our log: rustls says each fatal alert
/// at `warn`. A filter that names them wins.
const CALM: &str = "rustls=error,hyper_rustls=error,h2=error";

/// Sends what `filter` lets through to stderr, from now until the process ends.
///
/// `filter` is a level (`debug`) or directives (`info,warmfront=debug`). The
/// [`Log`] that comes back writes the last lines when it is dropped. Errs when
/// the filter cannot be read, or when called twice.
pub fn install(filter: &str, format: Format) -> Result<Log, BadLog> {
    let filter = parse(filter)?;
    let log = Log::to(io::stderr()).map_err(BadLog::NoThread)?;
    let lines = layer(format, io::stderr().is_terminal(), log.lines());
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter));
    subscriber.try_init().map_err(|_| BadLog::Installed)?;
    Ok(log)
}

fn parse(filter: &str) -> Result<EnvFilter, BadLog> {
    let unreadable = || BadLog::Unreadable {
        seen: filter.to_owned(),
    };
    // The library takes a misspelt level for the name of a target, and says nothing at all.
    let known = |one: &str| match one.trim() {
        "" => false,
        one => one.contains('=') || one.parse::<LevelFilter>().is_ok(),
    };
    if !filter.split(',').all(known) {
        return Err(unreadable());
    }
    let directives = format!("{CALM},{filter}");
    EnvFilter::builder()
        .with_regex(false)
        .parse(directives)
        .map_err(|_| unreadable())
}

fn layer(format: Format, colours: bool, to: Lines) -> Box<dyn Layer<Registry> + Send + Sync> {
    // A line that cannot be written is lost. The default is to say so on stderr,
    // which is what just failed, with a macro that panics when it does.
    let layer = fmt::layer().with_writer(to).log_internal_errors(false);
    match format {
        Format::Text => layer.with_ansi(colours).boxed(),
        Format::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .boxed(),
    }
}

/// What `act` logs on this thread.
#[cfg(test)]
pub(super) fn logged(filter: &str, format: Format, act: impl FnOnce()) -> String {
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let kept = Kept::default();
    let log = Log::to(kept.clone()).unwrap();
    let layer = layer(format, false, log.lines()).with_filter(parse(filter).unwrap());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
    drop(log);
    let lines = kept.0.lock().unwrap().clone();
    String::from_utf8(lines).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_refused() {
        for filter in ["inof", "", "info,warmfront", "warmfront=inof"] {
            assert!(parse(filter).is_err(), "{filter:?}");
        }
        for filter in ["info", "DEBUG", "info,warmfront=debug", "off"] {
            assert!(parse(filter).is_ok(), "{filter:?}");
        }
    }

    #[test]
    fn a_viewers_bad_handshake_is_not_worth_a_line_unless_asked_for() {
        let handshake = || tracing::warn!(target: "rustls::conn", "fatal alert");
        assert_eq!(logged("info", Format::Text, handshake), "");
        assert!(logged("info,rustls=warn", Format::Text, handshake).contains("fatal alert"));
    }

    #[test]
    fn json_lines_hold_the_facts_beside_the_message() {
        let line = logged("info", Format::Json, || {
            tracing::info!(target: "warmfront", generation = 3_u64, "configuration reloaded");
        });
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["message"], "configuration reloaded");
        assert_eq!(
            (&line["generation"], &line["level"]),
            (&3.into(), &"INFO".into())
        );
    }

    #[test]
    fn a_line_cannot_be_forged_by_what_it_quotes() {
        let line = logged("info", Format::Text, || {
            tracing::warn!(target: "warmfront", cause = %"x\n2026 ERROR forged", "y");
        });
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}
