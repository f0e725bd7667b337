//! Connections that begin with who the viewer is: the PROXY protocol, versions 1 and 2
//! (haproxy.org/download/3.0/doc/proxy-protocol.txt).
//!
//! A listener either asks for it or never looks for it: "The receiver MUST be configured to
//! only receive the protocol described in this specification and MUST not try to guess". Only
//! trusted proxies may introduce viewers; everybody else is closed on without a word.
//!
//! The header is read byte by byte where its length is not known, so that nothing of what
//! follows it is taken away.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use arc_swap::ArcSwap;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    net::TcpStream,
    sync::Semaphore,
    time::timeout,
};

use super::{Respond, accept::Door};
use crate::{observe, site::Proxies};

/// How many connections of the whole process may be without their header: as many as fall
/// into one `header_timeout` when a load balancer opens 400 a second and says nothing.
const INTRODUCTIONS_MAX: usize = 4_096;

/// The longest line of version 1, its CRLF included (§2.1 adds it up).
const LINE_BYTES_MAX: usize = 107;

/// The longest version 2 header behind its first 16 bytes: two socket paths take 216, the rest
/// is for what we skip (names, certificates' subjects).
const BLOCK_BYTES_MAX: usize = 4_096;

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// What the doors know of the proxies in front.
#[derive(Debug)]
pub(super) struct Doorstep {
    proxies: ArcSwap<Proxies>,
    room: Arc<Semaphore>,
}

impl Default for Doorstep {
    fn default() -> Self {
        Self {
            proxies: ArcSwap::default(),
            room: Arc::new(Semaphore::new(INTRODUCTIONS_MAX)),
        }
    }
}

impl Doorstep {
    /// For connections that come from now on.
    pub(super) fn set(&self, proxies: Proxies) {
        self.proxies.store(Arc::new(proxies));
    }
}

impl<R: Respond> Door<R> {
    /// Lets a connection enter at once, or, where the listener at `here` asks for it, as the
    /// viewer that its first bytes name.
    pub(super) fn greet(&self, mut stream: TcpStream, peer: SocketAddr, here: Option<SocketAddr>) {
        let doorstep = &self.shared.doorstep;
        let proxies = doorstep.proxies.load();
        if !here.is_some_and(|here| proxies.introduce_at(here)) {
            return self.enter(stream, peer);
        }
        if !proxies.trusted.holds(peer.ip()) {
            return observe::not_introduced(peer, &"not a trusted proxy");
        }
        let Ok(room) = Arc::clone(&doorstep.room).try_acquire_owned() else {
            return self.roll.turned_away();
        };
        let (door, within) = (self.clone(), self.shared.bounds.now().header_timeout);
        tokio::spawn(async move {
            let introduced = timeout(within, introduction(&mut stream)).await;
            drop(room);
            match introduced {
                Ok(Ok(viewer)) => door.enter(stream, viewer.unwrap_or(peer)),
                Ok(Err(cause)) => observe::not_introduced(peer, &cause),
                Err(_) => observe::not_introduced(peer, &"no whole header in time"),
            }
        });
    }
}

/// Reads the header from the start of `io`, and nothing behind it: the viewer's address, or
/// `None` when the proxy speaks for itself or does not know.
///
/// Errs when there is none, it breaks the specification, or it is longer than the bounds.
async fn introduction<I: AsyncRead + Unpin>(io: &mut I) -> io::Result<Option<SocketAddr>> {
    // Neither version is shorter, and they differ in the first byte.
    let mut start = [0; SIGNATURE.len()];
    io.read_exact(&mut start).await?;
    if start == SIGNATURE {
        let mut fixed = [0; 4];
        io.read_exact(&mut fixed).await?;
        let length = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        if length > BLOCK_BYTES_MAX {
            return Err(malformed());
        }
        let mut block = vec![0; length];
        io.read_exact(&mut block).await?;
        return block_names(fixed[0], fixed[1], &block).ok_or_else(malformed);
    }
    let mut line = start.to_vec();
    if !line.starts_with(b"PROXY ") {
        return Err(malformed());
    }
    while !line.ends_with(b"\r\n") {
        if line.len() >= LINE_BYTES_MAX {
            return Err(malformed());
        }
        line.push(io.read_u8().await?);
    }
    line_names(&line).ok_or_else(malformed)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no PROXY protocol header")
}

/// Whom a line of version 1 names; `None` when it breaks §2.1.
fn line_names(line: &[u8]) -> Option<Option<SocketAddr>> {
    let line = std::str::from_utf8(line.strip_suffix(b"\r\n")?).ok()?;
    let mut words = line.strip_prefix("PROXY ")?.split(' ');
    let protocol = words.next()?;
    // "the receiver must ignore anything presented before the CRLF is found"
    if protocol == "UNKNOWN" {
        return Some(None);
    }
    let words: [&str; 4] = words.collect::<Vec<_>>().try_into().ok()?;
    let [source, destination, source_port, destination_port] = words;
    let source = match protocol {
        "TCP4" => both::<Ipv4Addr>(source, destination)?.into(),
        "TCP6" => both::<Ipv6Addr>(source, destination)?.into(),
        _ => return None,
    };
    let source_port = port(source_port)?;
    port(destination_port)?;
    Some(Some(viewer(source, source_port)))
}

/// The first of two addresses, if both are of one family.
fn both<A: FromStr>(source: &str, destination: &str) -> Option<A> {
    destination.parse::<A>().ok()?;
    source.parse().ok()
}

/// A decimal number of 16 bits; zeros in front are not permitted (§2.1).
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    (plain && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok())?
}

/// Whom the block of a version 2 header names; `None` when it breaks §2.2.
fn block_names(version_and_command: u8, family: u8, block: &[u8]) -> Option<Option<SocketAddr>> {
    match version_and_command {
        // LOCAL: "the receiver must use the real connection endpoints".
        0x20 => return Some(None),
        0x21 => {}
        _ => return None,
    }
    let (source, port) = match family {
        // TCP over IPv4: two addresses, two ports.
        0x11 => {
            let (source, rest) = block.split_first_chunk::<4>()?;
            (IpAddr::from(*source), rest.get(4..8)?)
        }
        // TCP over IPv6.
        0x21 => {
            let (source, rest) = block.split_first_chunk::<16>()?;
            (IpAddr::from(*source), rest.get(16..20)?)
        }
        // Unspecified, datagrams, Unix sockets: no address of a viewer of ours.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => return Some(None),
        _ => return None,
    };
    let port = u16::from_be_bytes([port[0], port[1]]);
    Some(Some(viewer(source, port)))
}

fn viewer(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), port)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `bytes` say, and how many of them were left.
    fn read(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, usize) {
        let mut rest = bytes;
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let read = runtime.unwrap().block_on(introduction(&mut rest));
        (read, rest.len())
    }

    #[track_caller]
    fn check(header: &[u8], expected: Option<&str>) {
        let expected = expected.map(|address| address.parse().unwrap());
        let mut bytes = header.to_vec();
        bytes.extend_from_slice(b"GET / HTTP/1.1\r\n");
        let (seen, left) = read(&bytes);
        assert_eq!(seen.unwrap(), expected);
        assert_eq!(
            left,
            b"GET / HTTP/1.1\r\n".len(),
            "what follows is untouched"
        );
        for cut in 0..header.len() {
            assert!(read(&header[..cut]).0.is_err(), "cut at {cut}");
        }
    }

    #[track_caller]
    fn refused(bytes: &[u8]) {
        assert!(
            read(bytes).0.is_err(),
            "{:?}",
            String::from_utf8_lossy(bytes)
        );
    }

    fn block(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, block].concat()
    }

    #[test]
    fn a_line_names_the_viewer() {
        check(
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n",
            Some("192.0.2.1:4711"),
        );
        check(
            b"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n",
            Some("[2001:db8::1]:4711"),
        );
        check(
            b"PROXY TCP6 ::ffff:192.0.2.1 ::1 0 80\r\n",
            Some("192.0.2.1:0"),
        );
        check(b"PROXY UNKNOWN\r\n", None);
        check(b"PROXY UNKNOWN what ever 1\r\n", None);
    }

    #[test]
    fn a_line_that_breaks_the_rules_is_refused() {
        refused(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        refused(b"PROXY TCP4 192.0.2.1 10.0.0.1 4711\r\n");
        refused(b"PROXY TCP4 192.0.2.1  10.0.0.1 4711 80\r\n");
        refused(b"PROXY TCP4 192.0.2.1 10.0.0.1 04711 80\r\n");
        refused(b"PROXY TCP4 192.0.2.1 10.0.0.1 +4711 80\r\n");
        refused(b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 65536\r\n");
        refused(b"PROXY TCP4 192.0.2.01 10.0.0.1 4711 80\r\n");
        refused(b"PROXY TCP4 ::1 ::1 4711 80\r\n");
        refused(b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80 1\r\n");
        refused(b"PROXY UDP4 192.0.2.1 10.0.0.1 4711 80\r\n");
        refused(b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\n\r\n");
        let endless = [&b"PROXY UNKNOWN "[..], &[b'a'; 200], b"\r\n"].concat();
        refused(&endless);
    }

    #[test]
    fn a_block_names_the_viewer() {
        let four = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 0, 80];
        check(&block(0x21, 0x11, &four), Some("192.0.2.1:4711"));
        let more = [&four[..], &[0x04, 0, 2, 7, 7]].concat();
        check(&block(0x21, 0x11, &more), Some("192.0.2.1:4711"));
        let mut six = [0; 36];
        six[15] = 1;
        six[32..34].copy_from_slice(&[0x12, 0x67]);
        check(&block(0x21, 0x21, &six), Some("[::1]:4711"));
        check(&block(0x20, 0x00, &[]), None);
        check(&block(0x20, 0x11, &four), None);
        check(&block(0x21, 0x00, &[]), None);
        check(&block(0x21, 0x31, &[0; 216]), None);
    }

    #[test]
    fn a_block_that_breaks_the_rules_is_refused() {
        refused(&block(0x11, 0x11, &[0; 12]));
        refused(&block(0x22, 0x11, &[0; 12]));
        refused(&block(0x21, 0x11, &[0; 7]));
        refused(&block(0x21, 0x21, &[0; 19]));
        refused(&block(0x21, 0x13, &[0; 12]));
        refused(&block(0x20, 0x00, &[0; BLOCK_BYTES_MAX + 1]));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(bytes: Vec<u8>, signed: bool) {
            let bytes = if signed { [&SIGNATURE[..], &bytes].concat() } else { bytes };
            let _ = read(&bytes);
            let _ = read(&[&b"PROXY "[..], &bytes].concat());
        }
    }
}
