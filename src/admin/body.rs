//! Bodies of calls: bounded each, and bounded together.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header::CONTENT_LENGTH};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::json::Refusal;

/// The largest body: 3,000 paths of 4 KiB are 12 MiB, and what JSON and XML put around them.
pub(super) const BODY_BYTES_MAX: usize = 16 << 20;

/// All bodies that are held at once. What is read from them takes about as much again.
const BODIES_BYTES_MAX: usize = 32 << 20;

/// What a body's share is counted in: a semaphore's numbers are small.
const UNIT_BYTES: usize = 1 << 10;

const TOO_LARGE: Refusal = Refusal::new(
    StatusCode::PAYLOAD_TOO_LARGE,
    "body_too_large",
    "the body has more than 16 MiB",
);

const BROKEN: Refusal = Refusal::new(
    StatusCode::BAD_REQUEST,
    "broken_body",
    "the body ended before its time",
);

/// The room that bodies share.
#[derive(Debug)]
pub(super) struct Bodies(Arc<Semaphore>);

/// A body, and its share of the room for as long as it is held.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BODIES_BYTES_MAX / UNIT_BYTES)))
    }
}

impl Bodies {
    /// Reads a body of at most [`BODY_BYTES_MAX`], once there is room for it. To be called for
    /// callers that were let in.
    pub(super) async fn read(&self, fields: &HeaderMap, body: Body) -> Result<Held, Refusal> {
        let length = fields.get(CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
        // Chunked ones may become as long as is allowed.
        let length: usize = length.unwrap_or(BODY_BYTES_MAX);
        if length > BODY_BYTES_MAX {
            return Err(TOO_LARGE);
        }
        let share = u32::try_from(length.div_ceil(UNIT_BYTES).max(1)).unwrap_or(u32::MAX);
        // It is never closed, and a share is never more than there is.
        let share = self.0.clone().acquire_many_owned(share).await.ok();
        let read = Limited::new(body, BODY_BYTES_MAX).collect().await;
        match read {
            Ok(whole) => Ok(Held {
                bytes: whole.to_bytes(),
                _share: share,
            }),
            Err(error) if error.is::<LengthLimitError>() => Err(TOO_LARGE),
            Err(_) => Err(BROKEN),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    async fn read(length: Option<&'static str>, body: Vec<u8>) -> Result<usize, u16> {
        let mut fields = HeaderMap::new();
        if let Some(length) = length {
            fields.insert(CONTENT_LENGTH, HeaderValue::from_static(length));
        }
        let held = Bodies::default().read(&fields, Body::from(body)).await;
        held.map(|held| held.bytes.len())
            .map_err(|refusal| refusal.status.as_u16())
    }

    #[tokio::test]
    async fn a_body_has_a_bound_whether_or_not_it_names_its_length() {
        assert_eq!(read(Some("3"), vec![0; 3]).await, Ok(3));
        assert_eq!(read(None, vec![0; 3]).await, Ok(3));
        assert_eq!(read(Some("16777217"), vec![0; 3]).await, Err(413));
        assert_eq!(read(None, vec![0; BODY_BYTES_MAX + 1]).await, Err(413));
        assert_eq!(
            read(None, vec![0; BODY_BYTES_MAX]).await,
            Ok(BODY_BYTES_MAX)
        );
    }

    #[tokio::test]
    async fn a_third_large_body_waits_for_room() {
        let (bodies, fields) = (Bodies::default(), HeaderMap::new());
        let large = || bodies.read(&fields, Body::empty());
        let (one, _other) = (large().await.unwrap(), large().await.unwrap());
        let mut third = Box::pin(large());
        assert!(futures_pending(&mut third).await);
        drop(one);
        assert!(third.await.is_ok());
    }

    /// Whether a future is still pending when everything else has run.
    async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
        tokio::select! {
            biased;
            _ = future => false,
            () = tokio::task::yield_now() => true,
        }
    }
}
