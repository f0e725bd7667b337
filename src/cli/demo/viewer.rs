//! The demo's viewers: one that connects anew each time, one that keeps its connection.
//!
//! Both take their time from before the connection (or the request, when it
//! is kept) to the last byte of the body, over real sockets.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header::HOST};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::time::Clock;

/// The longest a demo request may take: the slowest search five times over.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// A whole answer, and how long it took.
pub(super) struct Visit {
    pub(super) took: Duration,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Asks once over a new TLS connection, as an app on a phone does: TCP and TLS handshakes count.
pub(super) async fn ask_anew(
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    target: &str,
) -> anyhow::Result<Visit> {
    let asked = Clock::System.instant();
    let visit = async {
        let stream = connect(address).await?;
        let name = ServerName::from(address.ip());
        let stream = TlsConnector::from(tls)
            .connect(name, stream)
            .await
            .context("TLS handshake")?;
        KeptViewer::over(stream, address).await?.ask(target).await
    };
    let visit = timeout(ANSWER_MAX, visit)
        .await
        .context("no answer in time")?;
    let visit = visit.with_context(|| format!("https://{address}{target}"))?;
    Ok(Visit {
        took: asked.elapsed(),
        ..visit
    })
}

/// A viewer that sends one request after another over one plain connection.
pub(super) struct KeptViewer {
    requests: SendRequest<Empty<Bytes>>,
    address: SocketAddr,
}

impl KeptViewer {
    /// Connects to `address`.
    pub(super) async fn new(address: SocketAddr) -> anyhow::Result<Self> {
        Self::over(connect(address).await?, address).await
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        address: SocketAddr,
    ) -> anyhow::Result<Self> {
        let (requests, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .context("HTTP/1.1 connection")?;
        // Ends with the connection; what breaks it, the request in flight reports.
        tokio::spawn(connection);
        Ok(Self { requests, address })
    }

    /// Sends one request and reads its whole answer.
    pub(super) async fn ask(&mut self, target: &str) -> anyhow::Result<Visit> {
        let request = Request::get(target)
            .header(HOST, self.address.to_string())
            .body(Empty::new())
            .with_context(|| format!("request target {target:?}"))?;
        let asked = Clock::System.instant();
        let answer = async {
            self.requests.ready().await?;
            let (head, body) = self.requests.send_request(request).await?.into_parts();
            Ok::<_, hyper::Error>((head, body.collect().await?.to_bytes()))
        };
        let answered = timeout(ANSWER_MAX, answer)
            .await
            .context("no answer in time")?;
        let (head, body) = answered.with_context(|| format!("{}{target}", self.address))?;
        let took = asked.elapsed();
        Ok(Visit {
            took,
            status: head.status,
            headers: head.headers,
            body,
        })
    }
}

async fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("connect to {address}"))?;
    stream.set_nodelay(true).context("TCP_NODELAY")?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::{authority::Authority, clinic::Clinic, ports::Place};

    #[tokio::test]
    async fn a_viewer_trusts_the_clinic_of_its_own_authority_only() {
        let place = Place::find(Some("127.0.0.1:0".parse().unwrap()), 0).unwrap();
        let (address, authority) = (place.address, Authority::new(place.address.ip()).unwrap());
        let clinic = Clinic::start(place.listener, &authority).unwrap();

        let known = Arc::new(authority.viewer().unwrap());
        let visit = ask_anew(address, known, "/stats").await.unwrap();
        assert_eq!(visit.status, StatusCode::OK);
        assert_eq!(visit.headers["cache-control"], "no-store");

        let other = Authority::new(address.ip()).unwrap();
        let unknown = Arc::new(other.viewer().unwrap());
        assert!(ask_anew(address, unknown, "/stats").await.is_err());
        assert_eq!(clinic.counts().of(crate::cli::demo::clinic::Search::Pcp), 0);
    }
}
