//! Origins: their URL, their authorities, and the fields they are sent.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use rustls_pki_types::{
    CertificateDer,
    pem::{self, PemObject},
};

use crate::{
    config::{
        check::{
            Check,
            process::{WAIT_MAX, WAIT_MIN},
            url::{self, Location},
        },
        problem::Place,
        raw,
        read::At,
    },
    policy::Target,
    site::{Origin, Protocol},
};

/// The most fields an origin is given (CloudFront: custom headers per origin).
const HEADERS_MAX: usize = 30;

/// Fields that cannot be set: we or the protocol write them, or they belong to
/// the viewer's request (CloudFront: "Custom headers that CloudFront can't add to
/// origin requests"). A `-` at the end stands for every field that starts so.
const UNSETTABLE: &[&str] = &[
    "cache-control",
    "connection",
    "content-length",
    "cookie",
    "host",
    "if-",
    "keep-alive",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "request-range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-amz-",
    "x-edge-",
    "x-real-ip",
];

/// An `[[origin]]`, as far as it could be read.
pub(super) struct Seen {
    pub(super) id: String,
    pub(super) place: Place,
    /// `None` after a problem.
    pub(super) built: Option<Origin>,
}

impl Check<'_> {
    pub(super) fn origins(&mut self, raw: Option<&At<Vec<At<raw::Origin>>>>) -> Vec<Seen> {
        let raw = raw.map_or(&[][..], |raw| &raw.value);
        let whole = Place::default();
        if raw.is_empty() && !self.findings.covers(&whole.missing("origin")) {
            self.findings.error(&whole, "no origin is configured");
            self.findings
                .hint("add [[origin]] with id = \"api\" and url = \"https://...\"");
        }
        let mut seen: Vec<Seen> = Vec::with_capacity(raw.len());
        for one in raw {
            let id = self.id(one.value.id.as_ref(), &one.place);
            let place = one.value.id.as_ref().map_or(&one.place, |id| &id.place);
            if let Some(earlier) = seen
                .iter()
                .find(|earlier| earlier.id == id && !id.is_empty())
            {
                let line = self.findings.line(&earlier.place);
                let what = format!("the origin on line {line} is named {id:?} too");
                self.findings
                    .error(place, what)
                    .hint("give each origin an id of its own");
            }
            let built = self.origin(&one.value, &one.place, &id);
            seen.push(Seen {
                id,
                place: place.clone(),
                built,
            });
        }
        seen
    }

    fn origin(&mut self, raw: &raw::Origin, place: &Place, id: &str) -> Option<Origin> {
        let url = self.required(raw.url.as_ref(), place, "url", "https://api.example.com");
        let location = url.and_then(|url| self.location(url));
        let headers = self.headers(raw, location.as_ref());
        let ca = match &raw.ca {
            Some(ca) => Some(self.authorities(ca)?),
            None => None,
        };
        let seconds = Duration::from_secs;
        let wait = WAIT_MIN..=WAIT_MAX;
        let attempts = self.number(raw.connect_attempts.as_ref(), 3, 1..=10);
        let connect = self.duration(raw.connect_timeout.as_ref(), seconds(10), wait.clone());
        let response = self.duration(raw.response_timeout.as_ref(), seconds(30), wait);
        let bounds = Duration::ZERO..=WAIT_MAX;
        let keepalive = self.duration(raw.keepalive.as_ref(), seconds(60), bounds);
        let location = location?;
        if let (Protocol::Http, Some(ca)) = (location.protocol, &raw.ca) {
            self.findings.error(
                &ca.place,
                "an http:// origin is not verified against anything",
            );
            self.findings
                .hint("write https:// in `url`, or leave `ca` out");
        }
        Some(Origin {
            id: id.to_owned(),
            protocol: location.protocol,
            host: location.host,
            port: location.port,
            target: Target {
                authority: location.authority,
                prefix: location.prefix,
                headers,
            },
            ca,
            connect_timeout: connect,
            connect_attempts: u32::try_from(attempts).unwrap_or(1),
            response_timeout: response,
            keepalive,
            express: self.express,
        })
    }

    fn location(&mut self, url: &At<String>) -> Option<Location> {
        match url::read(&url.value) {
            Ok(location) => Some(location),
            Err(what) => {
                self.findings.error(&url.place, what);
                self.findings
                    .hint("write \"https://host\", \"https://host:8443/prefix\" or http://");
                None
            }
        }
    }

    fn authorities(&mut self, ca: &At<String>) -> Option<Vec<CertificateDer<'static>>> {
        let pem = self.file(&ca.value, &ca.place)?;
        let name = &ca.value;
        let read: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(&pem).collect();
        let certificates = match read {
            Ok(certificates) => certificates,
            Err(error) => {
                let what = format!("the file {name:?} is no PEM: {}", pem_mistake(&error));
                self.findings.error(&ca.place, what);
                return None;
            }
        };
        if certificates.is_empty() {
            let what = format!("the file {name:?} holds no certificate");
            self.findings.error(&ca.place, what);
            self.findings
                .hint("it must hold \"-----BEGIN CERTIFICATE-----\"");
            return None;
        }
        let mut roots = rustls::RootCertStore::empty();
        for (at, certificate) in certificates.iter().enumerate() {
            if let Err(error) = roots.add(certificate.clone()) {
                let number = at + 1;
                let what = format!("certificate {number} of the file {name:?} is invalid: {error}");
                self.findings.error(&ca.place, what);
                return None;
            }
        }
        Some(certificates)
    }

    fn headers(
        &mut self,
        raw: &raw::Origin,
        location: Option<&Location>,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let Some(named) = &raw.headers else {
            return Vec::new();
        };
        let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
        for (name, value) in &named.value.0 {
            let Some(field) = self.settable(name) else {
                continue;
            };
            if headers.iter().any(|(earlier, _)| *earlier == field) {
                self.findings
                    .error(&name.place, "is set twice; case does not count");
            }
            let (bytes, is_secret) = self.secret(&value.value, &value.place);
            let Some(bytes) = bytes else { continue };
            let Ok(mut content) = HeaderValue::from_bytes(&bytes) else {
                self.findings.error(
                    &value.place,
                    "the value holds a character no field may hold",
                );
                self.findings
                    .hint("line breaks and other control characters are not allowed");
                continue;
            };
            // Kept out of every `Debug` output.
            content.set_sensitive(true);
            headers.push((field, content));
            if is_secret && location.is_some_and(Location::is_overheard) {
                let what = "this secret crosses the network in plain text";
                self.findings
                    .warn(&value.place, what)
                    .hint("write https:// in `url`");
            }
        }
        if headers.len() > HEADERS_MAX {
            let what = format!("{} fields are too many", headers.len());
            self.findings
                .error(&named.place, what)
                .hint(format!("set {HEADERS_MAX} at most"));
        }
        headers
    }

    fn settable(&mut self, name: &At<String>) -> Option<HeaderName> {
        let Ok(field) = HeaderName::from_bytes(name.value.as_bytes()) else {
            self.findings
                .error(&name.place, format!("{:?} is no field name", name.value));
            return None;
        };
        let forbidden = |known: &&str| match known.ends_with('-') {
            true => field.as_str().starts_with(*known),
            false => field.as_str() == *known,
        };
        if UNSETTABLE.iter().any(forbidden) {
            self.findings
                .error(&name.place, "cannot be set towards an origin");
            self.findings
                .hint("choose a field of your own, such as X-Origin-Secret");
        }
        Some(field)
    }
}

/// What is wrong with a PEM file; the crate's own words print bytes as numbers.
pub(super) fn pem_mistake(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "it ends inside a section",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is cut short",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "it cannot be read",
    }
}
