//! The programs that `run.sh` needs around the edge: an origin, a bare server, and viewers.
#![expect(
    clippy::disallowed_methods,
    reason = "a load tool reads the real clock"
)]
#![expect(clippy::print_stdout, reason = "its output is its result")]

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail};

mod bare;
mod origin;
mod viewers;

/// As the edge itself, so that the comparison is not one of allocators.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const USAGE: &str = "usage: load ports COUNT              free ports, one a line
       load origin PORT              /1k/…, /16k/…, /256k/…, /pass/…, /slow/… (500 ms), /count
       load bare PORT FILE           the reply in FILE to every request
       load get ADDRESS PATH         a reply as it came, head and body
       load wait ADDRESS             until something listens there
       load herd ADDRESS PATH COUNT  COUNT requests at once: {ok, first_ms, last_ms}
       load fill ADDRESS COUNT       COUNT objects of /1k/: {body_bytes, head_bytes}";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words {
        ["ports", count] => ports(count.parse()?),
        ["origin", port] => origin::serve(loopback(port)?).await,
        ["bare", port, file] => bare::serve(loopback(port)?, file.as_ref()).await,
        ["get", address, path] => viewers::get(address.parse()?, path).await,
        ["wait", address] => wait(address.parse()?).await,
        ["herd", address, path, count] => {
            viewers::herd(address.parse()?, path, count.parse()?).await
        }
        ["fill", address, count] => viewers::fill(address.parse()?, count.parse()?).await,
        [] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => bail!("{USAGE}"),
    }
}

fn loopback(port: &str) -> anyhow::Result<SocketAddr> {
    Ok(SocketAddr::from((
        [127, 0, 0, 1],
        port.parse().context("port")?,
    )))
}

/// Prints ports that are free now; all are held until the last is known, so that they differ.
fn ports(count: usize) -> anyhow::Result<()> {
    let held = (0..count)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0"))
        .collect::<std::io::Result<Vec<_>>>()?;
    for listener in held {
        println!("{}", listener.local_addr()?.port());
    }
    Ok(())
}

/// Returns when something accepts connections there; errs after ten seconds.
async fn wait(address: SocketAddr) -> anyhow::Result<()> {
    for _ in 0..100 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("nothing listens on {address} after 10 s")
}
