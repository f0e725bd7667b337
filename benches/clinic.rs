//! A clinic's edge as the benches see it: its configuration, and what its viewers ask.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use http::Request;
use warmfront::{
    config::{self, Machine},
    policy::{Ask, Rules, Scheme},
    serve::{self, Viewer},
    site::{Routed, Snapshot},
    time::Timestamp,
};

/// One behaviour for each kind of key.
const CONFIG: &str = r#"
admin = {}
listener = [{ address = "127.0.0.1:8080" }]
origin = [{ id = "api", url = "http://api.example.com" }]

[[distribution]]
id = "clinic"
aliases = ["mobile.example.com"]

[[distribution.behaviour]]
path = "/search/pcp"
origin = "api"
key.query = ["Keyword", "Limit", "Page", "PracticeId", "Zipcode"]

[[distribution.behaviour]]
path = "/plans/*"
origin = "api"
key.headers = ["Accept-Language", "X-Tenant"]
key.cookies = ["plan", "region"]

[[distribution.behaviour]]
path = "*"
origin = "api"
"#;

/// When everything here happens: Sun, 22 Nov 2026 12:00:00 GMT.
pub(crate) const NOW: Timestamp = Timestamp::from_unix(1_795_348_800);

/// The configuration, compiled.
pub(crate) fn site() -> Arc<Snapshot> {
    let nowhere = Machine {
        reach: None,
        folder: PathBuf::new(),
    };
    match config::parse("clinic.toml", CONFIG, 1, &nowhere) {
        Ok(loaded) => loaded.snapshot,
        Err(problems) => panic!("{problems}"),
    }
}

/// A GET of `target` with these fields, checked as a viewer's message is.
pub(crate) fn ask(target: &str, fields: &[(&str, &str)]) -> Ask {
    let mut request = Request::get(target).header("host", "mobile.example.com");
    for &(name, value) in fields {
        request = request.header(name, value);
    }
    let (head, ()) = request.body(()).expect("a sound request").into_parts();
    let viewer = Viewer {
        address: SocketAddr::from(([192, 0, 2, 1], 4711)),
        scheme: Scheme::Http,
        covered: None,
        interims: None,
    };
    serve::checked(head, false, &viewer, NOW)
        .map_err(|(why, _)| why)
        .expect("a request that is served")
}

/// The rules of the behaviour that serves `ask`.
pub(crate) fn rules(site: &Arc<Snapshot>, ask: &Ask) -> Rules {
    match site.route(&ask.host, ask.path()) {
        Routed::To(route) => route.behaviour().rules.clone(),
        other => panic!("{} is served by nobody: {other:?}", ask.path()),
    }
}
