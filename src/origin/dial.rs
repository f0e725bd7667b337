//! Opening a byte stream to an origin.
//!
//! [`Network`] asks the system's resolver and tries every address it names, a new one
//! each time the last has been silent for a quarter of a second (RFC 8305). There is no
//! timeout in here: the whole of connecting has one bound, kept by the pool.

use std::{collections::VecDeque, future::Future, io, net::SocketAddr, pin::Pin, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    task::JoinSet,
    time::sleep,
};

/// How long one address may be silent before the next is tried beside it (RFC 8305 §8).
const STAGGER: Duration = Duration::from_millis(250);

/// How many addresses of one name are tried at most; more only delay the failure.
const ADDRESSES_MAX: usize = 16;

/// How long a connection is silent before the kernel asks whether its peer is alive.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// A byte stream in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A stream being opened.
pub type Dialling<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Io>, DialError>> + Send + 'a>>;

/// Opens byte streams; TLS is put on top of them elsewhere. The seam tests replace.
pub trait Dial: Send + Sync + 'static {
    /// A stream to `port` of `host`, a name or an address without brackets. Dropping the
    /// future gives up.
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> Dialling<'a>;
}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no address.
    #[error("no address found")]
    Resolve(#[source] io::Error),
    /// No address accepted; the error is of the last that refused.
    #[error(transparent)]
    Connect(io::Error),
}

/// TCP, by the system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct Network;

impl Dial for Network {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> Dialling<'a> {
        Box::pin(async move {
            let addresses = lookup_host((host, port))
                .await
                .map_err(DialError::Resolve)?;
            let stream = race(interleaved(addresses.take(ADDRESSES_MAX).collect())).await?;
            prepare(&stream).map_err(DialError::Connect)?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}

/// The addresses in the resolver's order, families taking turns (RFC 8305 §4): when one
/// family is broken, it costs one stagger and not one per address.
fn interleaved(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (VecDeque<_>, VecDeque<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut turns = VecDeque::with_capacity(first.len() + second.len());
    while let Some(address) = first.pop_front() {
        turns.push_back(address);
        turns.extend(second.pop_front());
    }
    turns.extend(second);
    turns
}

/// The first of `addresses` that accepts; the others are dropped with the set.
async fn race(mut addresses: VecDeque<SocketAddr>) -> Result<TcpStream, DialError> {
    let mut attempts = JoinSet::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        if let Some(address) = addresses.pop_front() {
            attempts.spawn(TcpStream::connect(address));
        }
        tokio::select! {
            ended = attempts.join_next() => match ended {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(refused))) => last = refused,
                Some(Err(lost)) => last = io::Error::other(lost),
                None => return Err(DialError::Connect(last)),
            },
            () = sleep(STAGGER), if !addresses.is_empty() => {}
        }
    }
}

/// Small writes go out at once, and a peer that vanished is noticed.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(TCP_KEEPALIVE)
        .with_interval(TCP_KEEPALIVE / 3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[track_caller]
    fn check(resolved: &[&str], tried: &[&str]) {
        assert_eq!(
            Vec::from(interleaved(addresses(resolved))),
            addresses(tried)
        );
    }

    #[test]
    fn families_take_turns_in_the_resolvers_order() {
        check(&[], &[]);
        check(&["1.1.1.1:1", "1.1.1.2:1"], &["1.1.1.1:1", "1.1.1.2:1"]);
        check(
            &["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"],
            &["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"],
        );
        check(
            &["1.1.1.1:1", "[::1]:1", "[::2]:1"],
            &["1.1.1.1:1", "[::1]:1", "[::2]:1"],
        );
    }

    #[tokio::test]
    async fn an_address_that_refuses_does_not_stop_the_next() {
        let open = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap()
        };
        let there = open.local_addr().unwrap();
        let stream = race(VecDeque::from([closed, there])).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), there);
    }

    #[tokio::test]
    async fn refused_everywhere_is_a_connect_error() {
        let closed = {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap()
        };
        let refused = race(VecDeque::from([closed, closed])).await.unwrap_err();
        assert!(matches!(refused, DialError::Connect(_)), "{refused:?}");
    }
}
