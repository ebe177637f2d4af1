//! `POST /sandbox/messages`

use axum::Json;
use axum::extract::State;
use offhook_carriers::{Inbound, InboundMessage, SANDBOX};
use offhook_domain::message::Direction;
use offhook_domain::{E164, Id, MessageId, NumberId};
use offhook_store::sandbox_world::HandsetText;
use offhook_store::{StoreError, Tx};
use utoipa::ToSchema;

use super::HandsetMessage;
use crate::app::receive_message::Brought;
use crate::app::{App, receiving};
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named};
use crate::http::fields::{Casing, Fields, Input, Problem};
use crate::http::values::{List, MediaUrl, Text};

/// A text from a virtual handset. Text or media is required.
#[derive(Debug, ToSchema)]
pub struct HandsetSends {
    /// The handset: any phone number that this platform does not hold.
    #[schema(value_type = String, example = "+14155550123")]
    from: E164,
    /// A number that this platform holds.
    #[schema(value_type = String, example = "+14155550100")]
    to: E164,
    body: Option<Text<0, 1600>>,
    #[schema(value_type = Option<Vec<MediaUrl>>, max_items = 10)]
    media_urls: Option<List<MediaUrl, 10>>,
}

impl Input for HandsetSends {
    const CASING: Casing = Casing::Snake;

    fn read(fields: &mut Fields) -> Option<Self> {
        let (from, to) = (fields.required("from"), fields.required("to"));
        let body: Option<Text<0, 1600>> = fields.optional("body");
        let media_urls: Option<List<MediaUrl, 10>> = fields.optional("media_urls");
        let has_text = body.as_ref().is_some_and(|body| !body.0.is_empty());
        let has_media = media_urls.as_ref().is_some_and(|list| !list.0.is_empty());
        // What is there and bad has been complained of already.
        let bad = fields.has("body") && body.is_none() || fields.has("media_urls") && media_urls.is_none();
        if !(has_text || has_media || bad) {
            fields.complain("body", Problem::value("is required where there is no media"));
        }
        Some(Self { from: from?, to: to?, body, media_urls })
    }
}

/// A virtual handset texts a number of the platform. Answered once the platform has committed the text.
#[utoipa::path(
    post,
    path = "/sandbox/messages",
    operation_id = "sandboxSendMessage",
    tag = "Sandbox",
    security(()),
    request_body = HandsetSends,
    responses(
        (status = 200, body = HandsetMessage),
        (status = 404, body = ErrorEnvelope, description = "No account of this platform holds the number"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(State(app): State<App>, Body(input): Body<HandsetSends>) -> Result<Json<HandsetMessage>, ApiError> {
    let to = input.to.clone();
    let holder = app.store.read::<_, ApiError>(async move |tx| Ok(tx.holder_of(&to).await?)).await?;
    holder.ok_or_else(NumberId::missing)?;
    let at = app.now();
    let text = HandsetText {
        id: format!("hst_{}", MessageId::generate(at).as_str().trim_start_matches(MessageId::PREFIX)),
        handset: input.from.to_string(),
        direction: Direction::Outbound,
        from: input.from.to_string(),
        to: input.to.to_string(),
        body: input.body.map(|body| body.0).unwrap_or_default(),
        media_urls: input.media_urls.map(|list| list.0).unwrap_or_default().into_iter().map(|url| url.0).collect(),
        at,
    };
    let inbound = Inbound::Message(InboundMessage {
        carrier: SANDBOX,
        carrier_message_id: text.id.clone(),
        from: text.from.clone(),
        to: input.to,
        body: text.body.clone(),
        media_urls: text.media_urls.clone(),
    });
    for brought in receiving::receive_each(&app, vec![inbound]).await {
        match brought? {
            Brought::Kept => {}
            // Given up since we looked.
            Brought::Dropped => return Err(NumberId::missing()),
            Brought::Later => return Err(ApiError::internal(&"the number is being bought")),
        }
    }
    let sent = [text.clone()];
    let kept = app.store.write::<_, StoreError>(async move |tx: &mut Tx| tx.keep_handset_texts(&sent).await).await;
    if let Err(error) = kept {
        // The platform has the text: an error would have it sent again.
        tracing::warn!(%error, "the handset has no copy of the text it sent");
    }
    Ok(Json(text.into()))
}
