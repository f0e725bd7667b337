//! A running daemon and its configuration on disk.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::channel,
    },
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::daemon::{Answer, Daemon, free, get, origin, origin_after, send};

/// A folder with a configuration that may be replaced as editors do.
struct Folder(TempDir);

impl Folder {
    fn with(config: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::write(folder.path(), config).unwrap();
        folder
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("edge.toml")
    }

    /// Another file under its name, at once.
    fn replace(&self, config: &str) {
        let next = self.0.path().join(".edge.toml.new");
        fs::write(&next, config).unwrap();
        fs::rename(next, self.path()).unwrap();
    }
}

/// Listeners, and one origin for everything.
fn config(listeners: &[&str], origin: SocketAddr) -> String {
    let mut text = String::from("[admin]\naddress = \"127.0.0.2:0\"\n[server]\nworkers = 2\n");
    for listener in listeners {
        text += &format!("[[listener]]\naddress = \"{listener}\"\n");
    }
    text + &format!(
        "[[origin]]\nid = \"api\"\nurl = \"http://{origin}\"\n\
         [[distribution]]\nid = \"site\"\n\
         [[distribution.behaviour]]\npath = \"*\"\norigin = \"api\"\n"
    )
}

const ANY: &str = "127.0.0.1:0";

fn body(to: SocketAddr, path: &str) -> String {
    get(to, "example.com", path).body
}

#[test]
fn a_new_file_serves_every_request_after_it_and_the_cache_is_kept() {
    let (old, new) = (origin("old"), origin("new"));
    let folder = Folder::with(&config(&[ANY], old));
    let mut daemon = Daemon::start(&folder.path());
    let edge = daemon.viewers[0];
    assert_eq!(body(edge, "/kept"), "old");

    folder.replace(&config(&[ANY], new));
    let line = daemon.line("configuration reloaded");
    assert_eq!(line["generation"], 2);
    for path in ["/a", "/b", "/c", "/d"] {
        assert_eq!(body(edge, path), "new");
    }
    let kept = get(edge, "example.com", "/kept");
    assert_eq!(
        (&*kept.body, kept.field("x-cache")),
        ("old", Some("Hit from warmfront"))
    );
    assert_eq!(daemon.metric("warmfront_config_generation"), 2.0);
    let series = "warmfront_requests_total{distribution=\"site\",behaviour=\"*\",result=\"miss\"}";
    assert_eq!(daemon.metric(series), 5.0);
}

#[test]
fn a_broken_file_changes_nothing_and_tells_every_problem() {
    let api = origin("api");
    let good = config(&[ANY], api);
    let folder = Folder::with(&good);
    let mut daemon = Daemon::start(&folder.path());

    let broken = good.replace("origin = \"api\"", "origin = \"apo\"") + "colour = \"red\"\n";
    folder.replace(&broken);
    let line = daemon.line("configuration refused");
    assert_eq!(
        (&line["running"], &line["problems"]),
        (&1.into(), &2.into())
    );
    let problems = daemon.said("configuration problem");
    let problems: Vec<&str> = problems
        .iter()
        .filter_map(|line| line["problem"].as_str())
        .collect();
    let place = |line: usize| format!("{}:{line}: ", folder.path().display());
    assert!(
        problems.iter().any(|one| one.starts_with(&place(14))),
        "{problems:#?}"
    );
    assert!(
        problems.iter().any(|one| one.starts_with(&place(15))),
        "{problems:#?}"
    );

    assert_eq!(body(daemon.viewers[0], "/a"), "api");
    assert_eq!(daemon.metric("warmfront_config_last_reload_ok"), 0.0);
    assert_eq!(
        daemon.metric("warmfront_config_reloads_total{result=\"failed\"}"),
        1.0
    );

    folder.replace(&good);
    assert_eq!(daemon.line("configuration unchanged")["generation"], 1);
    assert_eq!(daemon.metric("warmfront_config_last_reload_ok"), 1.0);
}

#[test]
fn a_listener_comes_and_another_goes_without_a_broken_connection() {
    let api = origin("api");
    let [first, second] = free();
    let (first_text, second_text) = (first.to_string(), second.to_string());
    let folder = Folder::with(&config(&[&first_text], api));
    let mut daemon = Daemon::start(&folder.path());
    assert_eq!(daemon.viewers, [first]);

    folder.replace(&config(&[&first_text, &second_text], api));
    assert_eq!(daemon.line("listening")["address"], second_text);
    assert_eq!(
        (body(first, "/a"), body(second, "/a")),
        ("api".into(), "api".into())
    );

    folder.replace(&config(&[&second_text], api));
    assert_eq!(daemon.line("listener closed")["address"], first_text);
    assert!(TcpStream::connect(first).is_err());
    assert_eq!(body(second, "/a"), "api");
}

#[test]
fn a_listener_that_cannot_be_opened_refuses_the_whole_file() {
    let (old, new) = (origin("old"), origin("new"));
    let held = TcpListener::bind(ANY).unwrap();
    let taken = held.local_addr().unwrap().to_string();
    let [free] = free();
    let folder = Folder::with(&config(&[ANY], old));
    let mut daemon = Daemon::start(&folder.path());

    folder.replace(&config(&[ANY, &free.to_string(), &taken], new));
    daemon.line("configuration refused");
    let problem = daemon.said("configuration problem")[0]["problem"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        problem.contains(&taken) && problem.contains("in use"),
        "{problem}"
    );
    assert_eq!(body(daemon.viewers[0], "/a"), "old");
    assert!(
        TcpStream::connect(free).is_err(),
        "it was opened and has to be closed again"
    );
}

#[test]
fn a_mounted_config_map_is_followed_through_its_links() {
    let (old, new) = (origin("old"), origin("new"));
    let mount = tempfile::tempdir().unwrap();
    let version = |name: &str, origin| {
        fs::create_dir(mount.path().join(name)).unwrap();
        fs::write(
            mount.path().join(name).join("edge.toml"),
            config(&[ANY], origin),
        )
        .unwrap();
    };
    version("..1", old);
    symlink("..1", mount.path().join("..data")).unwrap();
    symlink("..data/edge.toml", mount.path().join("edge.toml")).unwrap();
    let mut daemon = Daemon::start(&mount.path().join("edge.toml"));
    assert_eq!(body(daemon.viewers[0], "/a"), "old");

    // As the kubelet does it.
    version("..2", new);
    symlink("..2", mount.path().join("..data_tmp")).unwrap();
    fs::rename(mount.path().join("..data_tmp"), mount.path().join("..data")).unwrap();
    fs::remove_dir_all(mount.path().join("..1")).unwrap();
    daemon.line("configuration reloaded");
    assert_eq!(body(daemon.viewers[0], "/b"), "new");
}

#[test]
fn a_file_that_the_configuration_names_is_followed_too() {
    let api = origin("api");
    let secrets = tempfile::tempdir().unwrap();
    let secret = secrets.path().join("secret");
    fs::write(&secret, "one").unwrap();
    let header = format!("headers = {{ X-Secret = \"file:{}\" }}\n", secret.display());
    let text = config(&[ANY], api).replace("id = \"api\"\n", &format!("id = \"api\"\n{header}"));
    let folder = Folder::with(&text);
    let mut daemon = Daemon::start(&folder.path());
    fs::write(&secret, "two").unwrap();
    assert_eq!(daemon.line("configuration reloaded")["generation"], 2);
}

#[test]
fn requests_during_reloads_are_all_answered() {
    let origins = [origin("one"), origin("two")];
    let [kept, moving] = free();
    let (kept_text, moving_text) = (kept.to_string(), moving.to_string());
    let folder = Folder::with(&config(&[&kept_text], origins[0]));
    let mut daemon = Daemon::start(&folder.path());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for viewer in 0..4 {
            let over = &over;
            scope.spawn(move || {
                for request in 0.. {
                    let body = body(kept, &format!("/{viewer}/{request}"));
                    assert!(["one", "two"].contains(&&*body), "{body:?}");
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        for round in 1..=6 {
            let listeners = [&*kept_text, &*moving_text];
            let listeners = &listeners[..1 + round % 2];
            folder.replace(&config(listeners, origins[round % 2]));
            daemon.signal(Signal::HUP);
            daemon.line("configuration reloaded");
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_hangup_reads_the_file_and_says_that_nothing_changed() {
    let folder = Folder::with(&config(&[ANY], origin("api")));
    let mut daemon = Daemon::start(&folder.path());
    daemon.signal(Signal::HUP);
    assert_eq!(daemon.line("configuration unchanged")["generation"], 1);
}

#[test]
fn what_only_a_new_process_can_follow_is_warned_about() {
    let text = config(&[ANY], origin("api"));
    let folder = Folder::with(&text);
    let mut daemon = Daemon::start(&folder.path());
    folder.replace(&text.replace("workers = 2", "workers = 3"));
    let line = daemon.line("configuration warning");
    let warning = line["warning"].as_str().unwrap();
    assert!(warning.starts_with("server.workers stays 2"), "{warning}");
}

#[test]
fn a_request_under_way_is_finished_before_the_end() {
    let (arrived, arrivals) = channel();
    let (answer, answers) = channel::<()>();
    let answers = std::sync::Arc::new(std::sync::Mutex::new(answers));
    let api = origin_after("api", move || {
        arrived.send(()).unwrap();
        let _ = answers.lock().unwrap().recv();
    });
    let folder = Folder::with(&config(&[ANY], api));
    let mut daemon = Daemon::start(&folder.path());
    let edge = daemon.viewers[0];
    assert_eq!(daemon.ask_admin("/health/ready").status, 200);
    let waiting = send(edge, "example.com", "/slow");
    arrivals.recv().unwrap();

    daemon.signal(Signal::TERM);
    daemon.line("draining");
    let ready = daemon.ask_admin("/health/ready");
    assert_eq!(
        (ready.status, &*ready.body),
        (503, r#"{"status":"draining"}"#)
    );
    assert_eq!(daemon.ask_admin("/health/live").status, 200);
    answer.send(()).unwrap();
    assert_eq!(Answer::read(&waiting).body, "api");
    assert_eq!(daemon.code(), 0);
    assert_eq!(daemon.said("stopped").len(), 1);
}

#[test]
fn a_second_signal_ends_at_once() {
    let (arrived, arrivals) = channel();
    let api = origin_after("api", move || {
        arrived.send(()).unwrap();
        std::thread::park();
    });
    let folder = Folder::with(&config(&[ANY], api));
    let mut daemon = Daemon::start(&folder.path());
    let _waiting = send(daemon.viewers[0], "example.com", "/never");
    arrivals.recv().unwrap();
    daemon.signal(Signal::TERM);
    daemon.line("draining");
    daemon.signal(Signal::INT);
    assert_eq!(daemon.code(), 1);
    assert!(daemon.said("stopped").is_empty());
}

#[test]
fn what_outlasts_the_drain_timeout_is_cut() {
    let (arrived, arrivals) = channel();
    let api = origin_after("api", move || {
        arrived.send(()).unwrap();
        std::thread::park();
    });
    let text = config(&[ANY], api).replace("workers = 2", "workers = 1\ndrain_timeout = \"50ms\"");
    let folder = Folder::with(&text);
    let mut daemon = Daemon::start(&folder.path());
    let _waiting = send(daemon.viewers[0], "example.com", "/never");
    arrivals.recv().unwrap();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.code(), 0);
    let overdue = daemon.said("drain timeout reached, closing what is left");
    assert_eq!(overdue[0]["connections"], 1);
}

#[test]
fn a_port_in_use_is_one_clear_line_and_nothing_is_started() {
    let taken = TcpListener::bind(ANY).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::with(&config(&[ANY, &address], origin("api")));
    let mut daemon = Daemon::spawn(&folder.path());
    assert_eq!(daemon.code(), 1);
    let lines = daemon.said("not started");
    let cause = lines[0]["cause"].as_str().unwrap();
    let wanted = format!("cannot listen for viewers: address {address}: already in use");
    assert_eq!((lines.len(), cause), (1, &*wanted));
    assert!(daemon.said("started").is_empty() && daemon.said("listening").is_empty());
}

#[test]
fn a_refused_file_at_the_start_is_78_and_a_misread_command_line_64() {
    let folder = Folder::with("[server]\nworkers = \"many\"\n");
    let mut daemon = Daemon::spawn(&folder.path());
    assert_eq!(daemon.code(), 78);
    assert!(!daemon.said("configuration problem").is_empty());
    assert_eq!(
        daemon.said("configuration refused, nothing started").len(),
        1
    );

    let mut daemon = Daemon::spawn(Path::new("no/such/file.toml"));
    assert_eq!(daemon.code(), 78);

    let run = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_warmfront"));
        command.args(words).output().unwrap().status.code()
    };
    assert_eq!(run(&["run"]), Some(64));
    assert_eq!(
        run(&["run", "--config", "x", "--log-level", "inof"]),
        Some(64)
    );
    assert_eq!(run(&["--help"]), Some(0));
}
