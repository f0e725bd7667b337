//! The secret by which an operator's own request is told more than viewers are.

use http::{HeaderMap, HeaderName};

/// The field that carries the secret. It never reaches an origin, and no key or variant
/// holds it, whether it is right, wrong or of no use.
const FIELD: HeaderName = HeaderName::from_static("warmfront-debug");

/// What the secret hashes to; the secret itself is not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct DebugSecret(blake3::Hash);

impl DebugSecret {
    /// What opens with `secret`.
    pub fn new(secret: &[u8]) -> Self {
        Self(blake3::hash(secret))
    }

    /// Whether a request with `headers` carries it, once.
    ///
    /// Hashes are compared in constant time, and what is compared is no longer the secret.
    pub fn opens(&self, headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(FIELD).iter();
        match (lines.next(), lines.next()) {
            (Some(line), None) => self.0 == blake3::hash(line.as_bytes()),
            _ => false,
        }
    }
}

impl std::fmt::Debug for DebugSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DebugSecret")
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::policy::forward;

    #[test]
    fn only_the_one_secret_opens() {
        let secret = DebugSecret::new(b"correct horse battery");
        let with = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(FIELD, HeaderValue::from_static(value));
            }
            secret.opens(&headers)
        };
        assert!(with(&["correct horse battery"]));
        for wrong in [
            &[][..],
            &[""],
            &["correct horse batter"],
            &["correct horse battery"; 2],
        ] {
            assert!(!with(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn its_field_never_reaches_an_origin() {
        assert!(forward::NEVER_PASSED.contains(&FIELD.as_str()));
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert_eq!(format!("{:?}", DebugSecret::new(b"x")), "DebugSecret");
    }
}
