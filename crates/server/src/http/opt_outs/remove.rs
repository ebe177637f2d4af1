//! `DELETE /v1/opt-outs/{id}`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::OptOutId;
use offhook_store::opt_outs::OptOutScope;
use utoipa::IntoParams;

use crate::app::App;
use crate::app::opt_outs::ForThem;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId, Query};
use crate::http::fields::{Casing, Fields, Input};
use crate::http::once::{Once, Reply};
use crate::http::values::Text;

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Proof {
    /// When and how they agreed to be texted again. It is kept in the log for good.
    #[param(inline)]
    consent: Text<1, 1000>,
}

impl Input for Proof {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { consent: fields.required("consent")? })
    }
}

/// Lets somebody be texted again who has agreed to it in another way than by texting START.
#[utoipa::path(
    delete,
    path = "/v1/opt-outs/{id}",
    operation_id = "removeOptOut",
    tag = "Opt-outs",
    params(("id" = String, Path, description = "The opt-out's id"), Proof),
    responses(
        (status = 204, description = "They may be texted again"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such opt-out"),
        (status = 422, body = ErrorEnvelope, description = "consent is missing"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<OptOutId>,
    Query(proof): Query<Proof>,
) -> Result<Response, ApiError> {
    let (doors, key, account) = (app.clone(), caller.key.clone(), caller.account.clone());
    once.write(&app, &caller, async move |tx| {
        let kept = tx.of(&account).opt_out_by_id(&id).await?.ok_or_else(OptOutId::missing)?;
        if !tx.of(&account).remove_opt_out(&id).await? {
            return Err(OptOutId::missing());
        }
        let scope = kept.number_id.map_or(OptOutScope::Account, OptOutScope::Number);
        let note = Some(proof.consent.0.clone());
        let them = ForThem { account: &account, key: &key, participant: &kept.participant, note };
        them.opted_in(tx, &scope, doors.now()).await?;
        Ok(Reply::no_content())
    })
    .await
}
