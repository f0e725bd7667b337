//! CloudFront's calls for invalidations: made, read back and listed by AWS's own clients.
//!
//! A request is believed by its signature alone ([`crate::admin::sigv4`]): its head is
//! judged before its body is read, and both before anything is said of what exists.
//! `DistributionId` is the distribution's `id`. An invalidation is `Completed` when it
//! is answered, so waiters return at once.
//!
//! A `CallerReference` is this API's own: the same one here and as the JSON API's
//! `reference` are two. It is remembered as `cloudfront:` and itself.
//!
//! Every path below `/2020-05-31/` is answered in CloudFront's XML, what is not
//! built included. A path in front of it (`--endpoint-url http://edge/prefix`)
//! is another path, and not answered.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::any,
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{CONTENT_TYPE, HOST, LOCATION},
    request::Parts,
};
use http_body_util::{BodyExt, Limited};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;

use super::{
    Facts,
    auth::peer,
    body::{BODY_BYTES_MAX, Held},
    sigv4::{self, Claim},
    xml::{Batch, Page, Summary},
};
use crate::{
    fields::date,
    invalidate::{Caller, Invalidation, Mode, Order, Tag, TagCase, Where},
    serve::RequestIds,
    site::{AwsKey, Snapshot},
};

mod refusal;

use refusal::Refusal;

/// The version of the API, the only one spoken: all clients of the last years speak it.
const VERSION: &str = "/2020-05-31/";

/// What the credential's scope must name.
const SERVICE: &str = "cloudfront";

/// How long a refused sender is read from.
const DISCARD_MAX: Duration = Duration::from_secs(5);

/// The items of a page, and how many there are when nobody says.
const PAGE_ITEMS_MAX: usize = 100;

/// Sets a reference of this API apart from one of the other.
const REFERENCE_PREFIX: &str = "cloudfront:";

/// The routes of this API.
pub(super) fn routes() -> Router<Facts> {
    let ids = Arc::new(RequestIds::new());
    let answer = async move |State(facts): State<Facts>, request: Request| {
        let id = ids.make();
        let answered = answer(&facts, request).await;
        let mut response = answered.unwrap_or_else(|refusal| refusal.response(&id));
        response.headers_mut().insert("x-amzn-requestid", id);
        response
    };
    Router::new().route(&format!("{VERSION}{{*rest}}"), any(answer))
}

/// What a request asks for.
enum Call {
    Create(String),
    List(String),
    Get(String, String),
}

impl Call {
    fn read(method: &Method, path: &str) -> Option<Self> {
        let rest = path.strip_prefix(VERSION)?.strip_prefix("distribution/")?;
        let mut segments = rest.split('/');
        let mut next = || {
            let segment = percent_decode_str(segments.next()?);
            Some(segment.decode_utf8_lossy().into_owned())
        };
        let (distribution, noun, id) = (next()?, next()?, next());
        if noun != "invalidation" || segments.next().is_some() {
            return None;
        }
        match (method.as_str(), id) {
            ("POST", None) => Some(Self::Create(distribution)),
            ("GET", None) => Some(Self::List(distribution)),
            ("GET", Some(id)) => Some(Self::Get(distribution, id)),
            _ => None,
        }
    }
}

/// The way of a request: believed, understood, done.
async fn answer(facts: &Facts, request: Request) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    let site = facts.site.load().snapshot.clone();
    let (caller, body) = believed(facts, &site, &head, body).await?;
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or(""));

    let call = Call::read(&head.method, path).ok_or_else(Refusal::no_such_action)?;
    match &call {
        Call::Create(distribution) => {
            let batch = read_batch(&body.bytes).inspect_err(|refusal| {
                let events = &facts.events;
                events.invalidation_refused(&caller.0, refusal.code(), 0);
            })?;
            let order = order(distribution, batch);
            let made = facts.invalidations.submit(&site, order, &caller).await?;
            let mut response = document(StatusCode::CREATED, &made);
            if let Some(location) = location(&head.headers, path, &made.id) {
                response.headers_mut().insert(LOCATION, location);
            }
            Ok(response)
        }
        Call::Get(distribution, id) => {
            exists(&site, distribution)?;
            let found = facts.invalidations.get(id);
            let found = found.filter(|one| one.distribution == *distribution);
            let found = found.ok_or_else(Refusal::no_such_invalidation)?;
            Ok(document(StatusCode::OK, &found))
        }
        Call::List(distribution) => {
            exists(&site, distribution)?;
            let mut all = facts.invalidations.list();
            all.retain(|one| one.distribution == *distribution);
            list(&all, query)
        }
    }
}

/// Who signed the request, and its body. Refusals are told and counted.
async fn believed(
    facts: &Facts,
    site: &Snapshot,
    head: &Parts,
    body: Body,
) -> Result<(Caller, Held), Refusal> {
    let now = facts.clock.now();
    let refused = |by: &str, refusal: Refusal| {
        facts
            .events
            .admin_refused(peer(head), by, refusal.code(), now);
        refusal
    };
    let claimed = Claim::read(&head.headers, SERVICE, now).map_err(Refusal::from);
    let claimed = claimed.and_then(|claim| Ok((key(site, claim.key())?, claim)));
    let (key, claim) = match claimed {
        Ok(claimed) => claimed,
        Err(refusal) => {
            drop(tokio::spawn(discard(body)));
            return Err(refused("", refusal));
        }
    };
    let body = facts.limits.bodies.read(&head.headers, body).await?;
    let signed = sigv4::Request {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or(""),
        fields: &head.headers,
    };
    let proven = claim.prove(&signed, &body.bytes, key.secret.reveal());
    proven.map_err(|why| refused(&key.id, why.into()))?;
    Ok((Caller(key.id.clone()), body))
}

/// Reads what a refused sender is still sending, so that it comes to read the refusal: a
/// connection that closes on unread bytes is reset, and the answer with it.
async fn discard(body: Body) {
    let mut body = Limited::new(body, BODY_BYTES_MAX);
    let all = async { while matches!(body.frame().await, Some(Ok(_))) {} };
    let _ = timeout(DISCARD_MAX, all).await;
}

/// The key that a claim names.
fn key<'s>(site: &'s Snapshot, id: &str) -> Result<&'s AwsKey, Refusal> {
    let keys = site.admin.as_ref().map_or(&[][..], |one| &one.aws_keys);
    if keys.is_empty() {
        return Err(Refusal::no_keys());
    }
    let found = keys.iter().find(|one| one.id == id);
    found.ok_or_else(Refusal::unknown_key)
}

fn exists(site: &Snapshot, distribution: &str) -> Result<(), Refusal> {
    let mut ids = site.distributions.iter().map(|one| &one.id);
    let found = ids.any(|id| id == distribution);
    found
        .then_some(())
        .ok_or_else(Refusal::no_such_distribution)
}

/// The batch that a body holds, if it asks for anything.
fn read_batch(body: &[u8]) -> Result<Batch, Refusal> {
    if body.is_empty() {
        return Err(Refusal::no_body());
    }
    let batch = Batch::read(body)?;
    if batch.items.is_empty() {
        return Err(Refusal::invalid("Paths has no items; wanted at least one."));
    }
    if batch.reference.is_empty() {
        return Err(Refusal::invalid("CallerReference is empty."));
    }
    Ok(batch)
}

/// What a batch asks for: paths, and behind `#` tags, whose case does not count
/// (CloudFront: Invalidate files by tag).
fn order(distribution: &str, batch: Batch) -> Order {
    let mut order = Order {
        distribution: Some(distribution.to_owned()),
        mode: Mode::Hard,
        reference: Some(format!("{REFERENCE_PREFIX}{}", batch.reference)),
        ..Order::default()
    };
    for item in batch.items {
        match item.strip_prefix('#') {
            Some(text) => order.tags.push(Tag {
                text: text.to_owned(),
                case: TagCase::Any,
            }),
            None => order.paths.push(item),
        }
    }
    order
}

/// An invalidation in CloudFront's words, one that was made in others included.
fn batch(made: &Invalidation) -> Batch {
    let order = &made.order;
    let mut items = order.paths.clone();
    if order.everything && items.is_empty() {
        items.push("/*".to_owned());
    }
    items.extend(order.tags.iter().map(|tag| format!("#{}", tag.text)));
    items.extend(order.r#where.iter().map(described));
    let reference = order.reference.as_deref().unwrap_or(&made.id);
    let reference = reference.strip_prefix(REFERENCE_PREFIX);
    Batch {
        items,
        reference: reference
            .or(order.reference.as_deref())
            .unwrap_or(&made.id)
            .to_owned(),
    }
}

/// A selection that CloudFront does not know; nothing that it could be taken for.
fn described(one: &Where) -> String {
    let Where { path, name, value } = one;
    format!("where {name}={value} at {}", path.as_deref().unwrap_or("*"))
}

fn summary(made: &Invalidation) -> Summary<'_> {
    Summary {
        id: &made.id,
        created: date::rfc3339(made.created),
    }
}

fn document(status: StatusCode, made: &Invalidation) -> Response {
    xml(status, summary(made).with(&batch(made)))
}

fn xml(status: StatusCode, document: String) -> Response {
    (status, [(CONTENT_TYPE, "text/xml")], document).into_response()
}

/// Where an invalidation is found: the URL it was made at, and its id.
fn location(fields: &HeaderMap, path: &str, id: &str) -> Option<HeaderValue> {
    let host = fields.get(HOST)?.as_bytes();
    let url = [b"http://", host, path.as_bytes(), b"/", id.as_bytes()].concat();
    HeaderValue::from_bytes(&url).ok()
}

/// A page of `all`, newest first, as the query wants it.
///
/// `NextMarker` is the last id of a page, and a page begins after its `Marker`: so
/// none is left out or told twice when new ones come in between.
fn list(all: &[Arc<Invalidation>], query: &str) -> Result<Response, Refusal> {
    let marker = parameter(query, "Marker").unwrap_or_default();
    let items_max = match parameter(query, "MaxItems") {
        None => PAGE_ITEMS_MAX,
        Some(text) => match text.parse::<u64>() {
            Ok(number @ 1..) => {
                usize::try_from(number).map_or(PAGE_ITEMS_MAX, |number| number.min(PAGE_ITEMS_MAX))
            }
            _ => return Err(Refusal::invalid("MaxItems is no positive number.")),
        },
    };
    let rest = if marker.is_empty() {
        all
    } else {
        let place = all.iter().position(|one| one.id == marker);
        let place = place
            .ok_or_else(|| Refusal::invalid("Marker is no invalidation of this distribution."))?;
        &all[place + 1..]
    };
    let items = &rest[..rest.len().min(items_max)];
    let is_truncated = items.len() < rest.len();
    let page = Page {
        marker: &marker,
        items_max,
        next: items.last().filter(|_| is_truncated).map(|last| &*last.id),
        items: items.iter().map(|one| summary(one)).collect(),
    };
    Ok(xml(StatusCode::OK, page.write()))
}

/// The first value of a parameter, decoded as the signature takes it: `+` is a plus.
fn parameter(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (one, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is = percent_decode_str(one).eq(name.bytes());
        is.then(|| percent_decode_str(value).decode_utf8_lossy().into_owned())
    })
}
