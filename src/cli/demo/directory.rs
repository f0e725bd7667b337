//! What the demo clinic knows: physicians and allergies, all made up.
//!
//! The same question always gets the same answer, byte for byte, on every
//! machine: records are drawn from a generator that the question seeds. Names
//! carry "Sample" and numbers lie in ranges kept for fiction, so that nobody
//! takes them for real.

use percent_encoding::percent_decode_str;
use serde::Serialize;

/// Records per page when `Limit` names no number.
const LIMIT_DEFAULT: u64 = 10;

/// Most records per page: 32 of about 240 bytes stay below 8 KiB.
const LIMIT_MAX: u64 = 32;

/// Longest piece of a parameter that is repeated in the answer, in characters.
const ECHO_MAX: usize = 32;

/// The parameters an answer is computed from; all others are ignored, as the real API does.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) keyword: String,
    limit: u64,
    page: u64,
    practice: String,
    zipcode: String,
}

impl Question {
    /// Reads a query string. Names are case-sensitive, the first of a name counts.
    pub(super) fn parse(query: &str) -> Self {
        let number = |name, default: u64, max| {
            parameter(query, name)
                .and_then(|n| n.parse().ok())
                .unwrap_or(default)
                .clamp(1, max)
        };
        let text = |name| parameter(query, name).unwrap_or_default();
        Self {
            limit: number("Limit", LIMIT_DEFAULT, LIMIT_MAX),
            page: number("Page", 1, u64::from(u16::MAX)),
            keyword: text("Keyword"),
            practice: text("PracticeId"),
            zipcode: text("Zipcode"),
        }
    }

    /// The physicians found near `Zipcode`, as the clinic's JSON.
    pub(super) fn physicians(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&self.page(["pcp", &self.zipcode], Physician::new))
    }

    /// The allergies found, as the clinic's JSON. They are the same everywhere: `Zipcode` is ignored.
    pub(super) fn allergies(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&self.page(["allergy", ""], Allergy::new))
    }

    /// One page of what this question finds in `place`, each record drawn by `record`.
    fn page<T>(&self, place: [&str; 2], record: fn(&Self, &mut Chance, u64) -> T) -> Page<T> {
        let total = 24 + self.chance(place, 0).below(96);
        let first = (self.page - 1).saturating_mul(self.limit).min(total);
        let last = first.saturating_add(self.limit).min(total);
        Page {
            notice: "fictional data of the Warmfront demo",
            keyword: self.keyword.chars().take(ECHO_MAX).collect(),
            practice_id: self.practice.chars().take(ECHO_MAX).collect(),
            page: self.page,
            limit: self.limit,
            total,
            results: (first..last)
                .map(|at| record(self, &mut self.chance(place, at + 1), at))
                .collect(),
        }
    }

    /// The generator for one record: it depends on what is searched, not on the page asked for.
    fn chance(&self, [search, zipcode]: [&str; 2], index: u64) -> Chance {
        let mut hasher = blake3::Hasher::new();
        for part in [search, zipcode, &self.keyword, &self.practice] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&index.to_le_bytes());
        Chance(hasher.finalize_xof())
    }
}

/// The first parameter of that name, decoded.
fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))?;
    let spaced = value.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

/// Numbers that look random and always are the same.
struct Chance(blake3::OutputReader);

impl Chance {
    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % end
    }

    /// One of `choices`, which is never empty here.
    fn pick(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.below(choices.len() as u64) as usize]
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    notice: &'static str,
    keyword: String,
    practice_id: String,
    page: u64,
    limit: u64,
    total: u64,
    results: Vec<T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Physician {
    id: String,
    name: String,
    specialty: &'static str,
    practice: &'static str,
    address: String,
    zipcode: String,
    phone: String,
    accepting_new_patients: bool,
    distance_miles: f64,
}

impl Physician {
    fn new(question: &Question, chance: &mut Chance, index: u64) -> Self {
        const GIVEN: &[&str] = &[
            "Ada", "Bela", "Cato", "Dara", "Edda", "Falk", "Gwen", "Hugo",
        ];
        const ENDS: &[&str] = &["berg", "by", "dale", "feld", "ley", "son", "ward", "worth"];
        const SPECIALTIES: &[&str] = &["Family Medicine", "Internal Medicine", "Pediatrics"];
        const PRACTICES: &[&str] = &["Maple Sample Clinic", "Harbor Sample Care", "Sample Health"];
        const STREETS: &[&str] = &["Example Street", "Placeholder Avenue", "Specimen Road"];
        let family = stem(&question.keyword);
        let zipcode = match question.zipcode.is_empty() {
            true => format!("000{:02}", chance.below(100)),
            false => question.zipcode.chars().take(ECHO_MAX).collect(),
        };
        Self {
            id: format!("PCP-{index:04}"),
            name: format!(
                "Dr. {} {family}{}-Sample",
                chance.pick(GIVEN),
                chance.pick(ENDS)
            ),
            specialty: chance.pick(SPECIALTIES),
            practice: chance.pick(PRACTICES),
            address: format!("{} {}", 1 + chance.below(400), chance.pick(STREETS)),
            zipcode,
            // 555-0100 to 555-0199 are kept for fiction.
            phone: format!("(000) 555-01{:02}", chance.below(100)),
            accepting_new_patients: chance.below(3) > 0,
            distance_miles: chance.below(250) as f64 / 10.0,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Allergy {
    code: String,
    name: String,
    category: &'static str,
    severity: &'static str,
    reactions: [&'static str; 2],
    active: bool,
}

impl Allergy {
    fn new(question: &Question, chance: &mut Chance, index: u64) -> Self {
        const KINDS: &[&str] = &["Extract", "Oil", "Pollen", "Protein", "Syrup", "Tablet"];
        const CATEGORIES: &[&str] = &["drug", "environment", "food"];
        const SEVERITIES: &[&str] = &["mild", "moderate", "severe"];
        const REACTIONS: &[&str] = &["cough", "hives", "itching", "rash", "sneezing", "swelling"];
        Self {
            code: format!("SAMPLE-{index:04}"),
            name: format!(
                "{} {} (Sample)",
                stem(&question.keyword),
                chance.pick(KINDS)
            ),
            category: chance.pick(CATEGORIES),
            severity: chance.pick(SEVERITIES),
            reactions: [chance.pick(REACTIONS), chance.pick(REACTIONS)],
            active: chance.below(8) > 0,
        }
    }
}

/// The keyword as the beginning of a name: its letters, the first one large.
fn stem(keyword: &str) -> String {
    let mut letters = keyword.chars().filter(|c| c.is_alphabetic()).take(ECHO_MAX);
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => "Every".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "Keyword=smi&Limit=10&Page=1&PracticeId=42&Zipcode=00042";

    fn physicians(query: &str) -> serde_json::Value {
        serde_json::from_slice(&Question::parse(query).physicians().unwrap()).unwrap()
    }

    #[test]
    fn the_same_question_gets_the_same_bytes() {
        let once = Question::parse(QUERY).physicians().unwrap();
        assert_eq!(once, Question::parse(QUERY).physicians().unwrap());
        assert!((1_000..8_192).contains(&once.len()), "{} bytes", once.len());
    }

    #[test]
    fn order_and_other_parameters_do_not_matter() {
        let shuffled = "Zipcode=00042&DeviceId=7&PracticeId=42&Page=1&Limit=10&Keyword=smi";
        assert_eq!(Question::parse(QUERY), Question::parse(shuffled));
    }

    #[test]
    fn allergies_are_the_same_everywhere() {
        let [here, there] = ["Keyword=nut&Zipcode=00001", "Keyword=nut&Zipcode=00002"]
            .map(|query| Question::parse(query).allergies().unwrap());
        assert_eq!(here, there);
    }

    #[test]
    fn pages_join_without_gap_or_overlap() {
        let whole = physicians("Keyword=a&Limit=20");
        let halves = [
            physicians("Keyword=a&Limit=10"),
            physicians("Keyword=a&Limit=10&Page=2"),
        ];
        let joined: Vec<_> = halves
            .iter()
            .flat_map(|h| h["results"].as_array().unwrap())
            .collect();
        assert_eq!(
            whole["results"]
                .as_array()
                .unwrap()
                .iter()
                .collect::<Vec<_>>(),
            joined
        );
    }

    #[test]
    fn a_page_past_the_end_is_empty() {
        assert_eq!(physicians("Page=60000")["results"], serde_json::json!([]));
    }

    #[test]
    fn the_largest_page_stays_below_eight_kibibytes() {
        let query = format!(
            "Keyword={}&Limit=999&Zipcode={}",
            "w".repeat(99),
            "9".repeat(99)
        );
        let question = Question::parse(&query);
        assert_eq!(question.limit, LIMIT_MAX);
        assert!(question.allergies().unwrap().len() < 8_192);
        let ordinary = Question::parse("Keyword=smith&Limit=32&Zipcode=00042");
        assert!(ordinary.physicians().unwrap().len() < 8_192);
    }

    #[test]
    fn parameters_are_decoded() {
        let question = Question::parse("Keyword=tree%20nuts+and%C3%A9&Keyword=other");
        assert_eq!(question.keyword, "tree nuts andé");
    }

    #[test]
    fn nonsense_numbers_count_as_none() {
        assert_eq!(
            Question::parse("Limit=-1&Page=x"),
            Question::parse("Limit=10&Page=1")
        );
        assert_eq!(
            Question::parse("Limit=0&Page=0"),
            Question::parse("Limit=1&Page=1")
        );
    }
}
