//! `POST /v1/opt-outs`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::{Destination, NumberId};
use offhook_store::StoreError;
use offhook_store::opt_outs::OptOutScope;
use utoipa::ToSchema;

use super::{OptOutView, participant};
use crate::app::App;
use crate::app::opt_outs::ForThem;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named};
use crate::http::fields::{Casing, Fields, Input, Problem};
use crate::http::once::{Once, Reply};
use crate::http::values::{Ref, Text};

/// Somebody who is not to be texted any more.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct AddOptOut {
    /// A phone number in any usual format, or a short code.
    #[schema(value_type = String, example = "+14155550123")]
    phone_number: String,
    /// The only one of your numbers that this is about; without it, all of them.
    #[schema(value_type = Option<String>)]
    number_id: Option<Ref<NumberId>>,
    /// How it is known, for the log.
    note: Option<Text<0, 1000>>,
}

impl Input for AddOptOut {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        let asked: Option<Destination> = fields.required("phone_number");
        let (was_asked, phone_number) = (asked.is_some(), asked.and_then(participant));
        if was_asked && phone_number.is_none() {
            fields.complain("phone_number", Problem::value("must be a phone number or a short code"));
        }
        let (number_id, note) = (fields.optional("number_id"), fields.optional("note"));
        Some(Self { phone_number: phone_number?, number_id, note })
    }
}

/// Keeps somebody from being texted, as if they had texted STOP; no answer goes out. What waits for them fails. Once more
/// changes nothing.
#[utoipa::path(
    post,
    path = "/v1/opt-outs",
    operation_id = "addOptOut",
    tag = "Opt-outs",
    request_body = AddOptOut,
    responses(
        (status = 200, body = OptOutView),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such number"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Body(input): Body<AddOptOut>,
) -> Result<Response, ApiError> {
    let number = input.number_id.map(|number| number.id().cloned().ok_or_else(NumberId::missing)).transpose()?;
    let (doors, key, account) = (app.clone(), caller.key.clone(), caller.account.clone());
    let (participant, note) = (input.phone_number, input.note.map(|note| note.0));
    once.write(&app, &caller, async move |tx| {
        let scope = match &number {
            Some(number) => {
                tx.of(&account).number(number).await?.ok_or_else(NumberId::missing)?;
                OptOutScope::Number(number.clone())
            }
            None => OptOutScope::Account,
        };
        let them = ForThem { account: &account, key: &key, participant: &participant, note: note.clone() };
        them.opt_out(&doors, tx, &scope, doors.now()).await?;
        let kept = tx.of(&account).opt_out_of(&scope, &participant).await?;
        let kept = kept.ok_or_else(|| StoreError::Corrupt("an opt-out was not kept".to_owned()))?;
        Reply::ok(&OptOutView::of(kept))
    })
    .await
}
