//! Hosts: the authority of a request, and the patterns that distributions match it by.
//!
//! A host is part of every key, so it has one spelling and no second reading:
//! a list, a user, a second colon or a stray byte is refused, never repaired.

use std::{fmt, net::Ipv6Addr};

use smallvec::SmallVec;
use thiserror::Error;

use super::digits;

/// The longest host: 255 octets of a DNS name on the wire less its length bytes
/// at both ends (RFC 1035 §2.3.4).
pub const HOST_MAX: usize = 253;
/// The longest label of a host (RFC 1035 §2.3.4).
pub const LABEL_MAX: usize = 63;
/// The most digits of a port: a sixth could only be a leading zero.
const PORT_DIGITS_MAX: usize = 5;
/// What a [`Host`] holds without allocating; most names are shorter.
const INLINE: usize = 48;

/// A validated host in canonical form, without a port.
///
/// It is a lower-case name or IPv4 address of letters, digits, `-`, `_` and
/// inner dots, at most [`HOST_MAX`] bytes, or an IPv6 address in brackets in its
/// one short form. Up to 48 bytes neither parsing nor cloning allocates.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(SmallVec<[u8; INLINE]>);

/// Why a text is not a host. For a request the answer is 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadHost {
    /// Nothing, or only a port or a dot.
    #[error("host is empty")]
    Empty,
    /// More than [`HOST_MAX`] bytes.
    #[error("host is longer than {HOST_MAX} bytes")]
    TooLong,
    /// A byte that no host has, a space, `,`, `@`, `/`, `%` and `*` among them.
    #[error("host has a character other than letters, digits, `-`, `_` and `.`")]
    Character,
    /// Two dots in a row, a leading dot, or a label over [`LABEL_MAX`] bytes.
    #[error("host has a label that is empty or longer than {LABEL_MAX} bytes")]
    Label,
    /// Brackets without an IPv6 address between them.
    #[error("host has brackets without an IPv6 address in them")]
    Ipv6,
    /// A colon without a number from 1 to 65535 behind it.
    #[error("port is not a number from 1 to 65535")]
    Port,
    /// A port, or a `*` elsewhere than as the whole first label, in a pattern.
    #[error("host pattern is neither a host without a port nor `*.` before a name")]
    Pattern,
}

/// In one piece; the derived one goes byte by byte.
impl Clone for Host {
    #[inline]
    fn clone(&self) -> Self {
        Self(SmallVec::from_slice(&self.0))
    }
}

impl Host {
    /// Reads `host` or `host:port`, as in a Host field or `:authority`
    /// (RFC 9110 §7.2).
    ///
    /// The name becomes lower case and loses one trailing dot; a colon without
    /// digits is no port. Userinfo is refused: "a recipient SHOULD parse for
    /// userinfo and treat its presence as an error" (RFC 9110 §4.2.4).
    pub fn parse_authority(value: impl AsRef<[u8]>) -> Result<(Self, Option<u16>), BadHost> {
        let value = value.as_ref();
        if let Some(bracketed) = value.strip_prefix(b"[") {
            let end = bracketed
                .iter()
                .position(|&byte| byte == b']')
                .ok_or(BadHost::Ipv6)?;
            let host = Self::ipv6(&bracketed[..end])?;
            return match &bracketed[end + 1..] {
                [] => Ok((host, None)),
                [b':', digits @ ..] => Ok((host, port(digits)?)),
                _ => Err(BadHost::Ipv6),
            };
        }
        // No port is longer; a colon before that is in the name, where it is no better.
        let last = value.len().saturating_sub(1 + PORT_DIGITS_MAX);
        match value[last..].iter().rposition(|byte| *byte == b':') {
            None => Ok((Self::name(value)?, None)),
            Some(colon) => {
                let (name, digits) = value.split_at(last + colon);
                Ok((Self::name(name)?, port(&digits[1..])?))
            }
        }
    }

    /// The canonical text; an IPv6 address has its brackets.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII is put into a host")
    }

    /// The bytes of [`Host::as_str`].
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn name(text: &[u8]) -> Result<Self, BadHost> {
        let text = text.strip_suffix(b".").unwrap_or(text);
        if text.is_empty() {
            return Err(BadHost::Empty);
        }
        if text.len() > HOST_MAX {
            return Err(BadHost::TooLong);
        }
        let mut lower: SmallVec<[u8; INLINE]> = SmallVec::from_slice(text);
        // No branch for any byte: what is wrong is rare, and which it was is found out after.
        let (mut strange, mut empty, mut before) = (false, false, b'.');
        for byte in &mut lower {
            let now = SPELT[usize::from(*byte)];
            strange |= now == STRANGE;
            empty |= now == b'.' && before == b'.';
            (before, *byte) = (now, now);
        }
        let too_long = |label: &[u8]| label.len() > LABEL_MAX;
        if strange {
            let is_strange = |byte: &&u8| SPELT[usize::from(**byte)] == STRANGE;
            return Err(match text.iter().find(is_strange) {
                Some(b':') => BadHost::Port,
                _ => BadHost::Character,
            });
        }
        if empty
            || before == b'.'
            || text.len() > LABEL_MAX && text.split(|byte| *byte == b'.').any(too_long)
        {
            return Err(BadHost::Label);
        }
        Ok(Self(lower))
    }

    fn ipv6(text: &[u8]) -> Result<Self, BadHost> {
        let text = std::str::from_utf8(text).map_err(|_| BadHost::Ipv6)?;
        let address: Ipv6Addr = text.parse().map_err(|_| BadHost::Ipv6)?;
        Ok(Self(SmallVec::from_slice(
            format!("[{address}]").as_bytes(),
        )))
    }

    fn is_address(&self) -> bool {
        let last = self
            .0
            .rsplit(|&byte| byte == b'.')
            .next()
            .unwrap_or_default();
        self.0.starts_with(b"[") || last.iter().all(u8::is_ascii_digit)
    }
}

/// How a byte of a name is spelt, or [`STRANGE`] where it is none.
const SPELT: [u8; 256] = {
    let mut spelt = [STRANGE; 256];
    let mut byte = 0;
    while byte < spelt.len() {
        let own = byte as u8;
        if matches!(own, b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z') {
            spelt[byte] = own.to_ascii_lowercase();
        }
        byte += 1;
    }
    spelt
};

/// No byte of a name.
const STRANGE: u8 = 0;

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Digits up to the end.
fn port(text: &[u8]) -> Result<Option<u16>, BadHost> {
    match text {
        [] => Ok(None),
        _ if text.len() > PORT_DIGITS_MAX => Err(BadHost::Port),
        _ => match digits(text).and_then(|port| u16::try_from(port).ok()) {
            None | Some(0) => Err(BadHost::Port),
            port => Ok(port),
        },
    }
}

/// An alias of a distribution: a host, or `*.` before one (CloudFront:
/// Alternate domain names).
///
/// The wildcard stands for one or more labels, as CloudFront's does:
/// `*.example.com` takes `a.b.example.com` too, and not `example.com`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern(Box<str>);

impl HostPattern {
    /// Reads `host` or `*.host`, in any case, without a port.
    pub fn parse(text: &str) -> Result<Self, BadHost> {
        let suffix = text.strip_prefix("*.");
        let name = suffix.unwrap_or(text);
        if name.contains('*') {
            return Err(BadHost::Pattern);
        }
        let (host, port) = Host::parse_authority(name)?;
        if port.is_some() || (suffix.is_some() && host.is_address()) {
            return Err(BadHost::Pattern);
        }
        let prefix = if suffix.is_some() { "*." } else { "" };
        Ok(Self(format!("{prefix}{host}").into()))
    }

    /// The canonical text, which reads back as the same pattern; without a
    /// wildcard it is that of the one [`Host`] that matches.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it begins with `*.`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with('*')
    }

    /// Whether `host` is one of those meant.
    pub fn matches(&self, host: &Host) -> bool {
        let host = host.as_str();
        match self.0.strip_prefix('*') {
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            None => host == &*self.0,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, host: &str, port: Option<u16>) {
        let seen = Host::parse_authority(text);
        assert_eq!(
            seen.as_ref().map(|(host, port)| (host.as_str(), *port)),
            Ok((host, port))
        );
    }

    #[track_caller]
    fn check_refused(text: &str, wanted: BadHost) {
        assert_eq!(Host::parse_authority(text), Err(wanted), "{text:?}");
    }

    #[test]
    fn a_host_has_one_spelling() {
        check("GOOD.example.", "good.example", None);
        check("good:443", "good", Some(443));
        check("good:", "good", None);
        check("good.:080", "good", Some(80));
        check("a_b-c.1", "a_b-c.1", None);
        check("127.0.0.1:8080", "127.0.0.1", Some(8080));
        check("[0:0::1]:443", "[::1]", Some(443));
        check("[2001:DB8::A]", "[2001:db8::a]", None);
    }

    #[test]
    fn what_has_a_second_reading_is_refused() {
        for text in ["", ".", ":80", ".:80"] {
            check_refused(text, BadHost::Empty);
        }
        for text in [
            "good:99999",
            "good:0",
            "good:-1",
            "good:+80",
            "good:80:80",
            "good:8o",
            "good:000080",
            "::1",
        ] {
            check_refused(text, BadHost::Port);
        }
        for text in [
            "good, evil",
            "good,evil",
            "good@evil",
            "good evil",
            " good",
            "good/",
            "good%2e",
            "*.a",
            "good\\evil",
            "g\u{f6}\u{f6}d",
            "good\0",
            "good?",
            "good#",
        ] {
            check_refused(text, BadHost::Character);
        }
        for text in ["good..", "a..b", ".a"] {
            check_refused(text, BadHost::Label);
        }
        for text in [
            "[::1",
            "[]",
            "[::1]x",
            "[fe80::1%25eth0]",
            "[1.2.3.4]",
            "[::1 ]",
        ] {
            check_refused(text, BadHost::Ipv6);
        }
        check_refused("user@[::1]", BadHost::Character);
        check_refused("[::1]:x", BadHost::Port);
    }

    #[test]
    fn names_and_labels_are_bounded() {
        let label = "a".repeat(LABEL_MAX);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(longest.len(), HOST_MAX);
        check(&longest, &longest, None);
        check_refused(&format!("{longest}a"), BadHost::TooLong);
        check_refused(&format!("a{label}.b"), BadHost::Label);
    }

    #[test]
    fn a_pattern_is_exact_or_takes_more_labels() {
        #[track_caller]
        fn check(pattern: &str, host: &str, wanted: bool) {
            let (host, _) = Host::parse_authority(host).unwrap();
            let pattern = HostPattern::parse(pattern).unwrap();
            assert_eq!(pattern.matches(&host), wanted, "{pattern} {host}");
        }
        check("Example.com", "example.com", true);
        check("example.com", "www.example.com", false);
        check("*.example.com", "www.example.com", true);
        check("*.Example.com", "a.b.example.com", true);
        check("*.example.com", "example.com", false);
        check("*.example.com", "wwwexample.com", false);
        check("*.example.com", "www.example.com.evil", false);
        check("[::1]", "[0::1]", true);
    }

    #[test]
    fn a_pattern_names_no_port_and_no_inner_star() {
        #[track_caller]
        fn check(pattern: &str, wanted: BadHost) {
            assert_eq!(HostPattern::parse(pattern), Err(wanted), "{pattern}");
        }
        for pattern in [
            "*",
            "a.*.b",
            "a*.b",
            "**.b",
            "*.*.b",
            "a:80",
            "*.1.2.3.4",
            "*.[::1]",
        ] {
            check(pattern, BadHost::Pattern);
        }
        check("*.", BadHost::Empty);
        check("a b", BadHost::Character);
    }

    proptest! {
        #[test]
        fn hosts_read_back_as_printed(
            text in "[A-Za-z0-9_-]{1,20}(\\.[A-Za-z0-9_-]{1,20}){0,4}\\.?", port in 1_u16..,
        ) {
            let (host, _) = Host::parse_authority(&text).unwrap();
            let again = Host::parse_authority(format!("{host}:{port}")).unwrap();
            prop_assert_eq!(again, (host, Some(port)));
        }

        #[test]
        fn ipv6_hosts_read_back_as_printed(address: u128) {
            let text = format!("[{}]", Ipv6Addr::from(address));
            let (host, port) = Host::parse_authority(&text).unwrap();
            prop_assert_eq!((host.as_str(), port), (&*text, None));
        }

        #[test]
        fn no_bytes_panic(text: Vec<u8>, near in "[a*.:\\[\\]0-9@,-]{0,20}") {
            for text in [text.as_slice(), near.as_bytes()] {
                if let Ok((host, _)) = Host::parse_authority(text) {
                    prop_assert_eq!(Host::parse_authority(host.as_str()), Ok((host.clone(), None)));
                }
            }
            if let Ok(pattern) = HostPattern::parse(&near) {
                prop_assert_eq!(HostPattern::parse(pattern.as_str()), Ok(pattern));
            }
        }
    }
}
