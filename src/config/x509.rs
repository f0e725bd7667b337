//! What an X.509 certificate says of itself: whom it speaks for, and until when (RFC 5280 §4.1).
//!
//! Only those few fields are read, from files that the operator names; whether the chain is
//! to be trusted is the viewer's to judge. Bytes that are no certificate read as `None`.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::time::Timestamp;

/// ASN.1 tags (X.690 §8.1.2, RFC 5280 §4.1 and §4.2.1.6).
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// `id-ce-subjectAltName`, 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Says<'a> {
    /// Who signed it, as it is written.
    pub(super) issuer: &'a [u8],
    /// Whose it is, as it is written.
    pub(super) subject: &'a [u8],
    /// The first moment it is valid.
    pub(super) begins: Timestamp,
    /// The last moment it is valid.
    pub(super) expires: Timestamp,
    /// Its subject alternative names: hosts, and addresses as hosts are written.
    pub(super) names: Vec<String>,
}

/// Reads a certificate; `None` when it is none.
pub(super) fn read(der: &[u8]) -> Option<Says<'_>> {
    let mut certificate = Reader(Reader(der).take(SEQUENCE)?);
    let mut fields = Reader(certificate.take(SEQUENCE)?);
    if fields.is_next(VERSION) {
        fields.any()?;
    }
    let (_serial, _algorithm) = (fields.any()?, fields.any()?);
    let issuer = fields.take(SEQUENCE)?;
    let mut validity = Reader(fields.take(SEQUENCE)?);
    let (begins, expires) = (validity.time()?, validity.time()?);
    let subject = fields.take(SEQUENCE)?;
    let mut names = Vec::new();
    while let Some((tag, content)) = fields.any() {
        if tag == EXTENSIONS {
            names = alternative_names(content)?;
        }
    }
    Some(Says {
        issuer,
        subject,
        begins,
        expires,
        names,
    })
}

fn alternative_names(extensions: &[u8]) -> Option<Vec<String>> {
    let mut extensions = Reader(Reader(extensions).take(SEQUENCE)?);
    let mut names = Vec::new();
    while let Some((_, extension)) = extensions.any() {
        let mut extension = Reader(extension);
        if extension.take(OID)? != SUBJECT_ALT_NAME {
            continue;
        }
        // It may say before its value whether it is critical.
        if !extension.is_next(OCTETS) {
            extension.any()?;
        }
        let mut listed = Reader(Reader(extension.take(OCTETS)?).take(SEQUENCE)?);
        while let Some((tag, content)) = listed.any() {
            names.extend(name(tag, content));
        }
    }
    Some(names)
}

/// One `GeneralName`, if it names a host.
fn name(tag: u8, content: &[u8]) -> Option<String> {
    match tag {
        DNS_NAME => String::from_utf8(content.to_vec()).ok(),
        IP_ADDRESS => match content.len() {
            4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(content).ok()?).to_string()),
            16 => {
                let address = Ipv6Addr::from(<[u8; 16]>::try_from(content).ok()?);
                Some(format!("[{address}]"))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Values one after the other, each with its tag and length (X.690 §8.1).
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn is_next(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    /// The content of the next value, which must be of that kind.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.any()
            .filter(|(seen, _)| *seen == tag)
            .map(|(_, content)| content)
    }

    /// The next value: its tag, and its content.
    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // The long form: so many bytes of length; four are 4 GiB.
            0x81..=0x84 => {
                let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = length
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// "CAs conforming to this profile MUST always encode certificate validity dates
    /// through the year 2049 as UTCTime; certificate validity dates in 2050 or later MUST
    /// be encoded as GeneralizedTime" (RFC 5280 §4.1.2.5), both to the second and in `Z`.
    fn time(&mut self) -> Option<Timestamp> {
        let (tag, text) = self.any()?;
        let text = text.strip_suffix(b"Z")?;
        let two = |at: usize| {
            let digits = text.get(at..at + 2)?;
            let ascii = digits.iter().all(u8::is_ascii_digit);
            ascii.then(|| u64::from(digits[0] - b'0') * 10 + u64::from(digits[1] - b'0'))
        };
        let (year, at) = match (tag, text.len()) {
            // "Where YY is greater than or equal to 50, the year SHALL be interpreted as
            // 19YY; and where YY is less than 50 […] as 20YY" (§4.1.2.5.1).
            (UTC_TIME, 12) => match two(0)? {
                year @ 50.. => (1900 + year, 2),
                year => (2000 + year, 2),
            },
            (GENERALIZED_TIME, 14) => (two(0)? * 100 + two(2)?, 4),
            _ => return None,
        };
        let [month, day, hour, minute, second] = [
            two(at)?,
            two(at + 2)?,
            two(at + 4)?,
            two(at + 6)?,
            two(at + 8)?,
        ];
        let days = days(year, month, day)?;
        Some(Timestamp::from_unix(
            days * 86_400 + hour * 3_600 + minute * 60 + second,
        ))
    }
}

/// Days from 1970-01-01 to a date; one before that is the first day.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Counted from 0000-03-01, so that a leap day is the last of its year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let before = year * 365 + year / 4 - year / 100 + year / 400;
    let days = before + (month * 153 + 2) / 5 + day - 1;
    Some(days.saturating_sub(719_468))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};

    use super::*;

    fn certificate(names: &[&str], begins: (i32, u8, u8), expires: (i32, u8, u8)) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params
            .subject_alt_names
            .push(SanType::Rfc822Name("a@b.example".try_into().unwrap()));
        params.not_before = date_time_ymd(begins.0, begins.1, begins.2);
        params.not_after = date_time_ymd(expires.0, expires.1, expires.2);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn names_and_times_are_read() {
        let names = ["a.example", "*.b.example", "192.0.2.1", "2001:db8::1"];
        let der = certificate(&names, (1999, 12, 31), (2050, 3, 1));
        let says = read(&der).unwrap();
        let wanted = ["a.example", "*.b.example", "192.0.2.1", "[2001:db8::1]"];
        assert_eq!(says.names, wanted);
        assert_eq!(says.begins.unix(), 946_598_400);
        assert_eq!(says.expires.unix(), 2_529_705_600);
        assert_eq!(says.issuer, says.subject);
    }

    #[test]
    fn dates_are_days_since_1970() {
        assert_eq!(days(1970, 1, 1), Some(0));
        assert_eq!(days(2000, 2, 29), Some(11_016));
        assert_eq!(days(2000, 3, 1), Some(11_017));
        assert_eq!(days(2026, 11, 22), Some(20_779));
        assert_eq!(days(1950, 1, 1), Some(0));
        assert_eq!(days(2026, 13, 1), None);
    }

    #[test]
    fn what_is_cut_off_is_none() {
        let der = certificate(&["a.example"], (2020, 1, 1), (2030, 1, 1));
        assert!(read(&der).is_some());
        for end in 0..der.len() {
            assert_eq!(read(&der[..end]), None, "{end} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, at in 0..500_usize, byte: u8) {
            let _ = read(&bytes);
            let mut der = certificate(&["a.example"], (2020, 1, 1), (2030, 1, 1));
            if let Some(changed) = der.get_mut(at) {
                *changed = byte;
            }
            let _ = read(&der);
        }
    }
}
