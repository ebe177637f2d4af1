//! `POST /v1/numbers/{id}/contact-card/share`: ours, not the reference's.

use axum::extract::State;
use axum::response::Response;
use offhook_domain::{Destination, NumberId};
use offhook_store::Tx;
use offhook_store::numbers::NumberSought;
use utoipa::ToSchema;

use crate::app::send_message::Order;
use crate::app::{App, contact_card_links};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named, PathId};
use crate::http::fields::{Casing, Fields, Input};
use crate::http::messages::send::{SentMessage, accept};
use crate::http::once::{Once, Reply, replayed};

/// Who is to have the card.
#[derive(Debug, ToSchema)]
pub struct ShareContactCard {
    /// A phone number in any usual format, or a short code.
    #[schema(value_type = String, example = "+14155550123")]
    to: Destination,
}

impl Input for ShareContactCard {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { to: fields.required("to")? })
    }
}

/// Sends the card of a number by MMS, as a vCard file: an ordinary message with media and without text, at its price and
/// under its rules. An Offhook extension.
#[utoipa::path(
    post,
    path = "/v1/numbers/{id}/contact-card/share",
    operation_id = "shareContactCard",
    tag = "Numbers",
    params(("id" = String, Path, description = "The number's id")),
    request_body = ShareContactCard,
    responses(
        (status = 200, body = SentMessage),
        (status = 400, body = ErrorEnvelope, description = "The carrier takes no media, the number is released, the destination can't be reached or asked to be left alone, a limit is reached"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 402, body = ErrorEnvelope, description = "The balance does not cover it"),
        (status = 404, body = ErrorEnvelope, description = "No such number, or it has no contact card"),
        (status = 422, body = ErrorEnvelope, description = "to is missing or malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<NumberId>,
    Body(input): Body<ShareContactCard>,
) -> Result<Response, ApiError> {
    if let Some(reply) = look_for_card(&app, &caller, &once, &id).await? {
        once.settle();
        return Ok(replayed(reply));
    }
    let order = Order {
        account: caller.account,
        agent: None,
        sender: NumberSought::Id(id.clone()),
        to: input.to,
        body: String::new(),
        media_urls: vec![contact_card_links::link_to(&app, &id)],
    };
    accept(&app, &once, order, None).await
}

/// Makes sure that there is a card to share. What was shared before is answered so again, whatever became of the card.
async fn look_for_card(app: &App, caller: &Caller, once: &Once, id: &NumberId) -> Result<Option<Reply>, ApiError> {
    let (account, once, id, now) = (caller.account.clone(), once.clone(), id.clone(), app.now());
    app.store
        .read(async move |tx: &mut Tx| {
            if let Some(reply) = once.look(tx, &account, now).await? {
                return Ok(Some(reply));
            }
            let mut scope = tx.of(&account);
            scope.number(&id).await?.ok_or_else(NumberId::missing)?;
            match scope.contact_card(&id).await? {
                Some(card) if !card.is_blank() => Ok(None),
                _ => Err(ApiError::not_found("CONTACT_CARD_NOT_FOUND", "contact card of the number")),
            }
        })
        .await
}
