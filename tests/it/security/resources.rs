//! What strangers may make a daemon hold, with sockets and the system's own account of it.
//!
//! Both are small here. `WARMFRONT_R6_BYTES=5368709120` and `WARMFRONT_R7_URLS=1000000` make
//! them the cases of the page.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    thread,
};

use crate::daemon::Daemon;

/// What the stored takes at most; the least that a configuration may say, four times.
const MEMORY: u64 = 4 << 20;

/// What a daemon may take beside what it stores: buffers of connections, the index's own
/// tables, and what the allocator keeps back.
const OVERHEAD: u64 = 48 << 20;

/// The body of every page.
const PAGE: [u8; 2_048] = [b'p'; 2_048];

/// A number from the environment, for longer runs.
fn sized(name: &str, usual: u64) -> u64 {
    env::var(name).map_or(usual, |text| text.parse().unwrap())
}

/// An origin of pages, and of one body of `bytes` at `/big`, generated as it goes; all may be
/// stored for an hour.
fn origin(bytes: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(&stream, bytes));
        }
    });
    address
}

fn serve(mut stream: &TcpStream, bytes: u64) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut lines = BufReader::new(stream).lines();
    loop {
        let head: Vec<String> = lines
            .by_ref()
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty())
            .collect();
        let big = head.first()?.contains(" /big ");
        let length = if big { bytes } else { PAGE.len() as u64 };
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\ncache-control: max-age=3600\r\ncontent-length: {length}\r\n\r\n"
        )
        .into_bytes();
        if !big {
            answer.extend(PAGE);
        }
        stream.write_all(&answer).ok()?;
        let block = [b'b'; 64 << 10];
        let mut left = if big { bytes } else { 0 };
        while left > 0 {
            let some = left.min(block.len() as u64);
            stream.write_all(&block[..some as usize]).ok()?;
            left -= some;
        }
    }
}

fn edge(folder: &Path, origin: SocketAddr) -> Daemon {
    let text = format!(
        r#"
[admin]
address = "127.0.0.2:0"
[server]
workers = 2
[cache]
memory = "{}MiB"
object_max = "1MiB"
[[listener]]
address = "127.0.0.1:0"
[[origin]]
id = "api"
url = "http://{origin}"
[[distribution]]
id = "clinic"
[[distribution.behaviour]]
path = "*"
origin = "api"
"#,
        MEMORY >> 20
    );
    let config = folder.join("edge.toml");
    fs::write(&config, text).unwrap();
    Daemon::start(&config)
}

/// A viewer's one connection.
struct Viewer(BufReader<TcpStream>);

impl Viewer {
    fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// The answer's head, in lower case, and how many bytes its body had.
    fn get(&mut self, path: &str) -> (String, u64) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).unwrap() > 0, "{head}");
        }
        head.make_ascii_lowercase();
        let length = head.split("\r\ncontent-length: ").nth(1).unwrap();
        let length: u64 = length.split("\r\n").next().unwrap().parse().unwrap();
        let (mut left, mut block) = (length, vec![0; 64 << 10]);
        while left > 0 {
            let most = left.min(block.len() as u64) as usize;
            let read = self.0.read(&mut block[..most]).unwrap();
            assert!(read > 0, "{left} bytes short");
            left -= read as u64;
        }
        (head, length)
    }

    /// Whether a page was there already.
    fn is_hit(&mut self, path: &str) -> bool {
        self.get(path).0.contains("\r\nx-cache: hit ")
    }
}

/// What it takes more than it did, in bytes.
fn grown(daemon: &Daemon, before: Option<u64>) -> u64 {
    let after = daemon.peak_bytes();
    after
        .zip(before)
        .map_or(0, |(after, before)| after - before)
}

#[test]
fn r6_a_body_too_large_to_keep_goes_through() {
    let bytes = sized("WARMFRONT_R6_BYTES", 96 << 20);
    let folder = tempfile::tempdir().unwrap();
    let daemon = edge(folder.path(), origin(bytes));
    let mut viewer = Viewer::connect(daemon.viewers[0]);
    viewer.get("/1");
    let before = daemon.peak_bytes();
    let (head, seen) = viewer.get("/big");
    assert_eq!(seen, bytes);
    assert!(!head.contains("stored"), "{head}");
    assert!(!viewer.is_hit("/2"));
    let grown = grown(&daemon, before);
    assert!(grown < 16 << 20, "{grown} bytes more for a body of {bytes}");
    assert!(daemon.metric("warmfront_cache_bytes") < MEMORY as f64);
}

/// Pages that are asked for again and again stay while each of the others comes once.
#[test]
fn r7_a_flood_of_addresses_pushes_out_nothing_that_is_wanted() {
    const HOT: u64 = 40;
    const FLOODERS: u64 = 4;
    let urls = sized("WARMFRONT_R7_URLS", 4_000);
    let folder = tempfile::tempdir().unwrap();
    let daemon = edge(folder.path(), origin(0));
    let viewers = daemon.viewers[0];
    let mut viewer = Viewer::connect(viewers);
    for _ in 0..5 {
        for hot in 0..HOT {
            viewer.get(&format!("/hot/{hot}"));
        }
    }
    let before = daemon.peak_bytes();
    let flooders: Vec<_> = (0..FLOODERS)
        .map(|flooder| {
            thread::spawn(move || {
                let mut viewer = Viewer::connect(viewers);
                for number in 0..urls / FLOODERS {
                    viewer.get(&format!("/once/{flooder}/{number}"));
                    if number % 8 == 0 {
                        viewer.get(&format!("/hot/{}", number / 8 % HOT));
                    }
                }
            })
        })
        .collect();
    for flooder in flooders {
        flooder.join().unwrap();
    }
    // The first connection may have been idle for too long.
    let mut viewer = Viewer::connect(viewers);
    let hits = (0..HOT)
        .filter(|hot| viewer.is_hit(&format!("/hot/{hot}")))
        .count() as u64;
    assert!(hits >= HOT * 9 / 10, "{hits} of {HOT} are still there");
    let stored = daemon.metric("warmfront_cache_bytes");
    // There was more than there is room for.
    assert!(daemon.metric("warmfront_cache_evictions_total") > 0.0);
    assert!(stored <= MEMORY as f64, "{stored}");
    let grown = grown(&daemon, before);
    assert!(
        grown <= MEMORY + OVERHEAD,
        "{grown} bytes more for {urls} pages"
    );
}

/// Maps that strangers fill hash with a secret: the standard library's do by themselves, and
/// nothing of ours takes that away.
#[test]
fn r10_no_map_is_hashed_without_a_secret() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let own = text.contains("impl BuildHasher for ");
            // The store's index, whose hasher has secrets of its own: its tests say so.
            if own && !path.ends_with("store/memory.rs") {
                found.push(format!("{}: a hasher of its own", path.display()));
            }
            for word in [
                "BuildHasherDefault",
                "Fnv",
                "FxHash",
                "ahash",
                "DefaultHasher::new",
            ] {
                if text.contains(word) {
                    found.push(format!("{}: {word}", path.display()));
                }
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}
