//! Panics as log lines: counted, and said once, wherever they happen.
//!
//! The hook that comes with the language prints to stderr, past the log's format
//! and queue, and panics itself when stderr is gone.

use std::{any::Any, panic, sync::Arc, thread};

use super::Events;

/// From now on, every panic of this process is counted and logged by `events`.
pub fn log_panics(events: Arc<Events>) {
    panic::set_hook(Box::new(move |info| {
        let thread = thread::current();
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        events.panicked(
            thread.name().unwrap_or("?"),
            &place,
            message(info.payload()),
        );
    }));
}

/// What `panic!` was given; anything else has no words.
fn message(payload: &(dyn Any + Send)) -> &str {
    match (
        payload.downcast_ref::<&str>(),
        payload.downcast_ref::<String>(),
    ) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "(no message)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panics_words_are_found_in_either_shape() {
        assert_eq!(message(&"static"), "static");
        assert_eq!(message(&format!("for{}", "matted")), "formatted");
        assert_eq!(message(&7), "(no message)");
    }
}
