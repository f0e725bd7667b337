//! Certificates: their files, whom they speak for, until when, and who needs them.

use std::{sync::Arc, time::Duration};

use rustls::{Error, InconsistentKeys, crypto::aws_lc_rs, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::{
    config::{
        check::{Check, DistributionPart, origin::pem_mistake, quoted},
        problem::Place,
        raw,
        read::At,
        units, x509,
    },
    fields::{date, host::HostPattern},
    site::{Certificate, Listener, Names, Transport},
};

/// A certificate that ends sooner than this is warned about: most are renewed
/// thirty days before, and two weeks are time to find out why this one was not.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

impl Check<'_> {
    pub(super) fn certificates(
        &mut self,
        raw: Option<&At<Vec<At<raw::Certificate>>>>,
    ) -> Vec<Certificate> {
        let raw = raw.map_or(&[][..], |raw| &raw.value);
        raw.iter()
            .filter_map(|one| self.certificate(&one.value, &one.place))
            .collect()
    }

    /// Whether listeners and certificates have each other.
    pub(super) fn advise_certificates(
        &mut self,
        raw: Option<&At<Vec<At<raw::Certificate>>>>,
        listeners: &[At<Listener>],
    ) {
        let secure = listeners
            .iter()
            .find(|one| one.value.transport == Transport::Tls);
        match (raw.and_then(|raw| raw.value.first()), secure) {
            (None, Some(listener)) => {
                self.findings
                    .error(&listener.place, "`tls = true` needs a certificate")
                    .hint("add [[certificate]] with chain = \"api.pem\" and key = \"api.key\"");
            }
            (Some(certificate), None) => {
                self.findings
                    .warn(&certificate.place, "no listener uses certificates")
                    .hint("add `tls = true` to a [[listener]]");
            }
            _ => {}
        }
    }

    /// Which aliases viewers cannot be shown a certificate for.
    pub(super) fn advise_aliases(
        &mut self,
        raw: Option<&At<Vec<At<raw::Distribution>>>>,
        distributions: &[DistributionPart],
        certificates: &[Certificate],
        listeners: &[At<Listener>],
    ) {
        let is_secure = |one: &At<Listener>| one.value.transport == Transport::Tls;
        if self.findings.refused() || !listeners.iter().any(is_secure) {
            return;
        }
        let raw = raw.map_or(&[][..], |raw| &raw.value);
        for (raw, part) in raw.iter().zip(distributions) {
            let Some(aliases) = &raw.value.aliases else {
                continue;
            };
            for (written, alias) in aliases.value.iter().zip(&part.aliases) {
                let covered = |one: &Certificate| one.names.cover_alias(alias);
                if !certificates.iter().any(covered) {
                    let what = format!("no certificate names {:?}", written.value);
                    self.findings
                        .warn(&written.place, what)
                        .hint("viewers of it are refused on listeners with `tls = true`");
                }
            }
        }
    }

    fn certificate(&mut self, raw: &raw::Certificate, place: &Place) -> Option<Certificate> {
        let chain = self.required(raw.chain.as_ref(), place, "chain", "api.pem");
        let key = self.required(raw.key.as_ref(), place, "key", "api.key");
        let read = chain.and_then(|chain| self.chain(chain));
        let secret = key.and_then(|key| self.private_key(key));
        let (file, key_file) = (chain?, key?);
        let chain = read?;
        let (names, expires) = self.told(file, &chain)?;
        let key = match CertifiedKey::from_der(chain, secret?, &aws_lc_rs::default_provider()) {
            Ok(key) => key,
            Err(error) => {
                self.unusable(file, key_file, &error);
                return None;
            }
        };
        Some(Certificate {
            file: file.value.clone(),
            names: Arc::new(names),
            key: Arc::new(key),
            expires,
        })
    }

    fn chain(&mut self, file: &At<String>) -> Option<Vec<CertificateDer<'static>>> {
        let pem = self.file(&file.value, &file.place)?;
        let (name, place) = (&file.value, &file.place);
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        match read {
            Err(error) => {
                let what = format!("the file {name:?} is no PEM: {}", pem_mistake(&error));
                self.findings.error(place, what);
                None
            }
            Ok(chain) if chain.is_empty() => {
                let what = format!("the file {name:?} holds no certificate");
                self.findings
                    .error(place, what)
                    .hint("it must hold \"-----BEGIN CERTIFICATE-----\"");
                None
            }
            Ok(chain) => Some(chain),
        }
    }

    fn private_key(&mut self, file: &At<String>) -> Option<PrivateKeyDer<'static>> {
        let pem = self.file(&file.value, &file.place)?;
        let name = &file.value;
        let what = match PrivateKeyDer::from_pem_slice(&pem) {
            Ok(key) => return Some(key),
            Err(rustls_pki_types::pem::Error::NoItemsFound) => {
                format!("the file {name:?} holds no private key")
            }
            Err(error) => format!("the file {name:?} is no PEM: {}", pem_mistake(&error)),
        };
        let encrypted = pem
            .windows(ENCRYPTED.len())
            .any(|window| window == ENCRYPTED);
        self.findings.error(&file.place, what).hint(if encrypted {
            "its key is encrypted; write it out without a passphrase: openssl pkey -in …"
        } else {
            "it must hold \"-----BEGIN PRIVATE KEY-----\", \"… RSA …\" or \"… EC …\""
        });
        None
    }

    /// What the first of `chain` says: whom it speaks for, and until when.
    fn told(
        &mut self,
        file: &At<String>,
        chain: &[CertificateDer<'static>],
    ) -> Option<(Names, crate::time::Timestamp)> {
        let (name, place) = (&file.value, &file.place);
        let mut read = Vec::with_capacity(chain.len());
        for (at, certificate) in chain.iter().enumerate() {
            let Some(says) = x509::read(certificate) else {
                let what = format!("certificate {} of the file {name:?} is none", at + 1);
                self.findings.error(place, what);
                return None;
            };
            read.push(says);
        }
        let first = read.first()?;
        let now = self.outside.now();
        let day = |at| String::from_utf8_lossy(&date::format(at)).into_owned();
        if first.expires < now {
            let what = format!(
                "the certificate in {name:?} expired on {}",
                day(first.expires)
            );
            self.findings
                .error(place, what)
                .hint("every viewer refuses it; put the renewed chain and key there");
            return None;
        }
        let left = first.expires.since(now);
        if left < EXPIRES_SOON {
            let what = format!(
                "the certificate in {name:?} expires in {}, on {}",
                units::show_duration(whole(left)),
                day(first.expires)
            );
            self.findings
                .warn(place, what)
                .hint("a renewed file is taken up as soon as it is there");
        }
        if first.begins > now {
            let what = format!(
                "the certificate in {name:?} is not valid before {}",
                day(first.begins)
            );
            self.findings.warn(place, what);
        }
        if read
            .windows(2)
            .any(|pair| pair[0].issuer != pair[1].subject)
        {
            let what = format!("the certificates in {name:?} are out of order");
            self.findings
                .warn(place, what)
                .hint("each must be signed by the next: the server's first, then intermediates");
        }
        let known = first.names.iter().map(|name| HostPattern::parse(name));
        let names = Names::new(known.flatten());
        if names.is_empty() {
            let what = match &first.names[..] {
                [] => format!("the certificate in {name:?} names no host"),
                names => format!(
                    "the certificate in {name:?} names no host we could serve: {}",
                    quoted(names)
                ),
            };
            self.findings
                .error(place, what)
                .hint("viewers read its subject alternative names, and nothing else");
            return None;
        }
        Some((names, first.expires))
    }

    fn unusable(&mut self, chain: &At<String>, key: &At<String>, error: &Error) {
        let what = match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => format!(
                "the key {:?} does not belong to the certificate {:?}",
                key.value, chain.value
            ),
            Error::InvalidCertificate(why) => {
                let what = format!("the certificate in {:?} is invalid: {why:?}", chain.value);
                self.findings.error(&chain.place, what);
                return;
            }
            error => format!("the key {:?} cannot be used: {error}", key.value),
        };
        self.findings.error(&key.place, what);
    }
}

/// Whole days, or hours where it is less than one.
fn whole(span: Duration) -> Duration {
    const HOUR: u64 = 60 * 60;
    let unit = if span.as_secs() >= 24 * HOUR {
        24 * HOUR
    } else {
        HOUR
    };
    Duration::from_secs(span.as_secs() / unit * unit)
}

/// How the PEM of a key with a passphrase says so (RFC 7468 §11, RFC 1421).
const ENCRYPTED: &[u8] = b"ENCRYPTED";
