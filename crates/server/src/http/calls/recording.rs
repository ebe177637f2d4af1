//! `GET /v1/calls/{id}/recording`

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use offhook_domain::{AccountId, CallId};
use offhook_store::Tx;

use super::recording_path;
use crate::app::App;
use crate::app::signed_urls::{Purpose, Signed};
use crate::http::auth;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Named, PathId};

/// The recording of a call: a WAV, the agent on the left, the caller on the right. To whoever has a link with a signature,
/// as `recordingUrl` is one, or the account's key.
#[utoipa::path(
    get,
    path = "/v1/calls/{id}/recording",
    operation_id = "getCallRecording",
    tag = "Calls",
    params(
        ("id" = String, Path, description = "The call's id"),
        ("expires" = Option<String>, Query, description = "Until when the link holds"),
        ("signature" = Option<String>, Query, description = "The link's signature")
    ),
    responses(
        (status = 200, description = "The recording", content_type = "audio/wav"),
        (status = 401, body = ErrorEnvelope, description = "Neither a good signature nor a good key"),
        (status = 404, body = ErrorEnvelope, description = "No such call, or it has no recording"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    PathId(id): PathId<CallId>,
    request: Request,
) -> Result<Response, ApiError> {
    let signed = Query::<Signed>::try_from_uri(request.uri()).map(|query| query.0).unwrap_or_default();
    let by_link = app.signed_urls.opens(Purpose::Recording, &recording_path(&id), &signed, app.now());
    let account = if by_link { None } else { Some(auth::identify(&app, &request).await?.account) };
    let object = object_of(&app, account, &id).await?.ok_or_else(no_recording)?;
    let failed = |error| ApiError::internal(&error);
    let size = app.media.size(&object).await.map_err(failed)?.ok_or_else(no_recording)?;
    let piece = app.media.get(&object, None).await.map_err(failed)?.ok_or_else(no_recording)?;
    let mut response = Response::new(Body::from_stream(piece.bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("audio/wav"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let name = format!("attachment; filename=\"recording-{id}.wav\"");
    headers
        .insert(header::CONTENT_DISPOSITION, HeaderValue::from_str(&name).map_err(|error| ApiError::internal(&error))?);
    Ok(response)
}

fn no_recording() -> ApiError {
    ApiError::not_found("RECORDING_NOT_FOUND", "recording")
}

async fn object_of(app: &App, account: Option<AccountId>, id: &CallId) -> Result<Option<String>, ApiError> {
    let id = id.clone();
    let find = async move |tx: &mut Tx| {
        let owner = match &account {
            Some(account) => Some(account.clone()),
            None => tx.owner_of_call(&id).await?,
        };
        let Some(owner) = owner else { return Ok(None) };
        let mut scope = tx.of(&owner);
        scope.call(&id).await?.ok_or_else(CallId::missing)?;
        Ok::<_, ApiError>(scope.call_recording(&id).await?)
    };
    app.store.read(find).await
}
