//! What a response says about its own caching: which field's directives count.

use http::{HeaderMap, header};

use super::Rules;
use crate::fields::{cache_control::Directives, targeted};

/// The word of a response about its caching.
#[derive(Debug)]
pub struct Control<'a> {
    /// The directives that count for us.
    pub directives: Directives,
    /// All its fields.
    pub headers: &'a HeaderMap,
    /// Whether a targeted field said so, and `Cache-Control` and `Expires` do not count.
    pub targeted: bool,
}

impl<'a> Control<'a> {
    /// Reads the first targeted field of the behaviour's list that holds something valid,
    /// else `Cache-Control`.
    ///
    /// "If one or more targeted fields ... are present ... the cache uses the first ... that
    /// is valid and not empty"; then it "MUST ignore the Cache-Control and Expires header
    /// fields" of that response (RFC 9213 §2.2).
    pub fn of(headers: &'a HeaderMap, rules: &Rules) -> Self {
        for name in &rules.targeted {
            if let Some(directives) = targeted::parse(headers.get_all(name)) {
                return Self {
                    directives,
                    headers,
                    targeted: true,
                };
            }
        }
        let directives = Directives::parse(headers.get_all(header::CACHE_CONTROL));
        Self {
            directives,
            headers,
            targeted: false,
        }
    }

    /// Whether the response names a lifetime, or would if it were valid.
    pub fn has_lifetime(&self) -> bool {
        let expires = !self.targeted && self.headers.contains_key(header::EXPIRES);
        self.directives.has_lifetime() || expires
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{fields, rules};

    #[track_caller]
    fn check(named: &[(&'static str, &str)], max_age: Option<u32>, targeted: bool) {
        let mut rules = rules();
        rules.targeted = vec![
            "warmfront-cache-control".parse().unwrap(),
            "cdn-cache-control".parse().unwrap(),
        ];
        let headers = fields(named);
        let control = Control::of(&headers, &rules);
        assert_eq!(
            (control.directives.max_age, control.targeted),
            (max_age, targeted),
            "{named:?}"
        );
    }

    #[test]
    fn the_first_valid_targeted_field_replaces_cache_control() {
        let plain = ("cache-control", "max-age=1");
        check(&[plain], Some(1), false);
        check(&[plain, ("cdn-cache-control", "max-age=2")], Some(2), true);
        let both = [
            plain,
            ("cdn-cache-control", "max-age=2"),
            ("warmfront-cache-control", "max-age=3"),
        ];
        check(&both, Some(3), true);
        check(&[plain, ("cdn-cache-control", "no-cache")], None, true);
    }

    #[test]
    fn an_empty_or_broken_targeted_field_is_ignored() {
        let plain = ("cache-control", "max-age=1");
        check(&[plain, ("cdn-cache-control", "")], Some(1), false);
        check(
            &[plain, ("cdn-cache-control", "max-age=2, ,")],
            Some(1),
            false,
        );
        check(
            &[plain, ("cdn-cache-control", "max-age=\"2\"")],
            Some(1),
            false,
        );
    }

    #[test]
    fn a_targeted_field_silences_expires() {
        let headers = fields(&[
            ("expires", "Sun, 22 Nov 2026 12:02:00 GMT"),
            ("cdn-cache-control", "public"),
        ]);
        let mut rules = rules();
        assert!(Control::of(&headers, &rules).has_lifetime());
        rules.targeted = vec!["cdn-cache-control".parse().unwrap()];
        assert!(!Control::of(&headers, &rules).has_lifetime());
    }
}
