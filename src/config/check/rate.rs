//! How many requests one viewer may ask.

use std::{num::NonZeroU32, time::Duration};

use http::HeaderName;

use crate::{
    config::{check::Check, raw, read::At},
    policy::{
        RateLimit,
        rate::{By, PER_MAX, REQUESTS_MAX},
    },
};

/// The shortest span: less than a second is a slip of the unit.
const PER_MIN: Duration = Duration::from_secs(1);

impl Check<'_> {
    /// `None` after a problem.
    pub(super) fn rate_limit(&mut self, at: &At<raw::RateLimit>) -> Option<RateLimit> {
        let raw = &at.value;
        let (requests, per) = (raw.requests.as_ref(), raw.per.as_ref());
        if requests.is_none() {
            self.missing(&at.place, "requests", "100");
        }
        if per.is_none() {
            self.missing(&at.place, "per", "\"1m\"");
        }
        let numbers = 1..=u64::from(REQUESTS_MAX);
        let requests = self.number(requests, 1, numbers.clone());
        // What one span allows may come at once, unless a burst is written.
        let burst = self.number(raw.burst.as_ref(), requests, numbers);
        let small = |number: u64| u32::try_from(number).ok().and_then(NonZeroU32::new);
        Some(RateLimit {
            by: self.by(raw.by.as_ref())?,
            requests: small(requests)?,
            per: self.duration(per, PER_MIN, PER_MIN..=PER_MAX),
            burst: small(burst)?,
        })
    }

    fn by(&mut self, field: Option<&At<String>>) -> Option<By> {
        let Some(At { value, place }) = field else {
            return Some(By::Address);
        };
        if value == "address" {
            return Some(By::Address);
        }
        let name = value.strip_prefix("header:");
        let name = name.and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok());
        if name.is_none() {
            self.findings
                .error(place, format!("{value:?} tells no viewers apart"))
                .hint("write \"address\", or \"header:X-Api-Key\"");
        }
        name.map(By::Header)
    }
}
