//! A runtime that can say when nothing more will happen by itself.
//!
//! Time is paused, and moves only while everything waits for it. A script that
//! merely waited for an answer would let tokio jump to the next timer; instead
//! it asks to be woken in the moment before, when every task has done what it
//! can without time passing. So a step costs no time, and what has not
//! happened by then happens later or never.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex},
    task::{Poll, Waker},
};

use tokio::runtime::{Builder, Runtime};

/// Knows when the runtime is out of work.
#[derive(Clone, Default)]
pub(crate) struct Idle(Arc<Mutex<Option<Waker>>>);

/// A runtime of its own for one script, its time paused.
pub(crate) fn runtime() -> (Runtime, Idle) {
    let idle = Idle::default();
    let hook = idle.clone();
    let wake = move || {
        if let Some(waker) = hook.0.lock().unwrap().take() {
            waker.wake();
        }
    };
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .on_thread_park(wake)
        .build();
    (runtime.unwrap(), idle)
}

impl Idle {
    /// Returns when nothing is left to do without time passing.
    pub(crate) async fn settled(&self) {
        let mut asked = false;
        poll_fn(|context| {
            let mut waker = self.0.lock().unwrap();
            if asked && waker.is_none() {
                return Poll::Ready(());
            }
            asked = true;
            *waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{io, time};

    use super::*;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the paused clock is what is tested"
    )]
    fn settling_sees_all_that_needs_no_time_and_takes_none() {
        let (runtime, idle) = runtime();
        runtime.block_on(async {
            let start = time::Instant::now();
            let (near, mut far) = io::duplex(1);
            let echo = tokio::spawn(async move {
                let (mut from, mut to) = io::split(near);
                io::copy(&mut from, &mut to).await
            });
            let talk = tokio::spawn(async move {
                for byte in 0..200 {
                    io::AsyncWriteExt::write_u8(&mut far, byte).await.unwrap();
                    assert_eq!(io::AsyncReadExt::read_u8(&mut far).await.unwrap(), byte);
                    tokio::task::yield_now().await;
                }
            });
            let timer = tokio::spawn(time::sleep(Duration::from_millis(1)));
            idle.settled().await;
            assert!(talk.is_finished() && echo.is_finished() && !timer.is_finished());
            idle.settled().await;
            assert_eq!(start.elapsed(), Duration::ZERO);
            time::sleep(Duration::from_millis(1)).await;
            idle.settled().await;
            assert!(timer.is_finished());
            assert_eq!(start.elapsed(), Duration::from_millis(1));
        });
    }
}
