//! The small XML of CloudFront's invalidation API: bodies in, documents out.
//!
//! Reading is strict in what it means and lenient in how it is written, as AWS
//! is: elements in any order, with or without a prolog, a namespace, a prefix or
//! whitespace between them. An element that the schema does not name, or names once
//! and gets twice, is an error: an invalidation that was half understood would
//! be a promise that is half kept. There are no document types and no entities
//! but XML's own five, so nothing in a document can grow or reach outside it.
//!
//! Writing cannot fail: what XML 1.0 has no way to say becomes U+FFFD.

use std::{fmt::Write, str};

use quick_xml::{
    Reader,
    errors::Error,
    events::{BytesRef, Event},
};

use crate::invalidate::ITEMS_MAX;

/// The namespace of every document.
const NAMESPACE: &str = "http://cloudfront.amazonaws.com/doc/2020-05-31/";

/// What a CreateInvalidation asks for, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// Every `Path`, in order: a path, or `#` and a tag.
    pub(super) items: Vec<String>,
    /// `CallerReference`.
    pub(super) reference: String,
}

/// Why a body is no batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not XML, or XML of a kind that is not read; where, and what was seen.
    Unreadable(String),
    /// XML, but not this document; what was seen, what was wanted.
    Unfit(String),
    /// `Quantity` is not the number of items.
    Inconsistent {
        /// What `Quantity` says.
        said: u64,
        /// How many items there are.
        seen: usize,
    },
    /// More than [`ITEMS_MAX`] items.
    TooMany,
}

impl Batch {
    /// The batch that `body` holds.
    pub(super) fn read(body: &[u8]) -> Result<Self, Fault> {
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

    /// Writes it as it was sent, Paths first.
    fn write(&self, out: &mut String) {
        open(out, "InvalidationBatch");
        open(out, "Paths");
        leaf(out, "Quantity", &self.items.len().to_string());
        if !self.items.is_empty() {
            open(out, "Items");
            for item in &self.items {
                leaf(out, "Path", item);
            }
            close(out, "Items");
        }
        close(out, "Paths");
        leaf(out, "CallerReference", &self.reference);
        close(out, "InvalidationBatch");
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

/// "Char ::= #x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF]"
/// (XML 1.0 §2.2).
fn is_char(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        character => character >= ' ',
    }
}

/// One invalidation, as its summary tells it.
#[derive(Clone, Debug)]
pub(super) struct Summary<'a> {
    /// Its id.
    pub(super) id: &'a str,
    /// When it was accepted, in ISO 8601.
    pub(super) created: String,
}

impl Summary<'_> {
    /// Every invalidation is complete once it has an id.
    const STATUS: &'static str = "Completed";

    /// The `Invalidation` document of this invalidation and what it is about.
    pub(super) fn with(&self, batch: &Batch) -> String {
        let mut out = begun("Invalidation");
        leaf(&mut out, "Id", self.id);
        leaf(&mut out, "Status", Self::STATUS);
        leaf(&mut out, "CreateTime", &self.created);
        batch.write(&mut out);
        close(&mut out, "Invalidation");
        out
    }
}

/// One page of a list.
#[derive(Clone, Debug)]
pub(super) struct Page<'a> {
    /// Where it was asked to begin; empty for the start.
    pub(super) marker: &'a str,
    /// How many it may hold.
    pub(super) items_max: usize,
    /// Where the next one begins, if there is one.
    pub(super) next: Option<&'a str>,
    /// What it holds, newest first.
    pub(super) items: Vec<Summary<'a>>,
}

impl Page<'_> {
    /// The `InvalidationList` document.
    pub(super) fn write(&self) -> String {
        let mut out = begun("InvalidationList");
        leaf(&mut out, "Marker", self.marker);
        if let Some(next) = self.next {
            leaf(&mut out, "NextMarker", next);
        }
        leaf(&mut out, "MaxItems", &self.items_max.to_string());
        leaf(
            &mut out,
            "IsTruncated",
            if self.next.is_some() { "true" } else { "false" },
        );
        leaf(&mut out, "Quantity", &self.items.len().to_string());
        if !self.items.is_empty() {
            open(&mut out, "Items");
            for item in &self.items {
                open(&mut out, "InvalidationSummary");
                leaf(&mut out, "Id", item.id);
                leaf(&mut out, "CreateTime", &item.created);
                leaf(&mut out, "Status", Summary::STATUS);
                close(&mut out, "InvalidationSummary");
            }
            close(&mut out, "Items");
        }
        close(&mut out, "InvalidationList");
        out
    }
}

/// The `ErrorResponse` document; `kind` is `Sender` or `Receiver`.
pub(super) fn error(kind: &str, code: &str, message: &str, request_id: &str) -> String {
    let mut out = begun("ErrorResponse");
    open(&mut out, "Error");
    leaf(&mut out, "Type", kind);
    leaf(&mut out, "Code", code);
    leaf(&mut out, "Message", message);
    close(&mut out, "Error");
    leaf(&mut out, "RequestId", request_id);
    close(&mut out, "ErrorResponse");
    out
}

fn begun(root: &str) -> String {
    format!("<?xml version=\"1.0\"?>\n<{root} xmlns=\"{NAMESPACE}\">")
}

fn open(out: &mut String, name: &str) {
    // Writing into a string does not fail.
    let _ = write!(out, "<{name}>");
}

fn close(out: &mut String, name: &str) {
    let _ = write!(out, "</{name}>");
}

fn leaf(out: &mut String, name: &str, text: &str) {
    open(out, name);
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A reader would turn it into a line feed.
            '\r' => out.push_str("&#13;"),
            character if is_char(character) => out.push(character),
            _ => out.push('\u{fffd}'),
        }
    }
    close(out, name);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch(items: &[&str], reference: &str) -> Batch {
        Batch {
            items: items.iter().map(|&item| item.to_owned()).collect(),
            reference: reference.to_owned(),
        }
    }

    #[track_caller]
    fn read(text: &str, wanted: &Batch) {
        assert_eq!(Batch::read(text.as_bytes()).as_ref(), Ok(wanted), "{text}");
    }

    #[test]
    fn a_batch_is_read_however_it_is_written() {
        let wanted = batch(&["/a*", "#practice:42"], "r");
        for text in [
            // boto3
            "<InvalidationBatch xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\"><Paths>\
             <Quantity>2</Quantity><Items><Path>/a*</Path><Path>#practice:42</Path></Items></Paths>\
             <CallerReference>r</CallerReference></InvalidationBatch>",
            // the AWS CLI
            "<InvalidationBatch xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\">\
             <CallerReference>r</CallerReference><Paths><Quantity>2</Quantity><Items><Path>/a*</Path>\
             <Path>#practice:42</Path></Items></Paths></InvalidationBatch>",
            // the JavaScript SDK has a prolog; a person adds space
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<InvalidationBatch>\n <Paths>\n  <Items>\n   \
             <Path>/a*</Path>\n   <Path>#practice:42</Path>\n  </Items>\n  <Quantity> 2 </Quantity>\n \
             </Paths>\n <CallerReference>r</CallerReference>\n</InvalidationBatch>\n",
            "\u{feff}<cf:InvalidationBatch xmlns:cf='x'><cf:Paths><cf:Quantity>2</cf:Quantity><!-- - -->\
             <cf:Items><cf:Path><![CDATA[/a*]]></cf:Path><cf:Path>&#35;practice&#x3A;42</cf:Path>\
             </cf:Items></cf:Paths><cf:CallerReference>r</cf:CallerReference></cf:InvalidationBatch>",
        ] {
            read(text, &wanted);
        }
    }

    #[test]
    fn text_is_kept_to_the_letter() {
        read(
            "<InvalidationBatch><Paths><Quantity>1</Quantity><Items>\
             <Path> /a&amp;b&lt;c&gt;\"\u{e9}&apos;&quot;&#xD;<![CDATA[<&amp;]]> </Path></Items></Paths>\
             <CallerReference/></InvalidationBatch>",
            &batch(&[" /a&b<c>\"\u{e9}'\"\r<&amp; "], ""),
        );
    }

    #[test]
    fn no_items_at_all_is_a_batch() {
        let wanted = batch(&[], "r");
        for paths in [
            "<Paths><Quantity>0</Quantity></Paths>",
            "<Paths><Quantity>0</Quantity><Items/></Paths>",
        ] {
            let body = format!(
                "<InvalidationBatch>{paths}<CallerReference>r</CallerReference></InvalidationBatch>"
            );
            read(&body, &wanted);
        }
    }

    #[track_caller]
    fn fault(body: &[u8]) -> Fault {
        Batch::read(body).expect_err(&String::from_utf8_lossy(body))
    }

    const PATHS: &str = "<Paths><Quantity>1</Quantity><Items><Path>/a</Path></Items></Paths>";
    const REFERENCE: &str = "<CallerReference>r</CallerReference>";

    #[test]
    fn what_is_not_plain_xml_is_unreadable() {
        let whole = format!("<InvalidationBatch>{PATHS}{REFERENCE}</InvalidationBatch>");
        assert!(Batch::read(whole.as_bytes()).is_ok());
        let mut bodies: Vec<Vec<u8>> = (0..whole.len())
            .map(|end| whole.as_bytes()[..end].to_vec())
            .collect();
        let entity = whole.replace("/a", "/&x;");
        for body in [
            format!("<!DOCTYPE x [<!ENTITY x \"y\">]>{entity}"),
            format!("<!DOCTYPE InvalidationBatch SYSTEM \"file:///etc/passwd\">{whole}"),
            entity,
            whole.replace("/a", "/&nbsp;"),
            whole.replace("/a", "/& a"),
            whole.replace("/a", "/&#0;"),
            whole.replace("/a", "/&#1;"),
            whole.replace("/a", "/&#xD800;"),
            whole.replace("/a", "/\u{1}"),
            whole.replace("/a", "/\u{ffff}"),
            whole.replace("/a", "/<b/>"),
            whole.replace("</Path>", "</Paths>"),
            format!("{whole}{whole}"),
            format!("{whole}text"),
            format!("text{whole}"),
            format!("{whole}<?xml version=\"1.0\"?>"),
            format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?>{whole}"),
            whole.replace(PATHS, &format!("text{PATHS}")),
            r#"{"Paths":{}}"#.to_owned(),
        ] {
            bodies.push(body.into_bytes());
        }
        bodies.push(
            whole
                .replace("/a", "/\u{e9}")
                .into_bytes()
                .into_iter()
                .filter(|byte| *byte != 0xc3)
                .collect(),
        );
        bodies.push(whole.encode_utf16().flat_map(u16::to_le_bytes).collect());
        for body in bodies {
            let fault = fault(&body);
            let is = matches!(fault, Fault::Unreadable(_));
            assert!(is, "{fault:?}: {}", String::from_utf8_lossy(&body));
        }
    }

    #[test]
    fn xml_that_is_another_document_does_not_fit() {
        let batch = |inside: &str| format!("<InvalidationBatch>{inside}</InvalidationBatch>");
        for body in [
            "<Invalidation/>".to_owned(),
            batch(""),
            batch(PATHS),
            batch(REFERENCE),
            batch(&format!("{PATHS}{PATHS}{REFERENCE}")),
            batch(&format!("{PATHS}{REFERENCE}{REFERENCE}")),
            batch(&format!("{PATHS}{REFERENCE}<Mode>soft</Mode>")),
            batch(&format!("{PATHS}{REFERENCE}<Quantity>1</Quantity>")),
            batch(&format!("<Paths/>{REFERENCE}")),
            batch(&PATHS.replace("<Quantity>1</Quantity>", "")),
            batch(&format!("{}{REFERENCE}", PATHS.replace('1', "one"))),
            batch(&format!("{}{REFERENCE}", PATHS.replace('1', "-1"))),
            batch(&format!("{}{REFERENCE}", PATHS.replace("Path>", "Tag>"))),
        ] {
            let fault = fault(body.as_bytes());
            assert!(matches!(fault, Fault::Unfit(_)), "{fault:?}: {body}");
        }
        let said = fault(batch(PATHS).as_bytes());
        let wanted = "1 validation error detected: Value null at 'invalidationBatch.callerReference' \
                      failed to satisfy constraint: Member must not be null";
        assert_eq!(said, Fault::Unfit(wanted.to_owned()));
    }

    #[test]
    fn the_quantity_must_be_the_number_of_items() {
        for (quantity, seen, paths) in [(2, 1, PATHS), (0, 1, PATHS)] {
            let paths = paths.replace('1', &quantity.to_string());
            let body = format!("<InvalidationBatch>{paths}{REFERENCE}</InvalidationBatch>");
            let said = quantity;
            assert_eq!(fault(body.as_bytes()), Fault::Inconsistent { said, seen });
        }
    }

    #[test]
    fn three_thousand_items_are_read_and_no_more() {
        let body = |count: usize| {
            let items = "<Path>/a</Path>".repeat(count);
            format!(
                "<InvalidationBatch><Paths><Quantity>{count}</Quantity><Items>{items}</Items></Paths>\
                 {REFERENCE}</InvalidationBatch>"
            )
        };
        let read = Batch::read(body(ITEMS_MAX).as_bytes()).unwrap();
        assert_eq!(read.items.len(), 3_000);
        assert_eq!(fault(body(ITEMS_MAX + 1).as_bytes()), Fault::TooMany);
    }

    #[test]
    fn an_invalidation_says_what_was_asked() {
        let summary = Summary {
            id: "I2J0I21PCUYOIK",
            created: "2026-11-22T09:45:06Z".to_owned(),
        };
        assert_eq!(
            summary.with(&batch(&["/a&b", "#\u{1}"], "r")),
            "<?xml version=\"1.0\"?>\n\
             <Invalidation xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\">\
             <Id>I2J0I21PCUYOIK</Id><Status>Completed</Status>\
             <CreateTime>2026-11-22T09:45:06Z</CreateTime><InvalidationBatch><Paths>\
             <Quantity>2</Quantity><Items><Path>/a&amp;b</Path><Path>#\u{fffd}</Path></Items></Paths>\
             <CallerReference>r</CallerReference></InvalidationBatch></Invalidation>"
        );
    }

    #[test]
    fn an_error_says_whose_it_is() {
        assert_eq!(
            error("Sender", "NoSuchDistribution", "no \"x\"", "7"),
            "<?xml version=\"1.0\"?>\n\
             <ErrorResponse xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\"><Error>\
             <Type>Sender</Type><Code>NoSuchDistribution</Code><Message>no &quot;x&quot;</Message>\
             </Error><RequestId>7</RequestId></ErrorResponse>"
        );
    }

    proptest! {
        #[test]
        fn reading_never_panics(body in any::<Vec<u8>>()) {
            let _ = Batch::read(&body);
        }

        #[test]
        fn nothing_like_a_batch_panics(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "<InvalidationBatch>", "</InvalidationBatch>", "<Paths>", "</Paths>", "<Quantity>1</Quantity>",
                "<Items>", "</Items>", "<Path>", "</Path>", "<Path/>", REFERENCE, "&lt;", "&x;", "&#0;", "&", "<",
                ">", "<![CDATA[", "]]>", "<!--", "-->", "<?xml", "?>", "<!DOCTYPE", "é", " ", "\u{0}",
            ]), 0..20)
        ) {
            let _ = Batch::read(parts.concat().as_bytes());
        }

        #[test]
        fn what_is_written_is_read_again(
            items in proptest::collection::vec("[\t\n\r -~é𝄞]{0,20}", 0..5),
            reference in "[\t\n\r -~é]{0,20}",
        ) {
            let wanted = Batch { items, reference };
            let mut text = String::new();
            wanted.write(&mut text);
            prop_assert_eq!(Batch::read(text.as_bytes()), Ok(wanted));
        }
    }
}
