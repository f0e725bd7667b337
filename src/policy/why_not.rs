//! Why a response is not stored: each reason with its name and its clause.

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// Only answers to GET are stored.
    Method,
    /// `no-store`, in the response or honoured in the request.
    NoStore,
    /// `private`.
    Private,
    /// The request carried `Authorization`, and the response gives no leave.
    Authorization,
    /// The request carried cookies that are not in the key, and the response names no lifetime.
    Cookie,
    /// The response sets a cookie.
    SetCookie,
    /// `Vary: *`.
    VaryStar,
    /// It varies by a field outside the key, and `vary = "refuse"`.
    VaryRefused,
    /// Its status is partial, or not final.
    Status,
    /// It answers a request for a part, and is none that could be kept.
    Partial,
    /// Its status asks for credentials.
    AsksForCredentials,
    /// 406: it says that the fields of this one request could not be met.
    NotAcceptable,
    /// `must-understand` with a status we do not.
    NotUnderstood,
    /// Nobody named a lifetime.
    NoLifetime,
    /// It is stale on arrival, cannot be validated and may not serve stale.
    NeverFresh,
    /// Its body is larger than `cache.object_max`.
    TooLarge,
    /// The end of its body is only marked by the end of the connection.
    Unframed,
    /// The store had no room.
    NoRoom,
    /// It was invalidated while it was read.
    Invalidated,
    /// Its key has as many variants as one may have.
    TooManyVariants,
    /// It has more tags than are kept: to keep some would lose others.
    TooManyTags,
}

impl WhyNot {
    /// The reason, as `Cache-Status` names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::Cookie => "cookie",
            Self::SetCookie => "set-cookie",
            Self::VaryStar => "vary-star",
            Self::VaryRefused => "vary-refused",
            Self::Status => "status",
            Self::Partial => "partial",
            Self::AsksForCredentials => "asks-for-credentials",
            Self::NotAcceptable => "not-acceptable",
            Self::NotUnderstood => "must-understand",
            Self::NoLifetime => "no-lifetime",
            Self::NeverFresh => "never-fresh",
            Self::TooLarge => "too-large",
            Self::Unframed => "unframed",
            Self::NoRoom => "no-room",
            Self::Invalidated => "invalidated",
            Self::TooManyVariants => "too-many-variants",
            Self::TooManyTags => "too-many-tags",
        }
    }

    /// The clause that says so.
    pub const fn clause(self) -> &'static str {
        match self {
            Self::Method => "RFC 9111 §3: \"the request method is understood by the cache\"",
            Self::NoStore => "RFC 9111 §5.2.2.5: no-store",
            Self::Private => "RFC 9111 §5.2.2.7: private, \"a shared cache MUST NOT store\"",
            Self::Authorization => "RFC 9111 §3.5: only with public, s-maxage or must-revalidate",
            Self::Cookie => "the credentials guard: cookies outside the key, no explicit lifetime",
            Self::SetCookie => "a response that sets a cookie belongs to one viewer",
            Self::VaryStar => "RFC 9111 §4.1: \"*\" always fails to match",
            Self::VaryRefused => "vary = \"refuse\": it varies by a field outside the key",
            Self::Status => "RFC 9111 §3: \"the response status code is final\", and complete",
            Self::Partial => "RFC 9111 §3.3: a part is kept with its place in the whole, or not",
            Self::AsksForCredentials => "an answer that asks for credentials is never shared",
            Self::NotAcceptable => "RFC 9110 §15.5.7: 406 is about one request's own fields",
            Self::NotUnderstood => "RFC 9111 §5.2.2.3: must-understand, and the status is unknown",
            Self::NoLifetime => "RFC 9111 §3: no explicit lifetime, and ttl.default is 0s",
            Self::NeverFresh => "RFC 9111 §4.2: stale on arrival, without a validator",
            Self::TooLarge => "its body is larger than cache.object_max",
            Self::Unframed => "RFC 9112 §8: its end is only the end of the connection",
            Self::NoRoom => "cache.memory is full",
            Self::Invalidated => "it was invalidated while it was read",
            Self::TooManyVariants => "one key has at most 64 variants",
            Self::TooManyTags => "a response has at most 1,000 tags, of 64 KiB in all",
        }
    }

    /// Whether it tells of this request's credentials, and nothing of answers to others.
    pub const fn is_about_credentials(self) -> bool {
        matches!(self, Self::Authorization | Self::Cookie)
    }

    /// Whether the next answer to the same key will probably be refused as well, so
    /// that nobody should wait for it.
    pub const fn lasts(self) -> bool {
        !matches!(
            self,
            Self::NoRoom | Self::TooManyVariants | Self::Invalidated
        )
    }
}
