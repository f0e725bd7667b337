//! Reading a CreateInvalidation's body.

use std::str;

use quick_xml::{
    Reader,
    errors::Error,
    events::{BytesRef, Event},
};

use super::{Batch, Fault, is_char};
use crate::invalidate::ITEMS_MAX;

impl Batch {
    /// The batch that `body` holds.
    pub(in crate::admin) fn read(body: &[u8]) -> Result<Self, Fault> {
        let text = str::from_utf8(body)
            .map_err(|error| Fault::Unreadable(format!("{error}, wanted UTF-8")))?;
        if !text.chars().all(is_char) {
            let seen = "a character that XML does not allow".to_owned();
            return Err(Fault::Unreadable(seen));
        }
        let mut document = Document::new(text);
        document.root("InvalidationBatch")?;
        let (mut items, mut reference) = (None, None);
        while let Some(name) = document.child()? {
            match name {
                "Paths" if items.is_none() => items = Some(paths(&mut document)?),
                "CallerReference" if reference.is_none() => reference = Some(document.text()?),
                name => return Err(unexpected(name, "InvalidationBatch")),
            }
        }
        document.end()?;
        Ok(Self {
            items: items.ok_or_else(|| missing("invalidationBatch.paths"))?,
            reference: reference.ok_or_else(|| missing("invalidationBatch.callerReference"))?,
        })
    }
}

/// The items of a `Paths` whose start was read.
fn paths(document: &mut Document<'_>) -> Result<Vec<String>, Fault> {
    let (mut quantity, mut items) = (None, None);
    while let Some(name) = document.child()? {
        match name {
            "Quantity" if quantity.is_none() => {
                let said = document.text()?;
                let number = said.trim().parse::<u64>().map_err(|_| {
                    Fault::Unfit(format!(
                        "Quantity is {:?}, wanted a number",
                        shortened(&said)
                    ))
                })?;
                quantity = Some(number);
            }
            "Items" if items.is_none() => items = Some(list(document)?),
            name => return Err(unexpected(name, "Paths")),
        }
    }
    let said = quantity.ok_or_else(|| missing("invalidationBatch.paths.quantity"))?;
    let items = items.unwrap_or_default();
    if said != items.len() as u64 {
        let seen = items.len();
        return Err(Fault::Inconsistent { said, seen });
    }
    Ok(items)
}

fn list(document: &mut Document<'_>) -> Result<Vec<String>, Fault> {
    let mut items = Vec::new();
    while let Some(name) = document.child()? {
        match name {
            "Path" if items.len() == ITEMS_MAX => return Err(Fault::TooMany),
            "Path" => items.push(document.text()?),
            name => return Err(unexpected(name, "Items")),
        }
    }
    Ok(items)
}

/// A document being read, from its start to its end.
///
/// No element is entered whose name was not expected, so it is never deep.
struct Document<'a> {
    reader: Reader<&'a [u8]>,
}

impl<'a> Document<'a> {
    fn new(text: &'a str) -> Self {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.check_comments = true;
        Self { reader }
    }

    /// Enters the root, which must be `name`.
    fn root(&mut self, name: &str) -> Result<(), Fault> {
        let mut is_first = true;
        loop {
            match self.event()? {
                Event::Start(start) if start.local_name().as_ref() == name => return Ok(()),
                Event::Start(start) => {
                    let seen = shortened(start.local_name().into_inner()).to_owned();
                    return Err(Fault::Unfit(format!("the root is {seen}, wanted {name}")));
                }
                Event::Decl(declaration) if is_first => {
                    if let Some(encoding) = declaration.encoding() {
                        let encoding = encoding.map_err(|error| self.fault(&error.into()))?;
                        if !encoding.eq_ignore_ascii_case("utf-8") {
                            return Err(self.unreadable("another encoding than UTF-8"));
                        }
                    }
                }
                Event::Text(text) if is_space(&text) => {}
                Event::Eof => return Err(self.unreadable("no element at all")),
                _ => return Err(self.unreadable("something before the first element")),
            }
            is_first = false;
        }
    }

    /// Enters the next child and says its name; `None` leaves the parent.
    fn child(&mut self) -> Result<Option<&'a str>, Fault> {
        loop {
            match self.event()? {
                Event::Start(start) => {
                    // The name borrows from the document, not from the event.
                    let name = start.local_name().into_inner();
                    return Ok(Some(
                        known(name).ok_or_else(|| unexpected(name, "the body"))?,
                    ));
                }
                Event::End(_) => return Ok(None),
                Event::Text(text) if is_space(&text) => {}
                Event::Eof => return Err(self.unreadable("the end, inside an element")),
                _ => return Err(self.unreadable("text where elements belong")),
            }
        }
    }

    /// The text of an element whose start was read, to its end.
    fn text(&mut self) -> Result<String, Fault> {
        let mut said = String::new();
        loop {
            match self.event()? {
                Event::Text(text) => said.push_str(&text.xml10_content()),
                Event::CData(text) => said.push_str(&text.xml10_content()),
                Event::GeneralRef(reference) => said.push(self.referred(&reference)?),
                Event::End(_) => break,
                Event::Eof => return Err(self.unreadable("the end, inside an element")),
                _ => return Err(self.unreadable("an element where text belongs")),
            }
        }
        Ok(said)
    }

    /// Checks that nothing but space follows the root.
    fn end(&mut self) -> Result<(), Fault> {
        loop {
            match self.event()? {
                Event::Text(text) if is_space(&text) => {}
                Event::Eof => return Ok(()),
                _ => return Err(self.unreadable("something after the last element")),
            }
        }
    }

    /// The next event that means something here.
    fn event(&mut self) -> Result<Event<'a>, Fault> {
        loop {
            match self.reader.read_event() {
                Ok(Event::Comment(_) | Event::PI(_)) => {}
                Ok(Event::DocType(_)) => return Err(self.unreadable("a document type")),
                Ok(event) => return Ok(event),
                Err(error) => return Err(self.fault(&error)),
            }
        }
    }

    fn referred(&self, reference: &BytesRef<'_>) -> Result<char, Fault> {
        let character = reference
            .resolve_char_ref()
            .map_err(|error| self.fault(&error))?;
        let character = character.or(match &**reference {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => None,
        });
        character
            .filter(|&character| is_char(character))
            .ok_or_else(|| self.unreadable("a reference that is none of XML's own"))
    }

    fn unreadable(&self, seen: &str) -> Fault {
        Fault::Unreadable(format!("{seen}, at byte {}", self.reader.buffer_position()))
    }

    fn fault(&self, error: &Error) -> Fault {
        self.unreadable(shortened(&error.to_string()))
    }
}

/// `name`, if it is one of the schema's.
fn known(name: &str) -> Option<&'static str> {
    ["CallerReference", "Items", "Path", "Paths", "Quantity"]
        .into_iter()
        .find(|known| *known == name)
}

fn missing(member: &str) -> Fault {
    Fault::Unfit(format!(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: \
         Member must not be null"
    ))
}

fn unexpected(name: &str, parent: &str) -> Fault {
    let name = shortened(name);
    Fault::Unfit(format!(
        "{name} in {parent} is unknown, misplaced or there twice"
    ))
}

/// At most 100 bytes of what a stranger wrote.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(100)]
}

fn is_space(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}
