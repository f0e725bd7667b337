//! An HTTP/2 origin that writes its frames by hand, and may fall silent.

use tokio::io::{ReadHalf, WriteHalf, split};
use tokio_rustls::server::TlsStream;

use super::*;

/// A connection that has served once and is kept.
pub(super) struct Raw {
    pub(super) http2: Http2,
    /// What the edge sends: type and stream of each frame.
    frames: mpsc::UnboundedReceiver<(u8, u32)>,
    writes: WriteHalf<TlsStream<DuplexStream>>,
}

impl Raw {
    pub(super) async fn new() -> Self {
        Self::of(Http2::new()).await
    }

    pub(super) async fn of(mut http2: Http2) -> Self {
        let fetched = http2.get();
        let stream = secured(&mut http2.world, &http2.acceptor).await;
        let (reads, writes) = split(stream);
        let (sender, frames) = mpsc::unbounded_channel();
        tokio::spawn(read(reads, sender));
        let mut raw = Self {
            http2,
            frames,
            writes,
        };
        raw.frame(0x4, 0, 0, b"").await;
        let stream = raw.asked().await;
        // `:status` 200, END_STREAM and END_HEADERS.
        raw.frame(0x1, 0x5, stream, b"\x88").await;
        assert_eq!(fetched.await.unwrap().unwrap().head.status, 200);
        raw
    }

    pub(super) async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = (payload.len() as u32).to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.writes.write_all(&frame).await.unwrap();
        self.writes.flush().await.unwrap();
    }

    /// Closes its side of the connection.
    pub(super) async fn hangs_up(&mut self) {
        self.writes.shutdown().await.unwrap();
    }

    /// Waits for a frame of this type, and says what stream it is of.
    pub(super) async fn next(&mut self, wanted: u8) -> u32 {
        loop {
            let (kind, stream) = self.frames.recv().await.expect("a frame was wanted");
            if kind == wanted {
                return stream;
            }
        }
    }

    /// Waits for a request, and says what stream it is on.
    pub(super) async fn asked(&mut self) -> u32 {
        self.next(0x1).await
    }

    /// Waits until the connection is over; which types of frames came before.
    pub(super) async fn ended(&mut self) -> Vec<u8> {
        let mut seen = Vec::new();
        while let Some((kind, _)) = self.frames.recv().await {
            seen.push(kind);
        }
        seen
    }
}

/// Tells the type and stream of each frame that comes.
async fn read(
    mut reads: ReadHalf<TlsStream<DuplexStream>>,
    frames: mpsc::UnboundedSender<(u8, u32)>,
) -> io::Result<()> {
    reads.read_exact(&mut [0; 24]).await?;
    loop {
        let mut head = [0; 9];
        reads.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        reads.read_exact(&mut vec![0; length]).await?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let _ = frames.send((head[3], stream));
    }
}
