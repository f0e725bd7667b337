//! The old process: it offers its sockets until somebody has taken them over.

use std::{
    fs,
    io::{self, ErrorKind},
    os::{
        fd::AsFd,
        unix::{
            fs::{FileTypeExt, PermissionsExt},
            net,
        },
    },
    path::Path,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{UnixListener, UnixStream},
    sync::oneshot,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Spares,
    wire::{END, GREETING, SERVE, YOURS, is_of_our_user, send_socket},
};

/// For the greeting, and for the sockets to be taken.
const TALK_MAX: Duration = Duration::from_secs(5);

/// For a process to get ready that has the sockets: it reads its configuration before it asks
/// for them, so this is far more than it needs.
const START_MAX: Duration = Duration::from_secs(60);

/// The pause after a failed accept, which would fail at once again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// An open offer. Dropping it ends it; the file stays, and the next offer there replaces it.
#[derive(Debug)]
pub struct Offer {
    heir: Option<oneshot::Receiver<Heir>>,
    _task: AbortOnDropHandle<()>,
}

/// The process that has the sockets, is ready to serve, and waits until this one lets go.
#[derive(Debug)]
pub struct Heir(UnixStream);

impl Offer {
    /// Offers `spares`, as they are when somebody asks, at the Unix socket `path`, to processes
    /// of the same user. To be called within a runtime.
    ///
    /// Errs when something is there that is no abandoned socket: another process that offers
    /// its own, or somebody's file.
    pub fn open(path: &Path, spares: Spares) -> io::Result<Self> {
        clear(path)?;
        let listener = UnixListener::bind(path)?;
        // Until then whoever may enter the folder may connect, and is hung up on.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        let (tell, heir) = oneshot::channel();
        let task = tokio::spawn(async move {
            // Nobody waits for it any more: then it is not let go either.
            let _ = tell.send(found(listener, spares).await);
        });
        Ok(Self {
            heir: Some(heir),
            _task: AbortOnDropHandle::new(task),
        })
    }

    /// Returns once a process has every socket and waits to serve; nobody else is offered them
    /// from then on. Dropping it loses nothing.
    pub async fn heir(&mut self) -> Heir {
        if let Some(waiting) = &mut self.heir {
            let heir = waiting.await;
            self.heir = None;
            if let Ok(heir) = heir {
                return heir;
            }
        }
        // There is at most one.
        std::future::pending().await
    }
}

impl Heir {
    /// Lets it serve. To be called when nothing is accepted here any more, and nothing
    /// written that it will write.
    pub async fn release(mut self) {
        // It may be gone: then nobody serves, which its own manager knows.
        let _ = timeout(TALK_MAX, self.0.write_all(&[YOURS])).await;
    }
}

/// Removes the socket of a process that is gone.
fn clear(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        let what = "a file is there that is no socket";
        return Err(io::Error::new(ErrorKind::AlreadyExists, what));
    }
    match net::UnixStream::connect(path) {
        Ok(_) => {
            let what = "another process offers its sockets there";
            Err(io::Error::new(ErrorKind::AddrInUse, what))
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// Answers one caller after the other, until one of them is ready to serve.
async fn found(listener: UnixListener, spares: Spares) -> Heir {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if let Ok(heir) = given(stream, &spares).await {
            return heir;
        }
    }
}

/// Gives `spares` to whoever called, and waits until it is ready. Errs when it is of another
/// user, hangs up, or takes too long; then nothing has changed.
async fn given(mut stream: UnixStream, spares: &Spares) -> io::Result<Heir> {
    if !is_of_our_user(stream.as_fd())? {
        return Err(ErrorKind::PermissionDenied.into());
    }
    timeout(TALK_MAX, give(&mut stream, spares)).await??;
    let ready = timeout(START_MAX, stream.read_u8()).await??;
    if ready != SERVE {
        return Err(ErrorKind::InvalidData.into());
    }
    Ok(Heir(stream))
}

async fn give(stream: &mut UnixStream, spares: &Spares) -> io::Result<()> {
    let mut greeting = [0; GREETING.len()];
    stream.read_exact(&mut greeting).await?;
    if greeting != GREETING {
        return Err(ErrorKind::InvalidData.into());
    }
    for socket in spares.all() {
        let send = || send_socket(&*stream, &socket);
        stream.async_io(Interest::WRITABLE, send).await?;
    }
    stream.write_all(&[END]).await
}
