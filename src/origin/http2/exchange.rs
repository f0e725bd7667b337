//! One exchange over an HTTP/2 stream, up to the final head of its response.
//!
//! "An HTTP request/response exchange fully consumes a single stream." (RFC 9113 §8.1)
//! Whoever no longer waits drops what is here, and the stream is reset (CANCEL).

use std::{future::poll_fn, sync::Arc, task::Poll};

use h2::client::ResponseFuture;
use http::{Request, Response};
use http_body::Body as _;

use crate::origin::{
    connection::Unanswered,
    http2::{Body, Stream, upload::Upload},
    interim::Interim,
    sent::Sent,
};

impl Stream {
    /// Sends `request`, shows the interim responses to `interim`, and returns the final one.
    ///
    /// The request comes back within the error when none of it was written. Dropping the
    /// future resets the stream.
    pub(in crate::origin) async fn send(
        &self,
        request: Request<Sent>,
        interim: &Interim,
    ) -> Result<Response<Body>, Unanswered> {
        let broken = |error| Unanswered::from(self.on.cause(error));
        let mut sender = self.on.sender.clone();
        if let Err(error) = poll_fn(|cx| sender.poll_ready(cx)).await {
            // It broke, or the origin said goodbye, before this stream was opened.
            return Err(broken(error).unsent(request));
        }
        let (head, body) = request.into_parts();
        let ended = body.is_end_stream();
        let opened = sender.send_request(Request::from_parts(head, ()), ended);
        let (mut response, stream) = opened.map_err(broken)?;
        drop(sender);
        let upload = if ended {
            None
        } else {
            Upload::begin(body, stream).await
        };
        self.interims(&mut response, interim).await?;
        let (head, stream) = response.await.map_err(broken)?.into_parts();
        let body = Body::new(&head.headers, stream, Arc::clone(&self.on), upload);
        Ok(Response::from_parts(head, body))
    }

    /// Returns when what comes next is the final head, or none at all.
    ///
    /// "a server MAY send any number of interim responses before the HEADERS frame containing
    /// a final response" (RFC 9113 §8.1); `interim` knows how many are too many.
    async fn interims(
        &self,
        response: &mut ResponseFuture,
        interim: &Interim,
    ) -> Result<(), Unanswered> {
        poll_fn(|cx| {
            loop {
                match response.poll_informational(cx) {
                    Poll::Ready(Some(Ok(early))) => interim
                        .saw(early.status(), early.headers())
                        .map_err(Unanswered::from)?,
                    Poll::Ready(Some(Err(error))) => {
                        return Poll::Ready(Err(self.on.cause(error).into()));
                    }
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }
}
