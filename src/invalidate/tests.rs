//! What orders are resolved to, and what becomes of them.

use std::{io as stdio, path::Path, time::Duration};

use http::{HeaderMap, HeaderValue};
use tempfile::TempDir;

use super::*;
use crate::{
    config::{self, Outside},
    policy::{
        self, Ask,
        marks::{Marks, Mode as Mark},
    },
    site::Routed,
};

struct Nothing;

impl Outside for Nothing {
    fn variable(&self, _: &str) -> Option<Vec<u8>> {
        None
    }

    fn file(&self, _: &Path) -> stdio::Result<Vec<u8>> {
        Err(stdio::ErrorKind::NotFound.into())
    }

    fn cores(&self) -> usize {
        1
    }
}

const SITE: &str = r#"
listener = [{ address = "127.0.0.1:8080" }]
origin = [{ id = "api", url = "https://api.example.com" }]
[[distribution]]
id = "clinic"
[[distribution.behaviour]]
path = "/search/pcp"
origin = "api"
key.query = ["Keyword", "PracticeId", "Zipcode"]
[[distribution.behaviour]]
path = "/search/*"
origin = "api"
[[distribution.behaviour]]
path = "/plain/*"
origin = "api"
key.query = "none"
[[distribution.behaviour]]
path = "/sent/*"
origin = "api"
key.sort = false
[[distribution.behaviour]]
path = "/live/*"
origin = "api"
cache = false
"#;

const TWO: &str = r#"
[[distribution]]
id = "other"
aliases = ["other.example"]
behaviour = [{ path = "*", origin = "api" }]
"#;

fn site(text: &str) -> Arc<Snapshot> {
    let loaded = config::parse("test.toml", text, 1, &Nothing);
    loaded
        .unwrap_or_else(|problems| panic!("{problems}"))
        .snapshot
}

/// The marks of an answer to `target` on `host`, as serving makes them.
fn marks(site: &Arc<Snapshot>, host: &str, target: &str, tags: &str) -> Marks {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut ask: Ask = policy::tests::ask(&format!("/?{query}"));
    ask.host = crate::fields::host::Host::parse_authority(host.as_bytes())
        .unwrap()
        .0;
    let path = crate::fields::path::canonical(path).unwrap();
    ask.rewritten = Some(path.as_ref().into());
    let Routed::To(route) = site.route(&ask.host, &path) else {
        panic!("nothing serves {target}");
    };
    let mut headers = HeaderMap::new();
    headers.insert("cache-tag", HeaderValue::from_str(tags).unwrap());
    Marks::of(&ask, &route.behaviour().rules, &headers).unwrap()
}

fn paths(paths: &[&str]) -> Order {
    Order {
        paths: paths.iter().map(|&path| path.to_owned()).collect(),
        ..Order::default()
    }
}

fn place(path: Option<&str>, name: &str, value: &str) -> Order {
    let place = Where {
        path: path.map(str::to_owned),
        name: name.to_owned(),
        value: value.to_owned(),
    };
    Order {
        r#where: vec![place],
        ..Order::default()
    }
}

/// What a ledger says of `target` once it has accepted `order`.
fn is_covered(site: &Arc<Snapshot>, order: &Order, host: &str, target: &str, tags: &str) -> bool {
    let resolved =
        resolve(site, &Keys::default(), order).unwrap_or_else(|refused| panic!("{refused}"));
    let ledger = Ledger::default();
    ledger.accept(Mark::Hard, resolved.selectors);
    let marks = marks(site, host, target, tags);
    ledger.covers(&marks, Sequence::default()).is_some()
}

#[track_caller]
fn check(order: &Order, covered: &[&str], spared: &[&str]) {
    let site = site(SITE);
    for (targets, wanted) in [(covered, true), (spared, false)] {
        for target in targets {
            for host in ["mobile.example", "www.example"] {
                let seen = is_covered(&site, order, host, target, "");
                assert_eq!(seen, wanted, "{target} after {order:?}");
            }
        }
    }
}

#[track_caller]
fn refused(order: &Order, item: &str, why: &str) {
    match resolve(&site(SITE), &Keys::default(), order) {
        Err(Refused::Invalid(offences)) => {
            let seen = &offences[0];
            assert!(seen.item == item && seen.why.contains(why), "{seen:?}");
        }
        other => panic!("{order:?}: {other:?}"),
    }
}

#[test]
fn a_path_is_one_page_on_every_host() {
    check(
        &paths(&["/search/all"]),
        &["/search/all", "/search/all?"],
        &[
            "/search/all/",
            "/search/all?q=1",
            "/search/al",
            "/search/ALL",
        ],
    );
    check(
        &paths(&["/search/all?a=1&b=2"]),
        &["/search/all?b=2&a=1"],
        &["/search/all?a=1"],
    );
}

#[test]
fn a5_a_query_counts_as_in_the_key() {
    check(
        &paths(&["/search/pcp?utm=1&Keyword=%61"]),
        &["/search/pcp?Keyword=a", "/search/pcp?DeviceId=9&Keyword=a"],
        &[
            "/search/pcp",
            "/search/pcp?Keyword=a&Zipcode=1",
            "/search/pcp?keyword=a",
        ],
    );
    check(
        &paths(&["/search/pcp?utm=1"]),
        &["/search/pcp", "/search/pcp?utm=2"],
        &[],
    );
    check(
        &paths(&["/plain/x?q=1"]),
        &["/plain/x", "/plain/x?q=2"],
        &["/plain/y"],
    );
}

#[test]
fn no_spelling_of_a_path_escapes() {
    for spelling in [
        "/search/a%2Db",
        "//search/./a-b",
        "/x/../search/a-b",
        "/search/%61-b",
    ] {
        check(&paths(&[spelling]), &["/search/a-b"], &["/search/ab"]);
    }
    check(
        &paths(&["/search/a%2fb"]),
        &["/search/a%2Fb"],
        &["/search/a/b"],
    );
    // As clients send it, and as people write it.
    check(
        &paths(&["/search/caf\u{e9}"]),
        &["/search/caf%C3%A9"],
        &["/search/cafe"],
    );
    check(
        &paths(&["/search/caf\u{e9}*"]),
        &["/search/caf%c3%a9s"],
        &[],
    );
}

#[test]
fn a_star_at_the_end_is_everything_that_begins_so_and_elsewhere_a_character() {
    check(
        &paths(&["/search/p*"]),
        &["/search/p", "/search/pcp?Keyword=a", "/search/p/q"],
        &["/search/", "/search/q", "/plain/p"],
    );
    check(
        &paths(&["/search/a*b"]),
        &["/search/a*b"],
        &["/search/aab", "/search/ab"],
    );
    check(
        &paths(&["/search/*"]),
        &["/search/", "/search/x?q"],
        &["/plain/search/"],
    );
    check(
        &paths(&["/search/..*"]),
        &["/search/..x"],
        &["/search/x", "/plain/x"],
    );
    check(
        &paths(&["/search/../plain/.*"]),
        &["/plain/.x"],
        &["/plain/x"],
    );
    check(&paths(&["/*"]), &["/search/x", "/plain/x?q=1"], &[]);
}

#[test]
fn a_star_in_the_query_takes_what_may_begin_so() {
    // The first name of those in the key stays in front, whatever else there is.
    check(
        &paths(&["/search/pcp?Keyword=nu*"]),
        &[
            "/search/pcp?Keyword=nuts&Zipcode=1",
            "/search/pcp?Zipcode=1&Keyword=nu",
        ],
        &[
            "/search/pcp?Keyword=milk",
            "/search/pcp",
            "/search/pcp?Zipcode=1",
        ],
    );
    // Another may have any of them before it.
    check(
        &paths(&["/search/pcp?Zipcode=1*"]),
        &["/search/pcp?Zipcode=12", "/search/pcp?Zipcode=1&Keyword=a"],
        &["/search/all", "/search/pcpx"],
    );
    check(
        &paths(&["/search/all?q=1*"]),
        &["/search/all?a=0&q=12"],
        &["/search/other?q=1"],
    );
    check(
        &paths(&["/search/pcp?utm*"]),
        &["/search/pcp?utm=1", "/search/pcp"],
        &["/search/all"],
    );
    check(
        &paths(&["/plain/x?*"]),
        &["/plain/x?q=1", "/plain/x"],
        &["/plain/y"],
    );
    // As sent, in its order.
    check(
        &paths(&["/sent/x?b=1&a=%7*"]),
        &["/sent/x?b=1&a=%7E", "/sent/x?b=1&a=1"],
        &["/sent/x?a=1&b=1", "/sent/x?b=2"],
    );
}

#[test]
fn what_was_keyed_otherwise_before_a_reload_is_covered_too() {
    let (all, one) = (
        site(SITE),
        site(&SITE.replace("\"Keyword\", \"PracticeId\", ", "")),
    );
    let keys = Keys::default();
    keys.note(&all);
    let order = paths(&["/search/pcp?Keyword=a&Zipcode=1"]);
    let covers_before = |keys: &Keys| {
        let ledger = Ledger::default();
        ledger.accept(Mark::Hard, resolve(&one, keys, &order).unwrap().selectors);
        let marks = marks(&all, "a.example", "/search/pcp?Keyword=a&Zipcode=1", "");
        ledger.covers(&marks, Sequence::default()).is_some()
    };
    assert!(!covers_before(&keys));
    keys.note(&one);
    assert!(covers_before(&keys));
    keys.note(&all);
    assert!(keys.have_changed("clinic"));
}

#[test]
fn a_path_that_nothing_serves_is_accepted() {
    let order = paths(&["/nowhere", "/nowhere/*", "/nowhere?q=1*"]);
    assert!(
        !resolve(&site(SITE), &Keys::default(), &order)
            .unwrap()
            .selectors
            .is_empty()
    );
}

#[test]
fn a4_what_may_be_meant_as_everything_is_refused() {
    refused(&paths(&["*"]), "*", "/*");
    refused(&paths(&["//*"]), "//*", "/*");
    refused(&paths(&["/a/../*"]), "/a/../*", "/*");
    refused(&paths(&[]), "paths", "/*");
    let everything = Order {
        everything: true,
        ..Order::default()
    };
    check(&everything, &["/search/x", "/plain/x"], &[]);
}

#[test]
fn a_path_that_no_request_can_have_is_refused() {
    for (path, why) in [
        ("a", "begins with"),
        ("", "begins with"),
        ("https://a.example/b", "without scheme"),
        ("/a b", "%20"),
        ("/a#b", "%23"),
        ("/a\n", "control"),
        ("/a%0ab", "control"),
        ("/a%zz", "hexadecimal"),
        ("/a%2*", "hexadecimal"),
        ("/a/..%2Fb", "dot segment"),
        ("/a\\b", "backslash"),
    ] {
        refused(&paths(&[path]), path, why);
    }
    let long = format!("/{}", "a".repeat(PATH_CHARACTERS_MAX));
    match resolve(&site(SITE), &Keys::default(), &paths(&[&long])) {
        Err(Refused::Invalid(offences)) => {
            assert!(offences[0].why.contains("4001 characters"));
            assert!(offences[0].item.len() < 500);
        }
        other => panic!("{other:?}"),
    }
    assert!(
        resolve(
            &site(SITE),
            &Keys::default(),
            &paths(&[&long[..PATH_CHARACTERS_MAX]])
        )
        .is_ok()
    );
}

#[test]
fn a_parameter_takes_the_objects_of_its_behaviour_whatever_the_others() {
    let covered = [
        "/search/pcp?PracticeId=42",
        "/search/pcp?Zipcode=1&%50racticeId=4%32&x",
    ];
    let spared = [
        "/search/pcp?PracticeId=4",
        "/search/pcp",
        "/search/all?PracticeId=42",
    ];
    check(
        &place(Some("/search/pcp"), "PracticeId", "42"),
        &covered,
        &spared,
    );
    // By a path that the behaviour serves, in any spelling.
    check(
        &place(Some("//search/pcp"), "PracticeId", "42"),
        &covered,
        &spared,
    );
    check(
        &place(Some("/search/*"), "q", "a b"),
        &["/search/all?q=a+b", "/search/all?q=a%20b&x=1"],
        &["/search/all?q=ab", "/sent/x?q=a+b"],
    );
    check(
        &place(None, "PracticeId", "42"),
        &[
            "/search/pcp?PracticeId=42",
            "/search/all?PracticeId=42",
            "/sent/x?PracticeId=42",
        ],
        &["/plain/x?PracticeId=42"],
    );
}

#[test]
fn a_parameter_outside_the_key_is_refused_with_what_is_in_it() {
    let item = |path: &str| format!("{path} Limit=1");
    let why = "keys \"Keyword\", \"PracticeId\", \"Zipcode\"";
    refused(
        &place(Some("/search/pcp"), "Limit", "1"),
        &item("/search/pcp"),
        why,
    );
    refused(
        &place(Some("/plain/*"), "Limit", "1"),
        &item("/plain/*"),
        "keys no parameter",
    );
    refused(
        &place(Some("/live/*"), "Limit", "1"),
        &item("/live/*"),
        "stores nothing",
    );
    refused(
        &place(Some("/nowhere"), "Limit", "1"),
        &item("/nowhere"),
        "\"/search/pcp\"",
    );
    refused(
        &place(Some("/sea*"), "Limit", "1"),
        &item("/sea*"),
        "\"/search/*\"",
    );
    refused(&place(None, "", "1"), "=1", "no name");
}

#[test]
fn a9_a_tag_is_itself_and_nothing_like_it() {
    let site = site(SITE);
    let order = |case| Order {
        tags: vec![Tag {
            text: "aB".to_owned(),
            case,
        }],
        ..Order::default()
    };
    let covered = |case, tags| is_covered(&site, &order(case), "a.example", "/search/x", tags);
    assert!(covered(TagCase::Exact, "x, aB"));
    for tags in ["a", "ab", "aBc", ""] {
        assert!(!covered(TagCase::Exact, tags), "{tags}");
    }
    assert!(covered(TagCase::Any, "ab") && covered(TagCase::Any, "AB"));
    for (text, why) in [
        ("", "empty"),
        ("a\tb", "control"),
        (&*"x".repeat(1_025), "1025 bytes"),
    ] {
        let mut order = order(TagCase::Exact);
        order.tags[0].text = text.to_owned();
        let shown = text.chars().take(400).collect::<String>();
        match resolve(&site, &Keys::default(), &order) {
            Err(Refused::Invalid(offences)) => {
                assert!(offences[0].item.starts_with(&shown));
                assert!(offences[0].why.contains(why), "{}", offences[0].why);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn every_offence_is_told_at_once() {
    let order = Order {
        paths: vec!["x".into(), "/fine".into(), "*".into()],
        reference: Some(String::new()),
        ..place(Some("/search/pcp"), "Limit", "1")
    };
    match resolve(&site(SITE), &Keys::default(), &order) {
        Err(Refused::Invalid(offences)) => assert_eq!(offences.len(), 4, "{offences:?}"),
        other => panic!("{other:?}"),
    }
    match resolve(
        &site(SITE),
        &Keys::default(),
        &paths(&vec!["/a"; ITEMS_MAX + 1]),
    ) {
        Err(Refused::TooMany {
            seen: 3_001,
            max: 3_000,
        }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_distribution_is_named_where_there_are_several() {
    let two = site(&format!("{SITE}{TWO}"));
    let mut order = paths(&["/search/x"]);
    match resolve(&two, &Keys::default(), &order) {
        Err(Refused::Invalid(offences)) => {
            assert!(
                offences[0].why.contains("\"clinic\", \"other\""),
                "{offences:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    order.distribution = Some("other".to_owned());
    assert!(is_covered(&two, &order, "other.example", "/search/x", ""));
    assert!(!is_covered(&two, &order, "a.example", "/search/x", ""));
    order.distribution = Some("none".to_owned());
    let refused = resolve(&two, &Keys::default(), &order).unwrap_err();
    assert!(matches!(refused, Refused::NoSuchDistribution(id) if id == "none"));
}

fn invalidations(journal: Option<&Path>) -> (Invalidations, Parts) {
    let parts = Parts {
        ledger: Ledger::default(),
        store: Store::new(1 << 20, 1 << 20),
        clock: Clock::System,
        events: Arc::new(Events::new()),
    };
    let journal = journal.map(Path::to_owned);
    (Invalidations::open(parts.clone(), journal).unwrap(), parts)
}

async fn submit(
    invalidations: &Invalidations,
    path: &str,
    reference: Option<&str>,
) -> Result<Arc<Invalidation>, Refused> {
    let order = Order {
        reference: reference.map(str::to_owned),
        ..paths(&[path])
    };
    let by = Caller("test".to_owned());
    invalidations.submit(&site(SITE), order, &by).await
}

#[tokio::test]
async fn a3_the_same_reference_is_the_same_invalidation() {
    let (invalidations, parts) = invalidations(None);
    let first = submit(&invalidations, "/search/x", Some("r"))
        .await
        .unwrap();
    let again = submit(&invalidations, "/search/x", Some("r"))
        .await
        .unwrap();
    assert_eq!((&first, parts.ledger.head().0), (&again, 1));
    match submit(&invalidations, "/search/y", Some("r")).await {
        Err(Refused::ReferenceTaken { id, .. }) => assert_eq!(id, first.id),
        other => panic!("{other:?}"),
    }
    assert_eq!(parts.ledger.head().0, 1);
    let other = submit(&invalidations, "/search/y", None).await.unwrap();
    assert_eq!((other.sequence, other.matched), (2, Some(0)));
    assert_eq!(invalidations.list(), [other, first.clone()]);
    assert_eq!(invalidations.get(&first.id), Some(first));
}

/// The thread of the last journal may still hold its file for a moment.
fn reopened(path: &Path) -> (Invalidations, Parts) {
    let lock = std::fs::File::open(path.with_added_extension("lock")).unwrap();
    lock.lock().unwrap();
    drop(lock);
    invalidations(Some(path))
}

#[tokio::test]
async fn what_was_answered_is_remembered_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.journal");
    let (before, _) = invalidations(Some(&path));
    let first = submit(&before, "/search/x", Some("r")).await.unwrap();
    let second = submit(&before, "/search/y", None).await.unwrap();
    drop(before);
    let (after, parts) = reopened(&path);
    assert_eq!(after.list(), [second, first.clone()]);
    assert_eq!(submit(&after, "/search/x", Some("r")).await.unwrap(), first);
    assert!(submit(&after, "/search/z", Some("r")).await.is_err());
    assert_eq!(submit(&after, "/search/z", None).await.unwrap().sequence, 3);
    assert_eq!(parts.ledger.head().0, 3);
}

#[tokio::test]
async fn an_unwritable_journal_is_told_and_stops_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("missing/a.journal");
    let (invalidations, parts) = invalidations(Some(&path));
    let refused = submit(&invalidations, "/search/x", Some("r")).await;
    assert!(
        matches!(refused, Err(Refused::Unwritable(_))),
        "{refused:?}"
    );
    // It took effect, and to try again is harmless.
    assert_eq!(parts.ledger.head().0, 1);
    std::fs::create_dir(folder.path().join("missing")).unwrap();
    let made = submit(&invalidations, "/search/x", Some("r"))
        .await
        .unwrap();
    assert_eq!(made.sequence, 2);
    assert_eq!(invalidations.list().len(), 1);
}

#[tokio::test]
async fn calls_at_once_share_the_disk_and_one_reference_is_one_invalidation() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.journal");
    let (invalidations, parts) = invalidations(Some(&path));
    let calls = (0..200).map(|number| {
        let invalidations = invalidations.clone();
        tokio::spawn(async move {
            let reference = (number % 2 == 0).then_some("r");
            submit(&invalidations, "/search/x", reference)
                .await
                .unwrap()
                .id
                .clone()
        })
    });
    let mut ids = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        ids.push(
            tokio::time::timeout(Duration::from_secs(60), call)
                .await
                .unwrap()
                .unwrap(),
        );
    }
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), parts.ledger.head().0), (101, 101));
    drop(invalidations);
    assert_eq!(reopened(&path).0.list().len(), 101);
}
