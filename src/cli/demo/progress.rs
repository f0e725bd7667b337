//! How far the measurement is, on stderr while that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar that goes away when dropped; without a terminal it never shows.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// A bar of `steps`.
    pub(super) fn new(steps: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
        if !bar.is_hidden() {
            if let Ok(style) = ProgressStyle::with_template("{spinner} {bar:30} {elapsed:>4} {msg}")
            {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self(bar)
    }

    /// Says what is being done now.
    pub(super) fn stage(&self, doing: &'static str) {
        self.0.set_message(doing);
    }

    /// One step is done.
    pub(super) fn step(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
