//! The configuration a script runs with: a plain site, and what its `config` changes.

use toml::{Table, Value};

/// What there is without a `config`: one origin, one distribution for every host, one behaviour
/// with every key at its default.
const PLAIN: &str = r#"
    listener = [{ address = "127.0.0.1:0" }]
    origin = [{ id = "api", url = "http://origin.test" }]
    distribution = [{ id = "test", behaviour = [{ path = "*", origin = "api" }] }]
"#;

/// The configuration file as text.
///
/// - `[server]`, `[cache]`, `[admin]` are taken as they are;
/// - `[origin]` changes keys of the origin `api`, `[[origin]]` adds further ones;
/// - `[[behaviour]]` goes before the behaviour `*`, its origin is `api`;
/// - `aliases` names the hosts of the distribution;
/// - `[[distribution]]` adds further ones, after the first;
/// - every other key is one of the behaviour `*`.
pub(crate) fn toml(config: &Table) -> Result<String, String> {
    let mut site: Table = PLAIN.parse().expect("the plain site is TOML");
    let distribution = first(&mut site, "distribution");
    let mut behaviours = Vec::new();
    let mut rest = first(distribution, "behaviour").clone();
    if let Some(aliases) = config.get("aliases") {
        distribution.insert("aliases".to_owned(), aliases.clone());
    }
    let mut further = Vec::new();
    for (key, value) in config {
        match (key.as_str(), value) {
            ("aliases", _) => {}
            ("server" | "cache" | "admin", Value::Table(_)) => {
                further.push((key.clone(), value.clone()));
            }
            ("behaviour", Value::Array(values)) => behaviours.extend(values.iter().map(to_api)),
            ("origin", Value::Table(keys)) => first(&mut site, "origin").extend(keys.clone()),
            ("origin" | "distribution" | "listener" | "certificate", Value::Array(values)) => {
                let all = site.entry(key).or_insert_with(|| Value::Array(Vec::new()));
                all.as_array_mut()
                    .expect("it is one")
                    .extend(values.iter().cloned());
            }
            (key, value) => {
                rest.insert(key.to_owned(), value.clone());
            }
        }
    }
    behaviours.push(Value::Table(rest));
    first(&mut site, "distribution").insert("behaviour".to_owned(), Value::Array(behaviours));
    site.extend(further);
    toml::to_string(&site).map_err(|error| error.to_string())
}

/// A behaviour whose origin is `api` unless it names one.
fn to_api(behaviour: &Value) -> Value {
    let mut behaviour = behaviour.clone();
    if let Value::Table(keys) = &mut behaviour {
        keys.entry("origin")
            .or_insert_with(|| Value::String("api".to_owned()));
    }
    behaviour
}

fn first<'a>(table: &'a mut Table, key: &str) -> &'a mut Table {
    table[key][0]
        .as_table_mut()
        .expect("the plain site has one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(config: &str, wanted: &str) {
        let config: Table = config.parse().unwrap();
        let site: Table = toml(&config).unwrap().parse().unwrap();
        assert_eq!(site, wanted.parse::<Table>().unwrap());
    }

    #[test]
    fn bare_keys_are_the_behaviours() {
        check("", PLAIN);
        check(
            "cache = false",
            &PLAIN.replace("path =", "cache = false, path ="),
        );
        check(
            "ttl.default = '10s'\n[cache]\nobject_max = '1KiB'\n[origin]\nconnect_attempts = 1",
            "listener = [{ address = '127.0.0.1:0' }]
             origin = [{ id = 'api', url = 'http://origin.test', connect_attempts = 1 }]
             cache = { object_max = '1KiB' }
             [[distribution]]
             id = 'test'
             behaviour = [{ path = '*', origin = 'api', ttl = { default = '10s' } }]",
        );
    }

    #[test]
    fn more_of_a_kind_is_added() {
        check(
            "aliases = ['a.test']\n[[behaviour]]\npath = '/a'\ncache = false\n\
             [[distribution]]\nid = 'b'\n[[origin]]\nid = 'c'\nurl = 'http://c.test'",
            "listener = [{ address = '127.0.0.1:0' }]
             origin = [{ id = 'api', url = 'http://origin.test' }, { id = 'c', url = 'http://c.test' }]
             [[distribution]]
             id = 'test'
             aliases = ['a.test']
             [[distribution.behaviour]]
             path = '/a'
             cache = false
             origin = 'api'
             [[distribution.behaviour]]
             path = '*'
             origin = 'api'
             [[distribution]]
             id = 'b'",
        );
    }
}
