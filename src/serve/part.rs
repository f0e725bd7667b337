//! Parts of a stored answer: 206, 416 (RFC 9110 §14).

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::{ReplyBody, Way};
use crate::{
    fields::section::Section,
    policy::slice::Slice,
    store::{Head, Object},
};

/// Cuts `answer`, which is all of `object`, down to what the viewer wants of it.
pub(super) fn cut(
    way: &Way,
    object: &Object,
    slice: &Slice,
    mut answer: Response<ReplyBody>,
) -> Response<ReplyBody> {
    let length = object.body().len();
    let headers = answer.headers_mut();
    let (status, body) = match slice {
        Slice::Whole => return answer,
        Slice::One(first, end) => {
            headers.insert(header::CONTENT_RANGE, content_range(*first, *end, length));
            headers.insert(header::CONTENT_LENGTH, (end - first).into());
            let body = ReplyBody::whole(bytes(object, *first, *end), way.meter());
            (StatusCode::PARTIAL_CONTENT, body)
        }
        Slice::Many(parts) => {
            let boundary = way.edge.ids.make();
            let boundary = boundary.to_str().unwrap_or_default();
            let pieces = multipart(object, parts, boundary);
            let whole: usize = pieces.iter().map(Bytes::len).sum();
            let kind = format!("multipart/byteranges; boundary={boundary}");
            if let Ok(kind) = HeaderValue::from_str(&kind) {
                headers.insert(header::CONTENT_TYPE, kind);
            }
            headers.insert(header::CONTENT_LENGTH, whole.into());
            (
                StatusCode::PARTIAL_CONTENT,
                ReplyBody::pieces(pieces, way.meter()),
            )
        }
        Slice::Unsatisfiable => {
            // "it SHOULD generate a Content-Range header field specifying the current length"
            // (RFC 9110 §15.5.17); the fields of the content it does not send are left out.
            headers.remove(header::CONTENT_TYPE);
            headers.remove(header::CONTENT_ENCODING);
            headers.insert(header::CONTENT_LENGTH, 0.into());
            if let Ok(range) = HeaderValue::from_str(&format!("bytes */{length}")) {
                headers.insert(header::CONTENT_RANGE, range);
            }
            (
                StatusCode::RANGE_NOT_SATISFIABLE,
                ReplyBody::empty(way.meter()),
            )
        }
    };
    *answer.status_mut() = status;
    answer.map(|_whole| body)
}

/// The bytes from `first` up to `end`, which lie within the body.
fn bytes(object: &Object, first: u64, end: u64) -> Bytes {
    object.body().slice(first as usize..end as usize)
}

fn content_range(first: u64, end: u64, length: usize) -> HeaderValue {
    let last = end - 1;
    HeaderValue::from_str(&format!("bytes {first}-{last}/{length}"))
        .unwrap_or_else(|_| HeaderValue::from_static("bytes */*"))
}

/// A `multipart/byteranges` body (RFC 9110 §14.6); the parts are not copied.
fn multipart(object: &Object, parts: &[(u64, u64)], boundary: &str) -> Vec<Bytes> {
    let kind = kind(&object.head);
    let mut pieces = Vec::with_capacity(2 * parts.len() + 1);
    for (place, &(first, end)) in parts.iter().enumerate() {
        let mut head = String::new();
        let line = if place == 0 { "" } else { "\r\n" };
        // Writing to a string cannot fail.
        let _ = write!(head, "{line}--{boundary}\r\n{kind}Content-Range: bytes ");
        let _ = write!(head, "{first}-{}/{}\r\n\r\n", end - 1, object.body().len());
        pieces.push(head.into());
        pieces.push(bytes(object, first, end));
    }
    pieces.push(format!("\r\n--{boundary}--\r\n").into());
    pieces
}

/// The `Content-Type` line of each part.
fn kind(head: &Head) -> String {
    let kind = head.get(&header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| std::str::from_utf8(kind).ok());
    kind.map_or_else(String::new, |kind| format!("Content-Type: {kind}\r\n"))
}

/// Whether the viewer wants a part.
pub(super) fn wanted(headers: &Section) -> bool {
    headers.has(header::RANGE)
}
