//! One viewer's connection, from its first byte to its end.
//!
//! ```text
//! opening ──first bytes──▶ HTTP/1 ──idle──▶ opening (parked) …
//!    │ ▲ └──plain GET─┐       └──upgrade──▶ whoever asked for it
//!    │ └──────────────┘
//!    └────────preface──────▶ HTTP/2
//! ```
//!
//! While it is opening, a connection holds no buffer, but for the fields that its viewer says
//! again and again (`heads.rs`): hyper makes its own two (8 KiB each) only for one that asks for
//! more than plain GETs. An HTTP/1 connection that falls idle is parked, which gives them back,
//! so thousands of idle viewers cost little more than their sockets.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Poll, ready},
};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    Respond, Viewer,
    batch::batched,
    express::Express,
    layers::answer,
    protocol::{self, Protocol},
    roll::Place,
    streams::Streams,
    vitals::{Order, Stage},
    wire::Wire,
};
use crate::observe;

/// Which HTTP the viewer is known to speak before it says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Either: HTTP/2 if it starts with HTTP/2's preface.
    Sniff,
    /// HTTP/1, as TLS negotiated.
    Http1,
    /// HTTP/2, as TLS negotiated.
    Http2,
}

/// Serves one connection until it ends, over any stream of bytes.
///
/// Returns when the viewer left, an error or a deadline ended it, it was told
/// to retire and has, or it was upgraded: then whoever asked for the upgrade
/// holds the stream, and `place` with it. Deadlines come from the
/// [`sweep`](crate::listen::sweep) of the roll that `place` belongs to. Dropping
/// the future closes the connection.
pub async fn connection<I, R>(io: I, expected: Expected, viewer: Viewer, respond: R, place: Place)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    R: Respond,
{
    let mut express = Express::new(Wire::new(io, place), respond, viewer);
    while let Some(protocol) = opening(&mut express, expected).await {
        // Boxed, each of them: while a connection is opening or parked, this
        // future is all there is of it.
        match protocol {
            Protocol::Http1 => match Box::pin(http1(express)).await {
                Some(parked) => express = parked,
                None => return,
            },
            Protocol::Http2 => return Box::pin(http2(express)).await,
        }
    }
    let over = express.is_over();
    let mut wire = express.into_wire();
    if over {
        let _ = poll_fn(|cx| Pin::new(&mut wire).poll_shutdown(cx)).await;
    } else {
        wire.say_goodbye().await;
    }
}

/// Waits for the first bytes of a request that is not plain, answering those that are; `None`
/// if the connection should end instead.
async fn opening<I, R>(express: &mut Express<I, R>, expected: Expected) -> Option<Protocol>
where
    I: AsyncRead + AsyncWrite + Unpin,
    R: Respond,
{
    poll_fn(|cx| {
        loop {
            if ready!(express.poll_answered(cx)).is_err() || express.is_over() {
                return Poll::Ready(None);
            }
            let wire = express.wire();
            let expected = if wire.is_http1() {
                Expected::Http1
            } else {
                expected
            };
            match protocol::protocol(expected, wire.ahead()) {
                Some(Protocol::Http1) => {
                    wire.follow_messages();
                    match express.answers_ahead(cx) {
                        Ok(true) => continue,
                        Ok(false) => return Poll::Ready(Some(Protocol::Http1)),
                        Err(_) => return Poll::Ready(None),
                    }
                }
                Some(protocol) => return Poll::Ready(Some(protocol)),
                None => {}
            }
            match wire.vitals().order() {
                Order::Serve | Order::Last => {}
                Order::Park => wire.vitals().parked(),
                // Bytes that have come but were not read count as a request.
                Order::Retire if wire.ahead().is_empty() => {
                    let _ = express.poll_look_ahead(cx);
                    let ahead = express.wire().ahead();
                    return Poll::Ready(protocol::protocol(expected, ahead));
                }
                Order::Retire => {}
                Order::Cut => return Poll::Ready(None),
            }
            match ready!(express.poll_look_ahead(cx)) {
                Ok(0) | Err(_) => return Poll::Ready(None),
                Ok(_) => {}
            }
        }
    })
    .await
}

/// Speaks HTTP/1; the stream again when the connection was parked.
async fn http1<I, R>(mut express: Express<I, R>) -> Option<Express<I, R>>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    R: Respond,
{
    let vitals = Arc::clone(express.wire().place().vitals());
    let roll = Arc::clone(express.wire().place().roll());
    vitals.enter(Stage::Http1);
    express.hand_over();
    let service = {
        let (respond, viewer) = (express.respond().clone(), express.viewer().clone());
        let vitals = Arc::clone(&vitals);
        service_fn(move |request| {
            answer(
                respond.clone(),
                request,
                viewer.clone(),
                Arc::clone(&vitals),
                Arc::clone(&roll),
            )
        })
    };
    // Told before it began: it answers what was read ahead, and that only.
    // (A graceful shutdown would close it, since hyper has not seen those bytes.)
    let mut told = vitals.order() >= Order::Retire;
    let mut http = protocol::http1()
        .keep_alive(!told)
        .serve_connection(TokioIo::new(express), service)
        .with_upgrades();
    let end = poll_fn(|cx| {
        match vitals.order() {
            // Its next answer says `Connection: close`; until then it is not hung up on.
            Order::Serve | Order::Last => {}
            Order::Park if vitals.may_park() => return Poll::Ready(End::Park),
            Order::Park => vitals.parked(),
            Order::Retire if !told => {
                told = true;
                Pin::new(&mut http).graceful_shutdown();
            }
            Order::Retire => {}
            Order::Cut => return Poll::Ready(End::Cut),
        }
        Pin::new(&mut http).poll(cx).map(End::Over)
    })
    .await;
    match end {
        End::Park => {
            let parts = http.into_parts()?;
            let mut express = parts.io.into_inner();
            vitals.enter(Stage::Opening);
            vitals.parked();
            if !parts.read_buf.is_empty() {
                vitals.head_is(true);
                express.wire().give_back(&parts.read_buf);
            }
            Some(express)
        }
        End::Cut => None,
        End::Over(result) => {
            over(result);
            // If the stream lives on, it is somebody else's and not HTTP.
            vitals.enter(Stage::Upgraded);
            None
        }
    }
}

/// Speaks HTTP/2.
async fn http2<I, R>(express: Express<I, R>)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    R: Respond,
{
    let (respond, viewer) = (express.respond().clone(), express.viewer().clone());
    let mut wire = express.into_wire();
    let vitals = Arc::clone(wire.place().vitals());
    let roll = Arc::clone(wire.place().roll());
    vitals.enter(Stage::Http2);
    wire.follow_frames();
    let service = {
        let vitals = Arc::clone(&vitals);
        service_fn(move |request| {
            answer(
                respond.clone(),
                request,
                viewer.clone(),
                Arc::clone(&vitals),
                Arc::clone(&roll),
            )
        })
    };
    let (wire, turn) = batched(wire);
    let streams = Streams::default();
    let mut http = protocol::http2(streams.clone()).serve_connection(TokioIo::new(wire), service);
    let mut told = false;
    poll_fn(|cx| {
        match vitals.order() {
            Order::Serve => {}
            Order::Park => vitals.parked(),
            // Nobody is hung up on: GOAWAY first names no last stream, and hyper takes
            // streams until the viewer has seen it (RFC 9113 §6.8).
            Order::Last | Order::Retire if !told => {
                told = true;
                Pin::new(&mut http).graceful_shutdown();
            }
            Order::Last | Order::Retire => {}
            Order::Cut => return Poll::Ready(()),
        }
        let mut turned = Pin::new(&mut http).poll(cx);
        while turned.is_pending() && streams.serve(cx) {
            turned = Pin::new(&mut http).poll(cx);
        }
        let left = turn.poll_end(cx);
        match (turned, left) {
            (Poll::Ready(result), _) => {
                over(result);
                Poll::Ready(())
            }
            (Poll::Pending, Poll::Ready(Err(_))) => Poll::Ready(()),
            (Poll::Pending, _) => Poll::Pending,
        }
    })
    .await;
}

enum End {
    Park,
    Cut,
    Over(hyper::Result<()>),
}

fn over(result: hyper::Result<()>) {
    if let Err(error) = result {
        observe::connection_ended(&error);
    }
}
