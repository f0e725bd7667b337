//! Where the demo listens: as asked, or nearby when a default port is taken.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use anyhow::Context as _;

/// A place to listen that was free a moment ago.
#[derive(Debug)]
pub(super) struct Place {
    /// Held until it is needed, so that nobody else takes it meanwhile.
    pub(super) listener: TcpListener,
    /// Its address, with the port that was chosen.
    pub(super) address: SocketAddr,
    /// The default that was taken, if it was.
    pub(super) instead_of: Option<u16>,
}

impl Place {
    /// The place that was `asked` for, else `port` on loopback, else any port there.
    ///
    /// Errs when what was asked for cannot be had.
    pub(super) fn find(asked: Option<SocketAddr>, port: u16) -> anyhow::Result<Self> {
        if let Some(asked) = asked {
            return Self::at(asked, None).with_context(|| format!("listen on {asked}"));
        }
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match Self::at(loopback(port), None) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Self::at(loopback(0), Some(port))
            }
            found => found,
        }
        .context("listen on 127.0.0.1")
    }

    fn at(address: SocketAddr, instead_of: Option<u16>) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            instead_of,
        })
    }

    /// Where a client on this machine reaches it: an unspecified address is no destination.
    pub(super) fn reach(&self) -> SocketAddr {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_default_is_replaced_and_told() {
        let taken = Place::find(None, 0).unwrap();
        let port = taken.address.port();
        let other = Place::find(None, port).unwrap();
        assert_ne!(other.address.port(), port);
        assert_eq!(other.instead_of, Some(port));
    }

    #[test]
    fn a_taken_place_that_was_asked_for_is_an_error() {
        let taken = Place::find(None, 0).unwrap();
        let error = Place::find(Some(taken.address), 8080).unwrap_err();
        assert_eq!(error.to_string(), format!("listen on {}", taken.address));
    }

    #[test]
    fn every_address_is_reached_by_loopback() {
        let place = Place::find(Some("0.0.0.0:0".parse().unwrap()), 0).unwrap();
        assert_eq!(place.reach().ip(), Ipv4Addr::LOCALHOST);
    }
}
