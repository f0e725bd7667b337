//! The binary itself, with real sockets and files: started, listened to, and ended.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicU8, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take before a test gives up. Nothing waits this long
/// unless it is broken; a busy machine may need seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The program.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_warmfront");

/// What comes before the path of the configuration, for [`Daemon`] to read what is logged.
pub(crate) const FORMAT: [&str; 3] = ["--log-format", "json", "--config"];

/// A running `warmfront run`, killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    lines: Receiver<Value>,
    /// Everything it logged, for the message of a failing test.
    seen: Vec<Value>,
    /// Where it serves viewers, as it said until it had started.
    pub(crate) viewers: Vec<SocketAddr>,
    /// Where its admin API is.
    pub(crate) admin: Option<SocketAddr>,
}

impl Daemon {
    /// Runs it with the configuration at `config`, and waits until it serves.
    pub(crate) fn start(config: &Path) -> Self {
        Self::spawn(config).served()
    }

    /// As [`start`](Self::start), with this log filter.
    pub(crate) fn start_logging(config: &Path, filter: &str) -> Self {
        let mut command = Command::new(BINARY);
        command.env("WARMFRONT_LOG", filter);
        Self::run(command.arg("run").args(FORMAT).arg(config)).served()
    }

    /// Waits until it serves.
    pub(crate) fn served(self) -> Self {
        let mut daemon = self;
        daemon.line("started");
        let listening = |line: &&Value| line["message"] == "listening";
        for line in daemon.seen.iter().filter(listening) {
            let address = line["address"].as_str().unwrap().parse().unwrap();
            match line["door"].as_str().unwrap() {
                "admin" => daemon.admin = Some(address),
                _ => daemon.viewers.push(address),
            }
        }
        daemon
    }

    /// Runs it with the configuration at `config`.
    pub(crate) fn spawn(config: &Path) -> Self {
        Self::of(Command::new(BINARY).arg("run").args(FORMAT).arg(config))
    }

    /// Runs `command`, which ends in being it.
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::run(command.env_remove("WARMFRONT_LOG"))
    }

    fn run(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (tell, lines) = channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let said = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if tell.send(said).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            lines,
            seen: Vec::new(),
            viewers: Vec::new(),
            admin: None,
        }
    }

    /// The next line with this message, read past all others.
    #[track_caller]
    pub(crate) fn line(&mut self, message: &str) -> Value {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line["message"] == message {
                        return line;
                    }
                }
                Err(_) => panic!("no line {message:?} in {:#?}", self.seen),
            }
        }
    }

    /// Every line with this message that was read so far.
    pub(crate) fn said(&self, message: &str) -> Vec<&Value> {
        self.seen
            .iter()
            .filter(|line| line["message"] == message)
            .collect()
    }

    /// Every line that was read so far.
    pub(crate) fn all(&self) -> &[Value] {
        &self.seen
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory it has had in RAM at once, in bytes; `None` where Linux does not say.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes * 1024)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; its exit code.
    #[track_caller]
    pub(crate) fn code(&mut self) -> i32 {
        // Its stderr closes when it ends.
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(_) => panic!("still running: {:#?}", self.seen),
            }
        }
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// What the admin API answers.
    #[track_caller]
    pub(crate) fn ask_admin(&self, path: &str) -> Answer {
        let address = self.admin.expect("the configuration has an admin listener");
        get(address, &address.to_string(), path)
    }

    /// A metric's value, by the whole name of its series.
    #[track_caller]
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.ask_admin("/metrics").body;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in:\n{text}"))
            .parse()
            .unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// Status line and fields, as sent.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: String,
}

impl Answer {
    /// Reads one from `stream` until that closes.
    #[track_caller]
    pub(crate) fn read(mut stream: &TcpStream) -> Self {
        let mut text = String::new();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// The first value of a field; its name in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let named = |line: &&str| line.to_ascii_lowercase().starts_with(&format!("{name}:"));
        Some(self.head.lines().find(named)?.split_once(':')?.1.trim())
    }
}

/// A connection on which `GET path` was sent, the last request there.
#[track_caller]
pub(crate) fn send(to: SocketAddr, host: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// The answer to `GET path`, on a connection of its own.
#[track_caller]
pub(crate) fn get(to: SocketAddr, host: &str, path: &str) -> Answer {
    Answer::read(&send(to, host, path))
}

/// An origin whose every answer is its name, fresh for an hour.
pub(crate) fn origin(name: &'static str) -> SocketAddr {
    origin_after(name, || {})
}

/// As [`origin`], which calls `before` each answer.
pub(crate) fn origin_after(
    name: &'static str,
    before: impl Fn() + Clone + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let before = before.clone();
            thread::spawn(move || serve(&stream, name, before));
        }
    });
    address
}

fn serve(mut stream: &TcpStream, name: &str, before: impl Fn()) {
    let mut lines = BufReader::new(stream).lines();
    loop {
        // A head without a body, as GET has none.
        let head = lines
            .by_ref()
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty());
        if head.count() == 0 {
            return;
        }
        before();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncache-control: max-age=3600\r\ncontent-length: {}\r\n\r\n{name}",
            name.len()
        );
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Addresses nobody listens at. Each is an address of this machine that only this
/// test uses, so that no other test's port can be in the way.
pub(crate) fn free<const N: usize>() -> [SocketAddr; N] {
    static TAKEN: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    [(); N].map(|()| {
        let host = TAKEN.fetch_add(1, Ordering::Relaxed);
        let listener = TcpListener::bind((Ipv4Addr::new(127, high | 1, low, host), 0)).unwrap();
        listener.local_addr().unwrap()
    })
}
