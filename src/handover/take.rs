//! The new process: it takes the sockets of the one that serves, and its place once ready.

use std::{
    io::{self, ErrorKind, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    path::Path,
    time::Duration,
};

use super::{
    Inherited,
    wire::{END, GREETING, SERVE, SOCKET, SOCKETS_MAX, YOURS, is_of_our_user, receive},
};

/// For each byte of the old process. It lets its admin API finish for a second, and waits for
/// the disk once, before it says the last one.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The process that serves until it is told to let go. Dropping it leaves it serving.
#[derive(Debug)]
pub struct Predecessor(UnixStream);

/// The sockets of the process that offers them at `path`, and that process; `None` when there
/// is none. Blocks.
///
/// Connections that come meanwhile go to the old process, or wait in the kernel's queue. Errs
/// when whoever is there is of another user, hangs up, or does not speak this language.
pub fn take_over(path: &Path) -> io::Result<Option<(Inherited, Predecessor)>> {
    let mut stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if is_nobody(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    if !is_of_our_user(stream.as_fd())? {
        let what = "the process there runs as another user";
        return Err(io::Error::new(ErrorKind::PermissionDenied, what));
    }
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    stream.write_all(GREETING)?;
    let mut inherited = Inherited::default();
    for _ in 0..=SOCKETS_MAX {
        match receive(&stream)? {
            (SOCKET, Some(socket)) => inherited.add(socket)?,
            (END, None) => return Ok(Some((inherited, Predecessor(stream)))),
            _ => break,
        }
    }
    let what = "the process there does not speak this version's language";
    Err(io::Error::new(ErrorKind::InvalidData, what))
}

impl Predecessor {
    /// Makes it let go; when this returns, it accepts nothing and writes nothing any more, and
    /// finishes what it has begun. Blocks, 10 seconds at most.
    ///
    /// An error says that it did not answer: it is gone, or stuck. Its place may be taken all
    /// the same, since the sockets are here.
    pub fn succeed(mut self) -> io::Result<()> {
        self.0.write_all(&[SERVE])?;
        match receive(&self.0)? {
            (YOURS, None) => Ok(()),
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }
}

/// Nobody has ever listened there, or whoever did is gone.
fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;
    use crate::handover::{Offer, Spares};

    fn take(path: &Path) -> Option<(Inherited, Predecessor)> {
        take_over(path).unwrap()
    }

    #[tokio::test]
    async fn the_very_sockets_pass_and_the_old_process_lets_go_only_when_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("next.sock");
        assert!(take(&path).is_none());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let spares = Spares::default();
        spares.hold(at, vec![listener]);
        let mut offer = Offer::open(&path, spares.clone()).unwrap();

        let taking = tokio::task::spawn_blocking({
            let path = path.clone();
            move || {
                // The first one fails to start: the offer stands.
                drop(take(&path).unwrap());
                take(&path).unwrap()
            }
        });
        let (mut inherited, predecessor) = taking.await.unwrap();
        let sockets = inherited.take(at);
        assert_eq!(sockets.len(), 1);
        let succeeding = thread::spawn(move || predecessor.succeed());
        let heir = offer.heir().await;
        spares.clear();
        // Queued while nobody accepts, and taken by whoever holds the socket.
        let _viewer = std::net::TcpStream::connect(at).unwrap();
        heir.release().await;
        tokio::task::spawn_blocking(move || succeeding.join().unwrap())
            .await
            .unwrap()
            .unwrap();
        sockets[0].accept().unwrap();
        // Its place is free for the next one.
        Offer::open(&path, spares).unwrap();
    }

    #[tokio::test]
    async fn nobody_elses_place_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("next.sock");
        let _offer = Offer::open(&path, Spares::default()).unwrap();
        let error = Offer::open(&path, Spares::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let file = folder.path().join("file");
        std::fs::write(&file, "somebody's").unwrap();
        let error = Offer::open(&file, Spares::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&file).unwrap(), b"somebody's");
    }
}
