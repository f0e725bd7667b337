//! Panics in the tasks of a script, which tokio would keep to itself.

use std::{cell::RefCell, panic, sync::Once};

thread_local! {
    /// What panicked on this thread since it was asked to forget.
    static SEEN: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Forgets what panicked on this thread; from here on panics are seen.
pub(crate) fn forget() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            SEEN.with_borrow_mut(|seen| seen.get_or_insert_with(|| panic.to_string()).clone());
            before(panic);
        }));
    });
    SEEN.take();
}

/// The first panic on this thread since [`forget`].
pub(crate) fn seen() -> Option<String> {
    SEEN.take()
}
