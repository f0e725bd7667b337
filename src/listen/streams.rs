//! Where HTTP/2's streams are served: most of them in the turn of their connection.
//!
//! The library wants a task for each. A hit is over before a task would have been made, so
//! each stream is first looked at where its request was read, together with those that came
//! with it; only what has to wait becomes a task.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::Context,
};

use hyper::rt::Executor;

type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The streams of one connection that nobody has looked at; clones share them.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<Vec<Stream>>>);

impl Streams {
    /// Serves those that are new; whether there were any.
    pub(super) fn serve(&self, cx: &mut Context<'_>) -> bool {
        // Not locked while they are served.
        let new = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let any = !new.is_empty();
        for mut stream in new {
            // Who panics ends one stream; the panic was reported where it happened.
            let served = catch_unwind(AssertUnwindSafe(|| stream.as_mut().poll(cx)));
            if served.is_ok_and(|served| served.is_pending()) {
                tokio::spawn(stream);
            }
        }
        any
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let mut new = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        new.push(Box::pin(stream));
    }
}
