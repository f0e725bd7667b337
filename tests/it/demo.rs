//! `warmfront demo`, as somebody who has just built it runs it.

use std::process::Command;

use serde_json::Value;

#[test]
fn the_demo_proves_its_hits_and_prints_only_data() {
    let anywhere = "127.0.0.1:0";
    let demo = Command::new(env!("CARGO_BIN_EXE_warmfront"))
        .args([
            "demo", "--once", "--json", "--listen", anywhere, "--origin", anywhere,
        ])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&demo.stderr);
    assert!(demo.status.success(), "{told}");

    let report: Value = serde_json::from_slice(&demo.stdout).unwrap();
    let searches = report["searches"].as_array().unwrap();
    assert_eq!(searches.len(), 2);
    for search in searches {
        let (direct, edge) = (&search["direct"], &search["edge"]);
        // Every direct request reached the clinic, and of those through the edge only the first.
        assert_eq!(direct["origin_requests"], direct["requests"], "{search}");
        assert_eq!(edge["origin_requests"], 1, "{search}");
        assert!(edge["requests"].as_u64() > Some(100), "{search}");
        let time = |of: &Value| of.as_f64().unwrap();
        assert!(time(&direct["median_ms"]) >= 2_192.0, "{search}");
        assert!(
            time(&edge["hit_p99_ms"]) < time(&edge["first_ms"]) / 10.0,
            "{search}"
        );
    }
}
