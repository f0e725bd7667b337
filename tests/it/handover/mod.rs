//! One process after the other, with the binary itself: no request is lost on the way.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::daemon::{Answer, BINARY, Daemon, FORMAT, PATIENCE, free, get, origin, send};

mod load;

use load::Load;

const TOKEN: &str = "0123456789abcdef";

/// A folder with a configuration that offers the sockets there.
struct Folder {
    folder: TempDir,
    viewers: SocketAddr,
    admin: SocketAddr,
}

impl Folder {
    fn new(origin: SocketAddr) -> Self {
        let [viewers, admin] = free();
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "[server]\nworkers = 2\nhand_over = \"next.sock\"\n\
             [admin]\naddress = \"{admin}\"\njournal = \"a.journal\"\n\
             [[admin.token]]\nname = \"ops\"\nsecret = \"{TOKEN}\"\nallow = [\"invalidate\", \"read\"]\n\
             [[listener]]\naddress = \"{viewers}\"\n\
             [[origin]]\nid = \"api\"\nurl = \"http://{origin}\"\n\
             [[distribution]]\nid = \"site\"\n\
             [[distribution.behaviour]]\npath = \"*\"\norigin = \"api\"\n"
        );
        fs::write(folder.path().join("edge.toml"), config).unwrap();
        Self {
            folder,
            viewers,
            admin,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("edge.toml")
    }

    /// Another process, which takes over.
    fn next(&self) -> Daemon {
        let mut command = Command::new(BINARY);
        Daemon::of(
            command
                .args(["run", "--take-over"])
                .args(FORMAT)
                .arg(self.path()),
        )
    }

    /// As the service manager starts it: with `sockets`, and somebody who hears of its life.
    fn activated(&self, sockets: [&TcpListener; 2], manager: &Path) -> Daemon {
        let [three, four] = sockets.map(|one| OwnedFd::from(one.try_clone().unwrap()));
        let script = "exec 3<&0 4<&1 0</dev/null 1>&2; \
                      export LISTEN_FDS=2 LISTEN_PID=$$; exec \"$@\"";
        Daemon::of(
            Command::new("sh")
                .args(["-c", script, "sh", BINARY, "run"])
                .args(FORMAT)
                .arg(self.path())
                .env("NOTIFY_SOCKET", manager)
                .stdin(Stdio::from(three))
                .stdout(Stdio::from(four)),
        )
    }

    /// Calls the admin API; the answer's body.
    #[track_caller]
    fn call(&self, method: &str, body: &str) -> String {
        use std::io::Write;
        let mut stream = TcpStream::connect(self.admin).unwrap();
        let (host, length) = (self.admin, body.len());
        write!(
            stream,
            "{method} /v1/invalidations HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
             authorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        Answer::read(&stream).body
    }
}

#[test]
fn no_request_fails_while_processes_follow_each_other() {
    let folder = Folder::new(origin("api"));
    let mut daemon = Daemon::start(&folder.path());
    let mut load = Load::on(folder.viewers);
    load.makes(200);
    for _ in 0..4 {
        let mut next = folder.next().served();
        assert_eq!(next.said("taking over from the process before").len(), 1);
        assert_eq!(next.said("journal opened").len(), 1);
        assert_eq!(next.ask_admin("/health/ready").status, 200);
        daemon.line("handed over");
        std::mem::swap(&mut daemon, &mut next);
        load.makes(200);
        assert_eq!(next.code(), 0);
        assert!(
            next.said("drain timeout reached, closing what is left")
                .is_empty()
        );
    }
    load.ends();
}

#[test]
fn a_process_that_cannot_start_leaves_the_other_one_serving() {
    let folder = Folder::new(origin("api"));
    let mut daemon = Daemon::start(&folder.path());
    let [taken] = free();
    let _taken = TcpListener::bind(taken).unwrap();
    let text = fs::read_to_string(folder.path()).unwrap();
    let more = format!("{text}[[listener]]\naddress = \"{taken}\"\n");
    // Beside it, so that the running one does not see it.
    let beside = folder.folder.path().join("next");
    fs::create_dir(&beside).unwrap();
    let here = folder.folder.path().display().to_string();
    let more = more
        .replace("next.sock", &format!("{here}/next.sock"))
        .replace("a.journal", &format!("{here}/a.journal"));
    fs::write(beside.join("edge.toml"), more).unwrap();
    let mut command = Command::new(BINARY);
    let mut next = Daemon::of(
        command
            .args(["run", "--take-over"])
            .args(FORMAT)
            .arg(beside.join("edge.toml")),
    );
    assert_eq!(next.code(), 1);
    assert!(
        next.said("not started")[0]["cause"]
            .as_str()
            .unwrap()
            .contains("in use")
    );
    assert_eq!(get(folder.viewers, "example.com", "/a").status, 200);
    assert_eq!(daemon.ask_admin("/health/ready").status, 200);
    // And the offer stands.
    let _next = folder.next().served();
    daemon.line("handed over");
    assert_eq!(daemon.code(), 0);
}

#[test]
fn what_was_invalidated_before_is_known_after() {
    let folder = Folder::new(origin("api"));
    let mut daemon = Daemon::start(&folder.path());
    let made = folder.call("POST", r#"{"paths":["/a"],"reference":"r1"}"#);
    let next = folder.next().served();
    daemon.line("handed over");
    let id = made.split('"').nth(3).unwrap();
    let known = folder.call("GET", "");
    assert!(known.contains(id), "{made}\n{known}");
    assert!(
        next.said("journal cannot be opened, trying again at each invalidation")
            .is_empty()
    );
    // The same one, answered by who has never seen it made.
    let again = folder.call("POST", r#"{"paths":["/a"],"reference":"r1"}"#);
    assert!(again.contains(id), "{again}");
}

#[test]
fn without_being_told_to_nobody_takes_over() {
    let folder = Folder::new(origin("api"));
    let daemon = Daemon::start(&folder.path());
    let mut second = Daemon::spawn(&folder.path());
    assert_eq!(second.code(), 1);
    let cause = &second.said("not started")[0]["cause"];
    assert!(
        cause.as_str().unwrap().ends_with("already in use"),
        "{cause}"
    );
    assert_eq!(daemon.ask_admin("/health/ready").status, 200);
}

#[test]
fn a_first_process_has_nobody_to_take_over_from() {
    let folder = Folder::new(origin("api"));
    let mut daemon = folder.next().served();
    assert_eq!(daemon.said("nobody to take over from").len(), 1);
    assert_eq!(get(folder.viewers, "example.com", "/a").status, 200);
    // What a killed process leaves is in nobody's way.
    daemon.signal(Signal::KILL);
    daemon.code();
    let daemon = folder.next().served();
    assert_eq!(daemon.said("hand-over offered").len(), 1);
}

#[test]
fn sockets_of_the_service_manager_are_served_and_outlive_the_process() {
    let folder = Folder::new(origin("api"));
    let sockets = [folder.viewers, folder.admin].map(|at| TcpListener::bind(at).unwrap());
    let path = folder.folder.path().join("manager");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut text = [0; 256];
        let bytes = manager.recv(&mut text).unwrap();
        String::from_utf8(text[..bytes].to_vec()).unwrap()
    };
    let start = || folder.activated([&sockets[0], &sockets[1]], &path).served();

    let mut daemon = start();
    assert_eq!(heard(), "READY=1");
    assert_eq!(get(folder.viewers, "example.com", "/a").body, "api");
    assert_eq!(daemon.ask_admin("/health/ready").status, 200);
    daemon.signal(Signal::HUP);
    assert!(heard().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(heard(), "READY=1");
    daemon.signal(Signal::TERM);
    assert_eq!(heard(), "STOPPING=1");
    assert_eq!(daemon.code(), 0);

    // Nobody serves, and nobody is refused.
    let waiting = send(folder.viewers, "example.com", "/b");
    let _daemon = start();
    assert_eq!(Answer::read(&waiting).body, "api");
}

#[test]
fn no_request_fails_while_the_service_manager_restarts_it() {
    let folder = Folder::new(origin("api"));
    let sockets = [folder.viewers, folder.admin].map(|at| TcpListener::bind(at).unwrap());
    let nobody = folder.folder.path().join("nobody");
    let start = || {
        folder
            .activated([&sockets[0], &sockets[1]], &nobody)
            .served()
    };
    let mut daemon = start();
    let mut load = Load::on(folder.viewers);
    load.makes(100);
    for _ in 0..2 {
        daemon.signal(Signal::TERM);
        assert_eq!(daemon.code(), 0);
        daemon = start();
        load.makes(100);
    }
    load.ends();
}

#[test]
fn a_socket_that_no_listener_asks_for_is_warned_about() {
    let folder = Folder::new(origin("api"));
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let viewers = TcpListener::bind(folder.viewers).unwrap();
    let nowhere = folder.folder.path().join("nobody");
    let daemon = folder.activated([&viewers, &other], &nowhere).served();
    let lines = daemon.said("a socket was handed over that no listener asks for");
    let address = other.local_addr().unwrap().to_string();
    assert_eq!((lines.len(), &lines[0]["address"]), (1, &address.into()));
    assert_eq!(get(folder.viewers, "example.com", "/a").body, "api");
}
