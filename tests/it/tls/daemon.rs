//! The daemon behind TLS: its files, its reloads and its end.

use std::{fs, path::PathBuf};

use rustix::process::Signal;
use tempfile::TempDir;

use super::*;
use crate::daemon::{Daemon, origin, origin_after};

/// A configuration and its certificates on disk.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Puts a file there, at once.
    fn put(&self, name: &str, text: &str) {
        let next = self.0.path().join(format!(".{name}.new"));
        fs::write(&next, text).unwrap();
        fs::rename(next, self.0.path().join(name)).unwrap();
    }

    fn put_certificate(&self, name: &str, issued: &Issued) {
        self.put(&format!("{name}.pem"), &issued.chain);
        self.put(&format!("{name}.key"), &issued.key);
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("edge.toml")
    }

    /// A plain listener and one with TLS, certificates, and a distribution for each of `hosts`.
    fn configure(&self, certificates: &[&str], hosts: &[&str], origin: SocketAddr) {
        let mut text = format!(
            "[admin]\naddress = \"127.0.0.3:0\"\n[server]\nworkers = 2\n\
             [[listener]]\naddress = \"127.0.0.1:0\"\n\
             [[listener]]\naddress = \"127.0.0.2:0\"\ntls = true\n\
             [[origin]]\nid = \"api\"\nurl = \"http://{origin}\"\n"
        );
        for name in certificates {
            text += &format!("[[certificate]]\nchain = \"{name}.pem\"\nkey = \"{name}.key\"\n");
        }
        for host in hosts {
            text += &format!(
                "[[distribution]]\nid = \"{host}\"\naliases = [\"{host}\"]\n\
                 [[distribution.behaviour]]\npath = \"*\"\norigin = \"api\"\n"
            );
        }
        self.put("edge.toml", &text);
    }
}

/// One request on a connection for `name`.
async fn ask(to: SocketAddr, authority: &Authority, name: &str, host: &str) -> (String, String) {
    let viewer = Arc::new(authority.viewer(&[HTTP1]));
    let mut stream = connect(to, &viewer, name).await.unwrap();
    http1(&mut stream, host, "/").await
}

#[tokio::test]
async fn p12_a_host_of_another_certificate_is_misdirected() {
    let (authority, folder) = (Authority::new(), Folder::new());
    folder.put_certificate(
        "ab",
        &authority.issue(Kind::Ecdsa, &["a.example", "b.example"]),
    );
    folder.put_certificate("c", &authority.issue(Kind::Ecdsa, &["c.example"]));
    let hosts = ["a.example", "b.example", "c.example"];
    folder.configure(&["ab", "c"], &hosts, origin("api"));
    let daemon = Daemon::start(&folder.config());
    let secure = daemon.viewers[1];
    for (name, host, status) in [
        ("a.example", "a.example", "200 OK"),
        ("a.example", "A.example.:443", "200 OK"),
        // One connection for all names of its certificate (RFC 9113 §9.1.1).
        ("a.example", "b.example", "200 OK"),
        ("a.example", "c.example", "421 Misdirected Request"),
        ("c.example", "c.example", "200 OK"),
        ("c.example", "a.example", "421 Misdirected Request"),
        ("c.example", "unknown.example", "421 Misdirected Request"),
    ] {
        let (head, _) = ask(secure, &authority, name, host).await;
        let seen = head.lines().next().unwrap();
        assert_eq!(seen, format!("HTTP/1.1 {status}"), "{name} {host}");
    }

    let viewer = Arc::new(authority.viewer(&[H2]));
    let stream = connect(secure, &viewer, "a.example").await.unwrap();
    let (mut send, _driver) = http2(stream).await;
    for (host, status) in [("a.example", 200), ("c.example", 421), ("b.example", 200)] {
        let answer = send.send_request(get(&format!("https://{host}/"))).await;
        assert_eq!(answer.unwrap().status(), status, "{host}");
    }
    // Without TLS nothing was shown.
    let plain = crate::daemon::get(daemon.viewers[0], "c.example", "/");
    assert_eq!(plain.status, 200);
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up_and_connections_are_kept() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let old = authority.issue(Kind::Ecdsa, &["a.example"]);
    folder.put_certificate("a", &old);
    folder.configure(&["a"], &["a.example"], origin("api"));
    let mut daemon = Daemon::start(&folder.config());
    let secure = daemon.viewers[1];
    let viewer = || Arc::new(authority.viewer(&[HTTP1]));
    let mut kept = connect(secure, &viewer(), "a.example").await.unwrap();
    assert_eq!(shown(&kept), old.certificate());

    // Half of a renewal changes nothing.
    let new = authority.issue(Kind::Ecdsa, &["a.example"]);
    folder.put("a.key", &new.key);
    daemon.line("configuration refused");
    let problem = daemon.said("configuration problem")[0]["problem"].to_string();
    let wanted = "the key \\\"a.key\\\" does not belong to the certificate \\\"a.pem\\\"";
    assert!(problem.contains(wanted), "{problem}");
    let stream = connect(secure, &viewer(), "a.example").await.unwrap();
    assert_eq!(shown(&stream), old.certificate());

    folder.put("a.pem", &new.chain);
    daemon.line("configuration reloaded");
    let stream = connect(secure, &viewer(), "a.example").await.unwrap();
    assert_eq!(shown(&stream), new.certificate());
    let (head, body) = http1(&mut kept, "a.example", "/").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, "api");
}

#[tokio::test]
async fn a_listener_becomes_secure_without_closing() {
    let (authority, folder) = (Authority::new(), Folder::new());
    folder.put_certificate("a", &authority.issue(Kind::Ecdsa, &["a.example"]));
    folder.configure(&["a"], &["a.example"], origin("api"));
    let mut daemon = Daemon::start(&folder.config());
    let [first, second] = daemon.viewers[..] else {
        panic!("two listeners")
    };
    let text = fs::read_to_string(folder.config()).unwrap();
    let swapped = text.replace("tls = true\n", "").replace(
        "address = \"127.0.0.1:0\"\n",
        "address = \"127.0.0.1:0\"\ntls = true\n",
    );
    folder.put("edge.toml", &swapped);
    daemon.line("configuration reloaded");
    let (head, _) = ask(first, &authority, "a.example", "a.example").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(crate::daemon::get(second, "a.example", "/").status, 200);
}

#[tokio::test]
async fn the_origin_is_told_that_the_viewer_was_secure() {
    let (authority, folder) = (Authority::new(), Folder::new());
    folder.put_certificate("a", &authority.issue(Kind::Ecdsa, &["a.example"]));
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    folder.configure(&["a"], &["a.example"], listener.local_addr().unwrap());
    std::thread::spawn(move || {
        use std::io::{BufRead, BufReader, Write};
        for stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let answer = b"HTTP/1.1 200 OK\r\nalt-svc: h3=\":443\"; ma=86400\r\n\
                           cache-control: max-age=60\r\ncontent-length: 0\r\n\
                           connection: close\r\n\r\n";
            let _ = (&stream).write_all(answer);
            let _ = tell.send(head.join("\n").to_lowercase());
        }
    });
    let daemon = Daemon::start(&folder.config());
    for result in ["miss", "hit"] {
        let (head, _) = ask(daemon.viewers[1], &authority, "a.example", "a.example").await;
        let head = head.to_lowercase();
        assert!(head.contains(&format!("x-cache: {result}")), "{head}");
        // It would lead viewers past us.
        assert!(!head.contains("alt-svc"), "{head}");
    }
    let head = told.recv().await.unwrap();
    assert!(head.contains("x-forwarded-proto: https"), "{head}");
}

#[tokio::test]
async fn a_drain_says_goodbye_in_both_versions() {
    let (authority, folder) = (Authority::new(), Folder::new());
    folder.put_certificate("a", &authority.issue(Kind::Ecdsa, &["a.example"]));
    let (arrived, seen) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(std::sync::Mutex::new(released));
    let api = origin_after("api", move || {
        arrived.send(()).unwrap();
        let _ = released.lock().unwrap().recv();
    });
    folder.configure(&["a"], &["a.example"], api);
    let mut daemon = Daemon::start(&folder.config());
    let secure = daemon.viewers[1];
    let viewer = |alpn| Arc::new(authority.viewer(&[alpn]));
    let mut idle = connect(secure, &viewer(HTTP1), "a.example").await.unwrap();
    let mut one = connect(secure, &viewer(HTTP1), "a.example").await.unwrap();
    one.write_all(b"GET /1 HTTP/1.1\r\nhost: a.example\r\n\r\n")
        .await
        .unwrap();
    let two = connect(secure, &viewer(H2), "a.example").await.unwrap();
    let (mut send, driver) = http2(two).await;
    let waiting = tokio::spawn(send.send_request(get("https://a.example/2")));
    tokio::task::spawn_blocking(move || [(); 2].map(|()| seen.recv().unwrap()))
        .await
        .unwrap();

    daemon.signal(Signal::TERM);
    daemon.line("draining");
    let mut nothing = Vec::new();
    idle.read_to_end(&mut nothing).await.unwrap();
    assert!(nothing.is_empty());
    for _ in 0..2 {
        release.send(()).unwrap();
    }
    let mut answer = String::new();
    one.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.ends_with("api"), "{answer}");
    assert_eq!(text(waiting.await.unwrap().unwrap()).await, "api");
    driver.await.unwrap();
    assert_eq!(daemon.code(), 0);
}

#[tokio::test]
async fn r5_an_address_holds_so_many_connections() {
    let (authority, folder) = (Authority::new(), Folder::new());
    folder.put_certificate("a", &authority.issue(Kind::Ecdsa, &["a.example"]));
    folder.configure(&["a"], &["a.example"], origin("api"));
    let text = fs::read_to_string(folder.config()).unwrap();
    let bounded = text.replace(
        "workers = 2\n",
        "workers = 2\nconnections_per_address_max = 2\n",
    );
    folder.put("edge.toml", &bounded);
    let daemon = Daemon::start(&folder.config());
    let secure = daemon.viewers[1];
    let viewer = Arc::new(authority.viewer(&[HTTP1]));
    let mut first = connect(secure, &viewer, "a.example").await.unwrap();
    let _second = connect(secure, &viewer, "a.example").await.unwrap();
    assert!(connect(secure, &viewer, "a.example").await.is_err());
    // The admin's are not viewers'.
    assert_eq!(
        daemon.metric("warmfront_viewer_connections_turned_away_total"),
        1.0
    );
    http1(&mut first, "a.example", "/").await;
    while connect(secure, &viewer, "a.example").await.is_err() {}
}
