//! How batches may be written, and what is none.

use proptest::prelude::*;

use super::*;
use crate::invalidate::ITEMS_MAX;

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
