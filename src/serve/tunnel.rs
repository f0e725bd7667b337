//! Two connections that changed protocols, as one: bytes both ways, nothing understood.

use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::watch,
    time::timeout,
};

/// How long a tunnel may carry nothing in either direction (CloudFront: WebSocket idle).
const IDLE_MAX: Duration = Duration::from_secs(10 * 60);

/// What one direction reads at a time, in bytes.
const BUFFER_BYTES: usize = 8 << 10;

/// Carries bytes between viewer and origin until either ends, or both are silent too long.
///
/// A side that only closes its sending half can still receive.
pub(super) async fn tunnel(viewer: OnUpgrade, origin: OnUpgrade) {
    let (Ok(viewer), Ok(origin)) = tokio::join!(viewer, origin) else {
        return;
    };
    let (from_viewer, to_viewer) = io::split(TokioIo::new(viewer));
    let (from_origin, to_origin) = io::split(TokioIo::new(origin));
    // Either direction moves the one mark both look at.
    let moved = watch::Sender::new(0_u64);
    tokio::select! {
        _ = async { tokio::join!(
            carry(from_viewer, to_origin, &moved),
            carry(from_origin, to_viewer, &moved),
        ) } => {}
        () = silent(&moved) => {}
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    moved: &watch::Sender<u64>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
        moved.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// Returns once nothing has moved for [`IDLE_MAX`].
async fn silent(moved: &watch::Sender<u64>) {
    let mut moves = moved.subscribe();
    while let Ok(Ok(())) = timeout(IDLE_MAX, moves.changed()).await {}
}
