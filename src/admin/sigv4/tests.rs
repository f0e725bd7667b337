//! AWS's published examples, requests of real clients, and each part of them changed.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A request as text: line, fields, an empty line, the body.
#[derive(Clone, Debug)]
struct Message {
    method: String,
    target: String,
    fields: HeaderMap,
    body: Vec<u8>,
}

impl Message {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let mut line = lines.next().unwrap().split(' ');
        let (method, target) = (line.next().unwrap(), line.next().unwrap());
        let mut message = Self {
            method: method.to_owned(),
            target: target.to_owned(),
            fields: HeaderMap::new(),
            body: body.trim_end_matches('\n').as_bytes().to_vec(),
        };
        for (name, value) in lines.map(|line| line.split_once(':').unwrap()) {
            let name: HeaderName = name.parse().unwrap();
            let value = HeaderValue::from_str(value.trim_start()).unwrap();
            message.fields.append(name, value);
        }
        message
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.fields.insert(name, value.parse().unwrap());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.fields.remove(name);
        self
    }

    /// Replaces a part of `Authorization`.
    fn saying(self, old: &str, new: &str) -> Self {
        let said = self.fields[AUTHORIZATION].to_str().unwrap().to_owned();
        assert!(said.contains(old), "{said}");
        self.with("authorization", &said.replace(old, new))
    }

    fn judged(&self, service: &str, now: Timestamp, secret: &str) -> Result<String, Distrust> {
        let claim = Claim::read(&self.fields, service, now)?;
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let request = Request {
            method: &self.method,
            path,
            query,
            fields: &self.fields,
        };
        claim.prove(&request, &self.body, secret.as_bytes())?;
        Ok(claim.key().to_owned())
    }
}

/// What boto3, the AWS CLI and the JavaScript SDK really sent.
fn captured() -> Vec<Message> {
    include_str!("captured.txt")
        .split("=====\n")
        .map(Message::read)
        .collect()
}

fn then() -> Timestamp {
    iso8601::parse_basic(b"20261122T160025Z").unwrap()
}

#[track_caller]
fn check(message: &Message, wanted: &Result<(), Distrust>) {
    let judged = message.judged("cloudfront", then(), SECRET).map(|_| ());
    assert_eq!(&judged, wanted, "{message:#?}");
}

/// boto3's POST, which signs little.
fn boto3() -> Message {
    captured().swap_remove(0)
}

/// The JavaScript SDK's POST, which signs all it can.
fn javascript() -> Message {
    captured().swap_remove(5)
}

#[test]
fn requests_of_real_clients_are_believed() {
    let captured = captured();
    assert_eq!(captured.len(), 7);
    for message in captured {
        let key = message.judged("cloudfront", then(), SECRET);
        assert_eq!(key.as_deref(), Ok("AKIAWARMFRONT"), "{message:#?}");
        let other = message.judged("cloudfront", then(), "another secret");
        assert_eq!(other, Err(Distrust::Mismatch), "{message:#?}");
    }
}

/// `text` with the signature that AWS published for it.
#[track_caller]
fn published(service: &str, signed: &str, signature: &str, text: &str) {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request, \
         SignedHeaders={signed}, Signature={signature}"
    );
    let message = Message::read(text)
        .with("x-amz-date", "20150830T123600Z")
        .with("authorization", &authorization);
    let now = iso8601::parse_basic(b"20150830T123600Z").unwrap();
    let judged = message.judged(service, now, SECRET);
    assert_eq!(judged.as_deref(), Ok("AKIDEXAMPLE"), "{text}");
}

#[test]
fn examples_that_aws_published_are_believed() {
    published(
        "iam",
        "content-type;host;x-amz-date",
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        "GET /?Action=ListUsers&Version=2010-05-08\nhost:iam.amazonaws.com\n\
         content-type:application/x-www-form-urlencoded; charset=utf-8",
    );
    let host = "host:example.amazonaws.com";
    for (signature, line) in [
        (
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            "GET /",
        ),
        // get-relative, get-slash, get-slash-dot-slash.
        (
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            "GET /example/..",
        ),
        (
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            "GET //",
        ),
        (
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            "GET /./",
        ),
        (
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            "GET /?Param2=value2&Param1=value1",
        ),
        (
            "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694",
            "GET /?Param1=value2&Param1=value1",
        ),
        (
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            "POST /",
        ),
        (
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
            "GET /ሴ",
        ),
        (
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
            "GET /-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        ),
    ] {
        published(
            "service",
            "host;x-amz-date",
            signature,
            &format!("{line}\n{host}"),
        );
    }
    published(
        "service",
        "host;my-header1;x-amz-date",
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        &format!("GET /\n{host}\nmy-header1:value2\nmy-header1:value2\nmy-header1:value1"),
    );
    published(
        "service",
        "host;my-header1;my-header2;x-amz-date",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        &format!("GET /\n{host}\nmy-header1: value1\nmy-header2: \"a   b   c\""),
    );
    published(
        "service",
        "content-type;host;x-amz-date",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        &format!("POST /\n{host}\ncontent-type:application/x-www-form-urlencoded\n\nParam1=value1"),
    );
}

#[test]
fn any_part_that_was_changed_is_noticed() {
    let mismatch = Err(Distrust::Mismatch);
    let mut changed = boto3();
    changed.body[100] ^= 1;
    check(&changed, &mismatch);
    let mut changed = boto3();
    changed.target = changed.target.replace("E%201", "E%202");
    check(&changed, &mismatch);
    let mut changed = boto3();
    changed.target.push_str("?MaxItems=1");
    check(&changed, &mismatch);
    let mut changed = boto3();
    "PUT".clone_into(&mut changed.method);
    check(&changed, &mismatch);
    check(&boto3().with("host", "127.0.0.1:19000"), &mismatch);
    check(&boto3().with("x-amz-date", "20261122T160023Z"), &mismatch);
    check(&boto3().saying("eu-central-1", "eu-central-2"), &mismatch);
    check(&boto3().saying("Signature=0", "Signature=1"), &mismatch);
    check(&javascript().with("content-type", "text/xml"), &mismatch);
    check(&javascript().without("content-type"), &mismatch);
}

#[test]
fn a_field_that_is_not_signed_may_change_on_the_way() {
    check(&boto3().with("via", "1.1 proxy"), &Ok(()));
    check(&boto3().without("amz-sdk-request"), &Ok(()));
}

#[test]
fn a_query_has_one_signature_however_it_is_spelled() {
    let list = captured().swap_remove(1);
    for spelled in [
        "MaxItems=7&Marker=a%20b%2Bc%2F%C3%A9",
        "&Marker=%61%20b%2bc/%c3%a9&&MaxItems=7&",
    ] {
        let mut list = list.clone();
        list.target = format!("/2020-05-31/distribution/clinic/invalidation?{spelled}");
        check(&list, &Ok(()));
    }
}

#[test]
fn the_body_always_counts() {
    for promised in [
        "UNSIGNED-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "",
    ] {
        for message in [boto3(), javascript()] {
            let message = message.with("x-amz-content-sha256", promised);
            check(&message, &Err(Distrust::OtherBody));
        }
    }
    let mut changed = javascript();
    changed.body.push(b' ');
    check(&changed, &Err(Distrust::OtherBody));
}

#[test]
fn a_signature_holds_for_five_minutes_either_way() {
    let signed = iso8601::parse_basic(b"20261122T160022Z").unwrap();
    let minutes = |count: u64| Duration::from_secs(count * 60);
    let judged = |now| boto3().judged("cloudfront", now, SECRET).map(|_| ());
    let before = |span: Duration| Timestamp::from_unix(signed.unix() - span.as_secs());
    let second = Duration::from_secs(1);
    assert_eq!(judged(signed.after(minutes(5))), Ok(()));
    assert_eq!(judged(before(minutes(5))), Ok(()));
    let now = signed.after(minutes(5) + second);
    assert_eq!(judged(now), Err(Distrust::Expired { signed, now }));
    let now = before(minutes(5) + second);
    assert_eq!(judged(now), Err(Distrust::Early { signed, now }));
}

#[test]
fn without_authorization_nothing_is_claimed() {
    let mut query = boto3().without("authorization");
    check(&query, &Err(Distrust::Unsigned));
    query
        .target
        .push_str("?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0");
    check(&query, &Err(Distrust::Unsigned));
}

#[test]
fn a_claim_that_cannot_be_read_is_incomplete() {
    let incomplete = |message: &Message| {
        let judged = message.judged("cloudfront", then(), SECRET);
        let is = matches!(judged, Err(Distrust::Incomplete(_)));
        assert!(is, "{judged:?} {message:#?}");
    };
    for authorization in [
        "",
        "Bearer token",
        "AWS AKIA:signature",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 ",
        "AWS4-HMAC-SHA256 ,,,",
        "AWS4-HMAC-SHA256 ====",
        "AWS4-HMAC-SHA256Credential=a/b/c/d/e, SignedHeaders=host;x-amz-date, Signature=00",
        "AWS4-ECDSA-P256-SHA256 Credential=a/20261122/cloudfront/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature=00",
    ] {
        incomplete(&boto3().with("authorization", authorization));
    }
    for (old, new) in [
        ("Credential=", "Credentials="),
        ("SignedHeaders=", "Signature="),
        ("Signature=", "Nothing="),
        ("AKIAWARMFRONT/", ""),
        ("AKIAWARMFRONT/", "/"),
        ("eu-central-1", ""),
        ("Signature=0", "Signature="),
        ("Signature=0", "Signature=G"),
        ("Signature=0", "Signature=00"),
        ("5f1ff", "5F1FF"),
        ("host;x-amz-date", "x-amz-date;host"),
        ("host;x-amz-date", "host;host;x-amz-date"),
        ("host;x-amz-date", "Host;x-amz-date"),
    ] {
        incomplete(&boto3().saying(old, new));
    }
    incomplete(&boto3().without("x-amz-date"));
    incomplete(&boto3().with("x-amz-date", "Sun, 22 Nov 2026 16:00:22 GMT"));
    let mut twice = boto3();
    let again = twice.fields[AUTHORIZATION].clone();
    twice.fields.append(AUTHORIZATION, again);
    incomplete(&twice);
}

#[test]
fn what_is_signed_must_be_for_this_service_and_moment_and_host() {
    for (old, new) in [
        ("/cloudfront/", "/s3/"),
        ("aws4_request", "aws4_anything"),
        ("/20261122/", "/20261121/"),
        ("/20261122/", "/2026/"),
        ("host;x-amz-date", "x-amz-date"),
        ("host;x-amz-date", "host"),
        ("host;x-amz-date", ""),
    ] {
        let judged = boto3()
            .saying(old, new)
            .judged("cloudfront", then(), SECRET);
        let is = matches!(judged, Err(Distrust::Misscoped(_)));
        assert!(is, "{old} {new} {judged:?}");
    }
}

#[test]
fn parameters_may_come_in_any_order_and_without_spaces() {
    let said = boto3().fields[AUTHORIZATION].to_str().unwrap().to_owned();
    let (algorithm, rest) = said.split_once(' ').unwrap();
    let mut parts: Vec<&str> = rest.split(", ").collect();
    parts.reverse();
    let turned = format!("{algorithm} {}", parts.join(","));
    check(&boto3().with("authorization", &turned), &Ok(()));
}

proptest! {
    #[test]
    fn no_authorization_panics(text in "(AWS4-HMAC-SHA256 )?[ -~]{0,200}") {
        let message = boto3().with("authorization", &text);
        let _ = message.judged("cloudfront", then(), SECRET);
    }

    #[test]
    fn no_request_panics(
        target in "/.{0,60}",
        signed in "[a-z;:]{0,20}",
        value in proptest::collection::vec(any::<u8>().prop_filter("a field's", |byte| *byte >= 32 && *byte != 127), 0..40),
        body in any::<Vec<u8>>(),
    ) {
        let mut message = boto3().saying("host;x-amz-date", &format!("a;host;{signed};x-amz-date"));
        message.fields.insert("a", HeaderValue::from_bytes(&value).unwrap());
        message.target = target;
        message.body = body;
        prop_assert!(message.judged("cloudfront", then(), SECRET).is_err());
    }
}
