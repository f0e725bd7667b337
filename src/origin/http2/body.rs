//! The body of a response on its way over an HTTP/2 stream.
//!
//! The origin may send more only as this is read: what was taken is given back to the
//! windows of the stream and of the connection, and nothing else is.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, header::CONTENT_LENGTH};
use http_body::Frame;

use crate::origin::{
    error::Cause,
    http2::{Shared, upload::Upload},
};

/// A response's body. Dropped before its end, its stream is reset (CANCEL), and the upload
/// that is still under way ends with it.
pub(in crate::origin) struct Body {
    stream: RecvStream,
    announced: Option<u64>,
    /// Whether only trailers may follow.
    data_ended: bool,
    on: Arc<Shared>,
    _upload: Option<Upload>,
}

impl Body {
    /// What follows `head` on `stream`.
    pub(super) fn new(
        head: &HeaderMap,
        stream: RecvStream,
        on: Arc<Shared>,
        upload: Option<Upload>,
    ) -> Self {
        // The library has refused two lengths that differ, and one that is no number, and
        // will not let the DATA differ from it (RFC 9113 §8.1.1).
        let length = head
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok());
        Self {
            announced: length.and_then(|length| length.parse().ok()),
            stream,
            data_ended: false,
            on,
            _upload: upload,
        }
    }

    /// The next part; an error when the stream was reset, for whatever reason, even for none:
    /// it did not end.
    pub(in crate::origin) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        if !self.data_ended {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Fails for more than was received only.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(self.on.cause(error)))),
                None => self.data_ended = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx));
        Poll::Ready(match trailers {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => Some(Err(self.on.cause(error))),
        })
    }

    /// How many bytes the head announced.
    pub(in crate::origin) fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// Whether END_STREAM has come, and all before it was read.
    pub(in crate::origin) fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}
