//! An origin's URL: how it is spoken to, where it is, and what goes before every path.

use http::{HeaderValue, Uri};

use crate::{fields::host::Host, site::Protocol};

/// Where an origin is.
pub(super) struct Location {
    pub(super) protocol: Protocol,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) authority: HeaderValue,
    pub(super) prefix: String,
}

impl Location {
    /// Whether others on the way can read what is sent.
    pub(super) fn is_overheard(&self) -> bool {
        let host = self.host.parse::<std::net::IpAddr>();
        let loopback = host.map_or(self.host == "localhost", |address| address.is_loopback());
        self.protocol == Protocol::Http && !loopback
    }
}

/// Reads an origin's URL. Messages do not repeat it: it may hold a password.
pub(super) fn read(text: &str) -> Result<Location, String> {
    if text.contains('#') {
        return Err("the URL has a fragment".to_owned());
    }
    let uri: Uri = text
        .parse()
        .map_err(|error| format!("this is no URL: {error}"))?;
    let (protocol, usual) = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
        Some("https") => (Protocol::Https, 443),
        Some("http") => (Protocol::Http, 80),
        Some(other) => return Err(format!("an origin cannot be reached over {other}")),
        None => return Err("the URL has no scheme".to_owned()),
    };
    let Some(authority) = uri.authority() else {
        return Err("the URL has no host".to_owned());
    };
    if authority.as_str().contains('@') {
        return Err("the URL has a user or password; set `headers` instead".to_owned());
    }
    if uri.query().is_some() {
        return Err("the URL has a query".to_owned());
    }
    let read = Host::parse_authority(authority.as_str());
    let (host, port) = read.map_err(|bad| bad.to_string())?;
    let port = port.unwrap_or(usual);
    let shown = if port == usual {
        host.to_string()
    } else {
        format!("{host}:{port}")
    };
    let authority = HeaderValue::from_str(&shown).map_err(|_| "the URL has no host".to_owned())?;
    let prefix = uri.path().trim_end_matches('/').to_owned();
    if prefix
        .split('/')
        .any(|segment| matches!(segment, "." | ".."))
        || prefix.contains("//")
    {
        return Err("the path has empty or dot segments".to_owned());
    }
    // Brackets are for URLs; a resolver and a certificate know the address alone.
    let host = host.as_str().trim_matches(['[', ']']).to_owned();
    Ok(Location {
        protocol,
        host,
        port,
        authority,
        prefix,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_scheme_a_host_and_a_prefix() {
        #[track_caller]
        fn check(url: &str, protocol: Protocol, host: &str, port: u16, sent: &str, prefix: &str) {
            let seen = read(url).unwrap_or_else(|what| panic!("{url}: {what}"));
            assert_eq!(
                (seen.protocol, &*seen.host, seen.port),
                (protocol, host, port),
                "{url}"
            );
            assert_eq!(
                (seen.authority.to_str().unwrap(), &*seen.prefix),
                (sent, prefix),
                "{url}"
            );
        }
        use Protocol::{Http, Https};
        check(
            "https://API.example.com/v1/",
            Https,
            "api.example.com",
            443,
            "api.example.com",
            "/v1",
        );
        check(
            "https://localhost:8443",
            Https,
            "localhost",
            8443,
            "localhost:8443",
            "",
        );
        check("http://10.0.0.1:80/", Http, "10.0.0.1", 80, "10.0.0.1", "");
        check(
            "http://[::1]:8080/a/b",
            Http,
            "::1",
            8080,
            "[::1]:8080",
            "/a/b",
        );
    }

    #[test]
    fn anything_else_in_a_url_is_refused() {
        for url in [
            "",
            "/v1",
            "api.example.com",
            "api.example.com:443",
            "ftp://host",
            "https://",
            "https://me:pass@host",
            "https://host?x=1",
            "https://host/?",
            "https://host#x",
            "https://host:0",
            "https://host:99999",
            "https://host/a/../b",
            "https://host/a//b",
            "https://ho st",
        ] {
            assert!(read(url).is_err(), "{url}");
        }
    }
}
