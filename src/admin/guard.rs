//! Whom a request must be addressed to, so that no browser can be made to send it.
//!
//! DNS rebinding gives a hostile page's own name this listener's address; the
//! browser then takes our answers for that page's. It still sends the page's
//! name in `Host`, and no page's name is an address or `localhost`.

use std::net::Ipv4Addr;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, StatusCode, Uri, Version, header::HOST};

use super::{Facts, auth::peer_in, json::Refusal};
use crate::fields::host::Host;

const AMBIGUOUS: Refusal = Refusal::new(
    StatusCode::BAD_REQUEST,
    "bad_host",
    "the request needs exactly one valid Host field",
);

const FOREIGN: Refusal = Refusal::new(
    StatusCode::MISDIRECTED_REQUEST,
    "host_not_allowed",
    "the Host field must be an IP address or localhost",
);

/// Lets a request pass whose `Host` no page can have. Others are told and counted.
pub(super) async fn host(
    State(facts): State<Facts>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if let Err(refusal) = check(request.version(), request.uri(), request.headers()) {
        let peer = peer_in(request.extensions());
        let now = facts.clock.now();
        facts.events.admin_refused(peer, "", refusal.error, now);
        return Err(refusal);
    }
    Ok(next.run(request).await)
}

fn check(version: Version, target: &Uri, fields: &HeaderMap) -> Result<(), Refusal> {
    // "Host" and the target must both be ours: which of the two a proxy in
    // between went by is not known here.
    if let Some(authority) = target.authority() {
        ours(authority.as_str().as_bytes())?;
    }
    let mut values = fields.get_all(HOST).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => ours(value.as_bytes()),
        // Health checkers still speak HTTP/1.0 without one; browsers never do.
        (None, _) if version == Version::HTTP_10 => Ok(()),
        _ => Err(AMBIGUOUS),
    }
}

fn ours(authority: &[u8]) -> Result<(), Refusal> {
    let (host, _) = Host::parse_authority(authority).map_err(|_| AMBIGUOUS)?;
    let host = host.as_str();
    // Brackets hold nothing but an IPv6 address.
    let address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
    if address || host == "localhost" {
        Ok(())
    } else {
        Err(FOREIGN)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn status(version: Version, target: &str, hosts: &[&str]) -> Option<u16> {
        let mut fields = HeaderMap::new();
        for host in hosts {
            fields.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        let checked = check(version, &target.parse().unwrap(), &fields);
        checked.err().map(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn an_address_or_localhost_is_let_through() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9900",
            "[::1]:9900",
            "localhost",
            "LocalHost:80",
        ] {
            assert_eq!(
                status(Version::HTTP_11, "/metrics", &[host]),
                None,
                "{host}"
            );
        }
    }

    #[test]
    fn a_name_that_a_page_could_have_is_misdirected() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "0x7f000001",
        ] {
            assert_eq!(
                status(Version::HTTP_11, "/metrics", &[host]),
                Some(421),
                "{host}"
            );
        }
    }

    #[test]
    fn a_target_with_a_foreign_authority_is_misdirected() {
        let target = "http://evil.example/metrics";
        assert_eq!(status(Version::HTTP_11, target, &["127.0.0.1"]), Some(421));
    }

    #[test]
    fn none_two_or_unreadable_hosts_are_bad() {
        for hosts in [
            &[][..],
            &["localhost", "localhost"],
            &["a@localhost"],
            &[""],
        ] {
            assert_eq!(
                status(Version::HTTP_11, "/metrics", hosts),
                Some(400),
                "{hosts:?}"
            );
        }
        assert_eq!(status(Version::HTTP_10, "/health/live", &[]), None);
    }
}
