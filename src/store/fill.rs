//! An answer on its way from the origin: one writer, any number of readers.
//!
//! Readers start at the first byte whenever they come, and are woken when more
//! arrives. As long as the body may still be kept, everything read so far is
//! held, on the store's account. Once it may not (too large, or no room), what
//! every reader has passed is dropped and nobody can join any more; the writer
//! waits for the fastest reader, and one that is far behind it is broken off, so
//! that nobody is held back by another.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::{Charge, Store};
use crate::policy::Meta;

/// How far the writer may be ahead of the fastest reader of a body that is not kept, in
/// bytes: enough for a few socket buffers, little enough for thousands of bodies.
const AHEAD_BYTES_MAX: u64 = 256 << 10;

/// How far any reader of it may be behind the writer, in bytes: seconds of a slow line
/// beyond what the kernel buffers. It is what such a body takes at most.
const BEHIND_BYTES_MAX: u64 = 1 << 20;

/// A body broke off: its origin, its writer or its framing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body broke off")]
pub struct Broken;

/// Nobody reads any more, and the body cannot be kept either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("every reader of an unstorable body has left")]
pub struct Aborted;

/// An answer being read; clones are the same answer.
#[derive(Clone, Debug)]
pub struct Fill(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    meta: Meta,
    /// The fields, as they are stored.
    headers: HeaderMap,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What arrived, less what was dropped.
    chunks: VecDeque<Bytes>,
    /// How many chunks were dropped.
    dropped: usize,
    /// Bytes that arrived.
    arrived: u64,
    /// The body's account; `None` once it cannot be kept.
    charge: Option<Charge>,
    end: Option<Result<(), Broken>>,
    /// `None` is a free place.
    readers: Vec<Option<Seat>>,
    writer: Option<Waker>,
}

/// Where a reader stands. Written by the reader; its waker is taken by the writer.
#[derive(Debug, Default)]
struct Seat {
    /// The next chunk it wants, dropped ones counted.
    next: usize,
    /// Bytes it has taken.
    taken: u64,
    /// Whether it was too far behind; what it wants next is gone.
    lost: bool,
    waker: Option<Waker>,
}

impl Fill {
    /// A fill and its writer. `charge` is the account of the body; without one the body is
    /// only passed on.
    pub fn new(
        meta: Meta,
        headers: HeaderMap,
        charge: Option<Charge>,
        store: Store,
    ) -> (Self, Writer) {
        let state = State {
            chunks: VecDeque::new(),
            dropped: 0,
            arrived: 0,
            charge,
            end: None,
            readers: Vec::new(),
            writer: None,
        };
        let fill = Self(Arc::new(Shared {
            meta,
            headers,
            state: Mutex::new(state),
        }));
        let writer = Writer {
            fill: fill.clone(),
            store,
        };
        (fill, writer)
    }

    /// What decides about the answer's use.
    pub fn meta(&self) -> &Meta {
        &self.0.meta
    }

    /// Its fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// A reader from the first byte; `None` when that is gone already.
    pub fn reader(&self) -> Option<Reader> {
        let mut state = self.state();
        if state.dropped > 0 || state.end == Some(Err(Broken)) {
            return None;
        }
        let free = state.readers.iter().position(Option::is_none);
        let seat = free.unwrap_or_else(|| {
            state.readers.push(None);
            state.readers.len() - 1
        });
        state.readers[seat] = Some(Seat::default());
        drop(state);
        Some(Reader {
            fill: self.clone(),
            seat,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock; the state is whole even if one did.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake_readers(&mut self) {
        for seat in self.readers.iter_mut().flatten() {
            if let Some(waker) = seat.waker.take() {
                waker.wake();
            }
        }
    }

    /// Those who can still read on.
    fn following(&self) -> impl Iterator<Item = &Seat> {
        self.readers.iter().flatten().filter(|seat| !seat.lost)
    }

    /// Drops what every reader has passed, and loses those too far behind, when the body
    /// is not kept.
    fn drop_passed(&mut self) {
        if self.charge.is_some() {
            return;
        }
        let fastest = self
            .following()
            .map(|seat| seat.taken)
            .max()
            .unwrap_or_default();
        for seat in self.readers.iter_mut().flatten() {
            let alone = seat.taken == fastest;
            if !alone && self.arrived - seat.taken > BEHIND_BYTES_MAX && !seat.lost {
                seat.lost = true;
                seat.waker.take().into_iter().for_each(Waker::wake);
            }
        }
        let passed = self
            .following()
            .map(|seat| seat.next)
            .min()
            .unwrap_or(usize::MAX);
        while self.dropped < passed && self.chunks.pop_front().is_some() {
            self.dropped += 1;
        }
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}

/// The writing end. Dropping it before [`Writer::finish`] breaks the body off.
#[derive(Debug)]
pub struct Writer {
    fill: Fill,
    store: Store,
}

impl Writer {
    /// Adds `chunk`, and waits while all readers of a body that is not kept are too far
    /// behind. Dropping the future after that loses nothing.
    pub async fn push(&self, chunk: Bytes) -> Result<(), Aborted> {
        self.append(chunk);
        poll_fn(|cx| self.poll_room(cx)).await
    }

    fn append(&self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        let bytes = chunk.len() as u64;
        let mut state = self.fill.state();
        state.arrived += bytes;
        state.chunks.push_back(chunk);
        let within = state.arrived <= self.store.object_max();
        let kept = within
            && state
                .charge
                .as_mut()
                .is_some_and(|charge| charge.grow(bytes));
        if !kept {
            state.charge = None;
        }
        state.wake_readers();
    }

    fn poll_room(&self, cx: &Context<'_>) -> Poll<Result<(), Aborted>> {
        let mut state = self.fill.state();
        if state.charge.is_some() {
            return Poll::Ready(Ok(()));
        }
        state.drop_passed();
        let fastest = state.following().map(|seat| seat.taken).max();
        match fastest {
            None => Poll::Ready(Err(Aborted)),
            Some(taken) if state.arrived - taken <= AHEAD_BYTES_MAX => Poll::Ready(Ok(())),
            Some(_) => {
                state.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Ends the body; the parts of the whole of it, when it may be kept.
    pub fn finish(self) -> Option<Vec<Bytes>> {
        let mut state = self.fill.state();
        state.end = Some(Ok(()));
        state.wake_readers();
        let whole = state
            .charge
            .is_some()
            .then(|| state.chunks.iter().cloned().collect());
        drop(state);
        whole
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.fill.state();
        if state.end.is_none() {
            state.end = Some(Err(Broken));
            state.wake_readers();
        }
    }
}

/// A body as one viewer reads it. Dropping it stops only this viewer.
#[derive(Debug)]
pub struct Reader {
    fill: Fill,
    seat: usize,
}

impl Reader {
    /// The fill it reads.
    pub fn fill(&self) -> &Fill {
        &self.fill
    }
}

impl Body for Reader {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let mut state = self.fill.state();
        let state = &mut *state;
        let Some(Some(seat)) = state.readers.get_mut(self.seat) else {
            return Poll::Ready(None);
        };
        if seat.lost {
            return Poll::Ready(Some(Err(Broken)));
        }
        let at = seat.next - state.dropped;
        let Some(chunk) = state.chunks.get(at).cloned() else {
            return match state.end {
                Some(Ok(())) => Poll::Ready(None),
                Some(Err(broken)) => Poll::Ready(Some(Err(broken))),
                None => {
                    seat.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        };
        seat.next += 1;
        seat.taken += chunk.len() as u64;
        state.drop_passed();
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        let state = self.fill.state();
        let Some(Some(seat)) = state.readers.get(self.seat) else {
            return true;
        };
        let arrived = state.dropped + state.chunks.len();
        state.end == Some(Ok(())) && !seat.lost && seat.next == arrived
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.fill.state();
        if let Some(seat) = state.readers.get_mut(self.seat) {
            *seat = None;
        }
        state.drop_passed();
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::task::yield_now;

    use super::*;
    use crate::{
        policy::{marks::Sequence, settle},
        store::Store,
    };

    fn meta() -> Meta {
        use crate::policy::tests::{NOW, ask, fields, rules};
        let times = settle::Times {
            asked: NOW,
            received: NOW,
            born: Sequence::default(),
        };
        let headers = fields(&[("cache-control", "max-age=60")]);
        settle::meta(&ask("/a"), &rules(), http::StatusCode::OK, &headers, times).unwrap()
    }

    /// A fill in a store of 1 MiB for bodies of at most `object_max`.
    fn fill(object_max: u64) -> (Fill, Writer, Store) {
        let store = Store::new(1 << 20, object_max);
        let charge = store.charge(0);
        let (fill, writer) = Fill::new(meta(), HeaderMap::new(), charge, store.clone());
        (fill, writer, store)
    }

    async fn next(reader: &mut Reader) -> Option<Result<Bytes, Broken>> {
        Some(
            reader
                .frame()
                .await?
                .map(|frame| frame.into_data().unwrap()),
        )
    }

    #[tokio::test]
    async fn every_reader_starts_at_the_first_byte() {
        let (fill, writer, _store) = fill(1 << 10);
        let mut early = fill.reader().unwrap();
        writer.push(Bytes::from_static(b"one")).await.unwrap();
        assert_eq!(next(&mut early).await, Some(Ok(Bytes::from_static(b"one"))));
        let mut late = fill.reader().unwrap();
        writer.push(Bytes::from_static(b"two")).await.unwrap();
        assert_eq!(writer.finish().unwrap().concat(), b"onetwo");
        assert_eq!(late.collect().await.unwrap().to_bytes(), "onetwo");
        late = fill.reader().unwrap();
        assert_eq!(late.collect().await.unwrap().to_bytes(), "onetwo");
        assert_eq!(next(&mut early).await, Some(Ok(Bytes::from_static(b"two"))));
        assert_eq!(next(&mut early).await, None);
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken_by_the_next_byte_and_by_the_end() {
        let (fill, writer, _store) = fill(1 << 10);
        let reader = fill.reader().unwrap();
        let reading = tokio::spawn(async { reader.collect().await.unwrap().to_bytes() });
        yield_now().await;
        writer.push(Bytes::from_static(b"x")).await.unwrap();
        yield_now().await;
        writer.finish();
        assert_eq!(reading.await.unwrap(), "x");
    }

    #[tokio::test]
    async fn a_dropped_writer_breaks_the_body_off() {
        let (fill, writer, _store) = fill(1 << 10);
        let mut reader = fill.reader().unwrap();
        writer.push(Bytes::from_static(b"x")).await.unwrap();
        drop(writer);
        assert_eq!(next(&mut reader).await, Some(Ok(Bytes::from_static(b"x"))));
        assert_eq!(next(&mut reader).await, Some(Err(Broken)));
        assert!(fill.reader().is_none());
    }

    #[tokio::test]
    async fn a_body_that_is_not_kept_waits_for_its_fastest_reader() {
        let (fill, writer, store) = fill(1 << 10);
        let (mut quick, mut slow) = (fill.reader().unwrap(), fill.reader().unwrap());
        let chunk = || Bytes::from(vec![0; 200 << 10]);
        writer.push(chunk()).await.unwrap();
        assert_eq!(
            store.usage().bytes,
            0,
            "what is not kept is not on the account"
        );
        let mut pushing = Box::pin(writer.push(chunk()));
        assert!(poll(&mut pushing).is_pending());
        next(&mut slow).await.unwrap().unwrap();
        assert_eq!(poll(&mut pushing), Poll::Ready(Ok(())));
        drop(pushing);
        next(&mut quick).await.unwrap().unwrap();
        assert!(fill.reader().is_none(), "the first bytes are gone");
        assert_eq!(writer.finish(), None);
    }

    #[tokio::test]
    async fn a_reader_far_behind_another_is_broken_off() {
        let (fill, writer, _store) = fill(1 << 10);
        let (mut quick, mut slow) = (fill.reader().unwrap(), fill.reader().unwrap());
        for _ in 0..=BEHIND_BYTES_MAX / (200 << 10) {
            let chunk = Bytes::from(vec![0; 200 << 10]);
            let (pushed, _) = tokio::join!(writer.push(chunk), next(&mut quick));
            pushed.unwrap();
        }
        assert_eq!(next(&mut slow).await, Some(Err(Broken)));
        drop(quick);
        assert_eq!(
            writer.push(Bytes::from_static(b"x")).await,
            Err(Aborted),
            "nobody follows any more"
        );
    }

    #[tokio::test]
    async fn an_unstorable_body_nobody_reads_is_aborted() {
        let (fill, writer, _store) = fill(1);
        let reader = fill.reader().unwrap();
        writer.push(Bytes::from_static(b"xx")).await.unwrap();
        drop(reader);
        assert_eq!(writer.push(Bytes::from_static(b"xx")).await, Err(Aborted));
    }

    #[tokio::test]
    async fn a_storable_body_is_read_to_its_end_without_readers() {
        let (fill, writer, _store) = fill(1 << 10);
        drop(fill.reader());
        writer.push(Bytes::from_static(b"xx")).await.unwrap();
        assert!(writer.finish().is_some());
    }

    /// Polls once, with a waker that does nothing.
    fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }
}
