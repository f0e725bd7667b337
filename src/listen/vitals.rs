//! What happens on one connection, counted where it happens.
//!
//! The I/O wrapper and the requests write; the sweep reads, twice a second. No
//! clock is read here: when something happened is known from which sweep saw
//! it first. All stores are relaxed, since a count that is one sweep late is
//! still right, and each field has one writer at a time: a connection, its streams
//! and their answers live on one worker's thread.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::Waker,
};

use http::{HeaderMap, StatusCode};

use super::{outbox::Outbox, overdue::STALL_SWEEPS};
use crate::serve::TakeInterim;

/// What a connection is, as far as deadlines are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Which HTTP it speaks is not known, or it was parked.
    Opening = 0,
    /// HTTP/1.
    Http1 = 1,
    /// HTTP/2.
    Http2 = 2,
    /// No longer HTTP: a WebSocket, say.
    Upgraded = 3,
}

/// What a connection is told to do. A later one overrules an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// Go on.
    Serve = 0,
    /// Give the buffers back if nothing is under way.
    Park = 1,
    /// Answer what is under way, or else one request more, then close.
    Last = 2,
    /// Finish what is under way, then close; close at once if nothing is.
    Retire = 3,
    /// Close now.
    Cut = 4,
}

/// The request body that is being read, as far as it can be known from outside.
const BODY_NONE: u64 = 0;
const BODY_CHUNKED: u64 = u64::MAX;

/// One connection's counters and flags.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    order: AtomicU8,
    stage: AtomicU8,
    waker: Mutex<Option<Waker>>,
    closed: AtomicBool,
    outbox: Outbox,

    /// Requests whose head was complete.
    requests: AtomicU32,
    /// Of those, the ones whose answer has not ended.
    in_flight: AtomicU32,
    /// Of those, the ones whose answer waits for the viewer to take what there is.
    /// Counted apart by the span of [`STALL_SWEEPS`] in which they began to, even or odd.
    untaken: [AtomicU32; 2],
    /// The last sweep.
    swept: AtomicU32,

    /// Bytes from the viewer.
    received: AtomicU64,
    /// Bytes to the viewer.
    sent: AtomicU64,
    /// The last read found nothing.
    read_waits: AtomicBool,
    /// The last write could not write everything.
    write_waits: AtomicBool,
    /// A head has begun and is not complete. On HTTP/1: bytes came since the
    /// last answer ended.
    head_begun: AtomicBool,
    /// `received` before the last read that may have completed a head.
    head_read_at: AtomicU64,
    /// On HTTP/1: the last byte read was within a body, or within the frame around one.
    in_body: AtomicBool,
    /// The least `received` at which the body can be complete, or one of the two above.
    body_ends: AtomicU64,
}

impl Vitals {
    /// Of a connection that begins after so many sweeps.
    pub(super) fn since(sweeps: u32) -> Self {
        Self {
            swept: AtomicU32::new(sweeps),
            ..Self::default()
        }
    }

    /// Sweeps so far.
    pub(super) fn sweeps(&self) -> u32 {
        self.swept.load(Relaxed)
    }

    /// What to do now.
    pub(super) fn order(&self) -> Order {
        match self.order.load(Relaxed) {
            0 => Order::Serve,
            1 => Order::Park,
            2 => Order::Last,
            3 => Order::Retire,
            _ => Order::Cut,
        }
    }

    /// Gives an order and wakes the connection to see it.
    pub(super) fn give(&self, order: Order) {
        let before = self.order.fetch_max(order as u8, Relaxed);
        if before < order as u8 {
            self.wake();
        }
    }

    fn wake(&self) {
        let waker = self
            .waker
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Parked, or found that it cannot be: what was ordered since stands.
    pub(super) fn parked(&self) {
        let park = Order::Park as u8;
        let _ = self
            .order
            .compare_exchange(park, Order::Serve as u8, Relaxed, Relaxed);
    }

    /// Who is woken by an order, or to write an interim response; replaces the one before.
    pub(super) fn wake_by(&self, waker: &Waker) {
        *self
            .waker
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(waker.clone());
    }

    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Relaxed) {
            0 => Stage::Opening,
            1 => Stage::Http1,
            2 => Stage::Http2,
            _ => Stage::Upgraded,
        }
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Relaxed);
    }

    /// The connection is gone; nothing is written any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Relaxed);
        self.outbox.shut();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// The interim responses that wait to be written.
    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// A read ended with so many bytes.
    pub(super) fn read(&self, bytes: usize) {
        let received = self.received.load(Relaxed);
        // While a request is in flight, what comes is its body.
        if self.stage() != Stage::Http2 && self.in_flight.load(Relaxed) == 0 {
            self.head_begun.store(true, Relaxed);
            self.head_read_at.store(received, Relaxed);
        }
        self.received.store(received + bytes as u64, Relaxed);
        self.read_waits.store(false, Relaxed);
    }

    /// A read found nothing.
    pub(super) fn read_waits(&self) {
        self.read_waits.store(true, Relaxed);
    }

    /// Whether a head has begun, where that is known otherwise than by its bytes.
    pub(super) fn head_is(&self, begun: bool) {
        self.head_begun.store(begun, Relaxed);
    }

    /// Whether what was read ends within a body.
    pub(super) fn body_is(&self, within: bool) {
        self.in_body.store(within, Relaxed);
    }

    /// A write took `bytes`.
    pub(super) fn wrote(&self, bytes: usize) {
        self.sent
            .store(self.sent.load(Relaxed) + bytes as u64, Relaxed);
        self.write_waits.store(false, Relaxed);
    }

    /// Everything written so far has left.
    pub(super) fn flushed(&self) {
        self.write_waits.store(false, Relaxed);
    }

    /// A write found no room.
    pub(super) fn write_waits(&self) {
        self.write_waits.store(true, Relaxed);
    }

    /// A request's head is complete.
    pub(super) fn begin(&self, body: RequestBody) {
        let ends = match body {
            RequestBody::None => BODY_NONE,
            RequestBody::Chunked => BODY_CHUNKED,
            // The last read completed the head, so at least one byte of it was
            // the head's; which others were is hyper's secret. The bound is too
            // low by a head's length at most, never too high.
            RequestBody::Sized(length) => self
                .head_read_at
                .load(Relaxed)
                .saturating_add(1)
                .saturating_add(length),
        };
        self.body_ends.store(ends, Relaxed);
        // On HTTP/2 the next head may have begun already.
        if self.stage() != Stage::Http2 {
            self.head_begun.store(false, Relaxed);
        }
        more(&self.requests);
        more(&self.in_flight);
    }

    /// A request came whole, without content, and was answered at once.
    pub(super) fn answered(&self) {
        self.body_ends.store(BODY_NONE, Relaxed);
        self.head_begun.store(false, Relaxed);
        more(&self.requests);
    }

    /// Its answer is not through yet: in flight until [`Self::end`].
    pub(super) fn answering(&self) {
        more(&self.in_flight);
    }

    /// Requests whose head was complete.
    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Relaxed)
    }

    /// A request's answer has ended.
    pub(super) fn end(&self) {
        less(&self.in_flight);
    }

    /// An answer gave its head, or bytes, and was not asked for more yet; what to give back
    /// to [`Self::taken`] then.
    pub(super) fn untaken(&self) -> Span {
        let span = Span::of(self.sweeps());
        more(&self.untaken[span.0]);
        span
    }

    /// It was asked for more, or ended.
    pub(super) fn taken(&self, since: Span) {
        less(&self.untaken[since.0]);
    }

    /// The sweep `now` looks at this connection; whether an answer was untaken for the whole
    /// span that ends with it, if one does.
    pub(super) fn sweep(&self, now: u32) -> bool {
        let before = self.swept.swap(now, Relaxed);
        // Two spans ago is what shares its count with the one that begins.
        before / STALL_SWEEPS != now / STALL_SWEEPS
            && self.untaken[Span::of(now).0].load(Relaxed) > 0
    }

    /// Nothing is under way on an HTTP/1 connection, and hyper holds nothing of
    /// it but perhaps the beginning of a head.
    ///
    /// Never true right after a request with a body: somebody may still be
    /// reading that one after the answer, and its rest must not be taken for a
    /// request.
    pub(super) fn may_park(&self) -> bool {
        self.stage() == Stage::Http1
            && self.requests.load(Relaxed) > 0
            && self.in_flight.load(Relaxed) == 0
            && !self.write_waits.load(Relaxed)
            && self.body_ends.load(Relaxed) == BODY_NONE
    }

    /// What the sweep compares with what it saw before.
    pub(super) fn look(&self) -> Look {
        let in_flight = self.in_flight.load(Relaxed);
        let received = self.received.load(Relaxed);
        let untaken = self.untaken.iter().map(|count| count.load(Relaxed)).sum();
        Look {
            stage: self.stage(),
            order: self.order(),
            requests: self.requests.load(Relaxed),
            in_flight,
            untaken,
            received,
            sent: self.sent.load(Relaxed),
            head_begun: self.head_begun.load(Relaxed),
            waits_for_taker: self.write_waits.load(Relaxed)
                || (in_flight > 0 && untaken >= in_flight),
            waits_for_body: in_flight > 0
                && self.read_waits.load(Relaxed)
                && self.is_mid_body(received),
        }
    }

    /// The viewer has certainly not sent all of the last request's body.
    fn is_mid_body(&self, received: u64) -> bool {
        match self.body_ends.load(Relaxed) {
            BODY_NONE => false,
            BODY_CHUNKED => self.in_body.load(Relaxed),
            ends => received < ends,
        }
    }

    /// The viewer was sending when we stopped listening to it.
    pub(super) fn is_mid_message(&self) -> bool {
        self.head_begun.load(Relaxed) || self.is_mid_body(self.received.load(Relaxed))
    }
}

/// Adds one, where nobody else writes.
fn more(count: &AtomicU32) {
    count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
}

/// Takes one away, where nobody else writes.
fn less(count: &AtomicU32) {
    count.store(count.load(Relaxed).wrapping_sub(1), Relaxed);
}

/// Whether the span of sweeps in which something began is an even or an odd one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(usize);

impl Span {
    fn of(sweeps: u32) -> Self {
        Self(usize::from(!(sweeps / STALL_SWEEPS).is_multiple_of(2)))
    }
}

impl TakeInterim for Vitals {
    fn take_interim(&self, request: u32, status: StatusCode, headers: &HeaderMap) {
        if self.outbox.post(request, status, headers) {
            self.wake();
        }
    }
}

/// Whether a request has a body, and what its head says of the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestBody {
    /// It has none.
    None,
    /// `Content-Length`, in bytes.
    Sized(u64),
    /// Its end is where it ends.
    Chunked,
}

/// One look at a connection's vitals.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) stage: Stage,
    pub(super) order: Order,
    pub(super) requests: u32,
    pub(super) in_flight: u32,
    /// Of those, how many wait for the viewer.
    pub(super) untaken: u32,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) head_begun: bool,
    /// There is something for the viewer, and it does not take it. False as
    /// long as one answer of several still waits for somebody else.
    pub(super) waits_for_taker: bool,
    /// A request's body is certainly incomplete, and somebody waits for it.
    pub(super) waits_for_body: bool,
}
