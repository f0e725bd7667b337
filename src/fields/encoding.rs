//! Accept-Encoding, reduced to the few codings that the edge can produce (RFC 9110 §12.5.3).
//!
//! Viewers spell the same wishes in hundreds of ways. Only what this page can
//! say reaches the key and the origin, so that there are eight variants at most.

use super::{list, trim};

/// A content coding that the edge knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Brotli (RFC 7932).
    Br,
    /// Zstandard (RFC 8878).
    Zstd,
    /// gzip (RFC 1952); `x-gzip` is the same.
    Gzip,
    /// The content as it is.
    Identity,
}

impl Coding {
    /// Every coding, in the order in which we prefer them.
    pub const ALL: [Self; 4] = [Self::Br, Self::Zstd, Self::Gzip, Self::Identity];

    /// Its name, as in Content-Encoding.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Br => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Identity => "identity",
        }
    }

    /// The coding of that name, in any case; `None` when we do not know it.
    pub fn parse(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"x-gzip") {
            return Some(Self::Gzip);
        }
        Self::ALL
            .into_iter()
            .find(|coding| name.eq_ignore_ascii_case(coding.name().as_bytes()))
    }
}

/// Which codings a viewer accepts, and how much it likes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codings {
    /// Thousandths by position in [`Coding::ALL`]; zero is "not acceptable".
    weights: [u16; 4],
}

impl Codings {
    /// Nothing but the content as it is.
    pub const IDENTITY: Self = Self {
        weights: [0, 0, 0, 1],
    };

    /// Reads all lines of an Accept-Encoding field.
    ///
    /// "If the representation has no content coding, then it is acceptable by
    /// default unless specifically excluded". Without a field the standard lets
    /// us choose any coding; who does not ask gets [`Codings::IDENTITY`], since
    /// such viewers can seldom decode. `*` stands for the codings not named. A
    /// coding named twice has the lower weight, and a member whose weight cannot
    /// be read is ignored.
    pub fn parse<'a>(
        values: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + ?Sized + 'a)>,
    ) -> Self {
        let mut named: [Option<u16>; 4] = [None; 4];
        let mut others: Option<u16> = None;
        for member in list::members(values) {
            let Some((name, weight)) = weighted(member) else {
                continue;
            };
            let slot = match Coding::parse(name) {
                Some(coding) => &mut named[coding as usize],
                None if name == b"*" => &mut others,
                None => continue,
            };
            *slot = Some(slot.map_or(weight, |before| before.min(weight)));
        }
        let mut weights = Self::IDENTITY.weights;
        for (weight, named) in weights.iter_mut().zip(named) {
            // An unnamed identity keeps its least weight: below all that is named.
            *weight = named.or(others).unwrap_or(*weight);
        }
        Self { weights }
    }

    /// Whether a response in this coding may be sent.
    pub const fn accepts(self, coding: Coding) -> bool {
        self.weights[coding as usize] > 0
    }

    /// The coding of `offered` that the viewer likes best; of equals the first.
    ///
    /// `None` when it accepts none of them: 406, or identity all the same, is for
    /// the caller to choose.
    pub fn preferred(self, offered: &[Coding]) -> Option<Coding> {
        // `max_by_key` keeps the last of equals.
        let acceptable = offered.iter().rev().filter(|&&coding| self.accepts(coding));
        acceptable
            .max_by_key(|&&coding| self.weights[coding as usize])
            .copied()
    }

    /// One of eight spellings, for the key and for the origin: the accepted
    /// codings in our order without weights, or `identity` when there are none.
    ///
    /// With br and gzip only, these are the forms of CloudFront's cache policies.
    /// Weights are lost, and so is a refusal of identity.
    pub const fn normalised(self) -> &'static str {
        let accepts = (
            self.accepts(Coding::Br),
            self.accepts(Coding::Zstd),
            self.accepts(Coding::Gzip),
        );
        match accepts {
            (true, true, true) => "br, zstd, gzip",
            (true, true, false) => "br, zstd",
            (true, false, true) => "br, gzip",
            (true, false, false) => "br",
            (false, true, true) => "zstd, gzip",
            (false, true, false) => "zstd",
            (false, false, true) => "gzip",
            (false, false, false) => "identity",
        }
    }
}

/// A member's name and its weight in thousandths, 1000 when there is none.
fn weighted(member: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = member.split(|&byte| byte == b';').map(trim);
    let name = parts.next()?;
    let mut weight = 1000;
    for parameter in parts {
        if let [b'q' | b'Q', b'=', value @ ..] = parameter {
            weight = qvalue(value)?;
        }
    }
    Some((name, weight))
}

/// `( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )`, in thousandths.
fn qvalue(text: &[u8]) -> Option<u16> {
    let (&whole, rest) = text.split_first()?;
    let decimals = match rest {
        [] => rest,
        [b'.', decimals @ ..] if decimals.len() <= 3 => decimals,
        _ => return None,
    };
    let mut thousandths = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    for (digit, unit) in decimals.iter().zip([100, 10, 1]) {
        if !digit.is_ascii_digit() {
            return None;
        }
        thousandths += u16::from(digit - b'0') * unit;
    }
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn parse(lines: &[&str]) -> Codings {
        let values: Vec<HeaderValue> = lines.iter().map(|line| line.parse().unwrap()).collect();
        Codings::parse(&values)
    }

    #[test]
    fn spellings_come_down_to_few_forms() {
        #[track_caller]
        fn check(line: &str, wanted: &str) {
            assert_eq!(parse(&[line]).normalised(), wanted, "{line}");
        }
        check("gzip, deflate, br, zstd", "br, zstd, gzip");
        check("gzip, deflate, br", "br, gzip");
        check("GZIP;q=0.8 , BR ; Q=0.001", "br, gzip");
        check("x-gzip", "gzip");
        check("zstd", "zstd");
        check("deflate, compress", "identity");
        check("identity", "identity");
        check("", "identity");
        check("x", "identity");
        check("*", "br, zstd, gzip");
        check("*, br;q=0", "zstd, gzip");
        check("br, *;q=0", "br");
    }

    #[test]
    fn zero_means_not_acceptable() {
        #[track_caller]
        fn check(line: &str, wanted: &[Coding]) {
            let seen = parse(&[line]);
            let seen: Vec<_> = Coding::ALL
                .into_iter()
                .filter(|&coding| seen.accepts(coding))
                .collect();
            assert_eq!(seen, wanted, "{line}");
        }
        use Coding::{Br, Gzip, Identity};
        check("gzip;q=0", &[Identity]);
        check("gzip;q=0.000, br", &[Br, Identity]);
        check("gzip, gzip;q=0", &[Identity]);
        check("gzip, identity;q=0", &[Gzip]);
        check("gzip, *;q=0", &[Gzip]);
        check("identity, *;q=0", &[Identity]);
        check("*;q=0", &[]);
    }

    #[test]
    fn no_field_means_identity() {
        assert_eq!(parse(&[]), Codings::IDENTITY);
        assert_eq!(parse(&["br", "gzip"]).normalised(), "br, gzip");
    }

    #[test]
    fn the_viewer_chooses_and_we_break_ties() {
        #[track_caller]
        fn check(line: &str, wanted: Option<Coding>) {
            assert_eq!(parse(&[line]).preferred(&Coding::ALL), wanted, "{line}");
        }
        check("gzip, br", Some(Coding::Br));
        check("gzip, br;q=0.9", Some(Coding::Gzip));
        check("gzip;q=0.5", Some(Coding::Gzip));
        check("gzip;q=0.5, identity", Some(Coding::Identity));
        check("", Some(Coding::Identity));
        check("*;q=0", None);
    }

    #[test]
    fn a_weight_that_cannot_be_read_voids_its_member() {
        for weight in ["", "2", "1.001", "0.1234", ".5", "-1", "0,5", "a", "1.0a"] {
            let seen = parse(&[&format!("gzip;q={weight}")]);
            assert!(!seen.accepts(Coding::Gzip), "{weight}");
        }
        for weight in ["1", "1.", "1.000", "0.001", "0.5"] {
            assert!(
                parse(&[&format!("gzip;q={weight}")]).accepts(Coding::Gzip),
                "{weight}"
            );
        }
        assert!(parse(&["gzip;level=9"]).accepts(Coding::Gzip));
    }

    proptest! {
        #[test]
        fn the_normal_form_is_stable(line in "((br|gzip|zstd|identity|x|\\*)(;q=(0|1|0\\.[0-9]))?,? ?){0,6}") {
            let once = parse(&[&line]).normalised();
            prop_assert_eq!(parse(&[once]).normalised(), once);
        }

        #[test]
        fn no_value_panics(text: Vec<u8>) {
            let _ = HeaderValue::from_bytes(&text).map(|value| Codings::parse([&value]));
        }
    }
}
