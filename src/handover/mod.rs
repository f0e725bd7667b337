//! Listening sockets that outlive a process: what it is given at its start, and what it gives
//! to the process that follows it.
//!
//! A connection that the kernel has queued belongs to the listening socket it came to, and is
//! reset when the last process closes that socket. With `SO_REUSEPORT` alone, two processes
//! have sockets of their own on one address, so whichever ends loses what is queued on its
//! own, and nothing it does before the close makes the kernel choose another meanwhile (on
//! Linux `net.ipv4.tcp_migrate_req` would move them, which is off unless the whole machine
//! turns it on). So the sockets themselves are passed, and never closed in between:
//!
//! * by the service manager, which made them and keeps them ([`activated`]);
//! * by the process before, over a Unix socket ([`take_over`], [`Offer`]).
//!
//! ```text
//!   new                                   old
//!    │── connect, greeting ───────────────▶│  same user, else hung up
//!    │◀── every listening socket, end ─────│
//!    │  starts; whatever can fail, fails   │  serves as before
//!    │── serve ───────────────────────────▶│  stops accepting, stops caching, closes its
//!    │                                     │  admin API and lets go of the journal
//!    │◀── yours ───────────────────────────│
//!    │  opens the journal, accepts         │  drains, ends
//! ```
//!
//! Between "serve" and "yours" nobody accepts, and the kernel queues: milliseconds. A new
//! process that fails before "serve" changes nothing.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::SockRef;

mod activation;
mod give;
mod service;
mod spares;
mod take;
mod wire;

pub use activation::activated;
pub use give::{Heir, Offer};
pub use service::Service;
pub use spares::Spares;
pub use take::{Predecessor, take_over};

/// Listening sockets from another process, until the listeners at their addresses ask for
/// them. What is left is closed with it.
#[derive(Debug, Default)]
pub struct Inherited(BTreeMap<SocketAddr, Vec<TcpListener>>);

impl Inherited {
    /// The sockets bound to `address`; none when there are none.
    pub fn take(&mut self, address: SocketAddr) -> Vec<TcpListener> {
        self.0.remove(&address).unwrap_or_default()
    }

    /// The addresses whose sockets nobody has asked for.
    pub fn unclaimed(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.keys().copied()
    }

    /// Adds one. Errs when it does not listen for TCP.
    fn add(&mut self, socket: TcpListener) -> io::Result<()> {
        if !SockRef::from(&socket).is_listener()? {
            let what = "a socket that was handed over does not listen";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let address = socket.local_addr()?;
        self.0.entry(address).or_default().push(socket);
        Ok(())
    }

    /// Adds all of `more`.
    pub fn extend(&mut self, more: Self) {
        for (address, sockets) in more.0 {
            self.0.entry(address).or_default().extend(sockets);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_found_by_the_address_they_are_bound_to() {
        let [one, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let (at, elsewhere) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        let mut inherited = Inherited::default();
        for socket in [one.try_clone().unwrap(), one, other] {
            inherited.add(socket).unwrap();
        }
        assert_eq!(inherited.take(at).len(), 2);
        assert!(inherited.take(at).is_empty());
        assert_eq!(inherited.unclaimed().collect::<Vec<_>>(), [elsewhere]);
    }

    #[test]
    fn a_socket_that_does_not_listen_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let disguised = TcpListener::from(std::os::fd::OwnedFd::from(stream));
        assert!(Inherited::default().add(disguised).is_err());
    }
}
