//! Which other queries a stored response answers (draft-ietf-httpbis-no-vary-search).

use http::{HeaderMap, HeaderName};

use super::{Ask, Key, Rules};
use crate::fields::search::Variance;

/// `No-Vary-Search`.
pub const NO_VARY_SEARCH: HeaderName = HeaderName::from_static("no-vary-search");

/// What of a response's query counts, and what its own was under that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    variance: Variance,
    key: Key,
}

impl Search {
    /// What the answer to `ask` with `headers` says; `None` when its whole query counts, and
    /// where the behaviour does not want it.
    pub fn of(ask: &Ask, rules: &Rules, headers: &HeaderMap) -> Option<Box<Self>> {
        if !rules.no_vary_search {
            return None;
        }
        let variance = Variance::parse(headers.get_all(NO_VARY_SEARCH))?;
        let key = rules.key.key_under(ask, &variance);
        Some(Box::new(Self { variance, key }))
    }

    /// The key under which it is stored: that of every query it answers.
    pub fn key(&self) -> Key {
        self.key
    }

    /// What of the query counts.
    pub fn variance(&self) -> &Variance {
        &self.variance
    }

    /// Whether it answers the query of `ask`.
    pub fn matches(&self, ask: &Ask, rules: &Rules) -> bool {
        rules.key.key_under(ask, &self.variance) == self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{ask, fields, rules};

    #[test]
    fn equivalent_queries_share_a_key_of_their_own() {
        let mut rules = rules();
        let headers = fields(&[("no-vary-search", "params=(\"utm\")")]);
        let of = |target, rules: &Rules| Search::of(&ask(target), rules, &headers);
        assert_eq!(of("/a?q=1&utm=x", &rules), None);
        rules.no_vary_search = true;
        let search = of("/a?q=1&utm=x", &rules).unwrap();
        assert!(search.matches(&ask("/a?q=1&utm=y"), &rules));
        assert!(search.matches(&ask("/a?q=1"), &rules));
        assert!(!search.matches(&ask("/a?q=2"), &rules));
        assert!(!search.matches(&ask("/b?q=1"), &rules));
        assert_ne!(search.key(), rules.key.key(&ask("/a?q=1")));
    }
}
