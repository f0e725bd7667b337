//! A clinic's edge as the benches see it: its configuration, what its viewers ask, and how
//! instructions are counted.

use std::{hint::black_box, net::SocketAddr, path::PathBuf, sync::Arc};

use gungraun::{Callgrind, LibraryBenchmarkConfig};
use http::Request;
use warmfront::{
    config::{self, Machine},
    policy::{Ask, Rules, Scheme},
    serve::{self, Viewer},
    site::{Routed, Snapshot},
    time::Timestamp,
};

/// As the daemon has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
path = "/appointments/*"
origin = "api"
cache = false

[[distribution.behaviour]]
path = "*"
origin = "api"
"#;

/// When everything here happens: Sun, 22 Nov 2026 12:00:00 GMT.
pub(crate) const NOW: Timestamp = Timestamp::from_unix(1_795_348_800);

/// How often each bench does what it counts: what happens once in many times, such as the
/// store's housekeeping, has its share. `benches/gate` divides by it.
pub(crate) const TIMES: usize = 100;

/// How instructions are counted, and where: with the routines of the C library that every
/// x86-64 machine has, since those it would choose by the processor differ in length. A page
/// copied by `rep movsb` is one instruction on one machine and a thousand on the next.
pub(crate) fn counting() -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    let callgrind = ["--cache-sim=no", "--dump-instr=yes"];
    config
        .env(
            "GLIBC_TUNABLES",
            "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX2,-AVX,-ERMS,-FSRM",
        )
        .tool(Callgrind::with_args(callgrind));
    config
}

/// Does `what` as often as is counted, and forgets what comes of it.
///
/// Counting begins and ends where a function of the bench's module does. A closure that is called
/// in two places is such a function, and would end it: what is, is a method.
#[inline(always)]
pub(crate) fn often<R>(mut what: impl FnMut() -> R) {
    for _ in 0..TIMES {
        black_box(what());
    }
}

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
