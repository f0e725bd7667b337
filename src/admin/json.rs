//! Refusals of the admin API, as small JSON.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Serialize;

/// Why a call was not answered.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Refusal {
    #[serde(skip)]
    pub(super) status: StatusCode,
    /// A word for programs.
    pub(super) error: &'static str,
    /// A sentence for people.
    pub(super) message: &'static str,
}

pub(super) const NOT_FOUND: Refusal = Refusal {
    status: StatusCode::NOT_FOUND,
    error: "not_found",
    message: "the admin API has no such path",
};

pub(super) const METHOD_NOT_ALLOWED: Refusal = Refusal {
    status: StatusCode::METHOD_NOT_ALLOWED,
    error: "method_not_allowed",
    message: "the method is not one this path answers",
};

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}
