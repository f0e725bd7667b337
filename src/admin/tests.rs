//! What the admin API lets through, and what it says.

use std::{io, path::Path};

use axum::body::Body;
use http::{Request, header::ALLOW};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::{
    config::{self, Outside},
    invalidate::Parts,
    ledger::Ledger,
};

/// A machine with nothing on it.
struct Nothing;

impl Outside for Nothing {
    fn variable(&self, _: &str) -> Option<Vec<u8>> {
        None
    }

    fn file(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn cores(&self) -> usize {
        1
    }
}

const TOKENS: &str = r#"
[[admin.token]]
name = "reader"
secret = "reader-reader-reader"
allow = ["read"]
[[admin.token]]
name = "backend"
secret = "backend-backend-backend"
allow = ["invalidate"]
[[admin.token]]
name = "operator"
secret = "operator-operator-operator"
allow = ["read", "invalidate", "reload"]
"#;

const SITE: &str = r#"
[[listener]]
address = "127.0.0.1:8080"
[[origin]]
id = "api"
url = "https://api.example.com"
[[distribution]]
id = "clinic"
[[distribution.behaviour]]
path = "/search/pcp"
origin = "api"
key.query = ["Keyword", "PracticeId"]
[[distribution.behaviour]]
path = "/static/*"
origin = "api"
cache = false
"#;

fn facts_of(address: &str, config: &str) -> Facts {
    let text = format!("[admin]\naddress = \"{address}\"\n{config}{SITE}");
    let loaded = config::parse("test.toml", &text, 1, &Nothing);
    let snapshot = loaded
        .unwrap_or_else(|problems| panic!("{problems}"))
        .snapshot;
    let (events, store) = (Arc::new(Events::new()), Store::new(1 << 20, 1 << 20));
    let meters = events.meters(&snapshot);
    let clock = Clock::System;
    let parts = Parts {
        ledger: Ledger::default(),
        store: store.clone(),
        clock,
        events: events.clone(),
    };
    Facts {
        events,
        readiness: Readiness::default(),
        address: address.parse().unwrap(),
        clock,
        started: clock.now(),
        site: Arc::new(ArcSwap::from_pointee(Site {
            snapshot,
            meters,
            limits: crate::serve::Limits::default(),
        })),
        store,
        invalidations: Invalidations::open(parts, None).unwrap(),
        reloads: Reloads::new().0,
        limits: Limits::default(),
    }
}

fn facts(address: &str) -> Facts {
    facts_of(address, TOKENS)
}

/// The answer to a call with a token, and with a body where there is one.
async fn call(
    facts: &Facts,
    token: &str,
    method: &str,
    path: &str,
    body: &str,
) -> (Response<()>, Value) {
    let mut request = Request::builder().method(method).uri(path);
    request = request.header("host", LOCAL);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = router(facts.clone()).oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    (Response::from_parts(head, ()), body)
}

const READER: &str = "reader-reader-reader";
const BACKEND: &str = "backend-backend-backend";
const OPERATOR: &str = "operator-operator-operator";

async fn invalidate(facts: &Facts, body: Value) -> (u16, Value) {
    let (head, answer) = call(
        facts,
        BACKEND,
        "POST",
        "/v1/invalidations",
        &body.to_string(),
    )
    .await;
    (head.status().as_u16(), answer)
}

/// Every call that needs a token, and the tokens that may make it.
const CALLS: [(&str, &str, &[&str]); 5] = [
    ("GET", "/v1/status", &[READER, OPERATOR]),
    ("POST", "/v1/reload", &[OPERATOR]),
    ("POST", "/v1/invalidations", &[BACKEND, OPERATOR]),
    ("GET", "/v1/invalidations", &[READER, BACKEND, OPERATOR]),
    ("GET", "/v1/invalidations/I0", &[READER, BACKEND, OPERATOR]),
];

#[tokio::test]
async fn a2_without_a_token_or_with_a_wrong_one_nothing_is_answered() {
    for (method, path, _) in CALLS {
        let facts = facts(LOCAL);
        for (token, error) in [("", "token_required"), ("wrong", "wrong_token")] {
            let (head, body) = call(&facts, token, method, path, "{}").await;
            assert_eq!(head.status(), StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(
                head.headers()["www-authenticate"],
                "Bearer realm=\"warmfront\""
            );
            assert_eq!(body["error"], error, "{path}");
        }
    }
}

#[tokio::test]
async fn a2_a_token_does_only_what_it_allows() {
    for (method, path, allowed) in CALLS {
        let facts = facts(LOCAL);
        for token in [READER, BACKEND, OPERATOR] {
            let (head, body) = call(&facts, token, method, path, "{}").await;
            let forbidden = head.status() == StatusCode::FORBIDDEN;
            assert_eq!(
                forbidden,
                !allowed.contains(&token),
                "{method} {path} {token}"
            );
            assert_eq!(body["error"] == "not_allowed", forbidden);
        }
    }
}

#[tokio::test]
async fn a2_who_guesses_is_no_longer_listened_to() {
    let facts = facts(LOCAL);
    let mut last = StatusCode::OK;
    for guess in 0..20 {
        let token = format!("guess-{guess}");
        last = call(&facts, &token, "GET", "/v1/status", "")
            .await
            .0
            .status();
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    let refused = "warmfront_admin_refused_total{reason=\"too_many_guesses\"}";
    assert!(facts.events.encode().contains(refused));
}

#[tokio::test]
async fn without_any_token_the_answer_says_how_to_have_one() {
    let facts = facts_of(LOCAL, "");
    for (method, path, _) in CALLS {
        let (head, body) = call(&facts, OPERATOR, method, path, "{}").await;
        assert_eq!(head.status(), StatusCode::UNAUTHORIZED, "{path}");
        let message = body["message"].as_str().unwrap();
        assert!(message.contains("[[admin.token]]"), "{message}");
    }
}

#[tokio::test]
async fn an_invalidation_is_answered_listed_and_read_back() {
    let facts = facts(LOCAL);
    let order = json!({"paths": ["/search/pcp?Keyword=a"], "reference": "r"});
    let (status, made) = invalidate(&facts, order.clone()).await;
    assert_eq!((status, &made["status"]), (201, &json!("completed")));
    assert_eq!(
        (&made["sequence"], &made["matched"]),
        (&json!(1), &json!(0))
    );
    assert!(made["created"].as_str().unwrap().ends_with('Z'), "{made}");

    let (status, again) = invalidate(&facts, order).await;
    assert_eq!((status, &again), (201, &made));
    let other = json!({"paths": ["/search/pcp"], "reference": "r"});
    let (status, taken) = invalidate(&facts, other).await;
    assert_eq!((status, &taken["error"]), (409, &json!("reference_taken")));

    let (_, list) = call(&facts, READER, "GET", "/v1/invalidations", "").await;
    assert_eq!(list["invalidations"].as_array().unwrap().len(), 1);
    let path = format!("/v1/invalidations/{}", made["id"].as_str().unwrap());
    let (_, one) = call(&facts, BACKEND, "GET", &path, "").await;
    assert_eq!((&one["by"], &one["items"]), (&json!("backend"), &json!(1)));
    assert_eq!(one["order"]["paths"], json!(["/search/pcp?Keyword=a"]));
    // A reader learns that something was invalidated, not what patients search for.
    let (_, read) = call(&facts, READER, "GET", &path, "").await;
    assert_eq!((&read["items"], read.get("order")), (&json!(1), None));
    let (head, _) = call(&facts, READER, "GET", "/v1/invalidations/I9", "").await;
    assert_eq!(head.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let facts = facts(LOCAL);
    let (status, body) = invalidate(&facts, json!({"paths": ["/*"], "dry_run": true})).await;
    let nothing = json!({"dry_run": true, "matched": 0, "sample": []});
    assert_eq!((status, body), (200, nothing));
    assert_eq!(facts.invalidations.head().0, 0);
}

#[tokio::test]
async fn a4_everything_is_said_in_so_many_words() {
    for body in [
        json!({"paths": ["*"]}),
        json!({"paths": []}),
        json!({}),
        json!({"everything": false}),
        json!({"paths": ["//*"]}),
        json!({"paths": ["/a/../*"]}),
        json!({"paths": [""]}),
    ] {
        let facts = facts(LOCAL);
        let (status, answer) = invalidate(&facts, body.clone()).await;
        assert_eq!(status, 400, "{body}");
        let why = answer["items"][0]["why"].as_str().unwrap();
        assert!(
            why.contains("/*") || why.contains("begins"),
            "{body}: {why}"
        );
        assert_eq!(facts.invalidations.head().0, 0);
    }
    for body in [json!({"everything": true}), json!({"paths": ["/*"]})] {
        assert_eq!(invalidate(&facts(LOCAL), body).await.0, 201);
    }
    // The root is one page.
    assert_eq!(
        invalidate(&facts(LOCAL), json!({"paths": ["/"]})).await.0,
        201
    );
}

#[tokio::test]
async fn a6_a_hundred_thousand_paths_are_too_many() {
    let facts = facts(LOCAL);
    let many = json!({"paths": vec!["/a"; 100_000]});
    let (status, body) = invalidate(&facts, many).await;
    assert_eq!((status, &body["error"]), (413, &json!("too_many_items")));
    assert!(body["message"].as_str().unwrap().contains("3000"), "{body}");
    let most: Vec<String> = (0..3_000).map(|at| format!("/{at:03999}")).collect();
    assert_eq!(invalidate(&facts, json!({"paths": most})).await.0, 201);
}

#[tokio::test]
async fn every_item_that_means_nothing_is_told() {
    let facts = facts(LOCAL);
    let (status, body) = invalidate(
        &facts,
        json!({
            "paths": ["/ok", "no-slash", 7],
            "where": [{"path": "/search/pcp", "query": {"Zip": "1"}}],
        }),
    )
    .await;
    assert_eq!((status, &body["error"]), (400, &json!("invalid_items")));
    let items = body["items"].as_array().unwrap();
    let items: Vec<&str> = items
        .iter()
        .map(|one| one["item"].as_str().unwrap())
        .collect();
    assert_eq!(items, ["paths[2]", "no-slash", "/search/pcp Zip=1"]);
    let (status, body) = invalidate(&facts, json!({"distribution": "x", "paths": ["/a"]})).await;
    assert_eq!(
        (status, &body["error"]),
        (400, &json!("no_such_distribution"))
    );
    let (status, body) = invalidate(&facts, json!({"path": ["/a"]})).await;
    assert_eq!((status, &body["error"]), (400, &json!("bad_json")));
    assert!(
        body["message"].as_str().unwrap().contains("`path`"),
        "{body}"
    );
}

#[tokio::test]
async fn the_status_says_what_runs_and_how_it_is() {
    let facts = facts(LOCAL);
    facts.readiness.enter(Phase::Ready);
    let meters = facts.site.load().meters.clone();
    meters.requests(0).count(crate::observe::CacheResult::Hit);
    meters.requests(0).count(crate::observe::CacheResult::Miss);
    meters.origin_took(0, Duration::from_millis(2_000));
    meters
        .behaviour(0)
        .viewer_head
        .observe(Duration::from_millis(2_000));
    let (_, status) = call(&facts, READER, "GET", "/v1/status", "").await;
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (&status["generation"], &status["status"]),
        (&json!(1), &json!("ready"))
    );
    assert_eq!(status["cache"]["bytes_max"], 1 << 20);
    let one = &status["behaviours"][0];
    assert_eq!(
        (&one["path"], &one["requests"], &one["hits"]),
        (&json!("/search/pcp"), &json!(2), &json!(1))
    );
    assert_eq!(
        (
            &one["origin_latency"]["count"],
            &one["origin_latency"]["mean_ms"]
        ),
        (&json!(1), &json!(2000.0))
    );
    assert_eq!(
        (
            &one["viewer_latency"]["count"],
            &one["viewer_latency"]["mean_ms"]
        ),
        (&json!(2), &json!(1000.0))
    );
}

#[tokio::test]
async fn a11_no_call_can_name_an_origin() {
    let facts = facts(LOCAL);
    let body = json!({"everything": true, "origin": "http://169.254.169.254"}).to_string();
    for (method, path) in [
        ("POST", "/v1/invalidations"),
        ("PUT", "/v1/status"),
        ("POST", "/v1/origins"),
        ("PUT", "/v1/config"),
        ("PATCH", "/v1/reload"),
    ] {
        let (head, _) = call(&facts, OPERATOR, method, path, &body).await;
        assert!(head.status().is_client_error(), "{method} {path}");
    }
    assert_eq!(facts.invalidations.head().0, 0);
}

#[tokio::test]
async fn a_reload_that_nobody_does_is_said() {
    let (head, body) = call(&facts(LOCAL), OPERATOR, "POST", "/v1/reload", "").await;
    assert_eq!(
        (head.status().as_u16(), &body["error"]),
        (503, &json!("not_reloading"))
    );
}

#[tokio::test]
async fn off_this_machine_metrics_need_a_token_and_health_does_not() {
    let open = facts("0.0.0.0:9900");
    open.readiness.enter(Phase::Ready);
    let (head, body) = call(&open, "", "GET", "/metrics", "").await;
    assert_eq!(
        (head.status().as_u16(), &body["error"]),
        (401, &json!("token_required"))
    );
    assert_eq!(
        call(&open, BACKEND, "GET", "/metrics", "").await.0.status(),
        403
    );
    assert_eq!(
        call(&open, READER, "GET", "/metrics", "").await.0.status(),
        200
    );
    assert_eq!(
        call(&open, "", "GET", "/health/ready", "").await.0.status(),
        200
    );
}

async fn ask(facts: &Facts, method: &str, path: &str, host: &str) -> (Response<()>, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", host);
    let request = request.body(Body::empty()).unwrap();
    let response = router(facts.clone()).oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    (
        Response::from_parts(head, ()),
        String::from_utf8(body).unwrap(),
    )
}

const LOCAL: &str = "127.0.0.1:9900";

#[tokio::test]
async fn readiness_follows_the_phase() {
    let facts = facts(LOCAL);
    let ready = async || {
        let (head, body) = ask(&facts, "GET", "/health/ready", LOCAL).await;
        (head.status().as_u16(), body)
    };
    assert_eq!(ready().await, (503, r#"{"status":"starting"}"#.to_owned()));
    facts.readiness.enter(Phase::Ready);
    assert_eq!(ready().await, (200, r#"{"status":"ready"}"#.to_owned()));
    facts.readiness.enter(Phase::Draining);
    assert_eq!(ready().await, (503, r#"{"status":"draining"}"#.to_owned()));
    let (head, _) = ask(&facts, "GET", "/health/live", LOCAL).await;
    assert_eq!(head.status(), StatusCode::OK);
}

#[tokio::test]
async fn metrics_are_text_on_a_loopback_address() {
    let (head, body) = ask(&facts(LOCAL), "GET", "/metrics", LOCAL).await;
    assert_eq!(head.headers()["content-type"], Events::MEDIA_TYPE);
    assert!(body.starts_with("# HELP warmfront_"), "{body}");
}

#[tokio::test]
async fn what_is_not_named_is_404_and_other_methods_are_405() {
    let facts = facts(LOCAL);
    for path in ["/", "/health", "/health/live/", "/v1/nothing", "//metrics"] {
        let (head, body) = ask(&facts, "GET", path, LOCAL).await;
        assert_eq!(head.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(
            body.starts_with(r#"{"error":"not_found","message":""#),
            "{body}"
        );
    }
    for method in ["POST", "PURGE", "OPTIONS", "DELETE"] {
        let (head, _) = ask(&facts, method, "/metrics", LOCAL).await;
        assert_eq!(head.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(head.headers()[ALLOW], "GET,HEAD", "{method}");
    }
}

#[tokio::test]
async fn a10_a_page_that_rebinds_its_name_learns_nothing() {
    for path in ["/metrics", "/health/live", "/nothing", "/v1/status"] {
        let (head, body) = ask(&facts(LOCAL), "GET", path, "evil.example:9900").await;
        assert_eq!(head.status(), StatusCode::MISDIRECTED_REQUEST, "{path}");
        assert!(body.contains("host_not_allowed"), "{body}");
    }
}

#[tokio::test]
async fn a12_no_answer_may_be_stored_or_shared_with_a_page() {
    for (method, path) in [("GET", "/metrics"), ("GET", "/x"), ("POST", "/metrics")] {
        let (head, _) = ask(&facts(LOCAL), method, path, LOCAL).await;
        assert_eq!(head.headers()["cache-control"], "no-store", "{path}");
        assert_eq!(
            head.headers()["x-content-type-options"],
            "nosniff",
            "{path}"
        );
        assert!(
            !head.headers().contains_key("access-control-allow-origin"),
            "{path}"
        );
        assert!(!head.headers().contains_key("server"), "{path}");
    }
}
