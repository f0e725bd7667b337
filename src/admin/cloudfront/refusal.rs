//! What CloudFront answers when it does not do what it was asked: codes, statuses, words.
//!
//! Clients go by the code: SDKs raise a type for each that the API's model names,
//! and try again after `Throttling`, 500 and 503. The words are AWS's where
//! people search for them, and say more where it helps.

use std::fmt::Write;

use axum::response::Response;
use http::{HeaderValue, StatusCode};

use crate::{
    admin::{
        json,
        sigv4::{Distrust, SKEW_MAX},
        xml::{self, Fault},
    },
    fields::iso8601,
    invalidate::{ITEMS_MAX, Refused},
    time::Timestamp,
};

/// Offending items that a message names; more would not be read.
const OFFENCES_TOLD_MAX: usize = 10;

/// Characters of an offending item that are told.
const ITEM_TOLD_MAX: usize = 100;

/// Why a call was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code,
            message: message.into(),
        }
    }

    /// There is no key at all that could have signed.
    pub(super) fn no_keys() -> Self {
        let message = "No access keys are configured here; wanted one in [[admin.aws_key]].";
        Self::new(403, "AccessDenied", message)
    }

    /// No key has this id.
    pub(super) fn unknown_key() -> Self {
        let message = "The security token included in the request is invalid.";
        Self::new(403, "InvalidClientTokenId", message)
    }

    /// Whatever else CloudFront can do.
    pub(super) fn no_such_action() -> Self {
        let message = "The action is not one of CreateInvalidation, GetInvalidation and \
                       ListInvalidations, which are all that is answered here.";
        Self::new(400, "InvalidAction", message)
    }

    /// No distribution has this id.
    pub(super) fn no_such_distribution() -> Self {
        let message = "The specified distribution does not exist.";
        Self::new(404, "NoSuchDistribution", message)
    }

    /// No invalidation of this distribution has this id, among the last that are remembered.
    pub(super) fn no_such_invalidation() -> Self {
        let message = "The specified invalidation does not exist.";
        Self::new(404, "NoSuchInvalidation", message)
    }

    /// A CreateInvalidation of nothing.
    pub(super) fn no_body() -> Self {
        let message = "This operation requires a body. Ensure that the body is present and the \
                       Content-Type header is set.";
        Self::new(400, "MissingBody", message)
    }

    /// A value that means nothing here.
    pub(super) fn invalid(message: &str) -> Self {
        Self::new(400, "InvalidArgument", message)
    }

    /// More than fits.
    fn too_large(message: &str) -> Self {
        Self::new(413, "BatchTooLarge", message)
    }

    /// What programs, and the log, know it by.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// The answer, with the request's id.
    pub(super) fn response(&self, request_id: &HeaderValue) -> Response {
        let kind = if self.status.is_server_error() {
            "Receiver"
        } else {
            "Sender"
        };
        let request_id = request_id.to_str().unwrap_or_default();
        let document = xml::error(kind, self.code, &self.message, request_id);
        super::xml(self.status, document)
    }
}

impl From<Distrust> for Refusal {
    fn from(why: Distrust) -> Self {
        let mismatch = |message: String| Self::new(403, "SignatureDoesNotMatch", message);
        match why {
            Distrust::Unsigned => {
                let message = "Request is missing Authentication Token";
                Self::new(403, "MissingAuthenticationToken", message)
            }
            Distrust::Incomplete(wanted) => {
                let message = format!(
                    "The request signature does not conform to AWS standards: wanted {wanted}."
                );
                Self::new(400, "IncompleteSignature", message)
            }
            Distrust::Misscoped(why) => mismatch(why.to_owned()),
            Distrust::Expired { signed, now } => mismatch(format!(
                "Signature expired: {} is now earlier than {} ({} - 5 min.)",
                basic(signed),
                basic(Timestamp::from_unix(
                    now.unix().saturating_sub(SKEW_MAX.as_secs())
                )),
                basic(now)
            )),
            Distrust::Early { signed, now } => mismatch(format!(
                "Signature not yet current: {} is still later than {} ({} + 5 min.)",
                basic(signed),
                basic(now.after(SKEW_MAX)),
                basic(now)
            )),
            Distrust::OtherBody => mismatch(
                "X-Amz-Content-Sha256 is not the SHA-256 of the body that arrived.".to_owned(),
            ),
            Distrust::Mismatch => mismatch(
                "The request signature we calculated does not match the signature you provided. \
                 Check your AWS Secret Access Key and signing method. Consult the service \
                 documentation for details."
                    .to_owned(),
            ),
        }
    }
}

fn basic(moment: Timestamp) -> String {
    iso8601::basic(moment)
}

impl From<Fault> for Refusal {
    fn from(why: Fault) -> Self {
        match why {
            Fault::Unreadable(seen) => Self::new(
                400,
                "MalformedInput",
                format!("Could not parse XML: {seen}"),
            ),
            Fault::Unfit(seen) => Self::new(400, "MalformedXML", seen),
            Fault::Inconsistent { said, seen } => Self::new(
                400,
                "InconsistentQuantities",
                format!(
                    "The value of Quantity and the size of Items don't match: {said} and {seen}."
                ),
            ),
            Fault::TooMany => Self::too_large(&format!(
                "Invalidation batch specified is too large: more than {} items.",
                ITEMS_MAX
            )),
        }
    }
}

impl From<Refused> for Refusal {
    fn from(why: Refused) -> Self {
        match why {
            Refused::NoSuchDistribution(_) => Self::no_such_distribution(),
            Refused::Invalid(offences) => {
                let mut message =
                    "Your request contains one or more invalid invalidation paths.".to_owned();
                for offence in offences.iter().take(OFFENCES_TOLD_MAX) {
                    let item: String = offence.item.chars().take(ITEM_TOLD_MAX).collect();
                    // Writing into a string does not fail.
                    let _ = write!(message, " {item:?}: {}.", offence.why);
                }
                Self::invalid(&message)
            }
            Refused::TooMany { seen, max } => Self::too_large(&format!(
                "Invalidation batch specified is too large: {seen} items, at most {max}."
            )),
            Refused::ReferenceTaken { id, .. } => Self::new(
                409,
                "InvalidationBatchAlreadyExists",
                format!(
                    "Your request contains a caller reference that was used for a previous \
                     invalidation batch for the same distribution: {id}, of other paths."
                ),
            ),
            // It took effect; with the same reference, trying again writes it down.
            Refused::Unwritable(_) => Self::new(503, "ServiceUnavailable", why.to_string()),
            Refused::Busy => Self::new(400, "Throttling", "Rate exceeded"),
        }
    }
}

impl From<json::Refusal> for Refusal {
    /// Why a body could not be read.
    fn from(why: json::Refusal) -> Self {
        if why.status == StatusCode::PAYLOAD_TOO_LARGE {
            Self::too_large(&format!(
                "Invalidation batch specified is too large: {}.",
                why.message
            ))
        } else {
            Self::new(400, "MalformedInput", why.message)
        }
    }
}
