//! `GET /v1/audit-log`

use axum::Json;
use axum::extract::State;
use offhook_domain::{ApiKeyId, AuditId, Timestamp};
use offhook_store::audit_log::{AuditLine, AuditQuery};
use offhook_store::{Tx, Window};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Query;
use crate::http::fields::{Casing, Fields, Input};
use crate::http::page::Listed;
use crate::http::values::{Number, Text};

/// One act.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
pub struct AuditView {
    #[schema(value_type = String)]
    id: AuditId,
    /// `key`, `command_line` (the operator) or `system` (something was due).
    actor: &'static str,
    #[schema(value_type = Option<String>)]
    key_id: Option<ApiKeyId>,
    /// The client's address.
    remote_address: Option<String>,
    /// The operation, such as `createKey`.
    action: String,
    /// The id of what it was done to.
    target: Option<String>,
    request_id: Option<String>,
    /// The answer's HTTP status. Null while it is under way, or where a crash cut it off.
    status: Option<i64>,
    /// It had been done before, under the same `Idempotency-Key`: this request was only answered again.
    replayed: bool,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl AuditView {
    fn of(line: AuditLine) -> Self {
        let AuditLine { id, actor, key, remote_address, action, target, request_id, status, replayed, at } = line;
        Self {
            id,
            actor: actor.as_str(),
            key_id: key,
            remote_address,
            action,
            target,
            request_id,
            status,
            replayed,
            at,
        }
    }
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditLogQuery {
    /// How many items at the most.
    #[param(inline, required = false, default = 20)]
    limit: Number<1, 100>,
    /// How many items to pass over.
    #[param(inline, required = false, default = 0)]
    offset: Number<0, 1_000_000_000>,
    /// Only acts of this name, such as `createKey`.
    #[param(inline, nullable = false)]
    action: Option<Text<0, 200>>,
    /// Only acts from this time on.
    #[param(value_type = Option<String>, nullable = false, format = DateTime)]
    since: Option<Timestamp>,
}

impl Input for AuditLogQuery {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            limit: fields.or("limit", Number(20)),
            offset: fields.or("offset", Number(0)),
            action: fields.optional("action"),
            since: fields.optional("since"),
        })
    }
}

/// What was done to the account, the newest first. Lines are never changed or deleted.
#[utoipa::path(
    get,
    path = "/v1/audit-log",
    operation_id = "listAuditLog",
    tag = "Account",
    params(AuditLogQuery),
    responses(
        (status = 200, body = Listed<AuditView>),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 403, body = ErrorEnvelope, description = "The key lacks the scope admin"),
        (status = 422, body = ErrorEnvelope, description = "limit, offset, action or since is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<AuditLogQuery>,
) -> Result<Json<Listed<AuditView>>, ApiError> {
    let window = Window { limit: query.limit.0, offset: query.offset.0 };
    let wanted = AuditQuery { action: query.action.map(|text| text.0), since: query.since };
    let find = async move |tx: &mut Tx| tx.of(&caller.account).audit_log(&wanted, window).await;
    let page = app.store.read(find).await?;
    Ok(Json(Listed::of(page, window, AuditView::of)))
}
