//! Whether a request was signed with a certain secret (AWS Signature Version 4), judged from facts.
//!
//! Nothing here reads a clock, a body or a list of keys: a [`Claim`] is read from
//! the fields, its time is judged against a given one, and its signature against
//! a given secret and body. So the head alone can refuse a request before
//! its body is read, and every rule is a test.
//!
//! Stricter than the scheme allows, since all clients comply: `host` and
//! `x-amz-date` must be signed; the body's hash is always computed, so
//! `UNSIGNED-PAYLOAD` never matches; `SignedHeaders` must be sorted, so no field is
//! hashed twice. Looser: any region will do, since clients sign for the one they
//! were configured with, whatever endpoint they talk to.
//!
//! `x-amz-security-token` is a field like others: these keys are for good, no
//! session ever issued one, and whoever signs with the secret need not prove more.

use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use http::{HeaderMap, header::AUTHORIZATION};

use crate::{fields::iso8601, time::Timestamp};

mod authorization;
mod canonical;

/// How far the signer's clock may be off, in both directions; AWS's own tolerance.
pub(super) const SKEW_MAX: Duration = Duration::from_secs(5 * 60);

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
const DATE: &str = "x-amz-date";
const CONTENT_HASH: &str = "x-amz-content-sha256";

/// Why a request is not believed to be whose it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Distrust {
    /// It has no `Authorization` field; signatures in the query are not read.
    Unsigned,
    /// `Authorization` or `X-Amz-Date` is not of the form; what was wanted.
    Incomplete(&'static str),
    /// What is signed is not enough, or for another service; what was wanted.
    Misscoped(&'static str),
    /// Signed longer ago than [`SKEW_MAX`].
    Expired {
        /// When it says it was signed.
        signed: Timestamp,
        /// When it was judged.
        now: Timestamp,
    },
    /// Signed further ahead than [`SKEW_MAX`].
    Early {
        /// When it says it was signed.
        signed: Timestamp,
        /// When it was judged.
        now: Timestamp,
    },
    /// `X-Amz-Content-Sha256` is not the hash of this body.
    OtherBody,
    /// The signature is not the one that the secret makes for this request.
    Mismatch,
}

/// The parts of a request that a signature is about, as they were received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    /// The method, in capitals.
    pub(super) method: &'a str,
    /// The path, still percent-encoded.
    pub(super) path: &'a str,
    /// The query without its question mark; empty when there is none.
    pub(super) query: &'a str,
    /// Every field.
    pub(super) fields: &'a HeaderMap,
}

/// Who a request says it is from, and the proof it brings.
#[derive(Clone, Debug)]
pub(super) struct Claim<'a> {
    key: &'a str,
    /// `20150830/us-east-1/cloudfront/aws4_request`.
    scope: &'a str,
    /// The date, region, service and terminator of `scope`.
    steps: [&'a str; 4],
    /// `host;x-amz-date`, sorted.
    signed: &'a str,
    signature: [u8; 32],
    /// `X-Amz-Date` as sent.
    date: &'a str,
}

impl<'a> Claim<'a> {
    /// The claim that `fields` make for `service`, signed about `now`.
    ///
    /// Errs when there is none, or none that could be proven, whatever the key.
    pub(super) fn read(
        fields: &'a HeaderMap,
        service: &str,
        now: Timestamp,
    ) -> Result<Self, Distrust> {
        let authorization = match one(fields, AUTHORIZATION.as_str()) {
            One::None => return Err(Distrust::Unsigned),
            One::Unreadable => {
                return Err(Distrust::Incomplete("exactly one Authorization field"));
            }
            One::Is(text) => text,
        };
        let (credential, signed, signature) = authorization::parameters(authorization)?;
        let (key, steps) = authorization::credential(credential)?;
        let [day, _, for_service, terminator] = steps;
        let One::Is(date) = one(fields, DATE) else {
            return Err(Distrust::Incomplete("exactly one X-Amz-Date field"));
        };
        let at = iso8601::parse_basic(date.as_bytes()).ok_or(Distrust::Incomplete(
            "an X-Amz-Date of the form 20150830T123600Z",
        ))?;
        if for_service != service {
            return Err(Distrust::Misscoped(
                "Credential should be scoped to correct service.",
            ));
        }
        if terminator != TERMINATOR {
            return Err(Distrust::Misscoped(
                "Credential should be scoped with a valid terminator: 'aws4_request'.",
            ));
        }
        if !date.starts_with(day) || day.len() != 8 {
            return Err(Distrust::Misscoped(
                "Date in Credential scope does not match YYYYMMDD of X-Amz-Date.",
            ));
        }
        authorization::signed_fields(signed)?;
        in_time(at, now)?;
        let scope = &credential[key.len() + 1..];
        Ok(Self {
            key,
            scope,
            steps,
            signed,
            signature,
            date,
        })
    }

    /// The id of the key it says it was signed with.
    pub(super) fn key(&self) -> &'a str {
        self.key
    }

    /// Whether `secret` made the signature, for this request with this body.
    ///
    /// The signatures are compared in constant time.
    pub(super) fn prove(
        &self,
        request: &Request<'_>,
        body: &[u8],
        secret: &[u8],
    ) -> Result<(), Distrust> {
        let body = hexadecimal(digest::digest(&digest::SHA256, body).as_ref());
        match one(request.fields, CONTENT_HASH) {
            One::None => {}
            One::Is(said) if said == body => {}
            One::Is(_) | One::Unreadable => return Err(Distrust::OtherBody),
        }
        let canonical = self.canonical(request, &body)?;
        let canonical = hexadecimal(digest::digest(&digest::SHA256, &canonical).as_ref());
        let to_sign = format!("{ALGORITHM}\n{}\n{}\n{canonical}", self.date, self.scope);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.signing_key(secret));
        hmac::verify(&key, to_sign.as_bytes(), &self.signature).map_err(|_| Distrust::Mismatch)
    }

    /// "DateKey = HMAC-SHA256("AWS4"+"<SecretAccessKey>", "<YYYYMMDD>")", then with
    /// region, service and "aws4_request" in turn.
    fn signing_key(&self, secret: &[u8]) -> Vec<u8> {
        let secret = [b"AWS4", secret].concat();
        self.steps.iter().fold(secret, |key, step| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
            hmac::sign(&key, step.as_bytes()).as_ref().to_vec()
        })
    }

    /// Method, path, query, the signed fields, their names and the body's hash, one a line.
    ///
    /// Not longer than six times the request's head, since no field comes twice.
    fn canonical(&self, request: &Request<'_>, body: &str) -> Result<Vec<u8>, Distrust> {
        let mut text = Vec::new();
        text.extend_from_slice(request.method.as_bytes());
        text.push(b'\n');
        text.extend_from_slice(canonical::path(request.path).as_bytes());
        text.push(b'\n');
        text.extend_from_slice(canonical::query(request.query).as_bytes());
        text.push(b'\n');
        for name in self.signed.split(';') {
            let mut values = request.fields.get_all(name).iter();
            let first = values.next().ok_or(Distrust::Mismatch)?;
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            text.extend(canonical::value(first.as_bytes()));
            for value in values {
                text.push(b',');
                text.extend(canonical::value(value.as_bytes()));
            }
            text.push(b'\n');
        }
        text.push(b'\n');
        text.extend_from_slice(self.signed.as_bytes());
        text.push(b'\n');
        text.extend_from_slice(body.as_bytes());
        Ok(text)
    }
}

/// A field that may come once.
enum One<'a> {
    None,
    Is(&'a str),
    /// More than one, or not visible ASCII.
    Unreadable,
}

fn one<'a>(fields: &'a HeaderMap, name: &str) -> One<'a> {
    let mut values = fields.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => One::None,
        (Some(value), None) => value.to_str().map_or(One::Unreadable, One::Is),
        (Some(_), Some(_)) => One::Unreadable,
    }
}

fn in_time(signed: Timestamp, now: Timestamp) -> Result<(), Distrust> {
    if now.since(signed) > SKEW_MAX {
        return Err(Distrust::Expired { signed, now });
    }
    if signed.since(now) > SKEW_MAX {
        return Err(Distrust::Early { signed, now });
    }
    Ok(())
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests;
