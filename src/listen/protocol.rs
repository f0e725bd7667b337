//! Which HTTP a connection speaks, and within which limits.

use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;
use std::time::Duration;

use super::{conn::Expected, streams::Streams};

/// What a client that knows it speaks to an HTTP/2 server sends first (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A head, in bytes: request line and fields, as CloudFront counts them (32 KiB).
/// A longer one is answered 431 and the connection closed.
pub(super) const HEAD_MAX: usize = 32 * 1024;

/// What one HTTP/1 connection may make us hold, each way, in bytes: a whole
/// head and as much again of what follows it.
const BUFFER_MAX: usize = 2 * HEAD_MAX;

/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;

/// What a viewer may send on one stream, and on all of one connection, before the bytes
/// before it were read, in bytes: so much of uploads that nobody takes is held. More is given
/// as it is read, so that whoever reads slowly is sent to slowly (RFC 9113 §5.2).
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Answers waiting for one HTTP/2 stream's window, in bytes; times
/// [`STREAMS_MAX`] is 16 MiB for a connection that takes nothing at all.
const SEND_MAX: usize = 128 * 1024;

/// Streams the viewer reset before we looked at them ("rapid reset"), and
/// streams it made us reset ("made you reset"); more end the connection. How
/// fast either may come is bounded in `calm.rs`.
const RESETS_MAX: usize = 20;
const LOCAL_RESETS_MAX: usize = 1024;

/// How often an HTTP/2 peer is asked whether it is there, and how long it has.
const PING_EVERY: Duration = Duration::from_secs(20);
const PONG_MAX: Duration = Duration::from_secs(10);

/// A version of HTTP, by its framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.0 and 1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What the first bytes say; `None` while they may still become either.
///
/// "The client connection preface starts with a sequence of 24 octets" (RFC 9113
/// §3.4). The first octet that differs decides: a `POST` is known by its second.
pub(super) fn protocol(expected: Expected, first: &[u8]) -> Option<Protocol> {
    let alike = first
        .iter()
        .zip(PREFACE)
        .take_while(|(seen, wanted)| seen == wanted)
        .count();
    match expected {
        _ if first.is_empty() => None,
        Expected::Http1 => Some(Protocol::Http1),
        // Whatever differs from the preface is hyper's to refuse.
        Expected::Http2 => {
            (alike == PREFACE.len() || alike < first.len()).then_some(Protocol::Http2)
        }
        Expected::Sniff if alike == PREFACE.len() => Some(Protocol::Http2),
        Expected::Sniff => (alike < first.len()).then_some(Protocol::Http1),
    }
}

/// HTTP/1 without a timer: a deadline per request costs more than a tenth of a hit.
pub(super) fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .half_close(false)
        .pipeline_flush(false)
        .max_header_size(HEAD_MAX)
        .max_buf_size(BUFFER_MAX);
    builder
}

/// HTTP/2. The ping asks whether the peer is there; idle peers answer it, so
/// it is no idle timeout.
pub(super) fn http2(streams: Streams) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(LOCAL_RESETS_MAX)
        .max_header_list_size(HEAD_MAX as u32)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_MAX);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: Expected, first: &[u8], wanted: Option<Protocol>) {
        assert_eq!(
            protocol(expected, first),
            wanted,
            "{}",
            first.escape_ascii()
        );
    }

    #[test]
    fn the_first_byte_that_differs_decides() {
        check(Expected::Sniff, b"", None);
        check(Expected::Sniff, b"G", Some(Protocol::Http1));
        check(Expected::Sniff, b"P", None);
        check(Expected::Sniff, b"PO", Some(Protocol::Http1));
        check(Expected::Sniff, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", None);
        check(
            Expected::Sniff,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\n",
            Some(Protocol::Http1),
        );
        check(Expected::Sniff, PREFACE, Some(Protocol::Http2));
        check(
            Expected::Sniff,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0",
            Some(Protocol::Http2),
        );
    }

    #[test]
    fn what_was_negotiated_is_not_second_guessed() {
        check(Expected::Http1, b"", None);
        check(Expected::Http1, b"PRI", Some(Protocol::Http1));
        check(Expected::Http2, b"PRI", None);
        check(Expected::Http2, b"GET", Some(Protocol::Http2));
    }
}
