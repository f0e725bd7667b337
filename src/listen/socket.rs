//! Listening sockets that share an address.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, SockRef, Socket, Type};

/// Connections the kernel keeps for us while a worker is busy; it lowers this
/// to `net.core.somaxconn`, which is 4,096 on current Linux.
const BACKLOG: i32 = 4096;

/// What the kernel takes of an answer before it can be sent, for one connection, in bytes:
/// enough to go on with while a busy worker comes round, at 1 GB/s for 0.1 ms.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_MAX: u32 = 128 * 1024;

/// `count` sockets that listen on one address; none listens before all are bound.
///
/// Port 0 takes a free port, the same for all. The error names the address and
/// what is wrong with it.
pub(super) fn listeners(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    bind_all(address, count).map_err(|error| explain(address, &error))
}

/// `sockets` of another process, one list for each of `count` workers: every socket is in one
/// of them, since connections come to each, and every worker has at least one, a second hold on
/// a socket where there are fewer.
///
/// Workers that share a socket are all woken for a connection, and one of them has it.
pub(super) fn dealt(sockets: &[TcpListener], count: usize) -> io::Result<Vec<Vec<TcpListener>>> {
    let mut dealt: Vec<Vec<TcpListener>> = (0..count).map(|_| Vec::new()).collect();
    for turn in 0..count.max(sockets.len()) {
        let socket = sockets[turn % sockets.len()].try_clone()?;
        socket.set_nonblocking(true)?;
        let options = SockRef::from(&socket);
        options.set_tcp_nodelay(true)?;
        hold_little(&options)?;
        dealt[turn % count].push(socket);
    }
    Ok(dealt)
}

fn bind_all(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    if address.port() != 0 {
        // With `SO_REUSEPORT` another process of the same user that set it too
        // would silently share our connections. A socket that did not set it
        // cannot be bound beside a listening one.
        bind(address, Sharing::Alone)?;
    }
    let mut sockets = Vec::with_capacity(count);
    let mut address = address;
    for _ in 0..count {
        let socket = bind(address, Sharing::Shared)?;
        if let Some(bound) = socket.local_addr()?.as_socket() {
            address = bound;
        }
        sockets.push(socket);
    }
    for socket in &sockets {
        socket.listen(BACKLOG)?;
    }
    Ok(sockets.into_iter().map(TcpListener::from).collect())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    Shared,
}

fn bind(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if sharing == Sharing::Shared {
        socket.set_reuse_port(true)?;
    }
    // Accepted sockets inherit it: no system call per connection.
    socket.set_tcp_nodelay(true)?;
    hold_little(&socket)?;
    if address.is_ipv6() {
        // `[::]` means every address, as operators expect of it.
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Has the kernel take no more than [`UNSENT_MAX`] ahead of what a connection can carry.
///
/// It takes megabytes otherwise, for each viewer that reads slowly: a thousand of them are
/// enough to bring the whole machine's TCP near its bounds. Accepted sockets inherit it.
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    expect(unused_variables, reason = "elsewhere there is no such option")
)]
fn hold_little(socket: &Socket) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(UNSENT_MAX)?;
    Ok(())
}

fn explain(address: SocketAddr, error: &io::Error) -> io::Error {
    let what = match error.kind() {
        io::ErrorKind::AddrInUse => "already in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "not an address of this machine".to_owned(),
        io::ErrorKind::PermissionDenied => "not permitted to listen there".to_owned(),
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("address {address}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn r4_of_an_answer_that_nobody_takes_the_kernel_holds_little() {
        use std::{
            io::{ErrorKind, Write},
            net::TcpStream,
        };

        let own = listeners(([127, 0, 0, 1], 0).into(), 1).unwrap().remove(0);
        let given = TcpListener::bind("127.0.0.1:0").unwrap();
        let given = dealt(&[given], 1).unwrap().remove(0).remove(0);
        for listener in [own, given] {
            listener.set_nonblocking(false).unwrap();
            let _viewer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut accepted, _) = listener.accept().unwrap();
            accepted.set_nonblocking(true).unwrap();
            let (mut taken, mut fruitless) = (0, 0);
            // What is on its way may still arrive for a moment.
            while fruitless < 1_000 {
                match accepted.write(&[0; 64 << 10]) {
                    Ok(bytes) => (taken, fruitless) = (taken + bytes, 0),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => fruitless += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            assert!(taken < 1 << 20, "{taken} bytes");
        }
    }

    #[test]
    fn every_socket_has_a_worker_and_every_worker_a_socket() {
        let check = |sockets: usize, workers: usize, wanted: &[usize]| {
            let sockets = (0..sockets).map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
            let sockets: Vec<TcpListener> = sockets.collect();
            let dealt = dealt(&sockets, workers).unwrap();
            assert_eq!(dealt.iter().map(Vec::len).collect::<Vec<_>>(), wanted);
            let mut seen: Vec<SocketAddr> = dealt
                .iter()
                .flatten()
                .map(|one| one.local_addr().unwrap())
                .collect();
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), sockets.len());
        };
        check(1, 3, &[1, 1, 1]);
        check(2, 3, &[1, 1, 1]);
        check(3, 3, &[1, 1, 1]);
        check(3, 2, &[2, 1]);
    }
}
