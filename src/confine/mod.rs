//! What this process may still do with files, given up for good (Landlock).
//!
//! Whoever finds a way to make the process do something it should not finds that it can read
//! what its configuration names and what the system shows everybody, write beside its own
//! journal, and start nothing. The restriction holds for the thread that asks for it and every
//! one it starts afterwards, so it is asked for before there are others.
//!
//! Rules are about folders, not files. A rule is kept by the file it was made for, and files
//! are replaced: by editors, `certbot`, `kubectl`, and NetworkManager, whose new
//! `/etc/resolv.conf` must be read or no origin is found any more.

use std::{ffi::OsStr, fs, path::PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, make_bitflags, path_beneath_rules,
};

/// The newest rights that are known here, of Linux 6.10; an older kernel has fewer of them,
/// which is better than none.
const KNOWN: ABI = ABI::V5;

/// What the system's own libraries read at any time, and every user may: where names are
/// looked up (`nsswitch.conf`, `hosts`, and the modules these load), and which authorities
/// are trusted. What among them is private is another user's, or this process should not run
/// as root.
const SYSTEM: [&str; 5] = ["/etc", "/usr", "/lib", "/lib64", "/nix/store"];

/// How far the system went along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Degree {
    /// All that is asked for here.
    Full,
    /// Some of it: the kernel is older than Linux 6.10.
    Part,
    /// Nothing: the kernel is older than Linux 5.13, or was started without Landlock.
    Nothing,
}

impl Degree {
    /// The word the log uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Part => "part",
            Self::Nothing => "nothing",
        }
    }
}

/// The folders this process keeps; everything beneath them counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders {
    /// Read.
    pub read: Vec<PathBuf>,
    /// Read and written.
    pub written: Vec<PathBuf>,
}

impl Folders {
    /// These, and what the system's own libraries read.
    #[must_use]
    pub fn with_system(mut self) -> Self {
        self.read.extend(SYSTEM.map(PathBuf::from));
        // Mostly a link into `/run`, where it is replaced.
        let resolver = fs::canonicalize("/etc/resolv.conf");
        let resolver = resolver.ok().and_then(|file| Some(file.parent()?.into()));
        self.read.extend(resolver);
        // Where OpenSSL's variables say that the authorities are.
        let variables = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
        let named = variables.iter().filter_map(std::env::var_os);
        for list in named {
            for path in std::env::split_paths::<OsStr>(&list) {
                let folder = fs::canonicalize(path)
                    .ok()
                    .and_then(|path| match path.is_dir() {
                        true => Some(path),
                        false => Some(path.parent()?.into()),
                    });
                self.read.extend(folder);
            }
        }
        self
    }
}

/// Gives up everything but `folders`, for this thread and all that it starts from now on.
/// Nothing is executed any more, and no privilege gained.
///
/// A folder that does not exist is left out; it cannot be used when it is made later. Errs
/// when the system refuses what it says it can do; then it may hold or not.
pub fn confine(folders: &Folders) -> Result<Degree, RulesetError> {
    let read: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let written =
        read | make_bitflags!(AccessFs::{WriteFile | Truncate | MakeReg | MakeSock | RemoveFile});
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .create()?
        .add_rules(path_beneath_rules(&folders.read, read))?
        .add_rules(path_beneath_rules(&folders.written, written))?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Degree::Full,
        RulesetStatus::PartiallyEnforced => Degree::Part,
        RulesetStatus::NotEnforced => Degree::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use std::{io::ErrorKind, path::Path, process::Command, thread};

    use super::*;

    /// What `test` finds on a thread that kept `folders`; `None` where the kernel has no Landlock.
    fn confined<T: Send + 'static>(
        folders: Folders,
        test: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let thread = thread::spawn(move || match confine(&folders).unwrap() {
            Degree::Nothing => None,
            Degree::Full | Degree::Part => Some(test()),
        });
        thread.join().unwrap()
    }

    fn refused(result: std::io::Result<impl Sized>) -> bool {
        result.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    }

    #[test]
    fn only_what_was_kept_is_read_and_written_and_nothing_is_executed() {
        let [read, written, other] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let paths = [&read, &written, &other].map(|folder| folder.path().to_owned());
        for folder in &paths {
            fs::write(folder.join("file"), "content").unwrap();
        }
        let folders = Folders {
            read: vec![paths[0].clone()],
            written: vec![paths[1].clone(), "/does/not/exist".into()],
        };
        confined(folders, move || {
            let [read, written, other] = &paths;
            assert!(fs::read(read.join("file")).is_ok());
            assert!(refused(fs::write(read.join("file"), "")));
            assert!(refused(fs::write(read.join("new"), "")));
            assert!(refused(fs::read(other.join("file"))));
            assert!(refused(fs::remove_file(other.join("file"))));
            fs::write(written.join("new"), "").unwrap();
            fs::rename(written.join("new"), written.join("file")).unwrap();
            assert!(refused(Command::new("/bin/true").status()));
            // Threads that start later are no way out.
            let path = other.join("file");
            let late = thread::spawn(move || refused(fs::read(path)));
            assert!(late.join().unwrap());
        });
        // Nothing is left of it on other threads.
        assert!(fs::read(other.path().join("file")).is_ok());
    }

    #[test]
    fn a_file_that_takes_another_ones_place_is_read_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        fs::write(&path, "old").unwrap();
        let folders = Folders {
            read: vec![folder.path().to_owned()],
            written: Vec::new(),
        };
        let (tell, told) = std::sync::mpsc::channel();
        let (reading, replaced) = std::sync::mpsc::channel();
        let file = path.clone();
        let thread = thread::spawn(move || {
            confined(folders, move || {
                tell.send(()).unwrap();
                replaced.recv().unwrap();
                fs::read_to_string(file).unwrap()
            })
        });
        if told.recv().is_ok() {
            fs::write(folder.path().join("next"), "new").unwrap();
            fs::rename(folder.path().join("next"), &path).unwrap();
            reading.send(()).unwrap();
        }
        assert!(thread.join().unwrap().is_none_or(|text| text == "new"));
    }

    #[test]
    fn names_and_authorities_stay_within_reach() {
        let kept = Folders::default().with_system();
        for path in [
            "/etc/hosts",
            "/etc/nsswitch.conf",
            "/etc/resolv.conf",
            "/etc/ssl/certs",
        ] {
            let Ok(real) = fs::canonicalize(path) else {
                continue;
            };
            let within = |folder: &PathBuf| real.starts_with(folder);
            assert!(kept.read.iter().any(within), "{path} at {}", real.display());
        }
        assert!(!kept.read.iter().any(|folder| folder == Path::new("/")));
    }
}
