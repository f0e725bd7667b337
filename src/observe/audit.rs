//! Who changed something through the admin API, and who was refused.
//!
//! A line names the caller by its token or key, and what was asked for by numbers: paths and
//! parameters are patients' searches, and stay out of the log.

use std::{fmt, net::IpAddr, path::Path};

use tracing::{error, info, warn};

use super::{
    Events,
    events::{Plain, TARGET},
    metrics::{ReasonLabels, ResultLabels},
};
use crate::time::Timestamp;

/// An invalidation that was accepted.
#[derive(Clone, Copy, Debug)]
pub struct Ordered<'a> {
    /// The token's or key's name.
    pub by: &'a str,
    /// The number it has in the ledger.
    pub sequence: u64,
    /// Its id.
    pub id: &'a str,
    /// The distribution it is about.
    pub distribution: &'a str,
    /// `hard` or `soft`.
    pub mode: &'static str,
    /// How many paths it names.
    pub paths: usize,
    /// How many tags.
    pub tags: usize,
    /// How many values of parameters.
    pub parameters: usize,
    /// Whether it is about everything.
    pub everything: bool,
}

/// Invalidations.
impl Events {
    /// An invalidation took effect.
    pub fn invalidation_accepted(&self, ordered: &Ordered<'_>) {
        self.invalidation("accepted");
        let Ordered {
            by,
            sequence,
            id,
            distribution,
            mode,
            paths,
            tags,
            parameters,
            everything,
        } = *ordered;
        info!(
            target: TARGET, by, sequence, id, distribution, mode, paths, tags, parameters,
            everything, "invalidation accepted"
        );
    }

    /// An invalidation had been accepted before, under the same reference.
    pub fn invalidation_repeated(&self, by: &str, sequence: u64, id: &str) {
        self.invalidation("repeated");
        info!(target: TARGET, by, sequence, id, "invalidation repeated");
    }

    /// An invalidation was refused, and changed nothing.
    pub fn invalidation_refused(&self, by: &str, reason: &'static str, items: usize) {
        self.invalidation("refused");
        warn!(target: TARGET, by, reason, items, "invalidation refused");
    }

    /// An invalidation took effect, and could not be written down.
    pub fn journal_failed(&self, sequence: u64, cause: &dyn fmt::Display) {
        self.invalidation("unwritten");
        let cause = Plain(cause);
        error!(target: TARGET, sequence, %cause, "invalidation not written to the journal");
    }

    /// The journal is open. What was cut off its end was a write that did not finish; what
    /// cannot be read was written by another version.
    pub fn journal_opened(&self, path: &Path, records: usize, unread: usize, cut_bytes: u64) {
        let path = path.display();
        if cut_bytes > 0 || unread > 0 {
            warn!(target: TARGET, %path, records, unread, cut_bytes, "journal damaged, going on with what is whole");
        } else {
            info!(target: TARGET, %path, records, "journal opened");
        }
    }

    /// The journal cannot be used. Viewers are served; invalidations are not answered for.
    pub fn journal_unusable(&self, path: &Path, cause: &dyn fmt::Display) {
        let (path, cause) = (path.display(), Plain(cause));
        error!(target: TARGET, %path, %cause, "journal cannot be opened, trying again at each invalidation");
    }

    fn invalidation(&self, result: &'static str) {
        let series = ResultLabels { result };
        self.families.invalidations.get_or_create(&series).inc();
    }

    /// Shown from the start, as reloads are.
    pub(super) fn show_invalidations(&self) {
        for result in ["accepted", "repeated", "refused", "unwritten"] {
            drop(
                self.families
                    .invalidations
                    .get_or_create(&ResultLabels { result }),
            );
        }
    }
}

/// The admin API.
impl Events {
    /// A call was refused before it could change anything. Counted each time, said once a
    /// second; `by` is the name of its token, where that is known.
    pub fn admin_refused(&self, peer: IpAddr, by: &str, reason: &'static str, now: Timestamp) {
        let series = ReasonLabels { reason };
        self.families.admin_refused.get_or_create(&series).inc();
        // Not one line a peer: a flood would be told once for each of its addresses.
        if let Some(suppressed) = self.quiet.may_say("admin refused", now) {
            warn!(target: TARGET, %peer, by, reason, suppressed, "admin call refused");
        }
    }

    /// Somebody asked for the configuration to be loaded anew.
    pub fn reload_asked(&self, by: &str) {
        info!(target: TARGET, by, "reload asked for");
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Format, trace::logged},
        *,
    };

    #[test]
    fn an_accepted_invalidation_is_told_by_numbers() {
        let events = Events::new();
        let line = logged("info", Format::Text, || {
            events.invalidation_accepted(&Ordered {
                by: "backend",
                sequence: 7,
                id: "I1",
                distribution: "site",
                mode: "hard",
                paths: 2,
                tags: 0,
                parameters: 1,
                everything: false,
            });
        });
        assert!(line.contains("by=\"backend\" sequence=7"), "{line}");
        assert!(line.contains("paths=2 tags=0 parameters=1"), "{line}");
        let text = events.encode();
        assert!(
            text.contains("warmfront_invalidations_total{result=\"accepted\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("warmfront_invalidations_total{result=\"unwritten\"} 0"),
            "{text}"
        );
    }

    #[test]
    fn refused_calls_are_said_once_a_second_and_all_counted() {
        let events = Events::new();
        let lines = logged("info", Format::Text, || {
            for second in [1, 1, 2] {
                let peer = [192, 0, 2, second].into();
                let now = Timestamp::from_unix(second.into());
                events.admin_refused(peer, "", "wrong_token", now);
            }
        });
        assert_eq!(lines.lines().count(), 2, "{lines}");
        let series = "warmfront_admin_refused_total{reason=\"wrong_token\"} 3";
        assert!(events.encode().contains(series));
    }
}
