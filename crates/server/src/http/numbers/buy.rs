//! `POST /v1/numbers`

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use offhook_domain::{AccountId, AgentId, Country, E164, Timestamp};
use offhook_store::{StoreError, Tx};
use utoipa::ToSchema;

use super::{AreaCode, NumberView, area_code_elsewhere};
use crate::app::App;
use crate::app::buy_number::{self, Bought, BuyNumberError, buy_number};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named};
use crate::http::fields::{Casing, Fields, Input, Problem};
use crate::http::once::{Once, Reply, replayed};
use crate::http::values::{Ref, Text};

#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct BuyNumber {
    /// ISO 3166-1 alpha-2.
    #[schema(value_type = Option<String>, default = "US", pattern = "^[A-Z]{2}$")]
    country: Country,
    /// US and CA only. Best effort: when none is left in it, it is any number of the country.
    area_code: Option<AreaCode>,
    /// The agent that answers and sends.
    #[schema(value_type = Option<String>)]
    agent_id: Option<Ref<AgentId>>,
    /// `sms`, which is what carriers offer here.
    #[schema(value_type = Option<String>, default = "sms", max_length = 40)]
    r#type: Text<1, 40>,
    /// Not offered here.
    imessage_type: Option<Text<1, 40>>,
    /// A reference of your own.
    external_id: Option<Text<0, 255>>,
    /// The number is released by itself then.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// This very number, as `GET /v1/numbers/available` offers it.
    #[schema(value_type = Option<String>, example = "+14155550100", max_length = 40)]
    phone_number: Option<E164>,
}

impl Input for BuyNumber {
    const CASING: Casing = Casing::Either;

    fn read(fields: &mut Fields) -> Option<Self> {
        let phone_number: Option<E164> = fields.optional("phone_number");
        let its_country = phone_number.as_ref().and_then(E164::country).unwrap_or(Country::US);
        let country = fields.or("country", its_country);
        let area_code: Option<AreaCode> = fields.optional("area_code");
        if area_code.is_some() && country != Country::US && country != Country::CA {
            fields.complain("area_code", area_code_elsewhere());
        }
        if let (Some(number), Some(code)) = (&phone_number, &area_code)
            && number.area_code() != Some(&code.0)
        {
            fields.complain("area_code", Problem::value("is not that of phoneNumber; send one of the two"));
        }
        Some(Self {
            country,
            area_code,
            agent_id: fields.optional("agent_id"),
            r#type: fields.or("type", Text("sms".to_owned())),
            imessage_type: fields.optional("imessage_type"),
            external_id: fields.optional("external_id"),
            expires_at: fields.optional("expires_at"),
            phone_number,
        })
    }
}

/// Buys a number. It is never bought without being stored, nor stored without being bought.
#[utoipa::path(
    post,
    path = "/v1/numbers",
    operation_id = "createNumber",
    tag = "Numbers",
    request_body = BuyNumber,
    responses(
        (status = 200, body = NumberView),
        (status = 400, body = ErrorEnvelope, description = "The hold limit or the day's spend limit is reached, no such number is for sale, \
            or the type is not offered"),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 402, body = ErrorEnvelope, description = "The balance does not cover a number"),
        (status = 404, body = ErrorEnvelope, description = "No such agent"),
        (status = 409, body = ErrorEnvelope, description = "The carrier's answer was lost: the number appears in the \
            list, or was not bought"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
        (status = 502, body = ErrorEnvelope, description = "The carrier failed for the moment; nothing was bought"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Body(input): Body<BuyNumber>,
) -> Result<Response, ApiError> {
    let order = order(&app, caller, input)?;
    match buy_number(&app, order, &once).await {
        Ok(Bought::Now(number)) => {
            let account = number.account_id.clone();
            let standing = async move |tx: &mut Tx| tx.of(&account).standing().await;
            // It is bought: not to know this must not say otherwise.
            let standing = app.store.read::<_, StoreError>(standing).await.unwrap_or_default();
            Ok(Reply::ok(&NumberView::of(&app.config, &number, standing.as_ref()))?.into_response())
        }
        Ok(Bought::Before(reply)) => Ok(replayed(reply)),
        Err(error) => Err(error.into()),
    }
}

/// What is asked for, where it can be had at all.
fn order(app: &App, caller: Caller, input: BuyNumber) -> Result<buy_number::BuyNumber, ApiError> {
    if input.r#type.0 != "sms" {
        let message = format!("numbers of type {} can't be had here: the carriers offer sms", input.r#type.0);
        return Err(ApiError::refused_field("type", message));
    }
    if input.imessage_type.is_some() {
        return Err(ApiError::refused_field("imessageType", "iMessage can't be had here: the carriers offer sms"));
    }
    super::update::check_end(app, input.expires_at)?;
    let agent_id = match input.agent_id {
        Some(agent) => Some(agent.id().cloned().ok_or_else(AgentId::missing)?),
        None => None,
    };
    Ok(buy_number::BuyNumber {
        account: caller.account,
        country: input.country,
        area_code: input.area_code.map(|code| code.0),
        phone_number: input.phone_number,
        agent_id,
        kind: input.r#type.0,
        external_id: input.external_id.map(|text| text.0).filter(|text| !text.is_empty()),
        expires_at: input.expires_at,
    })
}

impl From<BuyNumberError> for ApiError {
    fn from(error: BuyNumberError) -> Self {
        let message = error.to_string();
        match error {
            BuyNumberError::NoSuchAgent => AgentId::missing(),
            BuyNumberError::AccountClosed => AccountId::missing(),
            BuyNumberError::Limit(limit) => Self::number_limit(limit),
            BuyNumberError::Balance(_) => Self::insufficient_balance(message),
            BuyNumberError::SpendLimit(reached) => reached.into(),
            BuyNumberError::NoCarrier | BuyNumberError::NoneLeft(_) | BuyNumberError::Refused(_) => {
                Self::refused(message)
            }
            BuyNumberError::NotForSale(_) => Self::refused_field("phoneNumber", message),
            BuyNumberError::CarrierFailed(_) => Self::carrier(message),
            BuyNumberError::Unconfirmed => Self::conflict("PURCHASE_UNCONFIRMED", message),
            BuyNumberError::Key(error) => error,
            BuyNumberError::Store(error) => error.into(),
        }
    }
}
