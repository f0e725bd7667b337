//! Sockets from the service manager (systemd.socket(5), sd_listen_fds(3)).

use std::{env, io};

use listenfd::ListenFd;

use super::Inherited;

/// The listening sockets that the service manager passed to this process: none when it passed
/// none, or passed them to another one (`LISTEN_PID`).
///
/// To be called once, before there are other threads: it takes the variables out of the
/// environment, so that nobody takes the same sockets again. Errs when what was passed is no
/// socket that listens for TCP.
pub fn activated() -> io::Result<Inherited> {
    let mut inherited = Inherited::default();
    // Without it the numbers could be anybody's: `sd_listen_fds` wants both.
    if env::var_os("LISTEN_PID").is_none() {
        return Ok(inherited);
    }
    let mut passed = ListenFd::from_env();
    for index in 0..passed.len() {
        let socket = passed.take_tcp_listener(index).map_err(|error| {
            let what = format!("socket {index} of the service manager: {error}");
            io::Error::new(error.kind(), what)
        })?;
        if let Some(socket) = socket {
            inherited.add(socket)?;
        }
    }
    Ok(inherited)
}
