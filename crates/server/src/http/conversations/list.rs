//! `GET /v1/conversations`

use axum::Json;
use axum::extract::State;
use offhook_store::Tx;

use super::ConversationView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Query;
use crate::http::page::{Listed, OffsetQuery};

/// The account's conversations; the one spoken in last is first.
#[utoipa::path(
    get,
    path = "/v1/conversations",
    operation_id = "listConversations",
    tag = "Conversations",
    params(OffsetQuery),
    responses(
        (status = 200, body = Listed<ConversationView>),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 422, body = ErrorEnvelope, description = "limit or offset is out of range"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<OffsetQuery>,
) -> Result<Json<Listed<ConversationView>>, ApiError> {
    let window = query.window();
    let (page, standing) = app
        .store
        .read::<_, ApiError>(async move |tx: &mut Tx| {
            let mut scope = tx.of(&caller.account);
            Ok((scope.conversations(window).await?, scope.standing().await?))
        })
        .await?;
    Ok(Json(Listed::of(page, window, |one| ConversationView::of(&app, standing.as_ref(), one))))
}
