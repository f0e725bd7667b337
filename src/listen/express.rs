//! Plain requests, answered beneath the HTTP library.
//!
//! Most of what a cache is asked are plain GETs, and most of those for what lies in memory.
//! Such a request is answered where its bytes are read, with one write where it is at hand, and
//! hyper never hears of it; every other one goes up to hyper as it came. An idle viewer that
//! only ever asked such has never had a connection in hyper, nor its buffers.
//!
//! Two rules keep the two apart. A head is looked at only when nothing of hyper's is under way:
//! every head that went up was answered, and that answer is through. And what hyper is handed
//! begins where a message does, so that it reads the stream as if the others had not been there.

use std::{
    cell::Cell,
    future::Future,
    io::{self, IoSlice},
    mem::MaybeUninit,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{Response, header};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Respond, Viewer,
    heads::Heads,
    layers::{Answer, answer_plain},
    outgoing::Outgoing,
    vitals::Order,
    wire::{LOOK_AHEAD_MAX, Wire},
};
use crate::{policy::lines::Lines, serve::Plain};

/// A connection's stream, which answers plain requests.
pub(super) struct Express<I, R: Respond> {
    wire: Wire<I>,
    respond: R,
    viewer: Viewer,
    heads: Heads,
    /// What of ours is under way.
    turn: Turn<R::Body>,
    /// Nothing of hyper's is under way.
    settled: bool,
    /// The last answer said that the connection closes, and is through.
    over: bool,
}

/// How far the answer to a plain request is.
enum Turn<B> {
    /// There is none.
    Idle,
    /// It is waited for.
    Asked(Pin<Box<dyn Future<Output = Response<Answer<B>>> + Send>>),
    /// The viewer takes what there is of it; whether the connection closes behind it.
    Writing(Box<Outgoing<Answer<B>>>, bool),
    /// The same of one that was at hand.
    Rest(Box<Outgoing<Answer<B>>>),
}

thread_local! {
    /// What an answer is written to, of each worker: it is on its way before the next.
    static LINES: Cell<Option<Box<Lines>>> = const { Cell::new(None) };
}

impl<I, R: Respond> Express<I, R> {
    pub(super) fn new(wire: Wire<I>, respond: R, viewer: Viewer) -> Self {
        Self {
            wire,
            respond,
            viewer,
            heads: Heads::default(),
            turn: Turn::Idle,
            settled: true,
            over: false,
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

    /// Whether the viewer was told that the connection closes, and all else before.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin, R: Respond> Express<I, R> {
    /// Answers what was read ahead, if it is one plain request; whether it is.
    pub(super) fn answers_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let ahead = self.wire.take_ahead();
        let answered = self.answers(cx, &ahead, true);
        if !matches!(answered, Ok(true)) {
            self.wire.keep(&ahead);
        }
        answered
    }

    /// Answers plain requests until something else comes, which is read ahead; how many bytes
    /// that is, zero at the end of the stream, and where an answer closed the connection.
    ///
    /// The buffer lives on the stack: a silent connection holds none.
    pub(super) fn poll_look_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [const { MaybeUninit::<u8>::uninit() }; LOOK_AHEAD_MAX];
        loop {
            ready!(self.poll_answered(cx))?;
            if self.over {
                return Poll::Ready(Ok(0));
            }
            let mut buf = ReadBuf::uninit(&mut space);
            if self.wire.is_http1() && self.wire.ahead().is_empty() {
                if ready!(self.poll_answers(cx, &mut buf))? {
                    continue;
                }
            } else {
                ready!(self.wire.poll_receive(cx, &mut buf))?;
            }
            self.wire.keep(buf.filled());
            return Poll::Ready(Ok(buf.filled().len()));
        }
    }

    /// Reads on, and answers what comes if it is one plain request; whether it is. Otherwise it
    /// is in `buf`.
    fn poll_answers(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        ready!(self.wire.poll_unheard(cx, buf))?;
        let answered = self.answers(cx, &buf.filled()[before..], false)?;
        if answered {
            buf.set_filled(before);
        } else {
            self.wire.heard(buf, before);
        }
        Poll::Ready(Ok(answered))
    }

    /// Answers `bytes`, the last that came, if they are one plain request; whether they are.
    /// The answer may be under way then. `heard` says whether the wire has followed them.
    fn answers(&mut self, cx: &mut Context<'_>, bytes: &[u8], heard: bool) -> io::Result<bool> {
        let vitals = self.wire.vitals();
        let heads = vitals.requests().wrapping_add(heard.into());
        // From the last request on, answers say that the connection closes.
        if self.wire.heads_between() != Some(heads) || vitals.order() >= Order::Last {
            return Ok(false);
        }
        let mut lines = LINES.take().unwrap_or_default();
        lines.clear();
        let looked_at = || {
            let head = || self.heads.plain(bytes);
            self.respond.at_hand(head, &self.viewer, &mut lines)
        };
        // Who panics here panics in hyper's care as well, and is answered there.
        let looked_at = catch_unwind(AssertUnwindSafe(looked_at));
        if !heard && let Ok(Some(_)) = looked_at {
            self.wire.passed();
        }
        let answered = match looked_at {
            Ok(Some(Plain::AtHand(body))) => {
                self.wire.vitals().answered();
                self.send(cx, lines.as_bytes(), body).map(|()| true)
            }
            Ok(Some(Plain::Asked(asked))) => {
                let (respond, viewer) = (self.respond.clone(), self.viewer.clone());
                let place = self.wire.place();
                let (vitals, roll) = (Arc::clone(place.vitals()), Arc::clone(place.roll()));
                let answer = answer_plain(respond, asked, viewer, vitals, roll);
                self.turn = Turn::Asked(Box::pin(answer));
                Ok(true)
            }
            Ok(None) | Err(_) => Ok(false),
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
        self.turn = Turn::Rest(Box::new(Outgoing::rest(head, body)));
        Ok(())
    }

    /// Ready when nothing of an answer given here is under way.
    ///
    /// # Errors
    ///
    /// When it broke off, or the viewer left before its end.
    #[inline]
    pub(super) fn poll_answered(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.turn {
            Turn::Idle => Poll::Ready(Ok(())),
            _ => self.poll_turn(cx),
        }
    }

    /// The same where something is.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.turn {
                Turn::Idle => return Poll::Ready(Ok(())),
                Turn::Asked(answer) => {
                    let Poll::Ready(answer) = answer.as_mut().poll(cx) else {
                        // Interim responses may wait.
                        let _ = Pin::new(&mut self.wire).poll_flush(cx)?;
                        return self.poll_left(cx);
                    };
                    let closes = answer.headers().contains_key(header::CONNECTION);
                    self.turn = Turn::Idle;
                    let mut outgoing = Outgoing::new(answer, cx);
                    // Most go at once.
                    if outgoing.poll_through(&mut self.wire, cx)?.is_pending() {
                        self.turn = Turn::Writing(Box::new(outgoing), closes);
                    } else {
                        self.over = closes;
                    }
                }
                Turn::Writing(outgoing, closes) => {
                    if outgoing.poll_through(&mut self.wire, cx)?.is_pending() {
                        return if outgoing.awaits_body() {
                            self.poll_left(cx)
                        } else {
                            Poll::Pending
                        };
                    }
                    self.over = *closes;
                    self.turn = Turn::Idle;
                }
                Turn::Rest(outgoing) => {
                    ready!(outgoing.poll_through(&mut self.wire, cx))?;
                    self.turn = Turn::Idle;
                    self.wire.vitals().end();
                }
            }
        }
    }

    /// Sees whether the viewer has left that is waited with, or was cut; what it says is read
    /// ahead, one look at a time.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wire.vitals().order() == Order::Cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if self.wire.ahead().is_empty() {
            let mut space = [const { MaybeUninit::<u8>::uninit() }; LOOK_AHEAD_MAX];
            let mut buf = ReadBuf::uninit(&mut space);
            ready!(self.wire.poll_receive(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.wire.keep(buf.filled());
        }
        Poll::Pending
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
            ready!(this.poll_answered(cx))?;
            if this.over {
                return Poll::Ready(Ok(()));
            }
            if this.settled && this.wire.is_http1() && this.wire.ahead().is_empty() {
                if ready!(this.poll_answers(cx, buf))? {
                    continue;
                }
            } else {
                let before = buf.filled().len();
                ready!(Pin::new(&mut this.wire).poll_read(cx, buf))?;
                if this.settled && this.answers(cx, &buf.filled()[before..], true)? {
                    buf.set_filled(before);
                    continue;
                }
            }
            this.settled = false;
            return Poll::Ready(Ok(()));
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
        ready!(this.poll_answered(cx))?;
        Pin::new(&mut this.wire).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_answered(cx))?;
        Pin::new(&mut this.wire).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    /// Flushes; hyper does so whenever it is polled and has nothing left to write.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_answered(cx))?;
        ready!(Pin::new(&mut this.wire).poll_flush(cx))?;
        this.settled = this.settled || this.is_settled();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_answered(cx))?;
        Pin::new(&mut this.wire).poll_shutdown(cx)
    }
}
