//! CloudFront's invalidation API of the binary, spoken by hand: what clients do not send.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use aws_lc_rs::{digest, hmac};
use tempfile::TempDir;
use warmfront::{
    fields::iso8601,
    time::{Clock, Timestamp},
};

use crate::daemon::{Answer, Daemon, get, origin};

const KEY: &str = "AKIAWARMFRONT";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "a-token-of-the-other-api";
const INVALIDATIONS: &str = "/2020-05-31/distribution/clinic/invalidation";

/// A daemon in front of an origin whose answers live for an hour.
struct Edge {
    daemon: Daemon,
    _home: TempDir,
}

impl Edge {
    fn start() -> Self {
        Self::with(&format!(
            "[[admin.aws_key]]\nid = \"{KEY}\"\nsecret = \"{SECRET}\"\n\
             [[admin.token]]\nname = \"backend\"\nsecret = \"{TOKEN}\"\nallow = [\"invalidate\"]\n"
        ))
    }

    fn with(callers: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("warmfront.toml");
        let origin = origin("api");
        let text = format!(
            "[server]\nworkers = 1\n[cache]\nmemory = \"64MiB\"\n\
             [admin]\naddress = \"127.0.0.2:0\"\n{callers}\
             [[listener]]\naddress = \"127.0.0.1:0\"\n\
             [[origin]]\nid = \"api\"\nurl = \"http://{origin}\"\n\
             [[distribution]]\nid = \"clinic\"\n\
             [[distribution.behaviour]]\npath = \"*\"\norigin = \"api\"\n"
        );
        std::fs::write(&config, text).unwrap();
        Self {
            daemon: Daemon::start(&config),
            _home: home,
        }
    }

    fn admin(&self) -> SocketAddr {
        self.daemon.admin.unwrap()
    }

    fn x_cache(&self, path: &str) -> String {
        let answer = get(self.daemon.viewers[0], "clinic.example", path);
        let said = answer.field("x-cache").unwrap();
        said.split(' ').next().unwrap().to_owned()
    }

    /// Stores the answer for `path`.
    #[track_caller]
    fn hold(&self, path: &str) {
        self.x_cache(path);
        assert_eq!(self.x_cache(path), "Hit", "{path}");
    }

    fn call(&self, call: &Call) -> Answer {
        call.send(self.admin())
    }
}

/// A signed request, and what may be wrong with it.
#[derive(Clone)]
struct Call {
    method: &'static str,
    target: String,
    body: Vec<u8>,
    key: &'static str,
    secret: &'static str,
    service: &'static str,
    region: &'static str,
    at: Timestamp,
    /// Fields that are not signed.
    fields: String,
    is_signed: bool,
}

impl Call {
    fn new(method: &'static str, target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method,
            target: target.to_owned(),
            body: body.into(),
            key: KEY,
            secret: SECRET,
            service: "cloudfront",
            region: "eu-central-1",
            at: Clock::System.now(),
            fields: String::new(),
            is_signed: true,
        }
    }

    fn create(reference: &str, items: &[&str]) -> Self {
        Self::new("POST", INVALIDATIONS, batch(reference, items))
    }

    /// `Authorization` for this request at `host`, as the scheme says; an own reading of it.
    fn authorization(&self, host: &str) -> String {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let date = iso8601::basic(self.at);
        let canonical = format!(
            "{}\n{}\n{query}\nhost:{host}\nx-amz-date:{date}\n\nhost;x-amz-date\n{}",
            self.method,
            path.replace('%', "%25"),
            sha256(&self.body)
        );
        let scope = format!(
            "{}/{}/{}/aws4_request",
            &date[..8],
            self.region,
            self.service
        );
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
            sha256(canonical.as_bytes())
        );
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for step in scope.split('/').chain([&*to_sign]) {
            let made = hmac::Key::new(hmac::HMAC_SHA256, &key);
            key = hmac::sign(&made, step.as_bytes()).as_ref().to_vec();
        }
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders=host;x-amz-date, Signature={}",
            self.key,
            hexadecimal(&key)
        )
    }

    fn head(&self, to: SocketAddr) -> String {
        let host = to.to_string();
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: {host}\r\nx-amz-date: {}\r\nconnection: close\r\n{}",
            self.method,
            self.target,
            iso8601::basic(self.at),
            self.fields
        );
        if self.is_signed {
            head += &format!("authorization: {}\r\n", self.authorization(&host));
        }
        head + &format!("content-length: {}\r\n\r\n", self.body.len())
    }

    /// The answer when only the head is sent.
    fn send_head(&self, to: SocketAddr) -> Answer {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.write_all(self.head(to).as_bytes()).unwrap();
        Answer::read(&stream)
    }

    fn send(&self, to: SocketAddr) -> Answer {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.write_all(self.head(to).as_bytes()).unwrap();
        stream.write_all(&self.body).unwrap();
        Answer::read(&stream)
    }
}

fn batch(reference: &str, items: &[&str]) -> String {
    let count = items.len();
    let items: String = items
        .iter()
        .map(|item| format!("<Path>{item}</Path>"))
        .collect();
    format!(
        "<InvalidationBatch><Paths><Quantity>{count}</Quantity><Items>{items}</Items></Paths>\
         <CallerReference>{reference}</CallerReference></InvalidationBatch>"
    )
}

fn sha256(bytes: &[u8]) -> String {
    hexadecimal(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text of the first element with this name.
fn element<'a>(document: &'a str, name: &str) -> &'a str {
    let (_, rest) = document
        .split_once(&format!("<{name}>"))
        .unwrap_or_else(|| panic!("no {name} in {document}"));
    rest.split_once('<').unwrap().0
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    let seen = (answer.status, element(&answer.body, "Code"));
    assert_eq!(seen, (status, code), "{}", answer.body);
}

#[test]
fn nobody_gets_the_old_answer_once_the_call_has_returned() {
    let mut edge = Edge::start();
    edge.hold("/a");
    let made = edge.call(&Call::create("deploy-7", &["/a"]));
    assert_eq!(edge.x_cache("/a"), "Miss");
    let id = element(&made.body, "Id");
    assert!(id.len() == 14 && id.starts_with('I'), "{id}");
    assert_eq!(made.status, 201);
    assert_eq!(made.field("content-type"), Some("text/xml"));
    let place = format!("http://{}{INVALIDATIONS}/{id}", edge.admin());
    assert_eq!(made.field("location"), Some(&*place));
    let created = element(&made.body, "CreateTime");
    assert_eq!(
        made.body,
        format!(
            "<?xml version=\"1.0\"?>\n\
             <Invalidation xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\"><Id>{id}</Id>\
             <Status>Completed</Status><CreateTime>{created}</CreateTime><InvalidationBatch><Paths>\
             <Quantity>1</Quantity><Items><Path>/a</Path></Items></Paths>\
             <CallerReference>deploy-7</CallerReference></InvalidationBatch></Invalidation>"
        )
    );
    let target = format!("{INVALIDATIONS}/{id}");
    assert_eq!(edge.call(&Call::new("GET", &target, "")).body, made.body);

    let said = edge.daemon.line("invalidation accepted");
    assert_eq!(said["by"], KEY);
    assert_eq!(said["id"], id);
}

#[test]
fn a_refusal_is_cloudfronts_document_and_no_more() {
    let edge = Edge::start();
    let mut call = Call::create("r", &["/a"]);
    call.target = call.target.replace("clinic", "nowhere");
    let answer = edge.call(&call);
    let id = answer.field("x-amzn-requestid").unwrap();
    assert_eq!(answer.status, 404);
    assert_eq!(answer.field("content-type"), Some("text/xml"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!(
        answer.body,
        format!(
            "<?xml version=\"1.0\"?>\n\
             <ErrorResponse xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\"><Error>\
             <Type>Sender</Type><Code>NoSuchDistribution</Code>\
             <Message>The specified distribution does not exist.</Message></Error>\
             <RequestId>{id}</RequestId></ErrorResponse>"
        )
    );
}

#[test]
fn who_is_not_believed_changes_and_learns_nothing() {
    let edge = Edge::start();
    edge.hold("/a");
    let good = Call::create("r", &["/a"]);
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let mut calls = Vec::new();
    let mut with = |code, status, change: &dyn Fn(&mut Call)| {
        let mut call = good.clone();
        change(&mut call);
        // Whether the distribution exists is not said.
        let mut elsewhere = call.clone();
        elsewhere.target = elsewhere.target.replace("clinic", "nowhere");
        calls.extend([(code, status, call), (code, status, elsewhere)]);
    };
    with("SignatureDoesNotMatch", 403, &|call| call.secret = "wrong");
    with("SignatureDoesNotMatch", 403, &|call| call.secret = "");
    with("SignatureDoesNotMatch", 403, &|call| call.service = "s3");
    with("SignatureDoesNotMatch", 403, &|call| {
        call.at = call.at.after(minutes(6));
    });
    with("SignatureDoesNotMatch", 403, &|call| {
        call.at = Timestamp::from_unix(call.at.unix() - minutes(6).as_secs());
    });
    with("SignatureDoesNotMatch", 403, &|call| {
        "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n".clone_into(&mut call.fields);
    });
    with("InvalidClientTokenId", 403, &|call| call.key = "AKIA");
    with("MissingAuthenticationToken", 403, &|call| {
        call.is_signed = false
    });
    with("MissingAuthenticationToken", 403, &|call| {
        call.is_signed = false;
        let signature = "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00";
        call.target.push_str(signature);
    });
    with("IncompleteSignature", 400, &|call| {
        call.is_signed = false;
        call.fields = format!("authorization: Bearer {TOKEN}\r\n");
    });
    for (code, status, call) in calls {
        refused(&edge.call(&call), status, code);
    }
    let series = "warmfront_admin_refused_total{reason=\"SignatureDoesNotMatch\"}";
    assert_eq!(edge.daemon.metric(series), 12.0);
    assert_eq!(edge.x_cache("/a"), "Hit");
    assert_eq!(edge.call(&good).status, 201);
    assert_eq!(edge.x_cache("/a"), "Miss");
}

#[test]
fn a_region_is_the_clients_own_affair() {
    let edge = Edge::start();
    for region in ["us-east-1", "cn-north-1", "anywhere"] {
        let mut call = Call::new("GET", INVALIDATIONS, "");
        call.region = region;
        assert_eq!(edge.call(&call).status, 200, "{region}");
    }
}

#[test]
fn without_a_key_nobody_is_let_in() {
    let edge = Edge::with("");
    refused(&edge.call(&Call::create("r", &["/a"])), 403, "AccessDenied");
}

#[test]
fn a_stranger_is_refused_before_the_body_is_read_and_may_send_it_all() {
    let edge = Edge::start();
    let mut call = Call::create("r", &["/a"]);
    call.key = "AKIA";
    call.body = vec![b'x'; 12 << 20];
    let mut stream = TcpStream::connect(edge.admin()).unwrap();
    stream
        .write_all(call.head(edge.admin()).as_bytes())
        .unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 403");
    refused(&edge.call(&call), 403, "InvalidClientTokenId");
}

#[test]
fn the_largest_batch_fits_and_a_larger_body_does_not() {
    let edge = Edge::start();
    let paths: Vec<String> = (0..3_000)
        .map(|number| format!("{:x<4000}", format!("/{number:04}")))
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let whole = Call::create("r", &paths);
    assert!(whole.body.len() > 12_000_000);
    assert_eq!(edge.call(&whole).status, 201);
    let mut larger = Call::create("s", &["/a"]);
    larger.body.resize((16 << 20) + 1, b' ');
    refused(&larger.send_head(edge.admin()), 413, "BatchTooLarge");
}

#[test]
fn bodies_that_are_no_batch_are_told_apart() {
    let edge = Edge::start();
    let good = batch("r", &["/a"]);
    for (status, code, body) in [
        (400, "MissingBody", String::new()),
        (400, "MalformedInput", r#"{"paths":["/a"]}"#.to_owned()),
        (400, "MalformedInput", good[..good.len() - 1].to_owned()),
        (
            400,
            "MalformedInput",
            format!(
                "<!DOCTYPE a [<!ENTITY a \"/\">]>{}",
                good.replace("/a", "&a;")
            ),
        ),
        (
            400,
            "MalformedXML",
            good.replace("CallerReference", "Caller"),
        ),
        (400, "MalformedXML", "<Invalidation/>".to_owned()),
        (400, "InconsistentQuantities", good.replace('1', "2")),
        (400, "InvalidArgument", good.replace("/a", "a")),
        (400, "InvalidArgument", batch("r", &[])),
        (400, "InvalidArgument", batch("", &["/a"])),
        (413, "BatchTooLarge", batch("r", &["/a"; 3_001])),
    ] {
        let call = Call::new("POST", INVALIDATIONS, body);
        refused(&edge.call(&call), status, code);
    }
}

#[test]
fn what_is_not_built_says_so_in_cloudfronts_words() {
    let edge = Edge::start();
    for (method, target) in [
        ("GET", "/2020-05-31/distribution"),
        ("GET", "/2020-05-31/distribution/clinic"),
        (
            "POST",
            "/2020-05-31/distribution-tenant/clinic/invalidation",
        ),
        ("PUT", INVALIDATIONS),
        ("DELETE", "/2020-05-31/distribution/clinic/invalidation/I0"),
        (
            "GET",
            "/2020-05-31/distribution/clinic/invalidation/I0/more",
        ),
        ("GET", "/2020-05-31/%ff"),
    ] {
        refused(
            &edge.call(&Call::new(method, target, "")),
            400,
            "InvalidAction",
        );
    }
    let prefixed = Call::new("GET", &format!("/edge{INVALIDATIONS}"), "");
    let answer = edge.call(&prefixed);
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("\"not_found\""), "{}", answer.body);
}

#[test]
fn pages_go_on_where_the_last_one_ended() {
    let edge = Edge::start();
    let mut ids = Vec::new();
    for number in 0..5 {
        let made = edge.call(&Call::create(&format!("r{number}"), &["/a"]));
        ids.push(element(&made.body, "Id").to_owned());
    }
    ids.reverse();
    let list = |query: &str| {
        let call = Call::new("GET", &format!("{INVALIDATIONS}?{query}"), "");
        edge.call(&call)
    };
    let (mut seen, mut query) = (Vec::new(), "MaxItems=2".to_owned());
    loop {
        let page = list(&query).body;
        let items = page.split("<InvalidationSummary>").skip(1);
        seen.extend(items.map(|item| element(item, "Id").to_owned()));
        if element(&page, "IsTruncated") == "false" {
            assert!(!page.contains("NextMarker"), "{page}");
            break;
        }
        let next = element(&page, "NextMarker");
        // One that comes in between moves nothing.
        edge.call(&Call::create(&format!("between {next}"), &["/b"]));
        query = format!("Marker={next}&MaxItems=2");
    }
    assert_eq!(seen, ids);
    let all = list("MaxItems=1000").body;
    assert_eq!(element(&all, "MaxItems"), "100");
    assert_eq!(element(&all, "Quantity"), "7");
    for query in ["MaxItems=0", "MaxItems=-1", "MaxItems=x", "Marker=I0"] {
        refused(&list(query), 400, "InvalidArgument");
    }
}

/// What the JSON API answers.
fn json(edge: &Edge, body: &str) -> serde_json::Value {
    let mut stream = TcpStream::connect(edge.admin()).unwrap();
    let request = format!(
        "POST /v1/invalidations HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
         authorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        edge.admin(),
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let answer = Answer::read(&stream);
    assert_eq!(answer.status, 201, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

#[test]
fn references_of_the_two_apis_are_two() {
    let edge = Edge::start();
    let made = json(
        &edge,
        r#"{"paths":["/a"],"tags":["t"],"reference":"deploy-7"}"#,
    );
    let other = edge.call(&Call::create("deploy-7", &["/b"]));
    assert_eq!(other.status, 201);
    assert_eq!(element(&other.body, "CallerReference"), "deploy-7");
    let taken = edge.call(&Call::create("deploy-7", &["/c"]));
    refused(&taken, 409, "InvalidationBatchAlreadyExists");

    // What the other API made is told in this one's words.
    let id = made["id"].as_str().unwrap();
    let told = edge.call(&Call::new("GET", &format!("{INVALIDATIONS}/{id}"), ""));
    assert!(
        told.body.contains(
            "<Quantity>2</Quantity><Items><Path>/a</Path><Path>#t</Path></Items></Paths>\
             <CallerReference>deploy-7</CallerReference>"
        ),
        "{}",
        told.body
    );
}
