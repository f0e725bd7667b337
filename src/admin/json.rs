//! Refusals of the admin API, as small JSON.

use std::borrow::Cow;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use crate::invalidate::Offence;

/// Why a call was not answered.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Refusal {
    #[serde(skip)]
    pub(super) status: StatusCode,
    /// A word for programs.
    pub(super) error: &'static str,
    /// A sentence for people.
    pub(super) message: Cow<'static, str>,
    /// What is wrong with each item of the call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) items: Vec<Item>,
}

/// What is wrong with an item of a call.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Item {
    pub(super) item: String,
    pub(super) why: String,
}

pub(super) const NOT_FOUND: Refusal = Refusal::new(
    StatusCode::NOT_FOUND,
    "not_found",
    "the admin API has no such path",
);

pub(super) const METHOD_NOT_ALLOWED: Refusal = Refusal::new(
    StatusCode::METHOD_NOT_ALLOWED,
    "method_not_allowed",
    "the method is not one this path answers",
);

/// How a token is shown (RFC 6750 §3).
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"warmfront\"");

impl Refusal {
    /// A refusal that needs no more than a sentence.
    pub(super) const fn new(
        status: StatusCode,
        error: &'static str,
        message: &'static str,
    ) -> Self {
        Self {
            status,
            error,
            message: Cow::Borrowed(message),
            items: Vec::new(),
        }
    }

    /// The same in other words.
    pub(super) fn saying(self, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self { message, ..self }
    }
}

impl From<Offence> for Item {
    fn from(Offence { item, why }: Offence) -> Self {
        Self { item, why }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self)).into_response();
        let fields = response.headers_mut();
        match self.status {
            // "The server generating a 401 response MUST send a WWW-Authenticate header field"
            // (RFC 9110 §15.5.2).
            StatusCode::UNAUTHORIZED => drop(fields.insert(WWW_AUTHENTICATE, CHALLENGE)),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                fields.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}
