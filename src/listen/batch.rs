//! What HTTP/2 writes in one turn of its connection leaves in one piece.
//!
//! The library writes and flushes after each answer. Behind TLS that is a record and a system
//! call for each, where a viewer that asks for ten things at once could have them in one. So
//! small writes are held until the turn is over; large ones go straight through.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::wire::Wire;

/// The most bytes held: what one TLS record carries (RFC 8446 §5.1). Given back when the turn
/// is over.
const HELD_MAX: usize = 16 * 1024;

/// The library's end of a connection.
pub(super) struct Batched<I>(Arc<Mutex<Batch<I>>>);

/// The end of whoever gives the library its turns.
pub(super) struct Turn<I>(Arc<Mutex<Batch<I>>>);

struct Batch<I> {
    wire: Wire<I>,
    held: Vec<u8>,
    /// Of `held`, how many were written.
    written: usize,
}

/// Both ends of `wire`, for one task.
pub(super) fn batched<I>(wire: Wire<I>) -> (Batched<I>, Turn<I>) {
    let batch = Arc::new(Mutex::new(Batch {
        wire,
        held: Vec::new(),
        written: 0,
    }));
    (Batched(Arc::clone(&batch)), Turn(batch))
}

impl<I: AsyncRead + AsyncWrite + Unpin> Turn<I> {
    /// Ends a turn of the library: what it wrote leaves, now or when the viewer takes it.
    pub(super) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut batch = lock(&self.0);
        ready!(batch.poll_written(cx))?;
        Pin::new(&mut batch.wire).poll_flush(cx)
    }
}

/// One task has both ends, and no code panics while it holds the lock.
fn lock<I>(batch: &Mutex<Batch<I>>) -> MutexGuard<'_, Batch<I>> {
    batch.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<I: AsyncWrite + AsyncRead + Unpin> Batch<I> {
    /// Writes what is held.
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.held.len() {
            let rest = &self.held[self.written..];
            match ready!(Pin::new(&mut self.wire).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        self.held = Vec::new();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Holds all of `bufs` if there is room, otherwise writes what is held and then them.
    fn poll_take(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let bytes = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        if self.held.len() + bytes > HELD_MAX {
            ready!(self.poll_written(cx))?;
        }
        if bytes > HELD_MAX {
            return Pin::new(&mut self.wire).poll_write_vectored(cx, bufs);
        }
        if self.held.is_empty() {
            self.held.reserve_exact(HELD_MAX);
        }
        bufs.iter().for_each(|buf| self.held.extend_from_slice(buf));
        Poll::Ready(Ok(bytes))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Batched<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).wire).poll_read(cx, buf)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Batched<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_take(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_take(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing: [`Turn::poll_end`] comes behind every turn.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut batch = lock(&self.0);
        ready!(batch.poll_written(cx))?;
        Pin::new(&mut batch.wire).poll_shutdown(cx)
    }
}
