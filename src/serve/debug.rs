//! What an operator's own request is told beyond what viewers are: its key.
//!
//! "Including the key ... might be helpful for debugging, but ... can be a security issue"
//! is why RFC 9211 §2.8 and §6 leave it to authorised requests.

use super::{Responding, Way};
use crate::policy::{Key, deliver};

/// Whether `way` is a request with the secret; one branch where there is none.
pub(super) fn is_asked(way: &Way) -> bool {
    let secret = way.site.snapshot.server.debug_secret.as_ref();
    secret.is_some_and(|secret| secret.opens(&way.ask.headers))
}

/// `answer`, which tells `key` too.
pub(super) fn telling(key: Key, answer: Responding) -> Responding {
    // Whoever waits for it is counted there.
    Responding::Later(Box::pin(async move {
        let mut answer = answer.await;
        deliver::tell_key(answer.headers_mut(), key);
        answer
    }))
}
