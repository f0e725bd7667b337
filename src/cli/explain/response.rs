//! What would become of the origin's response: kept or not, coded or not, and how it leaves.

use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode, Version};

use super::decision::{Decision, lines, shown};
use crate::{
    config,
    fields::encoding::Coding,
    policy::{
        Ask, Rules, WhyNot,
        deliver::{self, CacheStatus},
        finish::{self, To},
        forward::Purpose,
        marks::Sequence,
        partial,
        recode::{self, Recodable, WhyAsIs},
        represent::{self, Wanted},
        settle::{self, Settled, Times},
    },
};

/// What the behaviour makes of an answer on its way out; nothing when it leaves it alone.
pub(super) fn finished(
    ask: &Ask,
    rules: &Rules,
    mut status: StatusCode,
    mut headers: HeaderMap,
) -> Option<Decision> {
    let rules = &rules.viewer;
    if rules.leaves_answers_alone() {
        return None;
    }
    let content = finish::finish(rules, &To::of(ask, rules), &mut status, &mut headers);
    let told = match content {
        Some(_) => "with the content of the behaviour's error",
        None => "with these fields of the origin and the behaviour",
    };
    let answer = format!("{} {told}", status.as_u16());
    Some(Decision::new("viewer gets", answer).with(lines(&headers)))
}

/// What would become of such a response.
pub(super) fn settled(
    ask: &Ask,
    rules: &Rules,
    purpose: Purpose,
    status: StatusCode,
    headers: &HeaderMap,
) -> Vec<Decision> {
    if !matches!(purpose, Purpose::Fill | Purpose::Part) {
        return vec![
            Decision::new("stored", "no: the request is not for the cache"),
            Decision::new("compressed", ONLY_STORED),
        ];
    }
    let now = ask.at;
    let times = Times {
        asked: now,
        received: now,
        born: Sequence::default(),
    };
    let headers = deliver::end_to_end(headers.clone(), Version::HTTP_11);
    let answer = (status, &headers);
    let settled = match purpose {
        Purpose::Part => partial::kept(ask, rules, answer, times)
            .map_or_else(Settled::PassOn, |kept| Settled::Store(kept.meta)),
        Purpose::Fill | Purpose::Pass | Purpose::Upgrade => {
            settle::answered(ask, rules, None, answer, times)
        }
    };
    match settled {
        Settled::Store(meta) => {
            let life = &meta.lifetime;
            let span = |seconds: u32| config::duration_text(Duration::from_secs(seconds.into()));
            let fresh = format!(
                "yes, fresh for {}, by {}",
                span(life.fresh_for),
                life.source.as_str()
            );
            let mut details = vec![format!("age on arrival {}", span(meta.age_then))];
            if meta.status == StatusCode::PARTIAL_CONTENT {
                details.push("a part: for ranges wholly within it (RFC 9111 §3.3)".to_owned());
            } else {
                details.push(format!(
                    "served stale while refreshed, for {}",
                    span(life.while_revalidate)
                ));
            }
            details.push(format!(
                "served stale while the origin fails, for {}",
                span(life.if_error)
            ));
            if life.always_validate {
                details.push("validated at every use: no-cache (RFC 9111 §5.2.2.4)".to_owned());
            }
            if let Some(varying) = &meta.varying {
                let names: Vec<&str> = varying.names().iter().map(HeaderName::as_str).collect();
                details.push(format!("varies by {} (RFC 9111 §4.1)", names.join(", ")));
            }
            let ttl = Some(i64::from(life.fresh_for) - i64::from(meta.age_then));
            let said = CacheStatus {
                stored: true,
                ttl,
                ..CacheStatus::forwarded("uri-miss", status)
            };
            vec![
                Decision::new("stored", fresh).with(details),
                coded(ask, rules, recode::recodable(rules, status, &headers)),
                says(said),
            ]
        }
        Settled::PassOn(why) => not_stored(why, status),
        Settled::Refresh(..) | Settled::ServeStale(_) | Settled::AskAnew | Settled::Fail => {
            not_stored(WhyNot::Status, status)
        }
    }
}

/// Whether viewers get it in another coding than the origin's.
fn coded(ask: &Ask, rules: &Rules, recodable: Result<Recodable, WhyAsIs>) -> Decision {
    let response = match recodable {
        Ok(response) => response,
        Err(why) => {
            let answer = format!("no, {}: {}", why.as_str(), why.clause());
            return Decision::new("compressed", answer);
        }
    };
    let own = response.own.name();
    let this = match represent::wanted(ask, rules, response) {
        Wanted::Own => own,
        Wanted::Decoded => Coding::Identity.name(),
        Wanted::Best(codings) => codings.preferred(&Coding::ALL).map_or(own, Coding::name),
    };
    let answer = match response.own {
        Coding::Identity => {
            "yes, by Accept-Encoding (RFC 9110 §12.5.3), from 1,000 to 10,000,000 bytes"
        }
        _ => "by the origin; decoded for viewers that do not accept that",
    };
    let details = vec![
        format!("this viewer gets {this}, once that is made"),
        "one object for all codings, with Vary: Accept-Encoding".to_owned(),
    ];
    Decision::new("compressed", answer).with(details)
}

fn not_stored(why: WhyNot, status: StatusCode) -> Vec<Decision> {
    let answer = format!("no, {}: {}", why.as_str(), why.clause());
    let said = CacheStatus::forwarded("uri-miss", status).unstored(why);
    vec![
        Decision::new("stored", answer),
        Decision::new("compressed", ONLY_STORED),
        says(said),
    ]
}

/// What is passed on may hold one viewer's secrets beside another's input.
const ONLY_STORED: &str = "no: only stored answers are";

fn says(status: CacheStatus) -> Decision {
    Decision::new(
        "viewer sees",
        format!("Cache-Status: {}", shown(&status.value())),
    )
}
