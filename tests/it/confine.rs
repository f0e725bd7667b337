//! What a running daemon may still open.

use std::{fs, net::SocketAddr, path::PathBuf};

use tempfile::TempDir;

use crate::daemon::{Daemon, get, origin};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }
}

fn config(server: &str, secret: &str, origin: SocketAddr) -> String {
    // By name: those are looked up while it is confined.
    let port = origin.port();
    format!(
        "[server]\nworkers = 2\n{server}\n\
         [admin]\naddress = \"127.0.0.2:0\"\njournal = \"a.journal\"\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[origin]]\nid = \"api\"\nurl = \"http://localhost:{port}\"\nheaders = {{ X-Secret = \"file:{secret}\" }}\n\
         [[distribution]]\nid = \"site\"\n\
         [[distribution.behaviour]]\npath = \"*\"\norigin = \"api\"\n"
    )
}

/// What the system says of each of its threads.
fn threads(daemon: &Daemon, key: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.id())).unwrap();
    let values = tasks.map(|task| {
        let text = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap().trim().to_owned()
    });
    values.collect()
}

/// Whether it said that it gave everything up; `None` where the kernel has nothing for it.
fn degree(daemon: &Daemon) -> Option<String> {
    let line = daemon.said("confined to its own files")[0];
    let degree = line["degree"].as_str().unwrap();
    (degree != "nothing").then(|| degree.to_owned())
}

#[test]
fn a_daemon_serves_and_reloads_within_the_folders_of_its_first_configuration() {
    let api = origin("api");
    let folder = Folder::new();
    let elsewhere = Folder::new();
    folder.write("secret", "one");
    let path = folder.write("edge.toml", &config("", "secret", api));
    let mut daemon = Daemon::start(&path);
    if degree(&daemon).is_none() {
        return;
    }
    // Every thread, the log's among them: none gains privileges, so none was started before.
    assert!(
        threads(&daemon, "NoNewPrivs:")
            .iter()
            .all(|value| value == "1")
    );
    assert_eq!(get(daemon.viewers[0], "example.com", "/a").body, "api");
    assert!(folder.path("a.journal").exists());

    // A file that was not there before, in a folder that was.
    folder.write("other", "two");
    folder.write("edge.toml", &config("", "other", api));
    daemon.line("configuration reloaded");

    let outside = elsewhere.write("secret", "three");
    folder.write("edge.toml", &config("", outside.to_str().unwrap(), api));
    daemon.line("configuration refused");
    let problem = daemon.said("configuration problem")[0]["problem"].to_string();
    let wanted = "this process gave up reading in that folder when it started (server.confine); \
                  it takes a restart";
    assert!(problem.contains(wanted), "{problem}");
    assert_eq!(get(daemon.viewers[0], "example.com", "/b").body, "api");
}

#[test]
fn a_daemon_that_is_told_not_to_gives_up_nothing() {
    let api = origin("api");
    let folder = Folder::new();
    let elsewhere = Folder::new();
    folder.write("secret", "one");
    let path = folder.write("edge.toml", &config("confine = false", "secret", api));
    let mut daemon = Daemon::start(&path);
    assert!(daemon.said("confined to its own files").is_empty());
    let outside = elsewhere.write("secret", "two");
    folder.write(
        "edge.toml",
        &config("confine = false", outside.to_str().unwrap(), api),
    );
    daemon.line("configuration reloaded");
}
