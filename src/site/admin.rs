//! The admin listener: where it is, and whom it answers.

use std::{fmt, net::SocketAddr, path::PathBuf};

/// The admin listener (`[admin]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens.
    pub address: SocketAddr,
    /// The file that invalidations are written to before they are answered.
    pub journal: Option<PathBuf>,
    /// Who may call it, in the file's order.
    pub tokens: Vec<Token>,
    /// Who may call what it offers of CloudFront's API, in the file's order.
    pub aws_keys: Vec<AwsKey>,
}

/// A bearer token (`[[admin.token]]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What the log calls its bearer.
    pub name: String,
    /// What its bearer shows.
    pub secret: Secret,
    /// What its bearer may do.
    pub allow: Vec<Scope>,
}

/// An access key of clients that sign with AWS Signature Version 4 (`[[admin.aws_key]]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsKey {
    /// The access key id, which is no secret; also what the log calls its bearer.
    pub id: String,
    /// The secret access key.
    pub secret: Secret,
}

/// What a token lets its bearer do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Read the status, the metrics and the list of invalidations.
    Read,
    /// Invalidate, and read back what was invalidated.
    Invalidate,
    /// Load the configuration anew.
    Reload,
}

impl Scope {
    /// The word for it in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Invalidate => "invalidate",
            Self::Reload => "reload",
        }
    }
}

/// Bytes that are never printed, and compared without telling how much was right.
#[derive(Clone)]
pub struct Secret {
    bytes: Box<[u8]>,
    hash: blake3::Hash,
}

impl Secret {
    /// Keeps `bytes`.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self {
            hash: blake3::hash(&bytes),
            bytes,
        }
    }

    /// Whether `shown` is this secret. How long it takes depends on the length of
    /// `shown` alone: hashes are compared, and in constant time.
    pub fn is(&self, shown: &[u8]) -> bool {
        // `blake3::Hash` promises: "implements constant-time equality checking".
        self.hash == blake3::hash(shown)
    }

    /// The bytes themselves, to sign with.
    pub fn reveal(&self) -> &[u8] {
        &self.bytes
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_itself_and_is_not_printed() {
        let secret = Secret::new(*b"correct horse");
        assert!(secret.is(b"correct horse"));
        for shown in ["", "correct hors", "correct horse ", "Correct horse"] {
            assert!(!secret.is(shown.as_bytes()), "{shown}");
        }
        assert_eq!(secret.reveal(), b"correct horse");
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }
}
