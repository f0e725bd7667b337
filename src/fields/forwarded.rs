//! What the edge adds about the way a message came: X-Forwarded-For and Via.

use std::net::IpAddr;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, Version};

/// The name by which Via, Cache-Status and X-Cache know this edge.
pub const PSEUDONYM: &str = "warmfront";

/// The X-Forwarded-For field for the origin: what the viewer sent, then `addr`.
///
/// As CloudFront does it: appended to one line, without a port, made when
/// absent; what came is neither checked nor trusted, so only the last address is
/// ours. An IPv4 address that a dual-stack socket reports as `::ffff:a.b.c.d` is
/// written as IPv4.
pub fn append_for<'a>(
    existing: impl IntoIterator<Item = &'a HeaderValue>,
    addr: IpAddr,
) -> HeaderValue {
    append(existing, &addr.to_canonical().to_string())
}

/// The Via field of a message that passes: what it had, then us
/// (RFC 9110 §7.6.3). `version` is the version of the message as received.
///
/// For viewers and origins alike, since an intermediary adds itself in both
/// directions. "For brevity, the protocol-name is omitted when the received
/// protocol is HTTP."
pub fn via<'a>(
    existing: impl IntoIterator<Item = &'a HeaderValue>,
    version: Version,
) -> HeaderValue {
    let version = match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2.0",
        Version::HTTP_3 => "3.0",
        // A foreign enum; everything else that hyper speaks is 1.1.
        _ => "1.1",
    };
    append(existing, &format!("{version} {PSEUDONYM}"))
}

/// One line that lists the values and then `last`; empty values are left out.
fn append<'a>(existing: impl IntoIterator<Item = &'a HeaderValue>, last: &str) -> HeaderValue {
    let mut line = BytesMut::with_capacity(128);
    for value in existing {
        if !value.is_empty() {
            line.put_slice(value.as_bytes());
            line.put_slice(b", ");
        }
    }
    line.put_slice(last.as_bytes());
    // What field values are made of is a field value; if it ever were not, what
    // we know ourselves still goes out.
    HeaderValue::from_maybe_shared(line.freeze())
        .or_else(|_| HeaderValue::from_maybe_shared(Bytes::copy_from_slice(last.as_bytes())))
        .unwrap_or_else(|_| HeaderValue::from_static(PSEUDONYM))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(lines: &[&str]) -> Vec<HeaderValue> {
        lines.iter().map(|line| line.parse().unwrap()).collect()
    }

    #[test]
    fn the_viewer_is_appended_without_a_port() {
        #[track_caller]
        fn check(existing: &[&str], addr: &str, wanted: &str) {
            assert_eq!(append_for(&values(existing), addr.parse().unwrap()), wanted);
        }
        check(&[], "192.0.2.1", "192.0.2.1");
        check(&["a, b"], "192.0.2.1", "a, b, 192.0.2.1");
        check(
            &["a", "", "unknown"],
            "2001:db8::1",
            "a, unknown, 2001:db8::1",
        );
        check(&[], "::ffff:192.0.2.1", "192.0.2.1");
    }

    #[test]
    fn via_names_the_version_received() {
        #[track_caller]
        fn check(existing: &[&str], version: Version, wanted: &str) {
            assert_eq!(via(&values(existing), version), wanted);
        }
        check(&[], Version::HTTP_11, "1.1 warmfront");
        check(
            &["1.0 fred", "1.1 p"],
            Version::HTTP_2,
            "1.0 fred, 1.1 p, 2.0 warmfront",
        );
        check(&[], Version::HTTP_10, "1.0 warmfront");
        check(&[], Version::HTTP_3, "3.0 warmfront");
    }

    proptest! {
        #[test]
        fn whatever_came_stays_in_front(text: Vec<u8>) {
            if let Ok(value) = HeaderValue::from_bytes(&text) {
                let line = append_for([&value], IpAddr::from([192, 0, 2, 1]));
                prop_assert!(line.as_bytes().starts_with(&text));
                prop_assert!(line.as_bytes().ends_with(b"192.0.2.1"));
            }
        }
    }
}
