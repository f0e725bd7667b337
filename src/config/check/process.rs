//! The process: its workers, waits, memory and listeners.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    config::{
        check::Check,
        problem::Place,
        raw,
        read::{At, Size},
        units,
    },
    site::{Cache, DebugSecret, Listener, Server, Transport},
};

/// More threads than any machine we know has cores.
const WORKERS_MAX: u64 = 1024;

/// The longest wait for a peer: whoever needs an hour needs something other than HTTP.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// The shortest wait for a peer: less than this is a slip of the unit.
pub(super) const WAIT_MIN: Duration = Duration::from_millis(1);

/// The smallest cache that holds anything next to its own index.
const MEMORY_MIN: u64 = 1 << 20;

/// More connections than any machine has room for.
const CONNECTIONS_MAX: u64 = 10_000_000;

/// The shortest secret that viewers may try at: 64 bits, when written in hexadecimal digits.
const DEBUG_SECRET_BYTES_MIN: usize = 16;

/// What fits into `sun_path` with its final NUL (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

const MEMORY: u64 = 512 << 20;
const OBJECT_MAX: u64 = 32 << 20;

impl Check<'_> {
    pub(super) fn server(&mut self, raw: Option<&At<raw::Server>>) -> Server {
        let none = raw::Server::default();
        let raw = raw.map_or(&none, |raw| &raw.value);
        let wait = WAIT_MIN..=WAIT_MAX;
        let seconds = Duration::from_secs;
        let workers = match raw.workers {
            Some(_) => self.number(raw.workers.as_ref(), 1, 1..=WORKERS_MAX),
            None => self.outside.cores() as u64,
        };
        let connections_max = self.connections(raw.connections_max.as_ref());
        let per_address = self.connections(raw.connections_per_address_max.as_ref());
        Server {
            workers: usize::try_from(workers).unwrap_or(1),
            drain_timeout: self.duration(
                raw.drain_timeout.as_ref(),
                seconds(30),
                Duration::ZERO..=WAIT_MAX,
            ),
            header_timeout: self.duration(raw.header_timeout.as_ref(), seconds(10), wait.clone()),
            idle_timeout: self.duration(raw.idle_timeout.as_ref(), seconds(75), wait),
            connections_max,
            connections_per_address_max: per_address,
            debug_secret: raw
                .debug_secret
                .as_ref()
                .and_then(|secret| self.debug_secret(secret)),
            hand_over: self.hand_over(raw.hand_over.as_ref()),
            confine: raw.confine.as_ref().is_none_or(|confine| confine.value),
            express: raw.express.as_ref().is_none_or(|express| express.value),
        }
    }

    fn hand_over(&mut self, raw: Option<&At<String>>) -> Option<PathBuf> {
        let raw = raw?;
        let path = self.outside.path(Path::new(&raw.value));
        if raw.value.is_empty() || raw.value.ends_with('/') {
            self.findings
                .error(&raw.place, format!("{:?} is no file", raw.value))
                .hint("write \"/run/warmfront/hand-over.sock\"");
        } else if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            let what = format!("{:?} is too long for a Unix socket", path.display());
            let hint = format!("use {SOCKET_PATH_BYTES_MAX} bytes at most");
            self.findings.error(&raw.place, what).hint(hint);
        }
        Some(path)
    }

    /// A number of connections, if the file says one.
    fn connections(&mut self, field: Option<&At<u64>>) -> Option<usize> {
        let written = field.map(|field| field.value)?;
        self.number(field, written, 1..=CONNECTIONS_MAX);
        usize::try_from(written).ok()
    }

    fn debug_secret(&mut self, field: &At<String>) -> Option<DebugSecret> {
        let bytes = self
            .secret(&field.value, &field.place)
            .0
            .filter(|bytes| !bytes.is_empty())?;
        if bytes.len() < DEBUG_SECRET_BYTES_MIN {
            let what = format!("{} bytes can be guessed", bytes.len());
            self.findings.error(&field.place, what);
            let hint = format!("use {DEBUG_SECRET_BYTES_MIN} or more, `openssl rand -hex 16`");
            self.findings.hint(hint);
        }
        if !bytes.iter().all(u8::is_ascii_graphic) {
            let what = "a viewer cannot send it: it holds spaces or other than ASCII";
            self.findings
                .error(&field.place, what)
                .hint("use letters and digits");
        }
        Some(DebugSecret::new(&bytes))
    }

    pub(super) fn cache(&mut self, raw: Option<&At<raw::Cache>>) -> Cache {
        let Some(raw) = raw else {
            return Cache {
                memory: MEMORY,
                object_max: OBJECT_MAX,
            };
        };
        let (memory, object_max) = (raw.value.memory.as_ref(), raw.value.object_max.as_ref());
        for (field, least) in [(memory, MEMORY_MIN), (object_max, 1)] {
            if let Some(At {
                value: Size(bytes),
                place,
            }) = field.filter(|size| size.value.0 < least)
            {
                let what = format!("{:?} is too little", units::show_size(*bytes));
                let hint = format!("write {} or more", units::show_size(least));
                self.findings.error(place, what).hint(hint);
            }
        }
        let memory = memory.map_or(MEMORY, |size| size.value.0);
        // A small cache lowers the default; only a written contradiction is one.
        let Some(object_max) = object_max else {
            return Cache {
                memory,
                object_max: OBJECT_MAX.min(memory),
            };
        };
        if object_max.value.0 > memory {
            let [one, all] = [object_max.value.0, memory].map(units::show_size);
            let what = format!("one object of {one} does not fit into the cache's {all}");
            self.findings.error(&object_max.place, what);
            self.findings
                .hint("raise `cache.memory` or lower `cache.object_max`");
        }
        Cache {
            memory,
            object_max: object_max.value.0,
        }
    }

    pub(super) fn listeners(
        &mut self,
        raw: Option<&At<Vec<At<raw::Listener>>>>,
    ) -> Vec<At<Listener>> {
        let raw = raw.map_or(&[][..], |raw| &raw.value);
        let whole = Place::default();
        if raw.is_empty() && !self.findings.covers(&whole.missing("listener")) {
            self.findings.error(&whole, "no listener is configured");
            self.findings
                .hint("add [[listener]] with address = \"0.0.0.0:8080\"");
        }
        let mut listeners: Vec<At<Listener>> = Vec::with_capacity(raw.len());
        for one in raw {
            let field = self.required(
                one.value.address.as_ref(),
                &one.place,
                "address",
                "127.0.0.1:8080",
            );
            let Some(At { value: text, place }) = field else {
                continue;
            };
            let Some(address) = self.address(text, place) else {
                continue;
            };
            if let Some(earlier) = listeners
                .iter()
                .find(|at| overlap(at.value.address, address))
            {
                let (other, line) = (earlier.value.address, self.findings.line(&earlier.place));
                let what = format!("{address} is taken by the listener {other} on line {line}");
                self.findings.error(place, what);
            }
            listeners.push(At {
                value: Listener {
                    address,
                    transport: match one.value.tls.as_ref().map(|tls| tls.value) {
                        Some(true) => Transport::Tls,
                        Some(false) | None => Transport::Plain,
                    },
                },
                place: place.clone(),
            });
        }
        listeners
    }

    /// An address to listen on.
    pub(super) fn address(&mut self, text: &str, place: &Place) -> Option<SocketAddr> {
        if let Ok(address) = text.parse() {
            return Some(address);
        }
        let hint = match (text.strip_prefix(':'), text.strip_prefix("localhost:")) {
            (Some(port), _) => format!("write \"0.0.0.0:{port}\" for every IPv4 address"),
            (_, Some(port)) => format!("write \"127.0.0.1:{port}\""),
            _ => "write an IP address and a port, \"0.0.0.0:8080\" or \"[::1]:8080\"".to_owned(),
        };
        self.findings
            .error(place, format!("{text:?} is no address to listen on"))
            .hint(hint);
        None
    }
}

/// Whether two listeners would get the same connections: with `SO_REUSEPORT` the
/// kernel lets both bind, and one of them hears nothing.
pub(super) fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let any = |address: SocketAddr, version: SocketAddr| {
        address.ip().is_unspecified() && (address.is_ipv6() || version.is_ipv4())
    };
    one == other
        || one.port() == other.port() && one.port() != 0 && (any(one, other) || any(other, one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_takes_every_address_of_its_port() {
        let check = |one: &str, other: &str, wanted| {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(overlap(one, other), wanted, "{one} {other}");
            assert_eq!(overlap(other, one), wanted, "{other} {one}");
        };
        check("0.0.0.0:80", "127.0.0.1:80", true);
        check("[::]:80", "127.0.0.1:80", true);
        check("[::]:80", "[::1]:80", true);
        check("0.0.0.0:80", "[::1]:80", false);
        check("0.0.0.0:80", "127.0.0.1:81", false);
        check("127.0.0.1:80", "127.0.0.2:80", false);
        check("127.0.0.1:80", "127.0.0.1:80", true);
        check("0.0.0.0:0", "127.0.0.1:0", false);
    }
}
