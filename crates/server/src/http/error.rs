//! The one error envelope (contract, "Errors"), readable by both SDK families.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use offhook_store::StoreError;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::request_id;
use crate::app::codes::TooMany;
use crate::app::guards::SpendLimitReached;

/// A refusal or failure on its way to the client. Not an `enum`: each use case makes its own from the
/// constructors here, and there is one way to write it down.
#[derive(Debug)]
pub struct ApiError {
    pub status: StatusCode,
    pub code: &'static str,
    kind: &'static str,
    message: Box<str>,
    details: Vec<FieldError>,
    retry_after: Option<u64>,
    /// For the log, not for the client.
    cause: Option<Box<str>>,
}

/// One field that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// `body`, `query`, `path` or `header`.
    pub place: &'static str,
    pub field: String,
    pub message: String,
    /// Which rule was broken: `missing`, `type_error`, `value_error`.
    pub rule: &'static str,
}

const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";

/// Marks the answer to a change of which it is not known whether it was committed.
#[derive(Debug, Clone, Copy)]
pub struct OutcomeUnknown;

impl ApiError {
    fn new(status: StatusCode, code: &'static str, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, kind, message: message.into().into(), details: Vec::new(), retry_after: None, cause: None }
    }

    /// 400: well-formed but not acceptable here.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", "validation_error", message)
    }

    /// 400, naming the field it is about.
    pub fn refused_field(field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let detail =
            FieldError { place: "body", field: field.to_owned(), message: message.clone(), rule: "value_error" };
        Self { details: vec![detail], ..Self::refused(format!("{field}: {message}")) }
    }

    /// 400 with a code of its own.
    pub fn refused_as(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, "validation_error", message)
    }

    /// 400: the account holds as many numbers as it may.
    pub fn number_limit(limit: i64) -> Self {
        let message = format!("the account holds its limit of {limit} numbers");
        Self::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR_NUMBER_LIMIT", "validation_error", message)
    }

    /// 401: no key, or not a good one.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication_error", message)
    }

    /// 402: the ledger can't cover it.
    pub fn insufficient_balance(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYMENT_REQUIRED, "INSUFFICIENT_BALANCE", "validation_error", message)
    }

    /// 403: the key may not do this.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", "permission_error", message)
    }

    /// 404: absent, or another account's. `code` is such as `AGENT_NOT_FOUND`.
    pub fn not_found(code: &'static str, what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, "not_found", format!("{what} not found"))
    }

    /// 409.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, "conflict_error", message)
    }

    /// 422 that names every bad field.
    pub fn invalid(details: Vec<FieldError>) -> Self {
        let names: Vec<_> = details.iter().map(|d| format!("{}: {}", d.field, d.message)).collect();
        let message = if names.is_empty() { "the request is malformed".to_owned() } else { names.join("; ") };
        Self { details, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_ERROR", "validation_error", message) }
    }

    /// 422 about one field.
    pub fn invalid_field(place: &'static str, field: &str, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError { place, field: field.to_owned(), message: message.into(), rule: "value_error" }])
    }

    /// 422 with a code of its own, about one header.
    pub fn unprocessable_header(code: &'static str, header: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let detail =
            FieldError { place: "header", field: header.to_owned(), message: message.clone(), rule: "value_error" };
        let error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, "validation_error", message);
        Self { details: vec![detail], ..error }
    }

    /// 502: the carrier failed for the moment, and nothing was bought or sent.
    pub fn carrier(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "CARRIER_ERROR", "carrier_error", message)
    }

    /// 429: to be asked again after so long.
    pub fn rate_limited(wait: std::time::Duration, message: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT_EXCEEDED", "rate_limit_error", message);
        Self { retry_after: Some(wait.as_secs_f64().ceil().max(1.0) as u64), ..error }
    }

    /// 500: nothing happened. The cause goes to the log, not to the client.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        let message = "something went wrong here; nothing was changed";
        let error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "api_error", message);
        Self { cause: Some(cause.to_string().into()), ..error }
    }

    /// Another status with the validation code, for what the HTTP layer itself refuses.
    pub fn plain(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, code, "validation_error", message)
    }

    /// The status it is answered with.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    fn to_json(&self) -> Value {
        let details: Vec<_> =
            self.details.iter().map(|d| json!({"field": d.field, "message": d.message, "type": d.rule})).collect();
        let listed = || -> Vec<_> {
            self.details.iter().map(|d| json!({"loc": [d.place, d.field], "msg": d.message, "type": d.rule})).collect()
        };
        let detail =
            if self.status == StatusCode::UNPROCESSABLE_ENTITY { json!(listed()) } else { json!(self.message) };
        json!({
            "error": {
                "message": self.message,
                "code": self.code,
                "type": self.kind,
                "details": details,
                "requestId": request_id::current(),
            },
            "detail": detail,
        })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // Here and not where it is made: that may be on the store's thread, away from the request's span.
        if let Some(cause) = &self.cause {
            tracing::error!(%cause, "request failed");
        }
        let mut response = (self.status, Json(self.to_json())).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code == OUTCOME_UNKNOWN {
            response.extensions_mut().insert(OutcomeUnknown);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<TooMany> for ApiError {
    fn from(error: TooMany) -> Self {
        Self::rate_limited(error.wait, error.to_string())
    }
}

impl From<SpendLimitReached> for ApiError {
    fn from(error: SpendLimitReached) -> Self {
        Self::refused_as("SPEND_LIMIT_REACHED", error.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            // Never 5xx: clients repeat those by themselves, and it may have been done.
            StoreError::Unknown(_) => {
                tracing::error!(%error, "outcome unknown");
                Self::conflict(OUTCOME_UNKNOWN, "the outcome of this request is unknown; look before repeating it")
            }
            error => Self::internal(&error),
        }
    }
}

/// The envelope as the OpenAPI document shows it.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "only its schema is used")]
pub struct ErrorEnvelope {
    error: ErrorBody,
    /// The message; on 422 a list of `{loc, msg, type}`.
    detail: Value,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "only its schema is used")]
struct ErrorBody {
    message: String,
    code: String,
    r#type: String,
    details: Vec<ErrorDetail>,
    request_id: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "only its schema is used")]
struct ErrorDetail {
    field: String,
    message: String,
    r#type: String,
}
