//! `PUT /v1/numbers/{id}/contact-card`

use axum::extract::State;
use axum::response::Response;
use offhook_domain::NumberId;
use offhook_domain::number::ContactCard;
use utoipa::ToSchema;

use super::CardView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named, PathId};
use crate::http::fields::{Casing, Fields, Input};
use crate::http::once::{Once, Reply};
use crate::http::values::{HttpsUrl, Name};

/// The whole card: what isn't sent is not on it.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct PutContactCard {
    first_name: Option<Name<0, 200>>,
    last_name: Option<Name<0, 200>>,
    display_name: Option<Name<0, 200>>,
    /// A picture, by its https URL.
    avatar_url: Option<HttpsUrl>,
}

impl Input for PutContactCard {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            first_name: fields.optional("first_name"),
            last_name: fields.optional("last_name"),
            display_name: fields.optional("display_name"),
            avatar_url: fields.optional("avatar_url"),
        })
    }
}

/// A name of nothing but blanks is none.
fn shown(name: Option<Name<0, 200>>) -> Option<String> {
    name.map(|name| name.0).filter(|name| !name.trim().is_empty())
}

/// Makes or replaces the card of a number.
#[utoipa::path(
    put,
    path = "/v1/numbers/{id}/contact-card",
    operation_id = "putContactCard",
    tag = "Numbers",
    params(("id" = String, Path, description = "The number's id")),
    request_body = PutContactCard,
    responses(
        (status = 200, body = CardView),
        (status = 400, body = ErrorEnvelope, description = "The number is released"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 404, body = ErrorEnvelope, description = "No such number"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    PathId(id): PathId<NumberId>,
    Body(input): Body<PutContactCard>,
) -> Result<Response, ApiError> {
    let account = caller.account.clone();
    let card = ContactCard {
        first_name: shown(input.first_name),
        last_name: shown(input.last_name),
        display_name: shown(input.display_name),
        avatar_url: input.avatar_url.map(|url| url.0),
    };
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&account);
        let number = scope.number(&id).await?.ok_or_else(NumberId::missing)?;
        if !number.is_active() {
            return Err(ApiError::refused("the number is released"));
        }
        scope.put_contact_card(&id, &card).await?;
        Reply::ok(&CardView::of(card.clone()))
    })
    .await
}
