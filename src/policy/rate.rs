//! How many requests one viewer may ask of a behaviour, and what tells viewers apart.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    time::Duration,
};

use http::{HeaderName, HeaderValue};

use super::Ask;

/// The most of each number: with [`PER_MAX`] a full burst is refilled within 2^62 ns, which
/// is what the arithmetic holds.
pub const REQUESTS_MAX: u32 = 1_000_000;

/// The longest span that requests are counted over: what is counted is gone with the process.
pub const PER_MAX: Duration = Duration::from_secs(60 * 60);

/// So many requests in so long, of each viewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// What tells viewers apart.
    pub by: By,
    /// How many are allowed again in each `per`.
    pub requests: NonZeroU32,
    /// Up to [`PER_MAX`].
    pub per: Duration,
    /// How many may come at once, of a viewer who asked nothing for long.
    pub burst: NonZeroU32,
}

/// What tells viewers apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// Their addresses.
    Address,
    /// The value of a field; the address of a viewer who sends none.
    Header(HeaderName),
}

/// Whose requests are counted together. It may be personal: it is hashed, not kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject<'a> {
    /// One IPv4 address, or the /64 that an IPv6 address is in: all of which one subscriber
    /// has (RFC 6177 §2).
    Network(IpAddr),
    /// Everything a field says.
    Values(Vec<&'a [u8]>),
}

impl RateLimit {
    /// Whose request `ask` is.
    pub fn subject<'a>(&self, ask: &'a Ask) -> Subject<'a> {
        if let By::Header(name) = &self.by {
            let values: Vec<&[u8]> = ask.headers.get_all(name).collect();
            if !values.is_empty() {
                return Subject::Values(values);
            }
        }
        Subject::Network(network(ask.viewer.ip()))
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(four) => four.into(),
        IpAddr::V6(six) => Ipv6Addr::from_bits(six.to_bits() >> 64 << 64).into(),
    }
}

/// `Retry-After` for a viewer who has to wait: whole seconds, never too early.
pub fn retry_after(wait: Duration) -> HeaderValue {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    seconds.max(1).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::ask;

    fn by(by: By) -> RateLimit {
        RateLimit {
            by,
            requests: NonZeroU32::MIN,
            per: Duration::from_secs(1),
            burst: NonZeroU32::MIN,
        }
    }

    fn from(address: &str) -> Ask {
        let mut ask = ask("/a");
        ask.viewer.set_ip(address.parse().unwrap());
        ask
    }

    #[test]
    fn a_subscribers_addresses_are_one_viewer() {
        let limit = by(By::Address);
        let same = |one: &str, other: &str| {
            let (one, other) = (from(one), from(other));
            limit.subject(&one) == limit.subject(&other)
        };
        assert!(same("2001:db8::1", "2001:db8::ffff:1:2:3"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }

    #[test]
    fn who_sends_no_key_is_known_by_address() {
        let key = HeaderName::from_static("x-api-key");
        let limit = by(By::Header(key.clone()));
        let (mut one, mut other) = (from("192.0.2.1"), from("192.0.2.2"));
        assert_ne!(limit.subject(&one), limit.subject(&other));
        for ask in [&mut one, &mut other] {
            ask.headers
                .insert(key.clone(), HeaderValue::from_static("k"));
        }
        assert_eq!(limit.subject(&one), limit.subject(&other));
        other
            .headers
            .append(key.clone(), HeaderValue::from_static("l"));
        assert_ne!(limit.subject(&one), limit.subject(&other));
    }

    #[test]
    fn nobody_is_told_to_come_too_early() {
        assert_eq!(retry_after(Duration::ZERO), "1");
        assert_eq!(retry_after(Duration::from_secs(3)), "3");
        assert_eq!(retry_after(Duration::from_millis(3_001)), "4");
    }
}
