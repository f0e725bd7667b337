//! What the service manager is told of this process's life (sd_notify(3)).

use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{ffi::OsStrExt, net},
    },
};

use crate::time;

/// The service manager, where there is one that listens (`NOTIFY_SOCKET`).
///
/// Telling it never waits and never fails: a manager that does not listen notices that itself.
#[derive(Debug, Default)]
pub struct Service(Option<net::UnixDatagram>);

impl Service {
    /// The one that started this process; nobody, when none did or it cannot be reached.
    pub fn from_environment() -> Self {
        let Some(path) = env::var_os("NOTIFY_SOCKET") else {
            return Self(None);
        };
        Self(connected(&path).ok())
    }

    /// Everything that viewers are to be served with is served.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// Another configuration is being read; [`Service::ready`] follows, whatever comes of it.
    pub fn reloading(&self) {
        let now = time::monotonic_micros();
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    /// Nothing new is begun.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, what: &str) {
        if let Some(socket) = &self.0 {
            let _ = socket.send(what.as_bytes());
        }
    }
}

fn connected(path: &OsStr) -> io::Result<net::UnixDatagram> {
    let socket = net::UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    // "If the first character of $NOTIFY_SOCKET is "@", the string is understood as Linux
    // abstract namespace socket."
    match path.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&net::SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(path)?,
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_is_told_where_the_manager_listens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = net::UnixDatagram::bind(&path).unwrap();
        let service = Service(connected(path.as_os_str()).ok());
        service.ready();
        service.reloading();
        service.stopping();
        let heard = || {
            let mut text = [0; 64];
            let bytes = manager.recv(&mut text).unwrap();
            String::from_utf8(text[..bytes].to_vec()).unwrap()
        };
        assert_eq!(heard(), "READY=1");
        assert!(heard().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(heard(), "STOPPING=1");
    }

    #[test]
    fn nobody_listening_is_no_error() {
        assert!(connected(OsStr::new("/nowhere/at/all")).is_err());
        Service(None).ready();
    }
}
