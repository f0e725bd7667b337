//! Viewers that ask the same again and again, at the least cost: their requests are bytes made
//! beforehand, and of the replies they read no more than where each ends.

use std::future::Future;

use http::Version;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// What every viewer sends besides its target.
const FIELDS: [(&str, &str); 4] = [
    ("user-agent", "Clinic/7.2 (iPhone; iOS 20.1)"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-language", "de-DE,de;q=0.9"),
];

const AUTHORITY: &str = "mobile.example.com";

/// What a viewer asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) method: &'static str,
    pub(crate) target: &'static str,
    /// One more field line of HTTP/1.1, with its end.
    pub(crate) line: &'static str,
}

/// A viewer on a connection of its own.
pub(crate) trait Viewer: Sized {
    /// What it speaks.
    const VERSION: Version;

    /// One that has asked nothing yet.
    fn new(pipe: DuplexStream, asked: Asked) -> Self;

    /// Asks once, and reads the reply to its end.
    fn ask(&mut self) -> impl Future<Output = ()>;
}

/// One that speaks HTTP/1.1.
pub(crate) struct Http1 {
    pipe: DuplexStream,
    request: Vec<u8>,
    /// Where the two letters of an `x-trace` are, which are others each time.
    trace: Option<usize>,
    /// The last reply; all but the first have its length.
    pub(crate) reply: Vec<u8>,
    asked: u32,
}

impl Viewer for Http1 {
    const VERSION: Version = Version::HTTP_11;

    fn new(pipe: DuplexStream, asked: Asked) -> Self {
        let fields = FIELDS.map(|(name, value)| format!("{name}: {value}\r\n"));
        let request = format!(
            "{} {} HTTP/1.1\r\nhost: {AUTHORITY}\r\n{}{}\r\n",
            asked.method,
            asked.target,
            fields.concat(),
            asked.line,
        );
        let trace = asked.line.starts_with("x-trace: ");
        Self {
            pipe,
            trace: trace.then(|| request.len() - "aa\r\n\r\n".len()),
            request: request.into_bytes(),
            reply: Vec::new(),
            asked: 0,
        }
    }

    /// The first reply may be a miss, and the second is as long as all that follow.
    async fn ask(&mut self) {
        if let Some(at) = self.trace {
            self.request[at] = b'a' + (self.asked / 26 % 26) as u8;
            self.request[at + 1] = b'a' + (self.asked % 26) as u8;
        }
        let written = self.pipe.write_all(&self.request).await;
        written.expect("a server that reads");
        self.asked += 1;
        if self.asked > 2 {
            let read = self.pipe.read_exact(&mut self.reply).await;
            read.expect("a reply as long as the one before");
            return;
        }
        self.reply.clear();
        while !is_whole(&self.reply, self.request.starts_with(b"HEAD")) {
            let read = self.pipe.read_buf(&mut self.reply).await;
            assert!(read.is_ok_and(|bytes| bytes > 0), "a server that answers");
        }
    }
}

/// Whether `reply` has a whole head, and the body that this announces.
fn is_whole(reply: &[u8], to_head: bool) -> bool {
    let Some(end) = reply.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&reply[..end]);
    if to_head || head.starts_with("HTTP/1.1 304 ") {
        return true;
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .and_then(|length| length.parse::<usize>().ok())
        .expect("a body of a known length");
    reply.len() == end + 4 + length
}

/// One that speaks HTTP/2 as browsers do: a field is sent in full once, then by its number.
pub(crate) struct Http2 {
    pipe: DuplexStream,
    /// The first bytes of the connection, then the HEADERS of the next request.
    first: Vec<u8>,
    again: Vec<u8>,
    read: Vec<u8>,
    stream: u32,
}

impl Viewer for Http2 {
    const VERSION: Version = Version::HTTP_2;

    fn new(pipe: DuplexStream, asked: Asked) -> Self {
        assert_eq!((asked.method, asked.line), ("GET", ""), "not spelled here");
        let mut first = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        // SETTINGS with nothing to say; WINDOW_UPDATE, so that no reply waits for another.
        first.extend(frame(4, 0, 0, &[]));
        first.extend(frame(8, 0, 0, &(1u32 << 30).to_be_bytes()));
        // ":method: GET" and ":scheme: http" by number, then with "incremental indexing" (RFC
        // 7541 §6.2.1) :authority, :path and the four fields, by their names' numbers.
        let mut block = vec![0x82, 0x86];
        let values = [AUTHORITY, asked.target].into_iter();
        let values = values.chain(FIELDS.map(|(_, value)| value));
        for (name, value) in [1, 4, 58, 19, 16, 17].into_iter().zip(values) {
            block.push(0x40 | name);
            block.push(u8::try_from(value.len()).expect("a short value"));
            block.extend(value.as_bytes());
        }
        first.extend(frame(1, END, 1, &block));
        // The last of them is number 62, the first 67.
        let again = vec![0x82, 0x86, 0xc3, 0xc2, 0xc1, 0xc0, 0xbf, 0xbe];
        Self {
            pipe,
            first,
            again: frame(1, END, 0, &again),
            read: Vec::with_capacity(64 << 10),
            stream: 1,
        }
    }

    async fn ask(&mut self) {
        let asked = self.stream;
        let request = if asked == 1 { &self.first } else { &self.again };
        let written = self.pipe.write_all(request).await;
        written.expect("a server that reads");
        self.stream += 2;
        self.again[5..9].copy_from_slice(&self.stream.to_be_bytes());
        while !self.has_read_to_the_end_of(asked) {
            let read = self.pipe.read_buf(&mut self.read).await;
            assert!(read.is_ok_and(|bytes| bytes > 0), "a server that answers");
        }
    }
}

impl Http2 {
    /// Forgets the frames read; whether one of them ended `stream`.
    fn has_read_to_the_end_of(&mut self, stream: u32) -> bool {
        let mut at = 0;
        let mut ended = false;
        while let Some(head) = self.read.get(at..at + 9) {
            let length =
                usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            if self.read.len() < at + 9 + length {
                break;
            }
            assert!(!matches!(head[3], 3 | 7), "the server gives up: {head:?}");
            // Of DATA and HEADERS the lowest flag is END_STREAM.
            ended |= head[3] <= 1 && head[4] & 1 == 1 && head[5..9] == stream.to_be_bytes();
            at += 9 + length;
        }
        self.read.drain(..at);
        ended
    }
}

/// END_STREAM and END_HEADERS.
const END: u8 = 5;

/// A frame of this type (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}
