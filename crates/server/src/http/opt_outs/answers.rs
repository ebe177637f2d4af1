//! `GET` and `PATCH /v1/opt-outs/answers`: the account's own words.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use offhook_store::Tx;
use offhook_store::opt_outs::OptOutAnswers;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Body;
use crate::http::fields::{Casing, Fields, Input, Patch};
use crate::http::once::{Once, Reply};
use crate::http::values::Text;

type Words = Text<1, 480>;

/// What is answered to keywords; null where the installation's own texts are.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OptOutAnswers)]
pub struct AnswersView {
    opted_out: Option<String>,
    opted_in: Option<String>,
    help: Option<String>,
}

impl AnswersView {
    fn of(answers: OptOutAnswers) -> Self {
        let OptOutAnswers { opted_out, opted_in, help } = answers;
        Self { opted_out, opted_in, help }
    }
}

/// Only what is sent changes; null takes the installation's text again.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ChangeAnswers {
    /// To STOP and its like. Name your brand, and how to come back.
    #[schema(value_type = Option<Text<1, 480>>)]
    opted_out: Patch<Words>,
    /// To START and its like.
    #[schema(value_type = Option<Text<1, 480>>)]
    opted_in: Patch<Words>,
    /// To HELP and its like.
    #[schema(value_type = Option<Text<1, 480>>)]
    help: Patch<Words>,
}

impl Input for ChangeAnswers {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            opted_out: fields.patch("opted_out"),
            opted_in: fields.patch("opted_in"),
            help: fields.patch("help"),
        })
    }
}

/// What the account answers to keywords.
#[utoipa::path(
    get,
    path = "/v1/opt-outs/answers",
    operation_id = "getOptOutAnswers",
    tag = "Opt-outs",
    responses(
        (status = 200, body = AnswersView),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
    )
)]
pub async fn handle(State(app): State<App>, caller: Caller) -> Result<Json<AnswersView>, ApiError> {
    let find = async move |tx: &mut Tx| tx.of(&caller.account).opt_out_answers().await;
    Ok(Json(AnswersView::of(app.store.read(find).await?)))
}

/// Changes what the account answers to keywords.
#[utoipa::path(
    patch,
    path = "/v1/opt-outs/answers",
    operation_id = "updateOptOutAnswers",
    tag = "Opt-outs",
    request_body = ChangeAnswers,
    responses(
        (status = 200, body = AnswersView),
        (status = 400, body = ErrorEnvelope, description = "A text is a keyword itself"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn change(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Body(input): Body<ChangeAnswers>,
) -> Result<Response, ApiError> {
    let given = [("optedOut", &input.opted_out), ("optedIn", &input.opted_in), ("help", &input.help)];
    for (name, words) in given {
        // The platform at the other end would answer it.
        if matches!(words, Patch::Value(Text(text)) if app.config.opt_out.keywords.read(text).is_some()) {
            return Err(ApiError::refused_field(name, "must not be a keyword itself"));
        }
    }
    let account = caller.account.clone();
    let ChangeAnswers { opted_out, opted_in, help } = input;
    once.write(&app, &caller, async move |tx| {
        let mut answers = tx.of(&account).opt_out_answers().await?;
        opted_out.clone().map(|text| text.0).apply(&mut answers.opted_out);
        opted_in.clone().map(|text| text.0).apply(&mut answers.opted_in);
        help.clone().map(|text| text.0).apply(&mut answers.help);
        tx.of(&account).set_opt_out_answers(&answers).await?;
        Reply::ok(&AnswersView::of(answers))
    })
    .await
}
