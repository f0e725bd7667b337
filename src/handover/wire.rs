//! What two processes say to each other: single bytes, each with at most one socket.
//!
//! One byte a message, so that a stream never joins two: a socket that is passed marks a
//! boundary of its own only where something is read that came before it.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::TcpListener,
    os::fd::{AsFd, BorrowedFd},
};

use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt::socket_peercred,
    },
};

/// What the new process begins with: what it wants, and in which version.
pub(super) const GREETING: &[u8] = b"warmfront sockets 1\n";

/// A socket comes with it.
pub(super) const SOCKET: u8 = b'S';
/// There are no more sockets.
pub(super) const END: u8 = b'.';
/// The new process serves as soon as the old one has let go.
pub(super) const SERVE: u8 = b'R';
/// The old process has let go.
pub(super) const YOURS: u8 = b'Y';

/// Sockets passed at most: 1,024 workers at a dozen addresses do not have as many.
pub(super) const SOCKETS_MAX: usize = 16_384;

/// Sends one socket, and the byte it comes with. Errs as `sendmsg(2)` does, with
/// [`io::ErrorKind::WouldBlock`] where the stream does not wait.
pub(super) fn send_socket(to: impl AsFd, socket: &TcpListener) -> io::Result<()> {
    let sockets = [socket.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(io::Error::other("no room for a socket in its message"));
    }
    let byte = [IoSlice::new(&[SOCKET])];
    sendmsg(to, &byte, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one byte, and the socket that came with it. Errs when the other side has hung up.
pub(super) fn receive(from: impl AsFd) -> io::Result<(u8, Option<TcpListener>)> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(&mut byte)];
    let received = loop {
        match recvmsg(&from, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC) {
            // With a timeout, a signal ends the wait whatever its handler says (signal(7)).
            Err(Errno::INTR) => {}
            received => break received?,
        }
    };
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let socket = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    });
    Ok((byte[0], socket.map(TcpListener::from)))
}

/// Whether the process at the other end runs as this one's user, or as root.
///
/// Whoever is given the sockets sees every viewer's request; whoever gives them is believed.
pub(super) fn is_of_our_user(peer: BorrowedFd<'_>) -> io::Result<bool> {
    let (ours, theirs) = (rustix::process::geteuid(), socket_peercred(peer)?.uid);
    Ok(theirs == ours || theirs.is_root())
}
