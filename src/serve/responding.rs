//! An answer on its way, and how long it was waited for.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{ReplyBody, finish::Finish};
use crate::{observe::Histogram, time::Clock};

/// How long a viewer waits for an answer that is not at hand.
pub(super) struct Wait {
    pub(super) since: Instant,
    pub(super) clock: Clock,
    pub(super) took: Histogram,
}

impl Wait {
    fn over(self) {
        let now = self.clock.instant();
        self.took.observe(now.saturating_duration_since(self.since));
    }
}

/// An answer on its way: at hand for a hit, otherwise a future on the heap, so that a
/// connection does not reserve room for the rare.
pub enum Responding {
    /// At hand; `None` once it was taken.
    Now(Option<Response<ReplyBody>>),
    /// Waiting for the origin. Dropping it is the viewer leaving.
    Later(Pin<Box<dyn Future<Output = Response<ReplyBody>> + Send>>),
}

impl Responding {
    pub(super) fn later(
        wait: Wait,
        answer: impl Future<Output = Response<ReplyBody>> + Send + 'static,
    ) -> Self {
        Self::Later(Box::pin(Timed {
            answer,
            wait: Some(wait),
        }))
    }

    /// The same answer, finished.
    pub(super) fn finished(self, finish: Finish) -> Self {
        match self {
            Self::Now(answer) => Self::Now(answer.map(|answer| finish.finish(answer))),
            Self::Later(answer) => {
                Self::Later(Box::pin(async move { finish.finish(answer.await) }))
            }
        }
    }
}

pin_project! {
    /// An answer whose wait is counted when it is there. An `async` block would hold the
    /// answer twice.
    struct Timed<F> {
        #[pin]
        answer: F,
        wait: Option<Wait>,
    }
}

impl<F: Future> Future for Timed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let answer = this.answer.poll(cx);
        if answer.is_ready()
            && let Some(wait) = this.wait.take()
        {
            wait.over();
        }
        answer
    }
}

impl From<Response<ReplyBody>> for Responding {
    fn from(answer: Response<ReplyBody>) -> Self {
        Self::Now(Some(answer))
    }
}

impl Future for Responding {
    type Output = Response<ReplyBody>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Now(answer) => answer.take().map_or(Poll::Pending, Poll::Ready),
            Self::Later(answer) => answer.as_mut().poll(cx),
        }
    }
}
