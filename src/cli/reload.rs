//! `warmfront reload`: the daemon loads its configuration anew.

use std::process::ExitCode;

use clap::Args;
use http::Method;
use serde_json::Value;

use super::admin::Admin;

/// The options of `warmfront reload`.
#[derive(Args, Clone, Debug)]
pub struct Reload {
    #[command(flatten)]
    admin: Admin,
}

impl Reload {
    /// Asks the admin API. 0 when what is on disk is what runs; else 1, with every problem on
    /// stderr.
    pub fn run(self) -> ExitCode {
        self.admin.run((Method::POST, "/v1/reload"), None, told)
    }
}

fn told(answer: &Value) -> String {
    let generation = &answer["generation"];
    let mut text = match answer["changed"] == true {
        true => format!("generation {generation} serves\n"),
        false => format!("nothing has changed, generation {generation} serves\n"),
    };
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        let part = |name: &str| warning[name].as_str().unwrap_or_default().to_owned();
        let (file, key, what) = (part("file"), part("key"), part("what"));
        let line = warning["line"].as_u64().unwrap_or_default();
        text += &format!("warning: {file}:{line}: {key}: {what}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reload_is_told_with_its_warnings() {
        let warning = json!({"file": "a.toml", "line": 3, "key": "k", "what": "w"});
        let answer = json!({"generation": 2, "changed": true, "warnings": [warning]});
        let wanted = "generation 2 serves\nwarning: a.toml:3: k: w\n";
        assert_eq!(told(&answer), wanted);
        let same = json!({"generation": 2, "changed": false, "warnings": []});
        assert!(told(&same).starts_with("nothing has changed"));
    }
}
