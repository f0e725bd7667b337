//! A connection's byte stream, watched.
//!
//! Every read and write passes here, is counted in the connection's vitals, and
//! is refused once the connection has been cut, whoever holds the stream then:
//! hyper, or the two ends of an upgraded connection. Nothing is copied, but for
//! the bytes that were read before it was known who would parse them. Nothing is
//! added, but for interim responses, which hyper cannot send, and a last word to who
//! floods us; nothing is changed, but for what `messages.rs` spoils.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    messages::{self, Messages},
    roll::Place,
    talk::Talk,
    vitals::{Order, Stage, Vitals},
};

/// What one look ahead reads at most: what hyper reads first, so that a first
/// request needs no second receive.
pub(super) const LOOK_AHEAD_MAX: usize = 8 * 1024;

/// What a viewer may still send after its connection was closed, in bytes,
/// before it finds out the hard way.
const DISCARD_MAX: usize = 1024 * 1024;

pub(super) struct Wire<I> {
    io: I,
    /// Read, but not handed on yet.
    kept: Vec<u8>,
    /// Of `kept`, how many were handed on.
    replayed: usize,
    follow: Follow,
    closing: Closing,
    place: Place,
    /// Who the vitals wake; kept here to compare without a lock.
    waker: Option<Waker>,
}

/// What is known of the bytes beside hyper.
enum Follow {
    /// Nothing yet.
    Nothing,
    /// Where HTTP/1's messages end.
    Messages(Messages),
    /// HTTP/2's frames.
    Frames(Box<Talk>),
}

/// How far closing has come.
#[derive(Clone, Copy)]
enum Closing {
    Not,
    /// We have said that nothing follows, and discard what the viewer still
    /// says; so many bytes so far.
    Said(usize),
}

impl<I> Wire<I> {
    pub(super) fn new(io: I, place: Place) -> Self {
        Self {
            io,
            kept: Vec::new(),
            replayed: 0,
            follow: Follow::Nothing,
            closing: Closing::Not,
            place,
            waker: None,
        }
    }

    /// It speaks HTTP/2 from its first byte on.
    pub(super) fn follow_frames(&mut self) {
        let mut talk = Talk::new();
        let in_head = talk.hear(self.ahead(), self.vitals().sweeps());
        self.follow = Follow::Frames(Box::new(talk));
        self.vitals().head_is(in_head);
    }

    /// It speaks HTTP/1, from its first byte on.
    pub(super) fn follow_messages(&mut self) {
        if let Follow::Nothing = self.follow {
            let mut messages = Messages::default();
            messages.follow(&mut self.kept[self.replayed..]);
            self.vitals().body_is(messages.is_within_body());
            self.follow = Follow::Messages(messages);
        }
    }

    /// Follows what the viewer sent from `before` on; what is changed is what hyper reads.
    pub(super) fn heard(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let vitals = self.place.vitals();
        let bytes = &mut buf.filled_mut()[before..];
        match &mut self.follow {
            Follow::Nothing => {}
            Follow::Messages(messages) => {
                let spoiled = vitals.stage() != Stage::Upgraded && messages.follow(bytes);
                vitals.body_is(messages.is_within_body());
                if spoiled && buf.remaining() >= messages::LOOK.len() {
                    buf.put_slice(messages::LOOK);
                }
            }
            Follow::Frames(talk) => vitals.head_is(talk.hear(bytes, vitals.sweeps())),
        }
    }

    /// A whole head came, as [`Messages::pass`] says.
    pub(super) fn passed(&mut self) {
        if let Follow::Messages(messages) = &mut self.follow {
            messages.pass();
        }
    }

    /// Follows what was written, which is the beginning of `bufs`.
    fn said<'b>(&mut self, bufs: impl IntoIterator<Item = &'b [u8]>, mut written: usize) {
        let Follow::Frames(talk) = &mut self.follow else {
            return;
        };
        for buf in bufs {
            let now = buf.len().min(written);
            talk.say(&buf[..now], self.place.vitals().sweeps());
            written -= now;
        }
    }

    pub(super) fn vitals(&self) -> &Vitals {
        self.place.vitals()
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether it is known to speak HTTP/1.
    pub(super) fn is_http1(&self) -> bool {
        matches!(self.follow, Follow::Messages(_))
    }

    /// How many of HTTP/1's heads have come, where what came ends between two messages.
    pub(super) fn heads_between(&self) -> Option<u32> {
        match &self.follow {
            Follow::Messages(messages) if messages.is_between() => Some(messages.heads()),
            _ => None,
        }
    }

    /// What was read ahead and not handed on; it is the caller's now.
    pub(super) fn take_ahead(&mut self) -> Vec<u8> {
        let mut ahead = std::mem::take(&mut self.kept);
        ahead.drain(..std::mem::take(&mut self.replayed));
        ahead
    }

    /// What was read ahead and not handed on.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.kept[self.replayed..]
    }

    /// Takes back bytes that were handed on but not used: they come first again.
    pub(super) fn give_back(&mut self, unused: &[u8]) {
        if !unused.is_empty() {
            self.kept.splice(..self.replayed, unused.iter().copied());
            self.replayed = 0;
        }
    }

    /// Lets orders wake this task, and refuses when the order is to be cut.
    fn attend(&mut self, cx: &Context<'_>) -> io::Result<()> {
        if self.vitals().order() == Order::Cut {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if !self
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            self.vitals().wake_by(cx.waker());
            self.waker = Some(cx.waker().clone());
        }
        Ok(())
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Wire<I> {
    /// Takes what was read beside it as read ahead.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
    }

    /// Reads on, behind what was read ahead.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.attend(cx)?;
        if self.poll_last_word(cx) {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(self.poll_unheard(cx, buf))?;
        self.heard(buf, before);
        if self.poll_last_word(cx) {
            buf.set_filled(before);
        }
        Poll::Ready(Ok(()))
    }

    /// The same over HTTP/1; whoever calls it says what came, by [`Self::heard`] or
    /// [`Self::passed`].
    pub(super) fn poll_unheard(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.attend(cx)?;
        let before = buf.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        match &result {
            Poll::Pending => self.vitals().read_waits(),
            Poll::Ready(Ok(())) if buf.filled().len() > before => {
                self.vitals().read(buf.filled().len() - before);
            }
            Poll::Ready(_) => {}
        }
        result
    }

    /// Whether the viewer floods us: then it is told so, and hyper that it has left. The
    /// word may be lost on one that does not read, which is not waited for.
    fn poll_last_word(&mut self, cx: &mut Context<'_>) -> bool {
        let Follow::Frames(talk) = &mut self.follow else {
            return false;
        };
        if !talk.is_over() {
            return false;
        }
        if talk.is_to_be_told() {
            self.place.roll().flooded();
            if let Some(word) = talk.last_word() {
                let _ = Pin::new(&mut self.io).poll_write(cx, &word);
                let _ = Pin::new(&mut self.io).poll_flush(cx);
            }
        }
        true
    }
}

fn count(vitals: &Vitals, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
    match &result {
        Poll::Pending => vitals.write_waits(),
        Poll::Ready(Ok(bytes)) => vitals.wrote(*bytes),
        Poll::Ready(Err(_)) => {}
    }
    result
}

impl<I: AsyncWrite + Unpin> Wire<I> {
    /// Writes the interim responses that wait; everything before them must be through.
    fn poll_interims(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let vitals = self.place.vitals();
        let write = |bytes: &[u8]| count(vitals, Pin::new(&mut self.io).poll_write(cx, bytes));
        if ready!(vitals.outbox().poll_write(write))? {
            // The answer behind them may be waiting, in this same task.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.kept.is_empty() {
            return this.poll_receive(cx, buf);
        }
        this.attend(cx)?;
        let ahead = this.ahead();
        let now = ahead.len().min(buf.remaining());
        buf.put_slice(&ahead[..now]);
        this.replayed += now;
        if this.ahead().is_empty() {
            this.kept = Vec::new();
            this.replayed = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.attend(cx)?;
        let result = Pin::new(&mut this.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(bytes)) = &result {
            this.said([buf], *bytes);
        }
        count(this.vitals(), result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.attend(cx)?;
        let result = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(bytes)) = &result {
            this.said(bufs.iter().map(|buf| &**buf), *bytes);
        }
        count(this.vitals(), result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// Flushes; hyper does so whenever it is polled and has nothing left to write.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_interims(cx))?;
        let result = Pin::new(&mut this.io).poll_flush(cx);
        if result.is_pending() {
            this.vitals().write_waits();
        } else {
            this.vitals().flushed();
        }
        result
    }

    /// Closes our half, then waits for the viewer's as long as it still sends.
    ///
    /// "If a server performs an immediate close of a TCP connection, there is a
    /// significant risk that the client will not be able to read the last HTTP
    /// response. […] servers typically close a connection in stages." (RFC 9112
    /// §9.6) One that is not in the middle of a message is not waited for: a
    /// pooled connection may not notice for hours. The sweep bounds the rest.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Closing::Not = this.closing {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            if this.vitals().stage() == Stage::Upgraded {
                return Poll::Ready(Ok(()));
            }
            this.closing = Closing::Said(0);
            this.vitals().give(Order::Retire);
        }
        this.poll_discard(cx)
    }
}

impl<I: AsyncWrite + Unpin> Wire<I> {
    /// Says that nothing follows, as far as that can be said without waiting. TLS has a
    /// message for it, without which a viewer may take the end for a cut (RFC 8446 §6.1).
    pub(super) async fn say_goodbye(mut self) {
        poll_fn(|cx| {
            let _ = Pin::new(&mut self.io).poll_shutdown(cx);
            Poll::Ready(())
        })
        .await;
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Wire<I> {
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Closing::Said(discarded) = self.closing
            && discarded < DISCARD_MAX
        {
            let mut space = [const { MaybeUninit::<u8>::uninit() }; LOOK_AHEAD_MAX];
            let mut buf = ReadBuf::uninit(&mut space);
            match self.poll_receive(cx, &mut buf) {
                Poll::Pending if self.vitals().is_mid_message() => return Poll::Pending,
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    self.closing = Closing::Said(discarded + buf.filled().len());
                }
                // Nothing there, the viewer's end, or an error: nothing to wait for.
                Poll::Pending | Poll::Ready(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
