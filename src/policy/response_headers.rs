//! The fields that a behaviour gives its answers, and takes from them (CloudFront: response
//! headers policy).
//!
//! They are put on at delivery, not into the store: what is stored stays what the origin said,
//! so that validation, lifetimes and `Vary` are judged by the origin's own fields, and a
//! changed policy counts for everything at once. The values are made when the configuration is
//! read; giving one to an answer counts a reference up.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::{Scheme, deliver};

/// What answers lose, then what they gain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHeaders {
    /// Fields of the origin that no viewer sees.
    pub remove: Vec<HeaderName>,
    /// Fields that answers have, each named once.
    pub put: Vec<Put>,
}

/// A field that answers have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// Its name.
    pub name: HeaderName,
    /// Its value.
    pub value: HeaderValue,
    /// Who wins when the origin has one too.
    pub over: Over,
}

/// Who wins when the origin has a field of the same name (CloudFront: origin override).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// We do.
    Origin,
    /// The origin does.
    Nothing,
}

/// What `response.security` puts, as CloudFront's managed policy does, less the retired
/// `X-XSS-Protection`.
pub const SECURITY: [(HeaderName, &str, Over); 4] = [
    (
        header::STRICT_TRANSPORT_SECURITY,
        "max-age=31536000",
        Over::Nothing,
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff", Over::Origin),
    (header::X_FRAME_OPTIONS, "SAMEORIGIN", Over::Nothing),
    (
        header::REFERRER_POLICY,
        "strict-origin-when-cross-origin",
        Over::Nothing,
    ),
];

impl ResponseHeaders {
    /// Whether answers leave as they are.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.put.is_empty()
    }

    /// How many fields an answer gains at most.
    pub fn added_fields_max(&self) -> usize {
        self.put.len()
    }

    /// Does to the fields of an answer with `status`, to a viewer who came by `scheme`, what
    /// the behaviour says.
    ///
    /// "An HSTS Host MUST NOT include the STS header field in HTTP responses conveyed over
    /// non-secure transport" (RFC 6797 §7.2). A 304 gains no field that describes content.
    pub fn apply(&self, scheme: Scheme, status: StatusCode, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for Put { name, value, over } in &self.put {
            let plain = scheme == Scheme::Http && *name == header::STRICT_TRANSPORT_SECURITY;
            let bodiless = status == StatusCode::NOT_MODIFIED && !deliver::in_not_modified(name);
            let taken = *over == Over::Nothing && headers.contains_key(name);
            if !(plain || bodiless || taken) {
                headers.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Fields that a behaviour neither sets nor removes: they frame the message or end at this
/// hop, say what we did, or tell caches on the way which answers differ.
const FIXED: [HeaderName; 15] = [
    header::AGE,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::DATE,
    header::HOST,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::VARY,
    header::VIA,
    deliver::CACHE_STATUS,
    deliver::X_CACHE,
    deliver::X_REQUEST_ID,
];

/// Whether `name` is out of a behaviour's hands.
pub fn is_fixed(name: &HeaderName) -> bool {
    FIXED.contains(name) || crate::fields::hop::is_hop_by_hop(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::fields;

    fn policy() -> ResponseHeaders {
        let put = |name: &'static str, value, over| Put {
            name: HeaderName::from_static(name),
            value: HeaderValue::from_static(value),
            over,
        };
        ResponseHeaders {
            remove: vec![header::SERVER, HeaderName::from_static("x-b")],
            put: vec![
                put("x-a", "ours", Over::Origin),
                put("x-b", "ours", Over::Nothing),
                put("x-c", "ours", Over::Nothing),
                put("content-language", "de", Over::Origin),
                put("strict-transport-security", "max-age=1", Over::Origin),
            ],
        }
    }

    #[track_caller]
    fn check(scheme: Scheme, status: u16, expected: &[(&'static str, &str)]) {
        let mut seen = fields(&[
            ("x-a", "1"),
            ("x-a", "2"),
            ("x-b", "theirs"),
            ("x-c", "theirs"),
            ("server", "kestrel"),
        ]);
        policy().apply(scheme, StatusCode::from_u16(status).unwrap(), &mut seen);
        assert_eq!(seen, fields(expected));
    }

    #[test]
    fn fields_are_removed_before_they_are_set() {
        let language = ("content-language", "de");
        let put = [
            ("x-a", "ours"),
            ("x-b", "ours"),
            ("x-c", "theirs"),
            language,
        ];
        check(Scheme::Http, 200, &put);
        check(Scheme::Http, 304, &put[..3]);
    }

    #[test]
    fn strict_transport_security_is_said_over_tls_only() {
        let put = [
            ("x-a", "ours"),
            ("x-b", "ours"),
            ("x-c", "theirs"),
            ("strict-transport-security", "max-age=1"),
        ];
        check(Scheme::Https, 304, &put);
    }

    #[test]
    fn what_frames_a_message_is_out_of_reach() {
        for name in ["transfer-encoding", "keep-alive", "te", "via", "vary"] {
            assert!(is_fixed(&HeaderName::from_static(name)), "{name}");
        }
        assert!(!is_fixed(&header::SERVER) && !is_fixed(&header::CACHE_CONTROL));
    }
}
