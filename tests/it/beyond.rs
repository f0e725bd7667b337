//! Bodies beyond memory: they stream, and nobody who reads one makes the process hold it.
//!
//! Everything of a test runs on one thread, so its allocator counts all that the edge, the
//! connections and the pipes hold at once, and a bound on that is a bound on the whole. An
//! origin writes as long as somebody takes it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use allocation_counter::measure;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    runtime::Builder,
    task::JoinSet,
};
use toml::Table;
use warmfront::{
    origin::{Dial, Dialling, Io},
    policy::Scheme,
    store::Store,
    time::{Clock, Timestamp},
};

use crate::harness::{edge::Edge, site};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// What the store may hold, of one object and of all.
const OBJECT_MAX: u64 = MIB;
const MEMORY: u64 = 32 * MIB;

/// What one stream holds at once: two pipes of 64 KiB, hyper's buffers at either end, and what
/// of the body is between them.
const STREAM_BYTES_MAX: u64 = MIB;

/// What a viewer's connection adds where the body is another's already: a pipe, hyper's
/// buffers, and the test's own block.
const VIEWER_BYTES_MAX: u64 = 512 * KIB;

/// What a body that turned out too large holds in all: `OBJECT_MAX` until then, and from then
/// on what the slowest of its readers may be behind.
const TURNED_OUT_BYTES_MAX: u64 = 2 * OBJECT_MAX + STREAM_BYTES_MAX;

const PIPE_BYTES: usize = 64 << 10;

#[test]
fn a_body_of_a_gibibyte_streams_through_a_mebibyte() {
    let origin = Origin::of(1 << 30, Framing::Length);
    let (edge, held) = held(&origin, async |edge| {
        let mut viewer = Viewer::ask(edge).await;
        assert!(viewer.read_to_the_end().await);
        assert!(viewer.seen > 1 << 30);
    });
    assert!(held < STREAM_BYTES_MAX, "{held} bytes");
    assert_eq!(edge.inner().store.usage().bytes, 0);
}

#[test]
fn a_body_that_turns_out_too_large_streams_on() {
    let origin = Origin::of(128 * MIB, Framing::Chunks);
    let (edge, held) = held(&origin, async |edge| {
        let mut viewer = Viewer::ask(edge).await;
        assert!(viewer.read_to_the_end().await);
        assert!(viewer.seen > 128 * MIB);
    });
    assert!(held < TURNED_OUT_BYTES_MAX, "{held} bytes");
    assert_eq!(edge.inner().store.usage().bytes, 0);
}

#[test]
fn viewers_of_a_body_that_turns_out_too_large_share_its_stream() {
    const VIEWERS: u64 = 16;
    let origin = Origin::of(16 * MIB, Framing::Chunks);
    let (_, held) = held(&origin, async |edge| {
        let seen = crowd(edge, VIEWERS).await;
        assert!(seen > VIEWERS * 16 * MIB, "{seen}");
    });
    assert_eq!(origin.sent().len(), 1, "one fetch");
    let most = TURNED_OUT_BYTES_MAX + VIEWERS * VIEWER_BYTES_MAX;
    assert!(held < most, "{held} bytes");
}

#[test]
fn viewers_of_an_object_that_is_being_filled_share_it() {
    const VIEWERS: u64 = 16;
    let bytes = 8 * MIB;
    let origin = Origin::of(bytes, Framing::Length);
    let store = Store::new(MEMORY, bytes);
    let (edge, held) = held_by(store, &origin, async |edge| {
        let seen = crowd(edge, VIEWERS).await;
        assert!(seen > VIEWERS * bytes, "{seen}");
    });
    assert_eq!(origin.sent().len(), 1, "one fetch");
    // Once as it came, once in one piece as it is kept.
    let most = 2 * bytes + STREAM_BYTES_MAX + VIEWERS * VIEWER_BYTES_MAX;
    assert!(held < most, "{held} bytes");
    let usage = edge.inner().store.usage();
    assert!(
        (bytes..bytes + 64 * KIB).contains(&usage.bytes),
        "{usage:?}"
    );
}

#[test]
fn a_slow_viewer_holds_back_its_own_stream_and_no_other() {
    let origin = Origin::of(64 * MIB, Framing::Length);
    let (_, held) = held(&origin, async |edge| {
        let mut slow = Viewer::ask(edge).await;
        slow.read_some().await;
        let mut other = Viewer::ask(edge).await;
        assert!(other.read_to_the_end().await);
        // The origin still has the rest of it.
        let sent = origin.sent();
        assert!(sent[0] < STREAM_BYTES_MAX, "{sent:?}");
        assert!(slow.read_to_the_end().await, "it is only slow");
    });
    assert!(held < 2 * STREAM_BYTES_MAX, "{held} bytes");
}

/// Where a stream is shared, its bytes wait for the slowest a while; then it is broken off, and
/// never ends as if it were whole.
#[test]
fn a_slow_viewer_of_a_shared_stream_holds_nobody_back() {
    let origin = Origin::of(64 * MIB, Framing::Chunks);
    let (_, held) = held(&origin, async |edge| {
        let mut slow = Viewer::ask(edge).await;
        let mut other = Viewer::ask(edge).await;
        slow.read_some().await;
        assert!(other.read_to_the_end().await);
        assert!(!slow.read_to_the_end().await, "it was broken off");
        assert!(slow.seen < TURNED_OUT_BYTES_MAX);
    });
    assert_eq!(origin.sent().len(), 1, "one fetch");
    assert!(
        held < TURNED_OUT_BYTES_MAX + VIEWER_BYTES_MAX,
        "{held} bytes"
    );
}

#[test]
fn a_viewer_that_leaves_ends_the_stream_that_only_it_read() {
    for framing in [Framing::Length, Framing::Chunks] {
        let origin = Origin::of(64 * MIB, framing);
        held(&origin, async |edge| {
            let mut viewer = Viewer::ask(edge).await;
            while viewer.seen < 4 * MIB {
                viewer.read_some().await;
            }
            drop(viewer);
            origin.left().await;
            let sent = origin.sent()[0];
            assert!(sent < 8 * MIB, "{framing:?}: {sent}");
        });
    }
}

/// What a test holds at most at once, in bytes, while `run` goes on; and its edge.
fn held(origin: &Origin, run: impl AsyncFnOnce(&Edge)) -> (Edge, u64) {
    held_by(Store::new(MEMORY, OBJECT_MAX), origin, run)
}

fn held_by(store: Store, origin: &Origin, run: impl AsyncFnOnce(&Edge)) -> (Edge, u64) {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let config = site::toml(&Table::new()).unwrap();
    let _entered = runtime.enter();
    let clock = Clock::simulated(Timestamp::from_unix(1_795_348_800));
    let edge = Edge::with_store(store, &config, Arc::new(origin.clone()), clock).unwrap();
    let held = measure(|| runtime.block_on(run(&edge)));
    (edge, held.bytes_max)
}

/// So many viewers at once; the bytes they saw together.
async fn crowd(edge: &Edge, viewers: u64) -> u64 {
    let mut reading = JoinSet::new();
    for _ in 0..viewers {
        let mut viewer = Viewer::ask(edge).await;
        reading.spawn(async move {
            assert!(viewer.read_to_the_end().await);
            viewer.seen
        });
    }
    reading.join_all().await.iter().sum()
}

/// A viewer of `/large` that asks on a connection of its own.
struct Viewer {
    pipe: DuplexStream,
    block: Vec<u8>,
    /// The bytes of its answer so far, head included.
    seen: u64,
    /// The last of them.
    last: Vec<u8>,
    chunked: bool,
    length: Option<u64>,
}

impl Viewer {
    async fn ask(edge: &Edge) -> Self {
        let (near, mut far) = duplex(PIPE_BYTES);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000));
        edge.serve(near, address, Scheme::Http);
        let request = b"GET /large HTTP/1.1\r\nHost: example.test\r\n\r\n";
        far.write_all(request).await.unwrap();
        Self {
            pipe: far,
            block: vec![0; 16 << 10],
            seen: 0,
            last: Vec::new(),
            chunked: false,
            length: None,
        }
    }

    /// Reads a block; whether there was one.
    async fn read_some(&mut self) -> bool {
        let read = self.pipe.read(&mut self.block).await.unwrap();
        if self.seen == 0 {
            self.learn(read);
        }
        self.seen += read as u64;
        self.last
            .extend_from_slice(&self.block[read.saturating_sub(7)..read]);
        self.last.drain(..self.last.len().saturating_sub(7));
        read > 0
    }

    /// What the head says of the length; it comes in one piece.
    fn learn(&mut self, read: usize) {
        let text = String::from_utf8_lossy(&self.block[..read]).to_ascii_lowercase();
        let (head, _) = text.split_once("\r\n\r\n").expect("a whole head");
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        self.chunked = head.contains("\r\ntransfer-encoding: chunked");
        let length = head.split("\r\ncontent-length: ").nth(1);
        let length = length.and_then(|rest| rest.split("\r\n").next()?.parse::<u64>().ok());
        self.length = length.map(|length| head.len() as u64 + 4 + length);
    }

    /// Reads what is left; whether the answer is whole.
    async fn read_to_the_end(&mut self) -> bool {
        loop {
            if self.chunked && self.last == b"\r\n0\r\n\r\n" || self.length == Some(self.seen) {
                return true;
            }
            if !self.read_some().await {
                return false;
            }
        }
    }
}

/// How an origin says where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length,
    Chunks,
}

/// An origin whose every answer has a body of so many bytes, and may be stored.
#[derive(Clone, Debug)]
struct Origin {
    bytes: u64,
    framing: Framing,
    /// The bytes sent in each answer, in the order they were asked for.
    sent: Arc<Mutex<Vec<Arc<AtomicU64>>>>,
    left: Arc<tokio::sync::Notify>,
}

impl Origin {
    fn of(bytes: u64, framing: Framing) -> Self {
        Self {
            bytes,
            framing,
            sent: Arc::default(),
            left: Arc::default(),
        }
    }

    fn sent(&self) -> Vec<u64> {
        let sent = self.sent.lock().unwrap();
        sent.iter().map(|bytes| bytes.load(Relaxed)).collect()
    }

    /// Waits until a connection of the edge's has ended.
    async fn left(&self) {
        self.left.notified().await;
    }

    /// Answers the requests of a connection.
    async fn serve(self, mut pipe: DuplexStream) {
        let mut request = [0; 4_096];
        while pipe.read(&mut request).await.is_ok_and(|read| read > 0) {
            let sent = Arc::new(AtomicU64::new(0));
            self.sent.lock().unwrap().push(sent.clone());
            if self.answer(&mut pipe, &sent).await.is_err() {
                break;
            }
        }
        self.left.notify_one();
    }

    async fn answer(&self, pipe: &mut DuplexStream, sent: &AtomicU64) -> std::io::Result<()> {
        const BLOCK: [u8; 16 << 10] = [b'x'; 16 << 10];
        let framing = match self.framing {
            Framing::Length => format!("Content-Length: {}", self.bytes),
            Framing::Chunks => "Transfer-Encoding: chunked".to_owned(),
        };
        let head = format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n{framing}\r\n\r\n");
        pipe.write_all(head.as_bytes()).await?;
        while sent.load(Relaxed) < self.bytes {
            if self.framing == Framing::Chunks {
                pipe.write_all(b"4000\r\n").await?;
            }
            pipe.write_all(&BLOCK).await?;
            if self.framing == Framing::Chunks {
                pipe.write_all(b"\r\n").await?;
            }
            sent.fetch_add(BLOCK.len() as u64, Relaxed);
        }
        if self.framing == Framing::Chunks {
            pipe.write_all(b"0\r\n\r\n").await?;
        }
        Ok(())
    }
}

impl Dial for Origin {
    fn dial<'a>(&'a self, _host: &'a str, _port: u16) -> Dialling<'a> {
        let (near, far) = duplex(PIPE_BYTES);
        tokio::spawn(self.clone().serve(far));
        Box::pin(async { Ok(Box::new(near) as Box<dyn Io>) })
    }
}
