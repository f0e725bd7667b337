//! What a script wants against what was seen.

use super::{
    line::{Body, Field, Rest},
    wire::{End, Head, Message},
};

/// Stands for any text in what a script expects.
const ANY: char = '…';

/// Longer bodies are shown by their ends and their length.
const SHOWN_BYTES_MAX: usize = 400;

/// Whether the head has the fields that are wanted, and not those that are not.
///
/// A field's lines count together, as one comma list. All that is wrong is said.
pub(crate) fn fields(wanted: &[Field], head: &Head) -> Result<(), String> {
    let mut wrong = Vec::new();
    let mut names: Vec<_> = wanted
        .iter()
        .map(|field| field.name().to_ascii_lowercase())
        .collect();
    names.sort();
    names.dedup();
    for name in names {
        let seen: Vec<_> = head.all(&name).collect();
        let values = |field: &Field| match field {
            Field::Is(one, value) if one.eq_ignore_ascii_case(&name) => Some(value.clone()),
            _ => None,
        };
        let values: Vec<_> = wanted.iter().filter_map(values).collect();
        let seen = (!seen.is_empty()).then(|| seen.join(", "));
        match (values.is_empty(), &seen) {
            (true, None) => {}
            (false, Some(seen)) if matches(&values.join(", "), seen) => {}
            (true, Some(seen)) => wrong.push(format!("wanted no {name}\nseen   {name}: {seen}")),
            (false, seen) => {
                let seen = seen.as_deref().unwrap_or("no such field");
                wrong.push(format!(
                    "wanted {name}: {}\nseen   {name}: {seen}",
                    values.join(", ")
                ));
            }
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

/// Whether what has arrived of a body is what is wanted.
pub(crate) fn body(wanted: &Body, message: &Message) -> Result<(), String> {
    let seen = &message.body;
    let same = matches(&wanted.text, &String::from_utf8_lossy(seen));
    let ends = match (wanted.rest, message.end) {
        (Rest::Ends, Some(End::Whole)) | (Rest::Follows, None) => "",
        // A body may already have broken where a script goes on to say so.
        (Rest::Follows, Some(End::Broken)) => "",
        (Rest::Ends, None) => " and is still open",
        (_, Some(End::Broken)) => " and broke off there",
        (Rest::Follows, Some(End::Whole)) => " and ended there",
    };
    if same && ends.is_empty() {
        return Ok(());
    }
    let more = if wanted.rest == Rest::Follows {
        "+"
    } else {
        ""
    };
    let difference = difference(wanted.text.as_bytes(), seen);
    Err(format!(
        "wanted |{more} {}\nseen   | {}{ends}{difference}",
        shown(wanted.text.as_bytes()),
        shown(seen)
    ))
}

/// Where two long bodies part.
fn difference(wanted: &[u8], seen: &[u8]) -> String {
    if wanted.len().max(seen.len()) <= SHOWN_BYTES_MAX {
        return String::new();
    }
    let same = wanted.iter().zip(seen).take_while(|(a, b)| a == b).count();
    format!("\nthe first {same} bytes are the same")
}

/// Whether `text` is `pattern`, in which `…` stands for any text.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split(ANY);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Bytes as a report shows them.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let lines = text.trim_end_matches('\n');
        let shown = |c: char| match c {
            '\n' => "\n".to_owned(),
            c if c.is_control() => c.escape_default().to_string(),
            c => c.to_string(),
        };
        lines.chars().map(shown).collect::<String>() + &"\\n".repeat(text.len() - lines.len())
    };
    if bytes.len() <= SHOWN_BYTES_MAX {
        return text(bytes);
    }
    let (start, end) = (
        &bytes[..SHOWN_BYTES_MAX / 4],
        &bytes[bytes.len() - SHOWN_BYTES_MAX / 4..],
    );
    format!("{} … {} ({} bytes)", text(start), text(end), bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipsis_is_any_text() {
        for (pattern, text) in [
            ("a", "a"),
            ("…", ""),
            (
                "warmfront; fwd=uri-miss…",
                "warmfront; fwd=uri-miss; stored",
            ),
            ("…; stored; …", "warmfront; fwd=miss; stored; ttl=60"),
            ("a…a", "aa"),
        ] {
            assert!(matches(pattern, text), "{pattern:?} should be {text:?}");
        }
        for (pattern, text) in [
            ("a", "ab"),
            ("a…", "ba"),
            ("a…a", "a"),
            ("a…b…c", "acb"),
            ("", "a"),
        ] {
            assert!(
                !matches(pattern, text),
                "{pattern:?} should not be {text:?}"
            );
        }
    }

    #[test]
    fn the_lines_of_a_field_count_together() {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let head = Head {
            start: "HTTP/1.1 200 OK".to_owned(),
            fields: vec![
                field("Via", "1.1 a"),
                field("via", "1.1 b"),
                field("age", "1"),
            ],
        };
        let is = |name: &str, value: &str| Field::Is(name.to_owned(), value.to_owned());
        let not = |name: &str| Field::Not(name.to_owned());
        fields(
            &[
                is("via", "1.1 a"),
                is("Via", "1.1 b"),
                is("age", "1"),
                not("x"),
            ],
            &head,
        )
        .unwrap();
        fields(&[is("via", "1.1 a, 1.1 b")], &head).unwrap();
        fields(&[is("via", "1.1 a")], &head).unwrap_err();
        let wrong = fields(&[not("age"), is("x", "y")], &head).unwrap_err();
        assert_eq!(
            wrong,
            "wanted no age\nseen   age: 1\nwanted x: y\nseen   x: no such field"
        );
    }
}
