//! The body of an answer, whatever it comes from.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::Site;
use crate::{fields::tags, observe::Meters, origin::Received, store::Reader};

/// A body on its way to a viewer. Dropping it is how a viewer leaves: a stored or
/// arriving body is read no further by this viewer, a passing one is cancelled.
#[derive(Debug)]
pub struct ReplyBody {
    source: Source,
    meter: Meter,
}

#[derive(Debug)]
enum Source {
    /// None.
    Empty,
    /// All of it, until it is taken.
    Whole(Option<Bytes>),
    /// Parts of it, the next one last.
    Pieces(Vec<Bytes>),
    /// An answer that is being stored.
    Filling(Reader),
    /// An answer for this viewer alone. Boxed: it is much larger than the others.
    Passing(Box<Received>),
}

/// Where the bytes are counted.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) meters: Arc<Meters>,
    pub(super) behaviour: usize,
}

/// A body broke off; the viewer sees its connection or stream end without the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body broke off at the origin")]
pub struct BrokenBody;

impl Meter {
    /// For answers that no behaviour gave.
    pub(super) fn none(site: &Site) -> Self {
        Self {
            meters: site.meters.clone(),
            behaviour: usize::MAX,
        }
    }
}

impl ReplyBody {
    pub(super) const fn empty(meter: Meter) -> Self {
        Self {
            source: Source::Empty,
            meter,
        }
    }

    pub(super) const fn whole(body: Bytes, meter: Meter) -> Self {
        Self {
            source: Source::Whole(Some(body)),
            meter,
        }
    }

    /// The pieces in their order.
    pub(super) fn pieces(mut pieces: Vec<Bytes>, meter: Meter) -> Self {
        pieces.reverse();
        Self {
            source: Source::Pieces(pieces),
            meter,
        }
    }

    pub(super) const fn filling(reader: Reader, meter: Meter) -> Self {
        Self {
            source: Source::Filling(reader),
            meter,
        }
    }

    pub(super) const fn passing(received: Box<Received>, meter: Meter) -> Self {
        Self {
            source: Source::Passing(received),
            meter,
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        let this = self.get_mut();
        let polled = match &mut this.source {
            Source::Empty => Poll::Ready(None),
            Source::Whole(body) => {
                let body = body.take().filter(|body| !body.is_empty());
                Poll::Ready(body.map(|body| Ok(Frame::data(body))))
            }
            Source::Pieces(pieces) => Poll::Ready(pieces.pop().map(|piece| Ok(Frame::data(piece)))),
            Source::Filling(reader) => Pin::new(reader)
                .poll_frame(cx)
                .map_err(|_broken| BrokenBody),
            Source::Passing(received) => Pin::new(&mut **received)
                .poll_frame(cx)
                .map_ok(|mut frame| {
                    frame.trailers_mut().map(tags::strip);
                    frame
                })
                .map_err(|_failed| BrokenBody),
        };
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            this.meter
                .meters
                .behaviour(this.meter.behaviour)
                .viewer_bytes
                .more(bytes as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Whole(body) => body.as_ref().is_none_or(Bytes::is_empty),
            Source::Pieces(pieces) => pieces.is_empty(),
            Source::Filling(reader) => reader.is_end_stream(),
            Source::Passing(received) => received.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Whole(body) => {
                SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64))
            }
            Source::Pieces(pieces) => {
                SizeHint::with_exact(pieces.iter().map(|piece| piece.len() as u64).sum())
            }
            Source::Filling(reader) => reader.size_hint(),
            Source::Passing(received) => received.size_hint(),
        }
    }
}
