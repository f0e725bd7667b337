//! The origin behind the edge: JSON of several sizes, cacheable for an hour, and a count of what it served.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;

/// The size of a body whose path names none.
const BODY_BYTES: usize = 1_024;

/// The sizes that a path can name, between slashes.
const SIZES: [(&str, usize); 2] = [("/16k/", 16 << 10), ("/256k/", 256 << 10)];

/// How long `/slow/…` takes.
const SLOW: Duration = Duration::from_millis(500);

static SERVED: AtomicU64 = AtomicU64::new(0);

/// Serves until the process ends.
pub(super) async fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(
            http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)),
        );
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    if path == "/count" {
        let count = SERVED.load(Relaxed).to_string();
        let mut response = Response::new(Full::from(count));
        response
            .headers_mut()
            .insert("cache-control", "no-store".parse().expect("a value"));
        return Ok(response);
    }
    SERVED.fetch_add(1, Relaxed);
    if path.starts_with("/slow/") {
        tokio::time::sleep(SLOW).await;
    }
    let mut response = object(path);
    if path.starts_with("/pass/") {
        let kept_nowhere = "no-store".parse().expect("a value");
        response.headers_mut().insert("cache-control", kept_nowhere);
    }
    Ok(response)
}

/// An answer as an API gives it: JSON naming the path, filled up to its size.
fn object(path: &str) -> Response<Full<Bytes>> {
    let size = SIZES.iter().find(|(name, _)| path.contains(name));
    let bytes = size.map_or(BODY_BYTES, |(_, bytes)| *bytes);
    let mut body = format!("{{\"path\":\"{path}\",\"pad\":\"").into_bytes();
    body.resize(body.len().max(bytes - 2), b'x');
    body.extend_from_slice(b"\"}");
    Response::builder()
        .header("content-type", "application/json")
        .header("cache-control", "max-age=3600")
        .header("etag", "\"5f3a-400\"")
        .header("last-modified", "Sat, 21 Nov 2026 08:00:00 GMT")
        .header("access-control-allow-origin", "*")
        .header("server", "origin")
        .body(Full::from(body))
        .expect("constant fields are valid")
}
