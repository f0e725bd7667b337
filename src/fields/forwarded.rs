//! What the edge adds about the way a message came: X-Forwarded-For and Via.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
};

use http::{HeaderValue, Version};

use super::text::Text;

/// The name by which Via, Cache-Status and X-Cache know this edge.
pub const PSEUDONYM: &str = "warmfront";

/// The X-Forwarded-For field for the origin: what the viewer sent, then `addr`.
///
/// As CloudFront does it: appended to one line, without a port, made when
/// absent; what came is neither checked nor trusted, so only the last address is
/// ours. An IPv4 address that a dual-stack socket reports as `::ffff:a.b.c.d` is
/// written as IPv4.
pub fn append_for<'a>(
    existing: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + ?Sized + 'a)>,
    addr: IpAddr,
) -> Line {
    let mut line = list(existing);
    match addr.to_canonical() {
        IpAddr::V4(addr) => push_v4(&mut line, addr),
        // Writing to a `Line` cannot fail.
        IpAddr::V6(addr) => drop(write!(line, "{addr}")),
    }
    line
}

/// Writes `addr`, from its end; a tenth of what formatting it takes.
fn push_v4(line: &mut Line, addr: Ipv4Addr) {
    // One longer than the longest: a dot stands before every number.
    let mut text = [b'.'; 16];
    let mut start = text.len();
    for mut octet in addr.octets().into_iter().rev() {
        loop {
            start -= 1;
            text[start] = b'0' + octet % 10;
            octet /= 10;
            if octet == 0 {
                break;
            }
        }
        start -= 1;
    }
    line.push(&text[start + 1..]);
}

/// The Via field of a message that passes: what it had, then us
/// (RFC 9110 §7.6.3). `version` is the version of the message as received.
///
/// For viewers and origins alike, since an intermediary adds itself in both
/// directions. "For brevity, the protocol-name is omitted when the received
/// protocol is HTTP."
pub fn via<'a>(
    existing: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + ?Sized + 'a)>,
    version: Version,
) -> HeaderValue {
    // Constants: what is made of a text is looked at byte by byte.
    let ours = match version {
        Version::HTTP_09 => const { HeaderValue::from_static("0.9 warmfront") },
        Version::HTTP_10 => const { HeaderValue::from_static("1.0 warmfront") },
        Version::HTTP_2 => const { HeaderValue::from_static("2.0 warmfront") },
        Version::HTTP_3 => const { HeaderValue::from_static("3.0 warmfront") },
        // A foreign enum; everything else that hyper speaks is 1.1.
        _ => const { HeaderValue::from_static("1.1 warmfront") },
    };
    let mut existing = existing.into_iter().peekable();
    if existing.peek().is_none() {
        return ours;
    }
    let mut line = list(existing);
    line.push(ours.as_bytes());
    // What field values are made of is a field value; if it ever were not, what we know
    // ourselves still goes out.
    HeaderValue::from_bytes(line.as_bytes()).unwrap_or(ours)
}

/// A field value built on the stack.
pub type Line = Text<128>;

/// One line that lists the values, and awaits another; empty ones are left out.
fn list<'a>(values: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + ?Sized + 'a)>) -> Line {
    let mut line = Line::default();
    for value in values {
        let value = value.as_ref();
        if !value.is_empty() {
            line.push(value);
            line.push(b", ");
        }
    }
    line
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
            let line = append_for(&values(existing), addr.parse().unwrap());
            assert_eq!(line.as_bytes(), wanted.as_bytes());
        }
        check(&[], "192.0.2.1", "192.0.2.1");
        check(&["a, b"], "192.0.2.1", "a, b, 192.0.2.1");
        check(
            &["a", "", "unknown"],
            "2001:db8::1",
            "a, unknown, 2001:db8::1",
        );
        check(&[], "::ffff:192.0.2.1", "192.0.2.1");
        check(&[], "255.255.255.255", "255.255.255.255");
        check(&[], "0.10.100.7", "0.10.100.7");
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
        check(&[""], Version::HTTP_09, "0.9 warmfront");
        let nothing: [&[u8]; 0] = [];
        assert_eq!(via(nothing, Version::HTTP_11), format!("1.1 {PSEUDONYM}"));
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
