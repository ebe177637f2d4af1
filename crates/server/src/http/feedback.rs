//! `POST /v1/feedback`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::{FeedbackId, Id};
use offhook_store::feedback::Feedback;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Caller;
use super::error::{ApiError, ErrorEnvelope};
use super::extract::Body;
use super::fields::{Casing, Fields, Input};
use super::once::{Once, Reply};
use super::values::{List, MediaUrl, Text};
use crate::app::App;
use crate::app::codes::{self, Limit};

/// Opinions of one account that are kept.
const PER_HOUR: u32 = 60;

#[derive(Debug, ToSchema)]
pub struct GiveFeedback {
    /// Of your own choice, such as `bug`.
    category: Text<1, 100>,
    note: Text<1, 5000>,
    /// The request it is about, by its `X-Request-Id`.
    request_id: Option<Text<0, 255>>,
    url: Option<MediaUrl>,
    #[schema(value_type = Option<Vec<Text<1, 100>>>, max_items = 20)]
    tags: Option<List<Text<1, 100>, 20>>,
}

impl Input for GiveFeedback {
    const CASING: Casing = Casing::Snake;

    fn read(fields: &mut Fields) -> Option<Self> {
        let (category, note) = (fields.required("category"), fields.required("note"));
        let (request_id, url, tags) = (fields.optional("request_id"), fields.optional("url"), fields.optional("tags"));
        Some(Self { category: category?, note: note?, request_id, url, tags })
    }
}

/// It is kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeedbackGiven {
    id: String,
    ok: bool,
}

/// Tells the operator of this installation something.
#[utoipa::path(
    post,
    path = "/v1/feedback",
    operation_id = "submitFeedback",
    tag = "Account",
    request_body = GiveFeedback,
    responses(
        (status = 200, body = FeedbackGiven),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
        (status = 429, body = ErrorEnvelope, description = "Too much of it; Retry-After tells how long to wait"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Body(input): Body<GiveFeedback>,
) -> Result<Response, ApiError> {
    let (now, account) = (app.now(), caller.account.clone());
    let feedback = Feedback {
        id: FeedbackId::generate(now),
        category: input.category.0,
        note: input.note.0,
        request_id: input.request_id.map(|text| text.0),
        url: input.url.map(|text| text.0),
        tags: input.tags.map(|list| list.0.into_iter().map(|tag| tag.0).collect()).unwrap_or_default(),
        created_at: now,
    };
    let limits = [Limit::of("opinions of this account", account.as_str(), PER_HOUR, &app.sealer)];
    once.write(&app, &caller, async move |tx| {
        codes::count(tx, &limits, now).await??;
        tx.of(&account).insert_feedback(&feedback).await?;
        Reply::ok(&FeedbackGiven { id: feedback.id.to_string(), ok: true })
    })
    .await
}
