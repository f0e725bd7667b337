//! The rim around every answer: a panic ends one connection, what is in flight
//! is counted until its last byte was handed over, and no answer overtakes the
//! interim responses before it.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::{
    Respond, Viewer,
    roll::Roll,
    vitals::{Order, RequestBody, Span, Stage, Vitals},
};
use crate::serve::Interims;

/// What a viewer gets instead of an answer that panicked.
const INTERNAL: &[u8] = br#"{"error":"internal"}"#;

/// What a viewer gets instead of an answer to a head that HTTP/2 forbids, or that is too much.
const MALFORMED: &[u8] = br#"{"error":"bad_field"}"#;
const TOO_MANY: &[u8] = br#"{"error":"too_many_fields"}"#;

/// Fields of one HTTP/2 request, each cookie counted. HTTP/1 has 100, where all cookies are
/// one; viewers may split them (RFC 9113 §8.2.3), and an origin's server names a few dozen.
const FIELDS_MAX: usize = 256;

/// Asks `respond`, under the rim. Counted as in flight from now on, until the
/// answer's body has ended or was dropped.
pub(super) fn answer<R: Respond>(
    respond: R,
    request: Request<Incoming>,
    viewer: Viewer,
    vitals: Arc<Vitals>,
    roll: Arc<Roll>,
) -> impl Future<Output = Result<Response<Answer<R::Body>>, Infallible>> + Send {
    let flight = Flight::begin(vitals, body_of(request.body()));
    let (version, refused) = (request.version(), refused(&request));
    let respond = |viewer| respond.respond(request, viewer);
    let answered = rim(respond, (version, refused), viewer, flight, roll);
    async { Ok(answered.await) }
}

/// Asks `respond` for the answer to a plain request that is not at hand, under the rim.
pub(super) fn answer_plain<R: Respond>(
    respond: R,
    asked: R::Asked,
    viewer: Viewer,
    vitals: Arc<Vitals>,
    roll: Arc<Roll>,
) -> impl Future<Output = Response<Answer<R::Body>>> + Send {
    let flight = Flight::begin(vitals, RequestBody::None);
    let respond = |viewer| respond.respond_plain(asked, viewer);
    rim(respond, (Version::HTTP_11, None), viewer, flight, roll)
}

/// A refusal: its status, and what is said of it.
type Refusal = (StatusCode, &'static [u8]);

fn rim<F, B>(
    respond: impl FnOnce(Viewer) -> F,
    (version, refused): (Version, Option<Refusal>),
    viewer: Viewer,
    mut flight: Flight,
    roll: Arc<Roll>,
) -> impl Future<Output = Response<Answer<B>>> + Send
where
    F: Future<Output = Response<B>> + Send,
    B: Send,
{
    // "Since HTTP/1.0 did not define any 1xx status codes, a server MUST NOT send a 1xx
    // response to an HTTP/1.0 client" (RFC 9110 §15.2). Over HTTP/2 hyper sends none.
    let interims = (version == Version::HTTP_11).then(|| flight.vitals.outbox().open());
    let to = |request| Interims::new(Arc::clone(&flight.vitals) as _, request);
    let viewer = Viewer {
        interims: interims.map(to),
        ..viewer
    };
    // At once, so that a hit has let go of the request before hyper reads on: otherwise
    // hyper finds its read buffer still in use and allocates another.
    let called = match refused {
        None => Ok(catch_unwind(AssertUnwindSafe(|| respond(viewer)))),
        Some(why) => Err(why),
    };
    async move {
        let answered = match called {
            Ok(Ok(future)) => Caught { future }.await,
            Ok(Err(_)) => Err(Panicked),
            Err((status, text)) => return ours(status, text, version, flight),
        };
        if let Some(request) = interims {
            // The wire wakes this task.
            poll_fn(|_| flight.vitals.outbox().poll_close(request)).await;
        }
        let last = flight.vitals.order() >= Order::Last;
        match answered {
            Ok(mut response) => {
                // After a 101 the connection is no longer HTTP's to close.
                let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                if switches {
                    flight.vitals.enter(Stage::Upgraded);
                }
                if last && version < Version::HTTP_2 && !switches {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(header::CONNECTION, close);
                }
                response.map(|body| {
                    flight.gave();
                    Answer::Given { body, flight }
                })
            }
            Err(Panicked) => {
                roll.panicked();
                ours(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, version, flight)
            }
        }
    }
}

/// Why a request is refused that hyper's HTTP/2 takes: what HTTP/1 has no way to say, or
/// refuses by itself, must not reach whoever writes HTTP/1.
fn refused<B>(request: &Request<B>) -> Option<Refusal> {
    if request.version() != Version::HTTP_2 {
        return None;
    }
    let fields = request.headers();
    if fields.len() > FIELDS_MAX {
        return Some((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, TOO_MANY));
    }
    // "A field value MUST NOT start or end with an ASCII whitespace character" (RFC 9113
    // §8.2.1); a request with one "MUST be treated as malformed" (§8.1.1).
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    fields
        .values()
        .map(HeaderValue::as_bytes)
        .any(|value| blank(value.first()) || blank(value.last()))
        .then_some((StatusCode::BAD_REQUEST, MALFORMED))
}

/// An answer of our own, to a request that nobody else answers.
fn ours<B>(
    status: StatusCode,
    text: &'static [u8],
    version: Version,
    flight: Flight,
) -> Response<Answer<B>> {
    let bytes = Some(Bytes::from_static(text));
    let mut response = Response::new(Answer::Internal { bytes, flight });
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // HTTP/2 has no such field, and there only the stream ends.
    if version < Version::HTTP_2 {
        fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn body_of(body: &Incoming) -> RequestBody {
    if body.is_end_stream() {
        RequestBody::None
    } else {
        let exact = body.size_hint().exact();
        exact.map_or(RequestBody::Chunked, RequestBody::Sized)
    }
}

/// One request under way; ends when dropped.
pub(super) struct Flight {
    vitals: Arc<Vitals>,
    untaken: Option<Span>,
}

impl Flight {
    fn begin(vitals: Arc<Vitals>, body: RequestBody) -> Self {
        vitals.begin(body);
        Self {
            vitals,
            untaken: None,
        }
    }

    fn gave(&mut self) {
        if self.untaken.is_none() {
            self.untaken = Some(self.vitals.untaken());
        }
    }

    fn asked(&mut self) {
        if let Some(since) = self.untaken.take() {
            self.vitals.taken(since);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.asked();
        self.vitals.end();
    }
}

pin_project! {
    /// An answer's body, in flight.
    #[project = AnswerParts]
    pub(super) enum Answer<B> {
        Given { #[pin] body: B, flight: Flight },
        Internal { bytes: Option<Bytes>, flight: Flight },
    }
}

impl<B: Body<Data = Bytes>> Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project() {
            AnswerParts::Given { body, flight } => {
                flight.asked();
                let frame = body.poll_frame(cx);
                if let Poll::Ready(Some(Ok(_))) = &frame {
                    flight.gave();
                }
                frame
            }
            AnswerParts::Internal { bytes, .. } => {
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Given { body, .. } => body.is_end_stream(),
            Self::Internal { bytes, .. } => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Given { body, .. } => body.size_hint(),
            Self::Internal { bytes, .. } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
        }
    }
}

pin_project! {
    /// A future whose panic is an outcome.
    struct Caught<F> {
        #[pin]
        future: F,
    }
}

struct Panicked;

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        // Safe to look at afterwards: it is not polled again, only dropped.
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    }
}
