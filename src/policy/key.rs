//! What identifies an answer: the cache key.

/// What a behaviour keys its answers on.
#[derive(Clone, Debug)]
pub struct KeySpec {
    /// Distribution and behaviour, so that two of them never share an answer.
    pub scope: Scope,
    /// The kept query parameters, by decoded name; case counts.
    pub query: super::Selection<Vec<u8>>,
    /// Whether kept parameters are sorted by name; repeated ones keep their order.
    pub sort: bool,
    /// Fields in the key; always forwarded.
    pub headers: Vec<http::HeaderName>,
    /// Cookies in the key, by name; always forwarded.
    pub cookies: Vec<Vec<u8>>,
}

/// The part of a key that its behaviour fixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The distribution's id.
    pub distribution: String,
    /// The behaviour's path pattern.
    pub behaviour: String,
}

/// 128 bits that name one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u128);
