//! What a configuration takes from outside its own text: variables, files, the number of cores.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::time::{Clock, Timestamp};

/// The most bytes a configuration, a certificate bundle or a secret may have:
/// twenty times the usual bundle of all public authorities (some 200 KiB).
pub const FILE_BYTES_MAX: u64 = 4 << 20;

/// Why a confined process cannot read a file, and what to do.
const GAVE_UP: &str = "this process gave up reading in that folder when it started \
    (server.confine); it takes a restart";

/// Where `env:` and `file:` secrets, `ca` files and the default of `server.workers` come from.
pub trait Outside {
    /// The value of an environment variable, as bytes; `None` when it is not set.
    fn variable(&self, name: &str) -> Option<Vec<u8>>;

    /// The contents of a file, named as the configuration names it.
    ///
    /// Errs when it cannot be read, or has more than [`FILE_BYTES_MAX`] bytes.
    fn file(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Where a file is that the configuration names so.
    fn path(&self, named: &Path) -> PathBuf {
        named.to_owned()
    }

    /// The cores this process may use; at least 1.
    fn cores(&self) -> usize;

    /// The time, by which certificates expire.
    fn now(&self) -> Timestamp {
        Clock::System.now()
    }
}

/// This process's environment and the machine's files.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Relative paths start here: the folder of the configuration file.
    pub folder: PathBuf,
    /// The only folders that this process may still read, links followed; `None`: any.
    pub reach: Option<Vec<PathBuf>>,
}

impl Machine {
    /// Whether the process gave up reading `file`.
    fn gave_up(&self, file: &Path) -> bool {
        let Some(reach) = &self.reach else {
            return false;
        };
        let real = fs::canonicalize(file);
        let real = real.as_deref().unwrap_or(file);
        !reach.iter().any(|folder| real.starts_with(folder))
    }
}

impl Outside for Machine {
    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        // An empty name, or one with `=` or NUL, is never set.
        std::env::var_os(name).map(std::ffi::OsString::into_encoded_bytes)
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let path = self.folder.join(path);
        let mut bytes = Vec::new();
        File::open(&path)
            .map_err(|error| match error.kind() {
                io::ErrorKind::PermissionDenied if self.gave_up(&path) => {
                    io::Error::new(io::ErrorKind::PermissionDenied, GAVE_UP)
                }
                _ => error,
            })?
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            let bound = format!("it is larger than {} MiB", FILE_BYTES_MAX >> 20);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, bound));
        }
        Ok(bytes)
    }

    fn path(&self, named: &Path) -> PathBuf {
        self.folder.join(named)
    }

    fn cores(&self) -> usize {
        // Once: a process that gave up reading `/sys` and `/proc` is told another number.
        static CORES: OnceLock<usize> = OnceLock::new();
        *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
    }
}
