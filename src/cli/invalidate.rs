//! `warmfront invalidate`: what is stored is forgotten, or taken as stale.

use std::process::ExitCode;

use clap::Args;
use http::Method;
use serde_json::{Map, Value, json};

use super::admin::Admin;

/// The options of `warmfront invalidate`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Invalidate {
    /// Paths: `/a`, `/a?q=1`, or `/a*` for everything that begins so. With --where, they are
    /// the behaviours whose objects are taken
    #[arg(value_name = "PATH")]
    pub paths: Vec<String>,
    /// Everything that the origin gave this tag
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Everything whose key has this parameter with this value, whatever its others
    #[arg(long = "where", value_name = "NAME=VALUE")]
    pub parameters: Vec<String>,
    /// Everything of the distribution
    #[arg(long)]
    pub everything: bool,
    /// The distribution; needed when there are several
    #[arg(long, value_name = "ID")]
    pub distribution: Option<String>,
    /// Take it as stale instead of forgetting it: it is served while it is revalidated
    #[arg(long)]
    pub soft: bool,
    /// Change nothing, and tell what would go
    #[arg(long)]
    pub dry_run: bool,
    /// Make a repetition harmless: the same content under it is the first invalidation again
    #[arg(long, value_name = "TEXT")]
    pub reference: Option<String>,
    #[command(flatten)]
    admin: Admin,
}

const EXAMPLES: &str = "Examples:
  warmfront invalidate '/search/pcp*'
  warmfront invalidate /search/pcp --where PracticeId=42
  warmfront invalidate --tag practice:42 --soft
  warmfront invalidate --everything --dry-run";

impl Invalidate {
    /// Asks the admin API. 0 once nothing older is served, or after a dry run; else 1, with
    /// the reason on stderr.
    pub fn run(self) -> ExitCode {
        let body = match self.body() {
            Ok(body) => body,
            Err(error) => return super::failed(&error),
        };
        let call = (Method::POST, "/v1/invalidations");
        self.admin.run(call, Some(&body), told)
    }

    /// The body of the call.
    fn body(&self) -> anyhow::Result<Value> {
        let mut parameters = Vec::with_capacity(self.parameters.len());
        for parameter in &self.parameters {
            let Some((name, value)) = parameter.split_once('=') else {
                anyhow::bail!("--where {parameter:?} has no value: write 'Name=value'");
            };
            parameters.push(json!({ name: value }));
        }
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
        if self.parameters.is_empty() {
            put("paths", json!(self.paths));
        } else {
            put("where", self.places(&parameters));
        }
        put("tags", json!(self.tags));
        put("mode", json!(if self.soft { "soft" } else { "hard" }));
        if self.everything {
            put("everything", json!(true));
        }
        if self.dry_run {
            put("dry_run", json!(true));
        }
        if let Some(distribution) = &self.distribution {
            put("distribution", json!(distribution));
        }
        if let Some(reference) = &self.reference {
            put("reference", json!(reference));
        }
        Ok(Value::Object(body))
    }

    /// Each parameter in each behaviour that is named; without one, in all that key it.
    fn places(&self, parameters: &[Value]) -> Value {
        let paths: Vec<Option<&String>> = match self.paths.is_empty() {
            true => vec![None],
            false => self.paths.iter().map(Some).collect(),
        };
        let place = |path: &Option<&String>, query: &Value| match path {
            Some(path) => json!({ "path": path, "query": query }),
            None => json!({ "query": query }),
        };
        let places = paths
            .iter()
            .flat_map(|path| parameters.iter().map(move |query| place(path, query)));
        Value::Array(places.collect())
    }
}

/// An answer in words.
fn told(answer: &Value) -> String {
    let objects = match answer["matched"].as_u64() {
        Some(1) => "1 object".to_owned(),
        Some(count) => format!("{count} objects"),
        None => "objects that were not counted".to_owned(),
    };
    if answer["dry_run"] == true {
        let sample = answer["sample"].as_array().into_iter().flatten();
        let sample = sample.filter_map(Value::as_str);
        let lines: String = sample.map(|path| format!("  {path}\n")).collect();
        return format!("would take {objects}; nothing was changed\n{lines}");
    }
    let id = answer["id"].as_str().unwrap_or_default();
    format!(
        "{id}: done, number {}, took {objects}\n",
        answer["sequence"]
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        invalidate: Invalidate,
    }

    #[track_caller]
    fn body(words: &[&str]) -> Value {
        let line = Line::try_parse_from([&["invalidate"], words].concat());
        line.unwrap().invalidate.body().unwrap()
    }

    #[test]
    fn words_become_an_order() {
        assert_eq!(
            body(&["/a*", "/b", "--tag", "t", "--soft", "--reference", "r"]),
            json!({"paths": ["/a*", "/b"], "tags": ["t"], "mode": "soft", "reference": "r"})
        );
        assert_eq!(
            body(&["--everything", "--dry-run", "--distribution", "d"]),
            json!({"paths": [], "tags": [], "mode": "hard", "everything": true,
                "dry_run": true, "distribution": "d"})
        );
    }

    #[test]
    fn with_a_parameter_paths_are_behaviours() {
        assert_eq!(
            body(&["/x", "/y", "--where", "a=1=2"])["where"],
            json!([{"path": "/x", "query": {"a": "1=2"}}, {"path": "/y", "query": {"a": "1=2"}}])
        );
        let two = body(&["--where", "a=1", "--where", "b="]);
        assert_eq!(
            two["where"],
            json!([{"query": {"a": "1"}}, {"query": {"b": ""}}])
        );
        assert_eq!(two.get("paths"), None);
    }

    #[test]
    fn an_answer_is_told_in_a_line() {
        let made = json!({"id": "I1", "sequence": 7, "matched": 1});
        assert_eq!(told(&made), "I1: done, number 7, took 1 object\n");
        let dry = json!({"dry_run": true, "matched": 2, "sample": ["/a"]});
        assert_eq!(
            told(&dry),
            "would take 2 objects; nothing was changed\n  /a\n"
        );
    }
}
