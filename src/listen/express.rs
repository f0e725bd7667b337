//! Answers that are at hand, given beneath the HTTP library.
//!
//! Most of what a cache is asked are plain GETs for what lies in memory. Such a request is
//! answered where its bytes are read, with one write, and hyper never hears of it; every other
//! one goes up to hyper as it came. An idle viewer that only ever asked for hits has never had
//! a connection in hyper, nor its buffers.
//!
//! Two rules keep the two apart. A head is looked at only when nothing of hyper's is under way:
//! every head that went up was answered, and that answer is through. And what hyper is handed
//! begins where a message does, so that it reads the stream as if the others had not been there.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    mem::MaybeUninit,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Respond, Viewer, head,
    vitals::Order,
    wire::{LOOK_AHEAD_MAX, Wire},
};
use crate::policy::lines::Lines;

/// After so many requests in a row that were not at hand, one in 16 is still looked at: a
/// viewer that asks for nothing but what passes pays next to nothing for it.
const DECLINED_MAX: u32 = 4;

/// A connection's stream, which answers what is at hand.
pub(super) struct Express<I, R> {
    wire: Wire<I>,
    respond: R,
    viewer: Viewer,
    /// What is left of an answer that the viewer did not take at once.
    unsent: Option<Box<Unsent>>,
    /// Nothing of hyper's is under way.
    settled: bool,
    /// Requests in a row that were not at hand.
    declined: u32,
    /// How many go up now before one is looked at.
    passing: u32,
}

thread_local! {
    /// What an answer is written to, of each worker: it is on its way before the next.
    static LINES: Cell<Option<Box<Lines>>> = const { Cell::new(None) };
}

struct Unsent {
    head: Bytes,
    body: Bytes,
}

impl<I, R> Express<I, R> {
    pub(super) fn new(wire: Wire<I>, respond: R, viewer: Viewer) -> Self {
        Self {
            wire,
            respond,
            viewer,
            unsent: None,
            settled: true,
            declined: 0,
            passing: 0,
        }
    }

    pub(super) fn wire(&mut self) -> &mut Wire<I> {
        &mut self.wire
    }

    pub(super) fn into_wire(self) -> Wire<I> {
        self.wire
    }

    pub(super) fn respond(&self) -> &R {
        &self.respond
    }

    pub(super) fn viewer(&self) -> &Viewer {
        &self.viewer
    }

    /// Everything goes up from now on, until hyper is through with it.
    pub(super) fn hand_over(&mut self) {
        self.settled = false;
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin, R: Respond> Express<I, R> {
    /// Answers what was read ahead, if it is one request, and at hand; whether it was.
    pub(super) fn answers_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let ahead = self.wire.take_ahead();
        let answered = self.answers(cx, &ahead);
        if !matches!(answered, Ok(true)) {
            self.wire.keep(&ahead);
        }
        answered
    }

    /// Answers what is at hand until something else comes, which is read ahead; how many bytes
    /// that is, zero at the end of the stream.
    ///
    /// The buffer lives on the stack: a silent connection holds none.
    pub(super) fn poll_look_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [const { MaybeUninit::<u8>::uninit() }; LOOK_AHEAD_MAX];
        loop {
            ready!(self.poll_sent(cx))?;
            let alone = self.wire.is_http1() && self.wire.ahead().is_empty();
            let mut buf = ReadBuf::uninit(&mut space);
            ready!(self.wire.poll_receive(cx, &mut buf))?;
            if !alone || !self.answers(cx, buf.filled())? {
                self.wire.keep(buf.filled());
                return Poll::Ready(Ok(buf.filled().len()));
            }
        }
    }

    /// Answers `bytes`, the last that came, if they are one request, and at hand; whether they
    /// were.
    fn answers(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<bool> {
        let vitals = self.wire.vitals();
        let one = vitals.requests().wrapping_add(1);
        // From the last request on, answers say that the connection closes.
        if self.wire.heads_between() != Some(one) || vitals.order() >= Order::Last {
            return Ok(false);
        }
        if self.passing > 0 {
            self.passing -= 1;
            return Ok(false);
        }
        let mut lines = LINES.take().unwrap_or_default();
        lines.clear();
        let at_hand = || {
            let head = head::plain(bytes)?;
            self.respond.at_hand(head, &self.viewer, &mut lines)
        };
        // Who panics here panics in hyper's care as well, and is answered there.
        let answered = match catch_unwind(AssertUnwindSafe(at_hand)) {
            Ok(Some(body)) => {
                self.declined = 0;
                self.wire.vitals().answered();
                self.send(cx, lines.as_bytes(), body).map(|()| true)
            }
            Ok(None) | Err(_) => {
                self.declined = DECLINED_MAX.min(self.declined + 1);
                self.passing = (1 << self.declined) - 2;
                Ok(false)
            }
        };
        LINES.set(Some(lines));
        answered
    }

    /// Writes an answer, as much of it as goes.
    fn send(&mut self, cx: &mut Context<'_>, head: &[u8], mut body: Bytes) -> io::Result<()> {
        let wire = Pin::new(&mut self.wire);
        let write = if body.is_empty() {
            // The kernel takes one piece sooner than a list of one.
            wire.poll_write(cx, head)
        } else {
            wire.poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(&body)])
        };
        let written = match write? {
            Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(written) => written,
            Poll::Pending => 0,
        };
        let whole = written == head.len() + body.len();
        if whole && Pin::new(&mut self.wire).poll_flush(cx)?.is_ready() {
            return Ok(());
        }
        self.wire.vitals().answering();
        let of_head = written.min(head.len());
        body.advance(written - of_head);
        let head = Bytes::copy_from_slice(&head[of_head..]);
        self.unsent = Some(Box::new(Unsent { head, body }));
        Ok(())
    }

    /// Ready when nothing is left of an answer given here.
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(unsent) = &mut self.unsent else {
            return Poll::Ready(Ok(()));
        };
        while !unsent.head.is_empty() || !unsent.body.is_empty() {
            let bufs = [IoSlice::new(&unsent.head), IoSlice::new(&unsent.body)];
            let written = ready!(Pin::new(&mut self.wire).poll_write_vectored(cx, &bufs))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_head = written.min(unsent.head.len());
            unsent.head.advance(of_head);
            unsent.body.advance(written - of_head);
        }
        ready!(Pin::new(&mut self.wire).poll_flush(cx))?;
        self.unsent = None;
        self.wire.vitals().end();
        Poll::Ready(Ok(()))
    }

    /// Whether hyper is through with everything that went up; to be asked when it has flushed.
    fn is_settled(&self) -> bool {
        let vitals = self.wire.vitals();
        vitals.may_park() && self.wire.heads_between() == Some(vitals.requests())
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin, R: Respond> AsyncRead for Express<I, R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            ready!(this.poll_sent(cx))?;
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.wire).poll_read(cx, buf))?;
            if !this.settled || !this.answers(cx, &buf.filled()[before..])? {
                this.settled = false;
                return Poll::Ready(Ok(()));
            }
            buf.set_filled(before);
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin, R: Respond> AsyncWrite for Express<I, R> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_sent(cx))?;
        Pin::new(&mut this.wire).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_sent(cx))?;
        Pin::new(&mut this.wire).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    /// Flushes; hyper does so whenever it is polled and has nothing left to write.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_sent(cx))?;
        ready!(Pin::new(&mut this.wire).poll_flush(cx))?;
        this.settled = this.settled || this.is_settled();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_sent(cx))?;
        Pin::new(&mut this.wire).poll_shutdown(cx)
    }
}
