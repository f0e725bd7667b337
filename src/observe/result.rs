//! What became of a request, as the metrics and the access log count it.

/// What became of a request at the cache.
///
/// Finer than `X-Cache`: a stale answer is a `Hit` to the viewer, and what was
/// never meant for the cache is a `Miss`; operators want to see both apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheResult {
    /// Served from the store while fresh.
    Hit,
    /// Served from the store past its lifetime (RFC 9111 §4.2.4, RFC 5861).
    Stale,
    /// The origin confirmed what was stored (RFC 9111 §4.3.3).
    RefreshHit,
    /// Asked of the origin, because the store had nothing usable.
    Miss,
    /// Asked of the origin, because it was not for the cache.
    Pass,
    /// Answered here, because something failed or was refused.
    Error,
    /// Redirected here, without asking anyone.
    Redirect,
}

impl CacheResult {
    /// Every result, in the order of their discriminants.
    pub const ALL: [Self; 7] = [
        Self::Hit,
        Self::Stale,
        Self::RefreshHit,
        Self::Miss,
        Self::Pass,
        Self::Error,
        Self::Redirect,
    ];

    /// The value of the `result` label and of the log's field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::RefreshHit => "refresh_hit",
            Self::Miss => "miss",
            Self::Pass => "pass",
            Self::Error => "error",
            Self::Redirect => "redirect",
        }
    }
}

/// How the making of a coding of a stored body went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Went {
    /// It is kept.
    Made,
    /// It saves too little, or would decode to too much.
    TooLarge,
    /// The store had no room for it.
    NoRoom,
    /// The origin's bytes are not in the coding that they are said to be in.
    Corrupt,
}

impl Went {
    /// The value of the `result` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::TooLarge => "too_large",
            Self::NoRoom => "no_room",
            Self::Corrupt => "corrupt",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_results_place_is_its_discriminant() {
        for (place, result) in CacheResult::ALL.into_iter().enumerate() {
            assert_eq!(result as usize, place, "{result:?}");
        }
    }
}
