//! Invalidations in JSON: made, previewed, listed, read back.
//!
//! What an invalidation was about (paths and parameters are patients' searches) is shown to
//! those who may invalidate; who may only read sees how much it was.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header::LOCATION};
use serde::Serialize;

use super::{
    Facts,
    json::Refusal,
    ordered::{self, Ordered, Unread},
};
use crate::{
    fields::date,
    invalidate::{ITEMS_MAX, Invalidation, Offence, Preview, Refused, TagCase},
    site::Scope,
};

/// The answer to an accepted invalidation.
#[derive(Serialize)]
struct Accepted<'a> {
    id: &'a str,
    status: &'static str,
    sequence: u64,
    matched: Option<u64>,
    created: String,
}

/// The answer to a dry run.
#[derive(Serialize)]
struct WouldGo {
    dry_run: bool,
    matched: u64,
    sample: Vec<String>,
}

/// An invalidation in the list.
#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    accepted: Accepted<'a>,
    distribution: &'a str,
    by: &'a str,
    mode: &'static str,
    everything: bool,
    items: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<What<'a>>,
}

/// What it was about.
#[derive(Serialize)]
struct What<'a> {
    paths: &'a [String],
    tags: Vec<TagShown<'a>>,
    r#where: Vec<WhereShown<'a>>,
}

#[derive(Serialize)]
struct TagShown<'a> {
    tag: &'a str,
    case_counts: bool,
}

#[derive(Serialize)]
struct WhereShown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    query: std::collections::BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
struct List<'a> {
    invalidations: Vec<Entry<'a>>,
}

const BAD_JSON: Refusal = Refusal::new(StatusCode::BAD_REQUEST, "bad_json", "");

const NO_SUCH_INVALIDATION: Refusal = Refusal::new(
    StatusCode::NOT_FOUND,
    "no_such_invalidation",
    "no invalidation with this id is among the last 1,000",
);

/// `POST /v1/invalidations`
pub(super) async fn create(
    State(facts): State<Facts>,
    request: Request,
) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    let admitted = facts.admit(&head, &[Scope::Invalidate])?;
    let body = facts.limits.bodies.read(&head.headers, body).await?;
    let by = &admitted.caller;
    // Whatever is refused from here on is somebody's doing, and told.
    let refused = |refusal: Refusal, items: usize| {
        let events = &facts.events;
        events.invalidation_refused(&by.0, refusal.error, items);
        refusal
    };
    let ordered = match ordered::read(&body.bytes) {
        Ok(ordered) => ordered,
        Err(Unread::Body(why)) => return Err(refused(BAD_JSON.saying(why), 0)),
        Err(Unread::TooMany(seen)) => return Err(refused(too_many(seen), seen)),
    };
    let site = facts.site.load().snapshot.clone();
    let Ordered {
        order,
        dry_run,
        mut offences,
    } = ordered;
    if !offences.is_empty() {
        let items = order.items();
        if items > 0
            && let Err(Refused::Invalid(more)) = facts.invalidations.check(&site, &order)
        {
            offences.extend(more);
        }
        return Err(refused(Refusal::items(offences), items));
    }
    if dry_run {
        let previewed = facts.invalidations.preview(&site, &order).await;
        let Preview { matched, sample } =
            previewed.map_err(|why| refused(why.into(), order.items()))?;
        return Ok(Json(WouldGo {
            dry_run,
            matched,
            sample,
        })
        .into_response());
    }
    let made = facts.invalidations.submit(&site, order, by).await?;
    let mut response = (StatusCode::CREATED, Json(accepted(&made))).into_response();
    if let Ok(location) = HeaderValue::try_from(format!("/v1/invalidations/{}", made.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// `GET /v1/invalidations`
pub(super) async fn list(
    State(facts): State<Facts>,
    request: Request,
) -> Result<Response, Refusal> {
    let (head, _) = request.into_parts();
    facts.admit(&head, &[Scope::Read, Scope::Invalidate])?;
    let list = facts.invalidations.list();
    let invalidations = list.iter().map(|one| entry(one)).collect();
    Ok(Json(List { invalidations }).into_response())
}

/// `GET /v1/invalidations/{id}`
pub(super) async fn one(State(facts): State<Facts>, request: Request) -> Result<Response, Refusal> {
    let (head, _) = request.into_parts();
    let admitted = facts.admit(&head, &[Scope::Read, Scope::Invalidate])?;
    let id = head.uri.path().rsplit('/').next().unwrap_or_default();
    let found = facts.invalidations.get(id).ok_or(NO_SUCH_INVALIDATION)?;
    let mut entry = entry(&found);
    if admitted.allow.contains(&Scope::Invalidate) {
        entry.order = Some(what(&found));
    }
    Ok(Json(entry).into_response())
}

fn accepted(invalidation: &Invalidation) -> Accepted<'_> {
    Accepted {
        id: &invalidation.id,
        status: "completed",
        sequence: invalidation.sequence,
        matched: invalidation.matched,
        created: date::rfc3339(invalidation.created),
    }
}

fn entry(invalidation: &Invalidation) -> Entry<'_> {
    let order = &invalidation.order;
    Entry {
        accepted: accepted(invalidation),
        distribution: &invalidation.distribution,
        by: &invalidation.by,
        mode: order.mode.as_str(),
        everything: order.everything,
        items: order.items(),
        reference: order.reference.as_deref(),
        order: None,
    }
}

fn what(invalidation: &Invalidation) -> What<'_> {
    let order = &invalidation.order;
    let tags = order.tags.iter().map(|tag| TagShown {
        tag: &tag.text,
        case_counts: tag.case == TagCase::Exact,
    });
    let places = order.r#where.iter().map(|one| WhereShown {
        path: one.path.as_deref(),
        query: [(&*one.name, &*one.value)].into(),
    });
    What {
        paths: &order.paths,
        tags: tags.collect(),
        r#where: places.collect(),
    }
}

fn too_many(seen: usize) -> Refusal {
    let message = format!("{seen} items are too many, {ITEMS_MAX} may be invalidated at once");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_items", "").saying(message)
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let status = match &refused {
            Refused::NoSuchDistribution(_) | Refused::Invalid(_) => StatusCode::BAD_REQUEST,
            Refused::TooMany { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Refused::ReferenceTaken { .. } => StatusCode::CONFLICT,
            Refused::Unwritable(_) | Refused::Busy => StatusCode::SERVICE_UNAVAILABLE,
        };
        let (error, message) = (refused.as_str(), refused.to_string());
        match refused {
            Refused::Invalid(offences) => Self::items(offences),
            Refused::NoSuchDistribution(_) => Self {
                error,
                ..Self::items(vec![Offence {
                    item: "distribution".to_owned(),
                    why: message,
                }])
            },
            Refused::TooMany { .. }
            | Refused::ReferenceTaken { .. }
            | Refused::Unwritable(_)
            | Refused::Busy => Self::new(status, error, "").saying(message),
        }
    }
}
