//! The admin API over its own sockets.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

use arc_swap::ArcSwap;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use warmfront::{
    admin::{Door, Facts, Limits, Phase, Readiness, Reloads, router},
    config,
    invalidate::{Invalidations, Parts},
    ledger::Ledger,
    observe::Events,
    serve::{self, Site},
    store::Store,
    time::Clock,
};

use crate::daemon::{Answer, get};

/// What `ask` sees of a ready admin API at a loopback port.
async fn with_admin<T: Send + 'static>(ask: impl FnOnce(SocketAddr) -> T + Send + 'static) -> T {
    let door = Door::open("127.0.0.1:0".parse().unwrap()).unwrap();
    let (address, events) = (door.address(), Arc::new(Events::new()));
    let readiness = Readiness::default();
    readiness.enter(Phase::Ready);
    let loaded = config::load(Path::new("config/minimal.toml"), 1).unwrap();
    let (snapshot, meters) = (loaded.snapshot.clone(), events.meters(&loaded.snapshot));
    let store = Store::new(1 << 20, 1 << 20);
    let parts = Parts {
        ledger: Ledger::default(),
        store: store.clone(),
        clock: Clock::System,
        events: events.clone(),
    };
    let router = router(Facts {
        events: events.clone(),
        readiness,
        address,
        clock: Clock::System,
        started: Clock::System.now(),
        site: Arc::new(ArcSwap::from_pointee(Site {
            snapshot,
            meters,
            limits: serve::Limits::default(),
        })),
        store,
        invalidations: Invalidations::open(parts, None).unwrap(),
        reloads: Reloads::new().0,
        limits: Limits::default(),
    });
    let stop = CancellationToken::new();
    let serving = tokio::spawn(door.serve(router, events, Clock::System, stop.clone()));
    let seen = spawn_blocking(move || ask(address)).await.unwrap();
    stop.cancel();
    serving.await.unwrap().unwrap();
    seen
}

/// The answer to these bytes.
fn raw(to: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    Answer::read(&stream)
}

#[tokio::test]
async fn a_scrape_reads_metrics_under_any_address_of_this_machine() {
    for host in ["127.0.0.1:9900", "localhost", "[::1]:9900"] {
        let answer = with_admin(move |at| get(at, host, "/metrics")).await;
        assert_eq!(answer.status, 200, "{host}");
        assert!(answer.body.ends_with("# EOF\n"));
    }
}

#[tokio::test]
async fn a_rebound_name_is_misdirected() {
    let answer = with_admin(|at| get(at, "attacker.example", "/metrics")).await;
    assert_eq!(answer.status, 421);
    assert!(!answer.body.contains("warmfront_"));
}

#[tokio::test]
async fn an_old_health_checker_needs_no_host() {
    let answer = with_admin(|at| raw(at, "GET /health/live HTTP/1.0\r\n\r\n")).await;
    assert_eq!(
        (answer.status, &*answer.body),
        (200, r#"{"status":"live"}"#)
    );
}

#[tokio::test]
async fn a_large_head_is_refused() {
    let head = format!(
        "GET /health/live HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
        "x".repeat(17 << 10)
    );
    assert_eq!(with_admin(move |at| raw(at, &head)).await.status, 431);
}

#[tokio::test]
async fn what_it_does_not_know_is_json() {
    let post = "POST /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = with_admin(|at| raw(at, post)).await;
    assert_eq!(
        (answer.status, answer.field("allow")),
        (405, Some("GET,HEAD"))
    );
    let answer = with_admin(|at| get(at, "localhost", "/v2/nothing")).await;
    let wanted = r#"{"error":"not_found","message":"the admin API has no such path"}"#;
    assert_eq!((answer.status, &*answer.body), (404, wanted));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!(answer.field("server"), None);
}
