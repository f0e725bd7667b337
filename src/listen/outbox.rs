//! Interim responses that wait to be written to an HTTP/1.1 viewer (RFC 9110 §15.2).
//!
//! hyper's server cannot send them, so the wire writes them itself, between the bytes of
//! hyper's. Two rules keep them out of other messages. They are written only when hyper
//! flushes: then it holds nothing back of the answers before. And the answer they belong
//! to is withheld from hyper until they are written: so nothing of it can come first.

use std::{
    io,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU32, Ordering::Relaxed},
    },
    task::{Poll, ready},
};

use http::{HeaderMap, StatusCode};

use crate::fields::line;

/// How many interim responses one request may have; further ones are dropped. As many as
/// one attempt of ours may bring, and enough for a `102 Processing` now and then.
pub(super) const INTERIMS_MAX: usize = 32;

/// What the interim responses to one request may come to, in bytes; one that would exceed it
/// is dropped. Hints are a few hundred bytes each.
pub(super) const INTERIM_BYTES_MAX: usize = 16 * 1024;

/// What waits on one connection; costs an idle one 24 bytes.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Odd while a request waits that may have interim responses: its number.
    open: AtomicU32,
    /// What `posted` holds, to be asked without the lock.
    fill: AtomicU8,
    posted: Mutex<Option<Box<Posted>>>,
}

/// There are no interim responses.
const EMPTY: u8 = 0;
/// All there are were written.
const WRITTEN: u8 = 1;
/// Some were not.
const WAITING: u8 = 2;

/// The interim responses to one request.
#[derive(Debug)]
struct Posted {
    request: u32,
    count: usize,
    bytes: Vec<u8>,
    /// Of `bytes`, how many were written.
    written: usize,
}

impl Outbox {
    /// A request that may have interim responses begins; its number.
    pub(super) fn open(&self) -> u32 {
        let request = self.open.load(Relaxed).wrapping_add(1) | 1;
        self.open.store(request, Relaxed);
        request
    }

    /// Takes one for `request`; whether it is to be written.
    pub(super) fn post(&self, request: u32, status: StatusCode, headers: &HeaderMap) -> bool {
        let mut slot = self.posted();
        if self.open.load(Relaxed) != request {
            return false;
        }
        let posted = match &mut *slot {
            Some(posted) if posted.request == request => posted,
            slot => slot.insert(Box::new(Posted::to(request))),
        };
        let taken = posted.take(status, headers);
        if taken {
            self.fill.store(WAITING, Relaxed);
        }
        taken
    }

    /// Writes what waits, with `write`; ready when nothing does. True if something did: then
    /// who asked [`Self::poll_close`] is to be woken.
    ///
    /// Only for when all that hyper has written is through.
    pub(super) fn poll_write(
        &self,
        write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<bool>> {
        if self.fill.load(Relaxed) != WAITING {
            return Poll::Ready(Ok(false));
        }
        let mut slot = self.posted();
        match &mut *slot {
            Some(posted) if posted.request == self.open.load(Relaxed) => {
                ready!(posted.poll_write(write))?;
            }
            // Posted while its request was being closed. No byte of it was written.
            slot => *slot = None,
        }
        self.fill.store(WRITTEN, Relaxed);
        Poll::Ready(Ok(true))
    }

    /// Ready when the final response to `request` may be given to hyper; nothing is taken for
    /// it from then on. Pending while something is to be written first.
    pub(super) fn poll_close(&self, request: u32) -> Poll<()> {
        match self.fill.load(Relaxed) {
            WAITING => return Poll::Pending,
            WRITTEN => self.clear(),
            _ => {}
        }
        self.open.store(request.wrapping_add(1), Relaxed);
        Poll::Ready(())
    }

    /// The connection is gone: what waits is forgotten, and nothing is taken any more.
    pub(super) fn shut(&self) {
        self.open.store(0, Relaxed);
        if self.fill.load(Relaxed) != EMPTY {
            self.clear();
        }
    }

    fn clear(&self) {
        *self.posted() = None;
        self.fill.store(EMPTY, Relaxed);
    }

    fn posted(&self) -> MutexGuard<'_, Option<Box<Posted>>> {
        // A panic cannot leave it half changed: only complete heads count as posted.
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Posted {
    const fn to(request: u32) -> Self {
        Self {
            request,
            count: 0,
            bytes: Vec::new(),
            written: 0,
        }
    }

    /// Takes one more, if there is room for it.
    fn take(&mut self, status: StatusCode, headers: &HeaderMap) -> bool {
        let head = head(status, headers);
        let taken = self.count < INTERIMS_MAX && self.bytes.len() + head.len() <= INTERIM_BYTES_MAX;
        if taken {
            self.count += 1;
            self.bytes.extend_from_slice(&head);
        }
        taken
    }

    fn poll_write(
        &mut self,
        mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        while self.written < self.bytes.len() {
            match ready!(write(&self.bytes[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => self.written += bytes,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// A head, as HTTP/1.1 writes it.
fn head(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut head = Vec::new();
    line::push_status(&mut head, status);
    for (name, value) in headers {
        line::push_field(&mut head, name.as_str(), value.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const HINTS: StatusCode = StatusCode::EARLY_HINTS;

    fn none() -> HeaderMap {
        HeaderMap::new()
    }

    /// What is written now, `piece` bytes at a time; `None` when nothing waits.
    fn written(outbox: &Outbox, piece: usize) -> Option<String> {
        let mut written = Vec::new();
        let write = |bytes: &[u8]| {
            let now = bytes.len().min(piece);
            written.extend_from_slice(&bytes[..now]);
            Poll::Ready(Ok(now))
        };
        match outbox.poll_write(write) {
            Poll::Ready(Ok(true)) => Some(String::from_utf8(written).unwrap()),
            Poll::Ready(Ok(false)) => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_posted_is_written_once() {
        let outbox = Outbox::default();
        let request = outbox.open();
        let mut headers = none();
        headers.append("link", HeaderValue::from_static("</a.css>"));
        headers.append("link", HeaderValue::from_static("</b.css>"));
        assert!(outbox.post(request, HINTS, &headers));
        assert!(outbox.post(request, StatusCode::from_u16(199).unwrap(), &none()));
        let heads = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nlink: </b.css>\r\n\r\n\
             HTTP/1.1 199 \r\n\r\n";
        assert_eq!(written(&outbox, 7).as_deref(), Some(heads));
        assert_eq!(written(&outbox, 7), None);
    }

    #[test]
    fn an_answer_waits_for_what_precedes_it() {
        let outbox = Outbox::default();
        let request = outbox.open();
        assert!(outbox.post(request, HINTS, &none()));
        assert_eq!(outbox.poll_close(request), Poll::Pending);
        let mut room = Some(5);
        let blocked =
            outbox.poll_write(|_| room.take().map_or(Poll::Pending, |n| Poll::Ready(Ok(n))));
        assert!(blocked.is_pending());
        assert_eq!(outbox.poll_close(request), Poll::Pending);
        assert_eq!(
            written(&outbox, 99).as_deref(),
            Some("1.1 103 Early Hints\r\n\r\n")
        );
        assert_eq!(outbox.poll_close(request), Poll::Ready(()));
        assert!(outbox.posted().is_none(), "nothing is held any more");
    }

    #[test]
    fn nothing_is_taken_outside_its_request() {
        let outbox = Outbox::default();
        let first = outbox.open();
        assert_eq!(outbox.poll_close(first), Poll::Ready(()));
        assert!(!outbox.post(first, HINTS, &none()));
        let second = outbox.open();
        assert_ne!(first, second);
        assert!(!outbox.post(first, HINTS, &none()));
        assert!(outbox.post(second, HINTS, &none()));
        outbox.shut();
        assert!(!outbox.post(second, HINTS, &none()));
        assert_eq!(written(&outbox, 99), None);
    }

    #[test]
    fn what_was_left_of_another_request_is_dropped() {
        let outbox = Outbox::default();
        let first = outbox.open();
        assert!(outbox.post(first, HINTS, &none()));
        let second = outbox.open();
        assert_eq!(outbox.poll_close(second), Poll::Pending);
        assert_eq!(written(&outbox, 99).as_deref(), Some(""));
        assert_eq!(outbox.poll_close(second), Poll::Ready(()));
    }

    #[test]
    fn a_request_has_so_many_and_so_much() {
        let outbox = Outbox::default();
        let request = outbox.open();
        let taken = (0..99).filter(|_| outbox.post(request, HINTS, &none()));
        assert_eq!(taken.count(), INTERIMS_MAX);
        outbox.shut();
        let request = outbox.open();
        let mut headers = none();
        headers.insert("link", "x".repeat(INTERIM_BYTES_MAX / 3).parse().unwrap());
        let taken = (0..9).filter(|_| outbox.post(request, HINTS, &headers));
        assert_eq!(taken.count(), 2);
        assert!(
            outbox.post(request, HINTS, &none()),
            "a small one still fits"
        );
    }
}
