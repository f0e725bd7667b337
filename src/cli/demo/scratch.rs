//! The demo's folder for the two files others read: the authority and the configuration.

use std::{
    fs::{DirBuilder, remove_dir_all, write},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// Names tried before giving up.
const NAMES_MAX: u32 = 100;

/// A folder of this process's own, removed when dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one below the system's folder for temporary files. Only its owner may look inside.
    pub(super) fn new() -> io::Result<Self> {
        let parent = std::env::temp_dir();
        for nth in 0..NAMES_MAX {
            // Creating fails on a name that exists, a link included: nobody can plant it for us.
            let path = parent.join(format!("warmfront-demo-{}-{nth}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other(format!(
            "{NAMES_MAX} names for it are taken"
        )))
    }

    /// Writes `content` to `name` in it, and says where that is.
    pub(super) fn write(&self, name: &str, content: &str) -> io::Result<PathBuf> {
        let path = self.path().join(name);
        write(&path, content)?;
        Ok(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody is left to tell, and the system clears the folder sooner or later.
        let _ = remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_folders_differ_and_go_with_their_owners() {
        let (one, two) = (Scratch::new().unwrap(), Scratch::new().unwrap());
        assert_ne!(one.path(), two.path());
        let file = one.write("ca.pem", "text").unwrap();
        drop(one);
        assert!(!file.exists() && two.path().exists());
    }
}
