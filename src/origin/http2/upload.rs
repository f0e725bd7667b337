//! The body of a request on its way over an HTTP/2 stream.
//!
//! It is read from the viewer only when all that was read before lies within the origin's
//! windows, so that what waits here is one piece and what the stream may buffer.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::{Body, Frame};
use tokio::task::AbortHandle;

use crate::origin::{request::strip_for_http2, sent::Sent};

/// A body that is being sent, by a task of its own: the viewer may want to send all of it
/// before it reads anything of the response.
///
/// Dropping it ends that, wherever it is, and resets the stream: what is over, the request
/// or its response, needs no more of it.
pub(super) struct Upload(AbortHandle);

impl Upload {
    /// Begins to send `body` over `stream`; `None` when all of it could be sent at once.
    pub(super) async fn begin(body: Sent, stream: SendStream<Bytes>) -> Option<Self> {
        let mut sending = Box::pin(send(body, stream));
        let ended = poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx).is_ready())).await;
        (!ended).then(|| Self(tokio::spawn(sending).abort_handle()))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a body says next.
enum Next {
    Frame(Frame<Bytes>),
    Ended,
    /// The viewer broke off or was given up on, or the response is complete.
    Broken,
    /// The origin wants no more, or the connection is gone; the response knows which.
    Refused,
}

/// Sends `body` to its end. A body that breaks off resets the stream: "the stream is no
/// longer needed" (RFC 9113 §7, CANCEL), and must not look like one that is complete.
async fn send(mut body: Sent, mut stream: SendStream<Bytes>) {
    loop {
        let frame = match poll_fn(|cx| next(&mut body, &mut stream, cx)).await {
            Next::Frame(frame) => frame,
            Next::Ended => return end(&mut stream),
            Next::Broken => return stream.send_reset(Reason::CANCEL),
            Next::Refused => return,
        };
        match frame.into_data() {
            Ok(data) => {
                let last = body.is_end_stream();
                if !pieces(&mut stream, data, last).await {
                    return;
                }
            }
            Err(frame) => return trailers(&mut stream, frame),
        }
    }
}

fn next(body: &mut Sent, stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<Next> {
    if stream.poll_reset(cx).is_ready() {
        return Poll::Ready(Next::Refused);
    }
    Poll::Ready(match ready!(Pin::new(body).poll_frame(cx)) {
        Some(Ok(frame)) => Next::Frame(frame),
        Some(Err(_)) => Next::Broken,
        None => Next::Ended,
    })
}

/// Sends `data` as the windows allow, with END_STREAM if it is the `last`; whether more may
/// follow.
async fn pieces(stream: &mut SendStream<Bytes>, mut data: Bytes, last: bool) -> bool {
    if last && data.is_empty() {
        end(stream);
    }
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let Some(room) = poll_fn(|cx| room(stream, cx)).await else {
            return false;
        };
        let piece = data.split_to(room.min(data.len()));
        if stream.send_data(piece, last && data.is_empty()).is_err() {
            return false;
        }
    }
    !last
}

/// How many bytes may be sent, at least one; `None` when no more are wanted.
fn room(stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<Option<usize>> {
    if stream.poll_reset(cx).is_ready() {
        return Poll::Ready(None);
    }
    loop {
        match stream.capacity() {
            0 => {}
            room => return Poll::Ready(Some(room)),
        }
        let Some(Ok(_)) = ready!(stream.poll_capacity(cx)) else {
            return Poll::Ready(None);
        };
    }
}

/// Sends END_STREAM; if that is refused, the stream has ended otherwise.
fn end(stream: &mut SendStream<Bytes>) {
    let _ = stream.send_data(Bytes::new(), true);
}

/// Sends the trailers, less what is about the viewer's connection (RFC 9113 §8.2.2).
fn trailers(stream: &mut SendStream<Bytes>, frame: Frame<Bytes>) {
    let mut trailers = frame.into_trailers().unwrap_or_default();
    strip_for_http2(&mut trailers);
    if stream.send_trailers(trailers).is_err() {
        stream.send_reset(Reason::CANCEL);
    }
}
