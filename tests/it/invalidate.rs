//! Invalidations through the binary: over the admin API, and with its own commands.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Output},
    thread,
};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::daemon::{Answer, Daemon, get};

const BACKEND: &str = "backend-backend-backend";
const OPERATOR: &str = "operator-operator-operator";

/// A folder with a configuration, and the journal beside it.
struct Folder(TempDir);

impl Folder {
    fn new(origin: SocketAddr) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let text = format!(
            r#"
[admin]
address = "127.0.0.2:0"
journal = "invalidations.journal"
[[admin.token]]
name = "backend"
secret = "{BACKEND}"
allow = ["invalidate"]
[[admin.token]]
name = "operator"
secret = "file:operator.token"
allow = ["read", "reload"]
[server]
workers = 2
[[listener]]
address = "127.0.0.1:0"
[[origin]]
id = "api"
url = "http://{origin}"
[[distribution]]
id = "clinic"
[[distribution.behaviour]]
path = "/search/*"
origin = "api"
key.query = ["Keyword", "PracticeId"]
[[distribution.behaviour]]
path = "*"
origin = "api"
"#
        );
        fs::write(folder.0.path().join("operator.token"), OPERATOR).unwrap();
        fs::write(folder.config(), text).unwrap();
        folder
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("edge.toml")
    }

    fn journal(&self) -> PathBuf {
        self.0.path().join("invalidations.journal")
    }
}

/// An origin whose answers are fresh for an hour, and tagged by the last segment of their path.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(&stream));
        }
    });
    address
}

fn serve(mut stream: &TcpStream) {
    let mut lines = BufReader::new(stream).lines();
    loop {
        let head = lines.by_ref().map_while(Result::ok);
        let head: Vec<String> = head.take_while(|line| !line.is_empty()).collect();
        let Some(target) = head.first().and_then(|line| line.split(' ').nth(1)) else {
            return;
        };
        let path = target.split('?').next().unwrap_or_default();
        let tag = path.rsplit('/').next().unwrap_or_default();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncache-control: max-age=3600\r\ncache-tag: tag:{tag}\r\ncontent-length: 2\r\n\r\nok"
        );
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// A call of the admin API; its answer's body as JSON.
#[track_caller]
fn call(daemon: &Daemon, token: &str, method: &str, path: &str, body: &str) -> (Answer, Value) {
    let admin = daemon.admin.unwrap();
    let mut stream = TcpStream::connect(admin).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {admin}\r\nauthorization: Bearer {token}\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let answer = Answer::read(&stream);
    let body = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
    (answer, body)
}

#[track_caller]
fn invalidate(daemon: &Daemon, order: &Value) -> (u16, Value) {
    let (answer, body) = call(
        daemon,
        BACKEND,
        "POST",
        "/v1/invalidations",
        &order.to_string(),
    );
    (answer.status, body)
}

/// Whether a viewer's `target` is answered from the store; afterwards it is stored.
fn is_hit(daemon: &Daemon, target: &str) -> bool {
    let answer = get(daemon.viewers[0], "example.com", target);
    match answer.field("x-cache").unwrap() {
        "Hit from warmfront" => true,
        "Miss from warmfront" => false,
        other => panic!("{target}: {other}"),
    }
}

#[test]
fn what_is_invalidated_is_asked_for_anew_and_nothing_else() {
    let folder = Folder::new(origin());
    let daemon = Daemon::start(&folder.config());
    let pages = [
        "/search/pcp?Keyword=a&PracticeId=42",
        "/search/pcp?Keyword=b&PracticeId=7",
        "/search/allergy?Keyword=nuts",
        "/notes/today",
    ];
    let check = |order: Value, gone: &[usize]| {
        for page in pages {
            is_hit(&daemon, page);
        }
        let mut dry = order.clone();
        dry["dry_run"] = true.into();
        let (status, told) = invalidate(&daemon, &dry);
        assert_eq!(
            (status, &told["matched"]),
            (200, &json!(gone.len())),
            "{order}"
        );
        assert_eq!(told["sample"].as_array().unwrap().len(), gone.len());
        let (status, made) = invalidate(&daemon, &order);
        assert_eq!(
            (status, &made["matched"]),
            (201, &json!(gone.len())),
            "{order} {made}"
        );
        for (at, page) in pages.iter().enumerate() {
            assert_eq!(
                is_hit(&daemon, page),
                !gone.contains(&at),
                "{page} after {order}"
            );
        }
    };
    check(
        json!({"paths": ["/search/pcp?PracticeId=42&utm=x&Keyword=%61"]}),
        &[0],
    );
    check(json!({"paths": ["/search/*"]}), &[0, 1, 2]);
    check(json!({"paths": ["/search/pcp"]}), &[]);
    check(json!({"tags": ["tag:allergy"]}), &[2]);
    check(json!({"tags": ["tag:aller"]}), &[]);
    let practice = json!({"path": "/search/pcp", "query": {"PracticeId": "42"}});
    check(json!({"where": [practice]}), &[0]);
    check(json!({"everything": true}), &[0, 1, 2, 3]);

    // Soft: the old answer serves while a new one is fetched.
    let soft = json!({"paths": ["/notes/today"], "mode": "soft"});
    assert_eq!(invalidate(&daemon, &soft).0, 201);
    get(daemon.viewers[0], "example.com", "/notes/today");
}

#[test]
fn a_kill_between_two_calls_loses_neither() {
    let folder = Folder::new(origin());
    let mut daemon = Daemon::start(&folder.config());
    let first = invalidate(&daemon, &json!({"paths": ["/a"], "reference": "r"})).1;
    let second = invalidate(&daemon, &json!({"tags": ["t"]})).1;
    daemon.signal(Signal::KILL);
    daemon.code();
    // The last write was cut by the fall, besides.
    let mut journal = fs::OpenOptions::new()
        .append(true)
        .open(folder.journal())
        .unwrap();
    journal.write_all(b"0123456789abcdef").unwrap();
    drop(journal);

    let mut daemon = Daemon::start(&folder.config());
    let (_, list) = call(&daemon, OPERATOR, "GET", "/v1/invalidations", "");
    let list = list["invalidations"].as_array().unwrap();
    let ids: Vec<&Value> = list.iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&second["id"], &first["id"]]);
    let (status, again) = invalidate(&daemon, &json!({"paths": ["/a"], "reference": "r"}));
    assert_eq!((status, again), (201, first));
    let (_, third) = invalidate(&daemon, &json!({"paths": ["/b"]}));
    assert_eq!(third["sequence"], 3);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.code(), 0);
    let damaged = daemon.said("journal damaged, going on with what is whole");
    assert_eq!(damaged[0]["cut_bytes"], 16);
}

#[test]
fn two_daemons_do_not_write_one_journal() {
    let folder = Folder::new(origin());
    let first = Daemon::start(&folder.config());
    let mut second = Daemon::start(&folder.config());
    assert_eq!(
        second
            .said("journal cannot be opened, trying again at each invalidation")
            .len(),
        1
    );
    assert!(!is_hit(&second, "/a") && is_hit(&second, "/a"));
    let (status, told) = invalidate(&second, &json!({"paths": ["/a"]}));
    assert_eq!(
        (status, &told["error"]),
        (503, &json!("journal_unwritable"))
    );
    assert!(
        told["message"].as_str().unwrap().contains("took effect"),
        "{told}"
    );
    assert!(!is_hit(&second, "/a"));
    assert_eq!(invalidate(&first, &json!({"paths": ["/a"]})).0, 201);
    // Once the first has ended, the second takes the journal over.
    drop(first);
    assert_eq!(invalidate(&second, &json!({"paths": ["/a"]})).0, 201);
    second.line("journal opened");
}

#[test]
fn a1_viewers_cannot_invalidate() {
    let folder = Folder::new(origin());
    let daemon = Daemon::start(&folder.config());
    assert!(!is_hit(&daemon, "/a") && is_hit(&daemon, "/a"));
    for request in [
        "PURGE /a HTTP/1.1\r\nhost: example.com\r\nconnection: close\r\n\r\n".to_owned(),
        "BAN /a HTTP/1.1\r\nhost: example.com\r\nconnection: close\r\n\r\n".to_owned(),
        format!(
            "POST /v1/invalidations HTTP/1.1\r\nhost: example.com\r\nauthorization: Bearer {BACKEND}\r\n\
             content-length: 19\r\nconnection: close\r\n\r\n{{\"everything\":true}}"
        ),
    ] {
        let mut stream = TcpStream::connect(daemon.viewers[0]).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(Answer::read(&stream).status, 403, "{request}");
    }
    let field = "GET /a HTTP/1.1\r\nhost: example.com\r\nx-purge: 1\r\ncache-tag: tag:a\r\nconnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(daemon.viewers[0]).unwrap();
    stream.write_all(field.as_bytes()).unwrap();
    assert_eq!(
        Answer::read(&stream).field("x-cache"),
        Some("Hit from warmfront")
    );
}

#[test]
fn who_changed_what_is_told_without_secrets_or_searches() {
    let folder = Folder::new(origin());
    let mut daemon = Daemon::start(&folder.config());
    invalidate(&daemon, &json!({"paths": ["/search/pcp?Keyword=cough"]}));
    let line = daemon.line("invalidation accepted");
    assert_eq!(
        (&line["by"], &line["sequence"], &line["paths"]),
        (&json!("backend"), &json!(1), &json!(1))
    );
    invalidate(&daemon, &json!({"paths": ["search/pcp?Keyword=cough"]}));
    let line = daemon.line("invalidation refused");
    assert_eq!(
        (&line["by"], &line["reason"]),
        (&json!("backend"), &json!("invalid_items"))
    );
    call(&daemon, "guess-guess-guess", "GET", "/v1/status", "");
    let line = daemon.line("admin call refused");
    assert_eq!(line["reason"], "wrong_token");
    call(&daemon, OPERATOR, "POST", "/v1/reload", "");
    assert_eq!(daemon.line("reload asked for")["by"], "operator");
    daemon.signal(Signal::TERM);
    daemon.code();
    let log = format!("{:?}", daemon.all());
    for secret in [BACKEND, OPERATOR, "guess-guess", "cough"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[test]
fn a_reload_is_answered_with_what_came_of_it() {
    let folder = Folder::new(origin());
    let daemon = Daemon::start(&folder.config());
    let reload = || call(&daemon, OPERATOR, "POST", "/v1/reload", "");
    let (answer, body) = reload();
    assert_eq!(
        (answer.status, &body["generation"], &body["changed"]),
        (200, &json!(1), &json!(false))
    );
    let good = fs::read_to_string(folder.config()).unwrap();
    fs::write(
        folder.config(),
        good.replace("origin = \"api\"", "origin = \"apo\""),
    )
    .unwrap();
    let (answer, body) = reload();
    assert_eq!(
        (answer.status, &body["error"]),
        (422, &json!("configuration_refused"))
    );
    let problems = body["problems"].as_array().unwrap();
    assert_eq!((problems.len(), &body["running"]), (2, &json!(1)));
    assert_eq!(problems[0]["key"], "distribution[0].behaviour[0].origin");
    assert!(problems[0]["line"].is_u64() && problems[0]["hint"].is_string());
    fs::write(folder.config(), format!("{good}ttl.default = \"1s\"\n")).unwrap();
    let (answer, body) = reload();
    // The daemon may have noticed by itself.
    assert_eq!((answer.status, &body["generation"]), (200, &json!(2)));
}

/// A command of the binary, against `daemon`, as `token`.
fn command(daemon: &Daemon, token: &str, words: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_warmfront"))
        .args(words)
        .env(
            "WARMFRONT_ADMIN",
            format!("http://{}", daemon.admin.unwrap()),
        )
        .env("WARMFRONT_TOKEN", token)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn the_commands_do_what_the_calls_do() {
    let folder = Folder::new(origin());
    let mut daemon = Daemon::start(&folder.config());
    for page in [
        "/search/pcp?PracticeId=42",
        "/search/pcp?PracticeId=7",
        "/a",
    ] {
        is_hit(&daemon, page);
    }
    let dry = [
        "invalidate",
        "/search/*",
        "--where",
        "PracticeId=42",
        "--dry-run",
    ];
    let (code, out, _) = command(&daemon, BACKEND, &dry);
    let told = "would take 1 object; nothing was changed\n  /search/pcp?PracticeId=42\n";
    assert_eq!((code, &*out), (Some(0), told));
    let (code, out, _) = command(&daemon, BACKEND, &dry[..4]);
    assert!(
        code == Some(0) && out.ends_with(": done, number 1, took 1 object\n"),
        "{out}"
    );
    assert!(!is_hit(&daemon, "/search/pcp?PracticeId=42"));
    assert!(is_hit(&daemon, "/search/pcp?PracticeId=7"));

    let (code, out, _) = command(&daemon, BACKEND, &["invalidate", "/a", "--json"]);
    let made: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &made["status"]), (Some(0), &json!("completed")));

    let (code, out, err) = command(&daemon, BACKEND, &["invalidate", "a", "*", "/b"]);
    assert_eq!((code, &*out), (Some(1), ""));
    assert!(
        err.contains("\n  a: a path begins with `/`\n  *: "),
        "{err}"
    );
    let (code, _, err) = command(&daemon, "wrong", &["status"]);
    assert!(code == Some(1) && err.contains("WARMFRONT_TOKEN"), "{err}");

    let (code, out, _) = command(&daemon, OPERATOR, &["status"]);
    assert!(code == Some(0) && out.contains("/search/*"), "{out}");
    let (code, out, _) = command(&daemon, OPERATOR, &["reload"]);
    assert_eq!(
        (code, &*out),
        (Some(0), "nothing has changed, generation 1 serves\n")
    );
    daemon.signal(Signal::TERM);
    daemon.code();
    let (code, _, err) = command(&daemon, BACKEND, &["invalidate", "/a"]);
    assert!(
        code == Some(1) && err.contains("cannot reach the admin API"),
        "{err}"
    );
    assert!(err.contains("refused"), "{err}");
}
