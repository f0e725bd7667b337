//! The viewers of the load script, beside wrk: one, a herd, and a patient filler.

use std::{
    io::Write as _,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

/// Connections that `fill` keeps busy.
const FILLERS: u64 = 16;

/// Fields the edge adds, which are no part of what it stores.
const ADDED: [&str; 6] = [
    "age",
    "cache-status",
    "connection",
    "via",
    "x-cache",
    "x-request-id",
];

type Requests = SendRequest<Empty<Bytes>>;

/// Prints the reply to one request as it came.
pub(super) async fn get(address: SocketAddr, path: &str) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await?;
    Ok(std::io::stdout().write_all(&reply)?)
}

/// Sends `count` requests for `path` at the same moment over connections that are already open.
///
/// Prints when the first and the last answer were complete.
pub(super) async fn herd(address: SocketAddr, path: &str, count: usize) -> anyhow::Result<()> {
    let mut open = Vec::with_capacity(count);
    for _ in 0..count {
        let mut requests = connect(address).await?;
        ask(&mut requests, address, "/1k/warm").await?;
        open.push(requests);
    }
    let started = Instant::now();
    let mut asking = JoinSet::new();
    for mut requests in open {
        let path = path.to_owned();
        asking.spawn(async move {
            let answer = ask(&mut requests, address, &path).await;
            (
                answer.is_ok_and(|(status, ..)| status == StatusCode::OK),
                started.elapsed(),
            )
        });
    }
    let answers = asking.join_all().await;
    let ok = answers.iter().filter(|(ok, _)| *ok).count();
    let ms = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64() * 1e3;
    let first = ms(answers.iter().map(|(_, time)| *time).min());
    let last = ms(answers.iter().map(|(_, time)| *time).max());
    println!(
        "ok={ok} first_ms={first:.1} last_ms={last:.1} spread_ms={:.1}",
        last - first
    );
    Ok(())
}

/// Asks for `count` different objects.
///
/// Prints the bytes of their bodies and of the fields that the origin gave them.
pub(super) async fn fill(address: SocketAddr, count: u64) -> anyhow::Result<()> {
    let mut filling = JoinSet::new();
    for filler in 0..FILLERS {
        filling.spawn(async move {
            let mut requests = connect(address).await?;
            let (mut bodies, mut heads) = (0, 0);
            for nth in (filler..count).step_by(FILLERS as usize) {
                let path = format!("/1k/object?nth={nth}");
                let (status, fields, body) = ask(&mut requests, address, &path).await?;
                ensure!(status == StatusCode::OK, "{path}: {status}");
                bodies += body.len();
                heads += origin_bytes(&fields);
            }
            anyhow::Ok((bodies, heads))
        });
    }
    let (mut bodies, mut heads) = (0, 0);
    for filled in filling.join_all().await {
        let (body, head) = filled?;
        bodies += body;
        heads += head;
    }
    println!("objects={count} body_bytes={bodies} head_bytes={heads}");
    Ok(())
}

/// Names and values of the fields that came from the origin.
fn origin_bytes(fields: &HeaderMap) -> usize {
    fields
        .iter()
        .filter(|(name, _)| !ADDED.contains(&name.as_str()))
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum()
}

async fn connect(address: SocketAddr) -> anyhow::Result<Requests> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| address.to_string())?;
    stream.set_nodelay(true)?;
    let (requests, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(requests)
}

async fn ask(
    requests: &mut Requests,
    address: SocketAddr,
    path: &str,
) -> anyhow::Result<(StatusCode, HeaderMap, Bytes)> {
    let request = Request::get(path)
        .header("host", address.to_string())
        .body(Empty::new())?;
    requests.ready().await?;
    let (head, body) = requests.send_request(request).await?.into_parts();
    Ok((head.status, head.headers, body.collect().await?.to_bytes()))
}
