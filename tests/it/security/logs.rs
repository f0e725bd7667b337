//! What logs and metrics never hold: query values, cookies, tokens.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use rustix::process::Signal;

use crate::daemon::{Daemon, free, origin};

/// What every request carries, wherever it has room for it.
const SECRET: &str = "s3cr3t";

/// An origin that answers everything with bytes that are no HTTP, the request's own among them.
fn parrot() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).unwrap_or(0);
            let _ = stream.write_all(&bytes[..read]);
        }
    });
    address
}

/// Sends bytes, and reads until the connection closes.
fn say(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    // It may close before it has read everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn d16_logs_and_metrics_hold_nothing_of_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("edge.toml");
    let [nobody] = free();
    let (sound, broken) = (origin("api"), parrot());
    let text = format!(
        r#"
[admin]
address = "127.0.0.2:0"
[server]
workers = 1
[[listener]]
address = "127.0.0.1:0"
[[origin]]
id = "sound"
url = "http://{sound}"
[[origin]]
id = "broken"
url = "http://{broken}"
[[origin]]
id = "nobody"
url = "http://{nobody}"
[[distribution]]
id = "clinic"
[[distribution.behaviour]]
path = "/broken*"
origin = "broken"
[[distribution.behaviour]]
path = "/nobody*"
origin = "nobody"
[[distribution.behaviour]]
path = "/limited*"
origin = "sound"
rate_limit = {{ by = "header:X-Api-Key", requests = 1, per = "1h" }}
[[distribution.behaviour]]
path = "*"
origin = "sound"
"#
    );
    fs::write(&config, text).unwrap();
    let mut daemon = Daemon::start_logging(&config, "trace");
    let viewers = daemon.viewers[0];
    let credentials = format!(
        "host: example.com\r\nauthorization: Bearer {SECRET}\r\ncookie: session={SECRET}\r\n\
         x-api-key: {SECRET}\r\nreferer: https://example.com/?q={SECRET}\r\nconnection: close\r\n\r\n"
    );
    for path in ["/search/pcp", "/broken", "/nobody", "/limited", "/limited"] {
        let answer = say(
            viewers,
            format!("GET {path}?Keyword={SECRET} HTTP/1.1\r\n{credentials}").as_bytes(),
        );
        assert!(answer.starts_with("HTTP/1.1 "), "{path}: {answer}");
    }
    // What is refused is not told either.
    for request in [
        format!("GET /%00?q={SECRET} HTTP/1.1\r\n{credentials}"),
        format!("GET /a?q={SECRET} HTTP/1.1\r\nbad {SECRET}\r\n{credentials}"),
        format!("G\0T /a?q={SECRET} HTTP/1.1\r\n{credentials}"),
        format!("GET http://user:{SECRET}@example.com/ HTTP/1.1\r\n{credentials}"),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{SECRET}{SECRET}"),
        format!("\x16\x03\x01{SECRET}"),
    ] {
        say(viewers, request.as_bytes());
    }
    let metrics = daemon.ask_admin("/metrics").body;
    assert!(metrics.contains("warmfront_requests_total"), "{metrics}");
    assert!(!metrics.contains(SECRET), "{metrics}");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.code(), 0);
    assert!(!daemon.said("origin failed").is_empty());
    for line in daemon.all() {
        assert!(!line.to_string().contains(SECRET), "{line}");
    }
}
