//! The secret by which an operator's own request is told more than viewers are.

use http::HeaderName;

use super::Secret;
use crate::fields::section::Section;

/// The field that carries the secret. It never reaches an origin, and no key or variant
/// holds it, whether it is right, wrong or of no use.
const FIELD: HeaderName = HeaderName::from_static("warmfront-debug");

/// What opens what viewers are not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugSecret(Secret);

impl DebugSecret {
    /// What opens with `secret`.
    pub fn new(secret: &[u8]) -> Self {
        Self(Secret::new(secret))
    }

    /// Whether a request with `headers` carries it, once.
    pub fn opens(&self, headers: &Section) -> bool {
        let line = headers.sole(FIELD);
        line.is_some_and(|line| self.0.is(line))
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
            let mut headers = Section::default();
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
}
