//! AWS's own clients, unmodified, against the binary: boto3, the AWS CLI, the JavaScript SDK.
//!
//! What each of them calls and expects is a program of its own in `tests/clients/`, which
//! also says what a client cannot see: whether the edge asks its origin anew.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use tempfile::TempDir;

use crate::daemon::Daemon;

const KEY: &str = "AKIAWARMFRONT";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// The programs, and where `tests/clients/install` put the clients.
fn places() -> (PathBuf, PathBuf) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let installed = root.join("target/clients");
    assert!(
        installed.join("installed").exists(),
        "AWS's clients are not installed: run tests/clients/install (tests/run does)"
    );
    (root.join("tests/clients"), installed)
}

/// An edge in front of an origin whose answers live for an hour and have a tag.
struct Edge {
    daemon: Daemon,
    home: TempDir,
}

impl Edge {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("warmfront.toml");
        let text = format!(
            r#"
            [server]
            workers = 1
            [cache]
            memory = "64MiB"
            [admin]
            address = "127.0.0.2:0"
            [[admin.aws_key]]
            id = "{KEY}"
            secret = "{SECRET}"
            [[listener]]
            address = "127.0.0.1:0"
            [[origin]]
            id = "api"
            url = "http://{}"
            [[distribution]]
            id = "clinic"
            [[distribution.behaviour]]
            path = "*"
            origin = "api"
            [[distribution]]
            id = "other"
            aliases = ["other.example"]
            [[distribution.behaviour]]
            path = "*"
            origin = "api"
            "#,
            origin()
        );
        std::fs::write(&config, text).unwrap();
        let daemon = Daemon::start(&config);
        Self { daemon, home }
    }

    /// Runs `program` with the addresses of the admin API and of the viewers' listener, and
    /// nothing of the environment but the credentials.
    #[track_caller]
    fn pass(&self, program: &mut Command, installed: &Path) {
        let admin = self.daemon.admin.unwrap();
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", installed.join("python/bin").display());
        let sdk = installed.join("javascript/index.js");
        let home = self.home.path();
        let ended = program
            .args([
                format!("http://{admin}"),
                format!("http://{}", self.daemon.viewers[0]),
            ])
            .env_clear()
            .env("PATH", path)
            .env("HOME", home)
            .env("SDK", sdk)
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_DEFAULT_REGION", "eu-central-1")
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(home)
            .output()
            .unwrap();
        assert!(
            ended.status.success(),
            "{program:?}: {}\n{}{}",
            ended.status,
            String::from_utf8_lossy(&ended.stdout),
            String::from_utf8_lossy(&ended.stderr)
        );
    }
}

#[test]
fn boto3_invalidates_through_cloudfronts_api() {
    let (programs, installed) = places();
    let mut python = Command::new(installed.join("python/bin/python"));
    python.arg(programs.join("boto3_calls.py"));
    Edge::start().pass(&mut python, &installed);
}

#[test]
fn the_aws_cli_invalidates_through_cloudfronts_api() {
    let (programs, installed) = places();
    let mut bash = Command::new("bash");
    bash.arg(programs.join("aws_calls"));
    Edge::start().pass(&mut bash, &installed);
}

#[test]
fn the_javascript_sdk_invalidates_through_cloudfronts_api() {
    let (programs, installed) = places();
    let mut node = Command::new(installed.join("python/bin/node"));
    node.arg(programs.join("javascript_calls.mjs"));
    Edge::start().pass(&mut node, &installed);
}

/// An origin whose every answer is fresh for an hour and has the tag `practice:42`.
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
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    // A head without a body, as GET has none.
    while lines.by_ref().take_while(|line| !line.is_empty()).count() > 0 {
        let answer =
            b"HTTP/1.1 200 OK\r\ncache-control: max-age=3600\r\ncache-tag: practice:42\r\n\
                       content-length: 2\r\n\r\nok";
        if stream.write_all(answer).is_err() {
            return;
        }
    }
}
