//! The file as it is written: every table with its keys, nothing judged yet.
//!
//! These tables are the one list of the keys there are. What is not here is an
//! unknown key, and `config/example.toml` is tested to name every one of them.

use std::time::Duration;

use toml::de::DeValue;

use crate::config::{
    problem::{Findings, Place},
    read::{At, Choice, Fields, Hidden, Key, Named, Read, Size},
};

/// Declares tables: each field is an optional key of its table.
macro_rules! tables {
    ($($(#[$about:meta])* $name:ident { $($key:ident: $kind:ty,)* })*) => {$(
        $(#[$about])*
        #[derive(Debug, Default)]
        pub(super) struct $name {
            $(pub(super) $key: Option<At<$kind>>,)*
        }

        impl Read for $name {
            const KEYS: &'static [Key] =
                &[$(Key { name: stringify!($key), inner: <$kind>::KEYS },)*];

            fn read(value: &DeValue<'_>, place: &Place, findings: &mut Findings) -> Option<Self> {
                let mut fields = Fields::open(value, place, findings, Self::KEYS)?;
                Some(Self { $($key: fields.take(stringify!($key)),)* })
            }
        }
    )*};
}

tables! {
    /// The file.
    File {
        server: Server,
        cache: Cache,
        admin: Admin,
        listener: Vec<At<Listener>>,
        certificate: Vec<At<Certificate>>,
        origin: Vec<At<Origin>>,
        distribution: Vec<At<Distribution>>,
    }

    /// `[server]`
    Server {
        workers: u64,
        drain_timeout: Duration,
        header_timeout: Duration,
        idle_timeout: Duration,
        forwarded_for: String,
        trusted_proxies: Vec<At<String>>,
        connections_max: u64,
        connections_per_address_max: u64,
        debug_secret: String,
        hand_over: String,
        confine: bool,
        express: bool,
    }

    /// `[cache]`
    Cache {
        memory: Size,
        object_max: Size,
    }

    /// `[admin]`
    Admin {
        address: String,
        journal: String,
        token: Vec<At<Token>>,
        aws_key: Vec<At<AwsKey>>,
    }

    /// `[[admin.token]]`
    Token {
        name: String,
        secret: Hidden,
        allow: Vec<At<String>>,
    }

    /// `[[admin.aws_key]]`
    AwsKey {
        id: String,
        secret: Hidden,
    }

    /// `[[listener]]`
    Listener {
        address: String,
        proxy_protocol: bool,
        tls: bool,
    }

    /// `[[certificate]]`
    Certificate {
        chain: String,
        key: String,
    }

    /// `[[origin]]`
    Origin {
        id: String,
        url: String,
        headers: Named,
        ca: String,
        connect_timeout: Duration,
        connect_attempts: u64,
        response_timeout: Duration,
        keepalive: Duration,
    }

    /// `[[distribution]]`
    Distribution {
        id: String,
        aliases: Vec<At<String>>,
        behaviour: Vec<At<Behaviour>>,
        behavior: Vec<At<Behaviour>>,
    }

    /// `[[distribution.behaviour]]`
    Behaviour {
        path: String,
        origin: String,
        cache: bool,
        viewer_protocol: String,
        methods: String,
        ttl: Ttl,
        request_directives: String,
        targeted: Vec<At<String>>,
        stale: Stale,
        key: KeyParts,
        forward: Forward,
        vary: String,
        cache_groups: bool,
        no_vary_search: bool,
        response: Response,
        cors: Cors,
        server_timing: bool,
        rate_limit: RateLimit,
        error: Vec<At<ErrorAnswer>>,
        compress: bool,
        unsafe_ttl_min_overrides_origin: bool,
        unsafe_store_set_cookie: bool,
        unsafe_share_authorized: bool,
    }

    /// `response`
    Response {
        set: Named,
        default: Named,
        remove: Vec<At<String>>,
        security: bool,
    }

    /// `cors`
    Cors {
        origins: Choice,
        methods: Choice,
        headers: Choice,
        expose: Choice,
        credentials: bool,
        max_age: Duration,
        origin_override: bool,
    }

    /// `rate_limit`
    RateLimit {
        by: String,
        requests: u64,
        per: Duration,
        burst: u64,
    }

    /// `[[distribution.behaviour.error]]`
    ErrorAnswer {
        when: Vec<At<u64>>,
        status: u64,
        body: String,
        file: String,
        content_type: String,
        ttl: Duration,
    }

    /// `ttl`
    Ttl {
        min: Duration,
        default: Duration,
        max: Duration,
        heuristic: f64,
        error: Duration,
    }

    /// `stale`
    Stale {
        while_revalidate: Duration,
        if_error: Duration,
    }

    /// `key`
    KeyParts {
        query: Choice,
        headers: Vec<At<String>>,
        cookies: Vec<At<String>>,
        sort: bool,
    }

    /// `forward`
    Forward {
        query: Choice,
        headers: Choice,
        cookies: Choice,
    }
}
