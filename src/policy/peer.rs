//! Who a viewer is, when it comes through proxies that are trusted.
//!
//! By default nobody is trusted: the viewer is whoever connected, by the protocol it connected
//! with. What a trusted proxy says counts everywhere: for limits, for what the origin is told,
//! and through the scheme for redirects and the key.

use std::net::{IpAddr, SocketAddr};

use http::HeaderName;
use ipnet::IpNet;

use super::{Ask, Scheme};
use crate::fields::{list, section::Section};

/// `X-Forwarded-For`.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The networks whose word is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted(Vec<IpNet>);

/// What the origin is told in `X-Forwarded-For`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedFor {
    /// What came, then who connected; only the last address is ours.
    #[default]
    Append,
    /// The viewer's address alone.
    Replace,
}

/// The most addresses looked at from the end: nobody has so many proxies of their own, and
/// what stands before came from strangers.
const HOPS_MAX: usize = 32;

impl Trusted {
    /// Those in `networks`.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `address` is; an IPv4 address is one however it is written.
    pub fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Gives `ask` the viewer and the scheme that trusted proxies name.
///
/// The viewer is the last address of `X-Forwarded-For` that is not trusted itself: each
/// address before it was written by somebody who may have lied.
#[inline]
pub fn look_behind(ask: &mut Ask, trusted: &Trusted) {
    if trusted.is_empty() || !trusted.holds(ask.peer) {
        return;
    }
    ask.viewer.set_ip(viewer(ask.peer, &ask.headers, trusted));
    ask.scheme = scheme(&ask.headers).unwrap_or(ask.scheme);
}

fn viewer(peer: IpAddr, headers: &Section, trusted: &Trusted) -> IpAddr {
    let said: Vec<&[u8]> = list::members(headers.get_all(X_FORWARDED_FOR)).collect();
    let mut viewer = peer;
    for text in said.iter().rev().take(HOPS_MAX) {
        // Behind something unreadable nobody is known: whoever passed it on is the viewer.
        let Some(address) = address(text) else { break };
        viewer = address;
        if !trusted.holds(address) {
            break;
        }
    }
    viewer
}

/// An address as proxies write it: alone, or with a port, as some do.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let alone = bare.unwrap_or(text).parse::<IpAddr>();
    let address = alone.or_else(|_| text.parse().map(|with: SocketAddr| with.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// What the nearest proxy says the viewer came by.
fn scheme(headers: &Section) -> Option<Scheme> {
    let said = list::members(headers.get_all(X_FORWARDED_PROTO)).last()?;
    if said.eq_ignore_ascii_case(b"https") {
        Some(Scheme::Https)
    } else if said.eq_ignore_ascii_case(b"http") {
        Some(Scheme::Http)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::policy::tests::ask;

    fn behind(mut ask: Ask, trusted: &Trusted) -> Ask {
        look_behind(&mut ask, trusted);
        ask
    }

    fn trusted() -> Trusted {
        let networks = ["10.0.0.0/8", "2001:db8::/32"];
        Trusted::new(networks.map(|one| one.parse().unwrap()).to_vec())
    }

    #[track_caller]
    fn check(peer: &str, said: &[&str], expected: &str) {
        let mut ask = ask("/a");
        ask.peer = peer.parse().unwrap();
        ask.viewer = SocketAddr::new(ask.peer, 4711);
        for line in said {
            let line = HeaderValue::from_str(line).unwrap();
            ask.headers.append(X_FORWARDED_FOR, line);
        }
        let seen = behind(ask, &trusted()).viewer.ip();
        assert_eq!(seen, expected.parse::<IpAddr>().unwrap(), "{said:?}");
    }

    #[test]
    fn a_stranger_is_who_connected() {
        check("192.0.2.1", &["203.0.113.7"], "192.0.2.1");
        check("::ffff:192.0.2.1", &["203.0.113.7"], "::ffff:192.0.2.1");
    }

    #[test]
    fn behind_trusted_proxies_the_last_stranger_is_the_viewer() {
        check("10.0.0.1", &["203.0.113.7"], "203.0.113.7");
        check("::ffff:10.0.0.1", &["203.0.113.7"], "203.0.113.7");
        check(
            "10.0.0.1",
            &["6.6.6.6, 203.0.113.7, 10.0.0.2"],
            "203.0.113.7",
        );
        check(
            "10.0.0.1",
            &["6.6.6.6", "203.0.113.7", "10.0.0.2"],
            "203.0.113.7",
        );
        check("2001:db8::1", &["[2001:db8::2]:443"], "2001:db8::2");
        check("10.0.0.1", &["203.0.113.7:4711"], "203.0.113.7");
    }

    #[test]
    fn where_nobody_else_is_named_the_proxy_is_the_viewer() {
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["203.0.113.7, unknown"], "10.0.0.1");
        check("10.0.0.1", &["203.0.113.7, _hidden, 10.0.0.2"], "10.0.0.2");
        check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
    }

    #[test]
    fn the_scheme_is_believed_from_trusted_proxies_only() {
        let mut asked = ask("/a");
        let https = HeaderValue::from_static("http, HTTPS");
        asked.headers.insert(X_FORWARDED_PROTO, https);
        let stranger = behind(asked.clone(), &trusted());
        assert_eq!(stranger.scheme, Scheme::Http);
        asked.peer = "10.0.0.1".parse().unwrap();
        assert_eq!(behind(asked, &trusted()).scheme, Scheme::Https);
    }
}
