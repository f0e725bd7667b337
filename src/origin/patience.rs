//! How long an origin may take, waited for without a new timer each time.
//!
//! Registering a timer and taking it back costs more than anything else about a wait that is
//! soon over. So a kept connection keeps its timer too, running: when that ends, it is set
//! anew if what is waited for now may take longer.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that waits for one deadline after another. Must be polled within one runtime.
#[derive(Debug, Default)]
pub(super) struct Patience(Option<Pin<Box<Sleep>>>);

impl Patience {
    /// Ready when `deadline` has come. It may be another each time, sooner or later; the task
    /// may be woken before it.
    pub(super) fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use super::*;
    use crate::time::Clock;

    #[tokio::test(start_paused = true)]
    async fn each_deadline_is_kept_to_whatever_came_before() {
        let mut patience = Patience::default();
        // Sooner, later, and after one that ran out unseen.
        for (seconds, idle) in [(30, 0), (10, 0), (20, 7), (5, 60), (40, 0)] {
            tokio::time::advance(Duration::from_secs(idle)).await;
            let deadline = Clock::System.instant() + Duration::from_secs(seconds);
            poll_fn(|cx| patience.poll_until(cx, deadline)).await;
            assert_eq!(Clock::System.instant(), deadline);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_left_running_ends_no_later_wait() {
        let mut patience = Patience::default();
        let first = Clock::System.instant() + Duration::from_secs(30);
        let waits = poll_fn(|cx| Poll::Ready(patience.poll_until(cx, first).is_pending()));
        assert!(waits.await);
        tokio::time::advance(Duration::from_secs(29)).await;
        let second = Clock::System.instant() + Duration::from_secs(30);
        poll_fn(|cx| patience.poll_until(cx, second)).await;
        assert!(Clock::System.instant() >= second);
    }
}
