//! `warmfront status`: how the daemon is.

use std::process::ExitCode;

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use http::Method;
use serde_json::Value;

use super::admin::Admin;

/// The options of `warmfront status`.
#[derive(Args, Clone, Debug)]
pub struct Status {
    #[command(flatten)]
    admin: Admin,
}

impl Status {
    /// Asks the admin API, and prints what it says. 0; 1 when there is no answer.
    pub fn run(self) -> ExitCode {
        self.admin.run((Method::GET, "/v1/status"), None, told)
    }
}

fn told(answer: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let cache = &answer["cache"];
    let mib = |value: &Value| number(value) as f64 / f64::from(1 << 20);
    let mut text = format!(
        "warmfront {}, {}, up {}\nconfiguration {} ({})\ncache {:.1} of {:.0} MiB, {} objects, {} evicted\n",
        word(&answer["version"]),
        word(&answer["status"]),
        span(number(&answer["uptime_seconds"])),
        answer["generation"],
        word(&answer["digest"]).get(..12).unwrap_or_default(),
        mib(&cache["bytes"]),
        mib(&cache["bytes_max"]),
        number(&cache["objects"]),
        number(&cache["evictions"]),
    );
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "distribution",
        "path",
        "requests",
        "hits",
        "origin ms",
        "p99",
        "viewer ms",
        "p99",
    ]);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for one in answer["behaviours"].as_array().into_iter().flatten() {
        let ms = |latency: &Value, name: &str| match number(&latency["count"]) {
            0 => "-".to_owned(),
            _ => format!("{:.1}", latency[name].as_f64().unwrap_or_default()),
        };
        let (requests, hits) = (number(&one["requests"]), number(&one["hits"]));
        let share = hits
            .checked_mul(100)
            .and_then(|hits| hits.checked_div(requests));
        let (origin, viewer) = (&one["origin_latency"], &one["viewer_latency"]);
        table.add_row([
            word(&one["distribution"]),
            word(&one["path"]),
            requests.to_string(),
            share.map_or_else(|| "-".to_owned(), |share| format!("{share} %")),
            ms(origin, "mean_ms"),
            ms(origin, "p99_ms"),
            ms(viewer, "mean_ms"),
            ms(viewer, "p99_ms"),
        ]);
    }
    text += "\n";
    text += &table.trim_fmt();
    text += "\n";
    text
}

/// Seconds as people say them.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_told_in_a_table() {
        let latency = json!({"count": 1, "mean_ms": 2192.0, "p99_ms": 2500.0});
        let none = json!({"count": 0, "mean_ms": 0.0, "p99_ms": 0.0});
        let behaviour = |path: &str, requests: u64, latency: &Value| {
            json!({"distribution": "clinic", "path": path, "requests": requests, "hits": 3,
                "origin_latency": latency, "viewer_latency": latency})
        };
        let text = told(&json!({
            "version": "0.1.0", "status": "ready", "generation": 2,
            "digest": "0123456789abcdef", "uptime_seconds": 7_300,
            "cache": {"bytes": 3 << 20, "bytes_max": 512 << 20, "objects": 4, "evictions": 0},
            "behaviours": [behaviour("/search", 4, &latency), behaviour("*", 0, &none)],
        }));
        assert!(
            text.starts_with("warmfront 0.1.0, ready, up 2 h\nconfiguration 2 (0123456789ab)\n"),
            "{text}"
        );
        assert!(
            text.contains("cache 3.0 of 512 MiB, 4 objects, 0 evicted\n"),
            "{text}"
        );
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let last: Vec<String> = text.lines().rev().take(2).map(words).collect();
        assert_eq!(last[1], "clinic /search 4 75 % 2192.0 2500.0 2192.0 2500.0");
        assert_eq!(last[0], "clinic * 0 - - - - -");
    }
}
