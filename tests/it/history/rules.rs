//! The configurations that a history changes between, as the edge and as the model read them.

/// What is the same in all of them.
const SAME: &str = r#"
    [origin]
    connect_timeout = "5s"
    connect_attempts = 2
    response_timeout = "10s"
    [[behaviour]]
    path = "/*"
    methods = "all"
"#;

/// The store's memory, in bytes: half a dozen answers.
pub(super) const MEMORY_BYTES: u64 = 12 << 10;

/// The largest body that is kept, in bytes.
pub(super) const OBJECT_BYTES_MAX: u64 = 4 << 10;

/// How long the origin may take for a head, or between two pieces of a body.
pub(super) const RESPONSE_TIMEOUT_MS: u64 = 10_000;

/// One configuration, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    pub(super) caching: bool,
    pub(super) min: u64,
    pub(super) default: u64,
    pub(super) max: u64,
    pub(super) error: u64,
    pub(super) while_revalidate: u64,
    pub(super) if_error: u64,
}

/// The defaults.
const PLAIN: Rules = Rules {
    caching: true,
    min: 0,
    default: 0,
    max: 365 * 86_400,
    error: 0,
    while_revalidate: 0,
    if_error: 3_600,
};

/// Those that a history changes between; it begins with the first.
pub(super) const ALL: &[Rules] = &[
    PLAIN,
    Rules {
        max: 8,
        while_revalidate: 5,
        if_error: 15,
        ..PLAIN
    },
    Rules {
        min: 3,
        default: 6,
        error: 4,
        if_error: 0,
        ..PLAIN
    },
    Rules {
        caching: false,
        ..PLAIN
    },
];

impl Rules {
    /// As a script's `config` would say it.
    pub(super) fn config(&self) -> toml::Table {
        let Self {
            caching,
            min,
            default,
            max,
            error,
            while_revalidate,
            if_error,
        } = self;
        let text = format!(
            "{SAME}\ncache = {caching}\nttl.min = \"{min}s\"\nttl.default = \"{default}s\"\n\
             ttl.max = \"{max}s\"\nttl.error = \"{error}s\"\n\
             stale.while_revalidate = \"{while_revalidate}s\"\nstale.if_error = \"{if_error}s\"\n"
        );
        text.parse().expect("it is TOML")
    }
}
