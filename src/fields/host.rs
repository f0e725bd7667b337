//! Placeholder until the grammar lands: hosts.

/// A canonical host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host(bytes::Bytes);
/// Why it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad host")]
pub struct BadHost;
impl Host {
    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
    /// Reads `host[:port]`.
    pub fn parse_authority(value: &bytes::Bytes) -> Result<(Self, Option<u16>), BadHost> {
        Ok((Self(value.clone()), None))
    }
}
/// An alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(String);
impl HostPattern {
    /// Reads it.
    pub fn parse(text: &str) -> Result<Self, BadHost> {
        Ok(Self(text.to_owned()))
    }
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Whether it starts with `*.`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }
    /// Whether it matches.
    pub fn matches(&self, host: &Host) -> bool {
        self.0 == host.as_str()
    }
}
