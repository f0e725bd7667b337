//! The limit: a hyper server that answers every request with the same bytes from a constant.
//!
//! What the edge costs above it is what looking, deciding and counting cost.

use std::{convert::Infallible, net::SocketAddr, path::Path, sync::Arc};

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;

/// Fields hyper writes itself, or that belong to the connection the reply came on.
const NOT_REPEATED: [&str; 4] = ["connection", "content-length", "date", "transfer-encoding"];

/// Serves the reply in `file` until the process ends.
pub(super) async fn serve(address: SocketAddr, file: &Path) -> anyhow::Result<()> {
    let reply = std::fs::read(file).with_context(|| file.display().to_string())?;
    let reply = Arc::new(parse(&reply).context("a reply as `load get` prints it")?);
    let listener = tokio::net::TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let reply = Arc::clone(&reply);
        let service = service_fn(move |_| {
            let mut response = Response::new(Full::new(reply.1.clone()));
            *response.headers_mut() = reply.0.clone();
            std::future::ready(Ok::<_, Infallible>(response))
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// The fields and the body of a reply.
fn parse(reply: &[u8]) -> Option<(HeaderMap, Bytes)> {
    let end = reply.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&reply[..end]).ok()?;
    let mut fields = HeaderMap::new();
    for line in head.split("\r\n").skip(1) {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::try_from(name).ok()?;
        if !NOT_REPEATED.contains(&name.as_str()) {
            fields.append(name, HeaderValue::from_str(value.trim()).ok()?);
        }
    }
    Some((fields, Bytes::copy_from_slice(&reply[end + 4..])))
}
