//! The rim around every answer: a panic ends one connection, what is in flight
//! is counted until its last byte was handed over, and no answer overtakes the
//! interim responses before it.

use std::{
    convert::Infallible,
    future::Future,
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
    Sure { answered }
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
    flight: Flight,
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
    let stage = match refused {
        None => match catch_unwind(AssertUnwindSafe(|| respond(viewer))) {
            Ok(future) => Answering::Awaited { future },
            Err(_) => Answering::Panicked,
        },
        Some(why) => Answering::Refused { why },
    };
    Rim {
        stage,
        interims,
        version,
        flight: Some(flight),
        roll,
    }
}

pin_project! {
    /// The rim around one answer. An `async` block would hold all of it twice.
    struct Rim<F, B> {
        #[pin]
        stage: Answering<F, B>,
        // The number by which the connection knows the request whose interim responses it takes.
        interims: Option<u32>,
        version: Version,
        flight: Option<Flight>,
        roll: Arc<Roll>,
    }
}

pin_project! {
    /// How far an answer is.
    #[project = AnsweringParts]
    enum Answering<F, B> {
        Awaited { #[pin] future: F },
        // It waits for the interim responses before it to be written.
        Withheld { answer: Option<Response<B>> },
        Refused { why: Refusal },
        Panicked,
    }
}

impl<F: Future<Output = Response<B>>, B> Future for Rim<F, B> {
    type Output = Response<Answer<B>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let answered = match this.stage.as_mut().project() {
            // Safe to look at after a panic: it is not polled again, only dropped.
            AnsweringParts::Awaited { future } => {
                match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
                    Ok(Poll::Ready(answer)) => Ok(Some(answer)),
                    Ok(Poll::Pending) => return Poll::Pending,
                    Err(_) => Err(None),
                }
            }
            AnsweringParts::Withheld { answer } => Ok(answer.take()),
            AnsweringParts::Refused { why } => Err(Some(*why)),
            AnsweringParts::Panicked => Err(None),
        };
        let Some(flight) = this.flight.take() else {
            // It was ready before.
            return Poll::Pending;
        };
        if let Some(request) = *this.interims
            && flight.vitals.outbox().poll_close(request).is_pending()
        {
            // The wire wakes this task.
            *this.flight = Some(flight);
            this.stage.set(match answered {
                Ok(answer) => Answering::Withheld { answer },
                Err(Some(why)) => Answering::Refused { why },
                Err(None) => Answering::Panicked,
            });
            return Poll::Pending;
        }
        let version = *this.version;
        Poll::Ready(match answered {
            Ok(Some(answer)) => given(answer, version, flight),
            Err(Some((status, text))) => ours(status, text, version, flight),
            Ok(None) | Err(None) => {
                this.roll.panicked();
                ours(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, version, flight)
            }
        })
    }
}

/// An answer as the viewer gets it.
fn given<B>(mut answer: Response<B>, version: Version, mut flight: Flight) -> Response<Answer<B>> {
    // After a 101 the connection is no longer HTTP's to close.
    let switches = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
    if switches {
        flight.vitals.enter(Stage::Upgraded);
    }
    let last = flight.vitals.order() >= Order::Last;
    if last && version < Version::HTTP_2 && !switches {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(header::CONNECTION, close);
    }
    answer.map(|body| {
        flight.gave();
        Answer::Given { body, flight }
    })
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
    /// An answer, for hyper: it never fails.
    struct Sure<F> {
        #[pin]
        answered: F,
    }
}

impl<F: Future> Future for Sure<F> {
    type Output = Result<F::Output, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().answered.poll(cx).map(Ok)
    }
}
