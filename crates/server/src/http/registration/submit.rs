//! `POST /v1/register`

use axum::extract::State;
use axum::response::Response;

use super::form::Form;
use super::{Submitted, count_try, seal};
use crate::app::App;
use crate::app::registration::{Entry, submit};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Body;
use crate::http::fields::{Casing, Fields, Input};
use crate::http::once::{Once, Reply};

/// A form that is whole.
pub struct SubmitRegistration(Form);

impl Input for SubmitRegistration {
    const CASING: Casing = Casing::Snake;

    fn read(fields: &mut Fields) -> Option<Self> {
        let form = Form::read(fields);
        for (name, problem) in form.violations() {
            // What is there and bad has been complained of already.
            if problem.rule != "missing" || !fields.has(name) {
                fields.complain(name, problem);
            }
        }
        Some(Self(form))
    }
}

/// Hands a registration in. It is decided on by the carrier or by the operator; until then US numbers can't send.
///
/// With `create_sub_account` (the default) an account is made for it, whose numbers it is for; else it is for your own
/// numbers. The fee is taken from the wallet, and not refunded. One that was rejected can be handed in again, for nothing.
#[utoipa::path(
    post,
    path = "/v1/register",
    operation_id = "submitRegistration",
    tag = "Registration",
    request_body = Form,
    responses(
        (status = 200, body = Submitted),
        (status = 400, body = ErrorEnvelope, description = "The account has spent what it may today"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 402, body = ErrorEnvelope, description = "The balance does not cover the fee"),
        (status = 409, body = ErrorEnvelope, description = "One is being looked at, or is approved"),
        (status = 422, body = ErrorEnvelope, description = "Fields are missing or malformed, or do not go together"),
        (status = 429, body = ErrorEnvelope, description = "More than five in an hour"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Body(SubmitRegistration(form)): Body<SubmitRegistration>,
) -> Result<Response, ApiError> {
    count_try(&app, &caller, &once).await?;
    let (doors, account) = (app.clone(), caller.account.clone());
    // A sub-account has none of its own.
    let may_create = !caller.is_sub_account();
    once.write(&app, &caller, async move |tx| {
        let registered = form.registered().ok_or_else(|| super::invalid(form.violations()))?;
        let create_sub_account = may_create && form.create_sub_account.unwrap_or(true);
        let name = form.brand_name.clone().or_else(|| form.business_name.clone());
        let entry = Entry { registered, sealed_form: seal(&doors, &form)?, create_sub_account, name };
        let (campaign, fee) = submit(&doors, tx, &account, entry).await??;
        Reply::ok(&Submitted::of(&campaign, fee, "The registration was handed in."))
    })
    .await
}
