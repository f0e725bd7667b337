//! TLS in front of a viewer's connection.
//!
//! A handshake is the dearest thing a stranger can ask of a worker: one signature and one
//! or two key exchanges, about 0.3 ms with a P-256 certificate and 1 ms with an RSA one of
//! 2,048 bits. [`HANDSHAKES_MAX`] bounds what everybody else waits for them. Their deadline
//! is the one of the first byte: as long as nothing was received inside of TLS, the
//! connection is silent, and the sweep closes it.

use std::{future::poll_fn, io, sync::Arc};

use rustls::server::Acceptor;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    task::yield_now,
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use super::{
    Respond, Viewer,
    certs::Keyring,
    conn::{Expected, connection},
    roll::Place,
    vitals::Order,
};
use crate::{observe, policy::Scheme, site::Names};

/// Handshakes that one worker computes in one turn of its runtime: between two turns every
/// other connection with something to do is served. So a flood of them delays a request by
/// 1.2 ms at a time with a P-256 certificate and 4 ms with an RSA one. What a viewer makes us
/// compute later (another share of the keys, where we know none of those it began with) is not
/// among them: that is one exchange without a signature, and costs it a round trip.
pub(super) const HANDSHAKES_MAX: usize = 4;

/// What a handshake needs of its worker.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) keyring: Arc<Keyring>,
    /// [`HANDSHAKES_MAX`] of them.
    pub(super) turns: Arc<Semaphore>,
}

/// Serves one connection that begins with TLS, until it ends.
///
/// As [`connection`] does, with the protocol that was negotiated. A handshake that fails or
/// takes too long ends it.
pub(super) async fn secured<I, R>(io: I, desk: Desk, viewer: Viewer, respond: R, place: Place)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    R: Respond,
{
    let (stream, names) = match shaken(io, desk, &place).await {
        Some(Ok(shaken)) => shaken,
        Some(Err(error)) => {
            place.roll().handshake_failed();
            return observe::connection_ended(&error);
        }
        None => return,
    };
    // "Implementations that support HTTP/2 over TLS MUST use protocol negotiation in TLS"
    // (RFC 9113 §3.2); who negotiates nothing speaks what was there before it.
    let expected = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Expected::Http2,
        _ => Expected::Http1,
    };
    let viewer = Viewer {
        scheme: Scheme::Https,
        covered: Some(names),
        ..viewer
    };
    connection(stream, expected, viewer, respond, place).await;
}

type Shaken<I> = (Box<TlsStream<I>>, Arc<Names>);

/// The handshake, unless the connection is to be cut first. A connection that should retire
/// goes on: its viewer has a request that nobody has read.
async fn shaken<I>(io: I, desk: Desk, place: &Place) -> Option<io::Result<Shaken<I>>>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // Boxed, as it is gone for all the rest of the connection.
    let mut handshake = Box::pin(handshake(io, desk));
    poll_fn(|cx| {
        place.vitals().wake_by(cx.waker());
        if place.vitals().order() == Order::Cut {
            return std::task::Poll::Ready(None);
        }
        handshake.as_mut().poll(cx).map(Some)
    })
    .await
}

async fn handshake<I>(io: I, desk: Desk) -> io::Result<Shaken<I>>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let hello = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
    let turn = desk.turns.acquire().await.map_err(io::Error::other)?;
    let shown = desk.keyring.choose(&hello.client_hello());
    let names = Arc::clone(&shown.names);
    // Here our share of the keys is made, and signed.
    let rest = hello.into_stream(Arc::clone(&shown.config));
    // The turn is over when everybody else has had one.
    yield_now().await;
    drop(turn);
    drop(desk.keyring);
    Ok((Box::new(rest.await?), names))
}
