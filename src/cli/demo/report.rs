//! What the demo found out, as a table for people or as data.

use std::{fmt::Write as _, path::PathBuf};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;

/// Everything the demo reports; `--json` prints it as is.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The edge's base URL.
    pub(super) edge: String,
    /// The clinic's base URL.
    pub(super) origin: String,
    /// The authority that signed the clinic's certificate, as PEM.
    pub(super) ca: PathBuf,
    /// The configuration the edge runs.
    pub(super) config: PathBuf,
    /// The edge's metrics.
    pub(super) metrics: String,
    /// One entry per search.
    pub(super) searches: Vec<Comparison>,
}

/// One search, before and after.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    /// What is searched for.
    pub(super) name: &'static str,
    /// Path and query that were asked.
    pub(super) target: &'static str,
    /// The size of the answer.
    pub(super) body_bytes: usize,
    /// Without the edge.
    pub(super) direct: Direct,
    /// With it.
    pub(super) edge: ThroughEdge,
    /// How many times faster the median hit is than the median direct request.
    pub(super) improvement: f64,
}

/// Requests to the clinic itself, each over a new TLS connection.
#[derive(Debug, Serialize)]
pub(super) struct Direct {
    pub(super) requests: u32,
    pub(super) median_ms: f64,
    /// Requests the clinic counted meanwhile.
    pub(super) origin_requests: u64,
}

/// Requests to the edge, one after another over one connection.
#[derive(Debug, Serialize)]
pub(super) struct ThroughEdge {
    pub(super) requests: u32,
    /// The first one, which the clinic answered.
    pub(super) first_ms: f64,
    pub(super) hit_median_ms: f64,
    pub(super) hit_p99_ms: f64,
    /// Requests the clinic counted meanwhile.
    pub(super) origin_requests: u64,
}

impl Report {
    /// The data, indented, without a newline at its end.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    /// The before/after table and what its numbers mean.
    pub(super) fn text(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header([
            "search",
            "direct\nmedian",
            "edge\nfirst",
            "edge hit\nmedian",
            "edge hit\np99",
            "faster",
            "origin\nrequests",
        ]);
        for search in &self.searches {
            let (direct, edge) = (&search.direct, &search.edge);
            table.add_row([
                search.name.to_owned(),
                milliseconds(direct.median_ms),
                milliseconds(edge.first_ms),
                milliseconds(edge.hit_median_ms),
                milliseconds(edge.hit_p99_ms),
                format!("{} ×", grouped(two_digits(search.improvement))),
                format!(
                    "{}/{} → {}/{}",
                    direct.origin_requests, direct.requests, edge.origin_requests, edge.requests,
                ),
            ]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let mut text = table.trim_fmt();
        if let Some(search) = self.searches.first() {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "\ndirect: {} requests, each over its own TLS connection, as a mobile app asks\n\
                 edge: 1 miss, then {} hits one after another on one loopback connection;\n\
                 every body was compared with the origin's",
                search.direct.requests,
                search.edge.requests - 1,
            );
        }
        text
    }
}

/// `2,196 ms`, or `0.083 ms` where the digits after the point matter.
fn milliseconds(time: f64) -> String {
    match time < 10.0 {
        true => format!("{time:.3} ms"),
        false => format!("{} ms", grouped(time.round() as u64)),
    }
}

/// The number to its first two digits: the next would not be the same in another run.
fn two_digits(number: f64) -> u64 {
    let whole = number.round() as u64;
    let unit = 10_u64.pow(whole.checked_ilog10().unwrap_or(0).saturating_sub(1));
    whole.saturating_add(unit / 2) / unit * unit
}

/// The number with a comma before every third digit from the right.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            edge: "http://127.0.0.1:8080".into(),
            origin: "https://127.0.0.1:8443".into(),
            ca: "/tmp/demo/ca.pem".into(),
            config: "/tmp/demo/clinic.toml".into(),
            metrics: "http://127.0.0.1:9900/metrics".into(),
            searches: vec![Comparison {
                name: "PCP",
                target: "/search/pcp?Keyword=smith",
                body_bytes: 2_500,
                direct: Direct {
                    requests: 5,
                    median_ms: 2196.4,
                    origin_requests: 5,
                },
                edge: ThroughEdge {
                    requests: 201,
                    first_ms: 2199.7,
                    hit_median_ms: 0.083,
                    hit_p99_ms: 0.21,
                    origin_requests: 1,
                },
                improvement: 26_463.2,
            }],
        }
    }

    #[test]
    fn the_table_fits_a_terminal_and_shows_before_and_after() {
        let text = report().text();
        let row = text.lines().find(|line| line.contains("PCP")).unwrap();
        let cells: Vec<_> = row
            .split(['│', '┆'])
            .map(str::trim)
            .filter(|c| !c.is_empty())
            .collect();
        assert_eq!(
            cells,
            [
                "PCP",
                "2,196 ms",
                "2,200 ms",
                "0.083 ms",
                "0.210 ms",
                "26,000 ×",
                "5/5 → 1/201"
            ]
        );
        let widest = text
            .lines()
            .take(5)
            .map(|line| line.chars().count())
            .max()
            .unwrap();
        assert!(widest <= 100, "{widest} columns");
    }

    #[test]
    fn the_data_has_the_same_numbers() {
        let data: serde_json::Value = serde_json::from_str(&report().json().unwrap()).unwrap();
        let search = &data["searches"][0];
        assert_eq!(search["direct"]["median_ms"], 2196.4);
        assert_eq!(search["edge"]["hit_p99_ms"], 0.21);
        assert_eq!(search["edge"]["origin_requests"], 1);
        assert_eq!(data["ca"], "/tmp/demo/ca.pem");
    }

    #[test]
    fn an_improvement_is_told_to_two_digits() {
        for (exact, told) in [
            (0.4, 0),
            (7.2, 7),
            (99.6, 100),
            (149.0, 150),
            (26_463.2, 26_000),
        ] {
            assert_eq!(two_digits(exact), told);
        }
    }

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
