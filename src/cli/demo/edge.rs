//! The edge of the demo: the clinic's configuration as shipped, pointed at this process.

use std::{net::SocketAddr, path::Path};

use crate::{
    app::{App, Outside},
    config,
    observe::Stop,
};

/// The configuration the demo shows; only addresses and the authority are replaced.
const CONFIG: &str = include_str!("../../../config/clinic.toml");

/// A running edge.
pub(super) struct Edge(App);

impl Edge {
    /// Serves as `config` says, read by the loader that `run` uses.
    pub(super) fn start(config: &Path) -> anyhow::Result<Self> {
        let loaded = config::load(config, 1)?;
        Ok(Self(App::start(loaded.snapshot, Outside::system())?))
    }

    /// Lets requests in flight end, then stops serving.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.0.stop(Stop::Interrupt).await;
        Ok(())
    }
}

/// What this process puts in the place of the addresses that the shipped file names.
pub(super) struct Here<'a> {
    /// Where viewers connect.
    pub(super) listener: SocketAddr,
    /// Where metrics are read.
    pub(super) admin: SocketAddr,
    /// The clinic.
    pub(super) origin: SocketAddr,
    /// The authority that signed the clinic's certificate.
    pub(super) ca: &'a Path,
}

/// The shipped configuration with the addresses of this process.
pub(super) fn configuration(here: &Here<'_>) -> String {
    let text = |value: String| toml::Value::String(value).to_string();
    let mut config = CONFIG.to_owned();
    for (table, key, value) in [
        ("[[listener]]", "address", here.listener.to_string()),
        ("[admin]", "address", here.admin.to_string()),
        ("[[origin]]", "url", format!("https://{}", here.origin)),
        ("[[origin]]", "ca", here.ca.display().to_string()),
    ] {
        config = set(&config, table, key, &text(value));
    }
    config
}

/// Gives `key` that value in every such table, and leaves all other lines as they are.
fn set(config: &str, table: &str, key: &str, value: &str) -> String {
    let mut result = String::with_capacity(config.len() + value.len());
    let mut inside = false;
    for line in config.lines() {
        let content = line.split('#').next().unwrap_or_default().trim();
        let header = content.starts_with('[');
        if header {
            inside = content == table;
        }
        let named = content
            .split_once('=')
            .is_some_and(|(name, _)| name.trim() == key);
        if !(inside && named) {
            result.push_str(line);
            result.push('\n');
        }
        if inside && header {
            result.push_str(&format!("{key} = {value}\n"));
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::demo::{authority::Authority, ports::Place, scratch::Scratch},
        site::Snapshot,
    };

    #[test]
    fn only_that_key_of_that_table_changes() {
        let config = "[a]\nx = 1 # one\n\n[[b]]\n# what x is\nx = 2\ny = 3\n[[b]]\n";
        assert_eq!(
            set(config, "[[b]]", "x", "9"),
            "[a]\nx = 1 # one\n\n[[b]]\nx = 9\n# what x is\ny = 3\n[[b]]\nx = 9\n"
        );
    }

    #[test]
    fn the_shipped_configuration_works_with_the_addresses_of_this_process() {
        let place = Place::find(Some("127.0.0.1:0".parse().unwrap()), 0).unwrap();
        let authority = Authority::new(place.address.ip()).unwrap();
        let scratch = Scratch::new().unwrap();
        let ca = scratch.write("ca.pem", authority.pem()).unwrap();
        let config = configuration(&Here {
            listener: "127.0.0.1:1".parse().unwrap(),
            admin: "127.0.0.1:2".parse().unwrap(),
            origin: place.address,
            ca: &ca,
        });
        let file = scratch.write("clinic.toml", &config).unwrap();

        let loaded = config::load(&file, 1).unwrap();
        let Snapshot {
            listeners,
            admin,
            origins,
            ..
        } = &*loaded.snapshot;
        assert_eq!(listeners.len(), 1);
        assert_eq!(listeners[0].address.port(), 1);
        assert_eq!(admin.as_ref().unwrap().address.port(), 2);
        assert_eq!(origins.len(), 1);
        assert_eq!(origins[0].port, place.address.port());
        assert_eq!(origins[0].ca.as_ref().unwrap().len(), 1);
    }
}
