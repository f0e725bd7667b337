//! The byte stream below an HTTP/2 connection, read in portions.
//!
//! The library reads for as long as there is something to read, and keeps what it read for
//! exchanges that cannot look meanwhile. DATA has its windows; nothing else does.

use std::{
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::origin::{dial::Io, http2::Life};

/// What is read in one go, in bytes, before the exchanges may look at it: an interim response
/// takes ten on the wire, so that 6,553 of them wait for the exchange that counts them.
const READ_MAX: usize = 64 << 10;

/// An origin's stream, read in portions.
pub(super) struct Wire {
    stream: Box<dyn Io>,
    life: Arc<Life>,
    /// How much was read since the task last waited.
    read: usize,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Io>, life: Arc<Life>) -> Self {
        Self {
            stream,
            life,
            read: 0,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.read >= READ_MAX {
            this.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if polled.is_pending() {
            this.read = 0;
            return Poll::Pending;
        }
        let read = buffer.filled().len() - before;
        this.read += read;
        if read > 0 {
            this.life.heard.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::repeat;

    use super::*;
    use crate::time::Clock;

    /// An origin that never stops talking.
    struct Endless;

    impl AsyncRead for Endless {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut repeat(0)).poll_read(cx, buffer)
        }
    }

    impl AsyncWrite for Endless {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn an_origin_that_never_stops_talking_is_read_in_portions() {
        let life = Arc::new(Life::new(Clock::System.instant()));
        let mut wire = Wire::new(Box::new(Endless), Arc::clone(&life));
        let mut bytes = [0; 16 << 10];
        for _ in 0..3 {
            let mut read = 0;
            loop {
                let mut buffer = ReadBuf::new(&mut bytes);
                let mut cx = Context::from_waker(Waker::noop());
                match Pin::new(&mut wire).poll_read(&mut cx, &mut buffer) {
                    Poll::Ready(done) => done.unwrap(),
                    Poll::Pending => break,
                }
                read += buffer.filled().len();
            }
            assert_eq!(read, READ_MAX);
            assert!(life.heard.swap(false, Ordering::Relaxed));
        }
    }
}
