//! `PATCH /v1/sub-accounts/{id}`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::AccountId;
use utoipa::ToSchema;

use super::SubAccountView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named, PathId};
use crate::http::fields::{Casing, Fields, Input};
use crate::http::once::{Once, Reply};
use crate::http::values::Name;

/// What to change about a sub-account. A field that isn't sent stays as it is.
#[derive(Debug, ToSchema)]
pub struct UpdateSubAccount {
    name: Option<Name<1, 100>>,
}

impl Input for UpdateSubAccount {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { name: fields.optional("name") })
    }
}

/// Renames a sub-account.
#[utoipa::path(
    patch,
    path = "/v1/sub-accounts/{id}",
    operation_id = "updateSubAccount",
    tag = "Sub-accounts",
    params(("id" = String, Path, description = "The sub-account's id")),
    request_body = UpdateSubAccount,
    responses(
        (status = 200, body = SubAccountView),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 403, body = ErrorEnvelope, description = "The key lacks the scope admin"),
        (status = 404, body = ErrorEnvelope, description = "No such sub-account"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<AccountId>,
    Body(input): Body<UpdateSubAccount>,
) -> Result<Response, ApiError> {
    let master = caller.account.clone();
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&master);
        if let Some(name) = &input.name {
            scope.rename_sub_account(&id, &name.0).await?;
        }
        let found = scope.sub_account(&id).await?.ok_or_else(AccountId::missing)?;
        Reply::ok(&SubAccountView::of(found))
    })
    .await
}
