//! `/v1/numbers`: what can be bought, is held, and was.

pub mod available;
pub mod buy;
pub mod calls;
pub mod contact_card;
pub mod get;
pub mod list;
pub mod lookup;
pub mod messages;
pub mod release;
pub mod update;

use offhook_domain::number::Number;
use offhook_domain::{AgentId, NumberId, Timestamp};
use offhook_store::campaigns::Standing;
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use super::fields::{FromField, Problem};
use crate::app::registration::outbound_sms;
use crate::config::Config;

/// A number as the API shows it (contract, "Numbers").
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Number)]
pub struct NumberView {
    #[schema(value_type = String, example = "num_06ck3v0w2e8zg1m8t4q7x5n9ra")]
    id: NumberId,
    #[schema(example = "+14155550100")]
    phone_number: String,
    country: String,
    /// `active` or `released`.
    status: &'static str,
    /// `sms`.
    r#type: String,
    #[schema(value_type = Option<String>)]
    agent_id: Option<AgentId>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// `enabled`, `activating` or `registration_required`.
    outbound_sms: &'static str,
    inbound_calls_enabled: bool,
    read_receipts_enabled: bool,
    whatsapp_enabled: bool,
    /// How many new people it may write to today; null where there is no such cap.
    daily_new_contacts: Option<DailyNewContacts>,
    #[schema(value_type = String, format = DateTime)]
    purchased_at: Timestamp,
    external_id: Option<String>,
    /// It is released by itself then.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    rcs_fallback_for_alias: Option<String>,
    /// Who provides it.
    carrier: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    released_at: Option<Timestamp>,
}

/// The day's cap on people written to for the first time.
#[derive(Debug, Serialize, ToSchema)]
pub struct DailyNewContacts {
    used: i64,
    limit: i64,
}

impl NumberView {
    /// `standing` is how its account stands with the US carriers.
    pub fn of(config: &Config, number: &Number, standing: Option<&Standing>) -> Self {
        Self {
            id: number.id.clone(),
            phone_number: number.phone_number.to_string(),
            country: number.country.to_string(),
            status: number.status.as_str(),
            r#type: number.kind.clone(),
            agent_id: number.agent_id.clone(),
            created_at: number.purchased_at,
            outbound_sms: outbound_sms(config, &number.carrier, number.country.as_str(), standing).as_str(),
            inbound_calls_enabled: true,
            read_receipts_enabled: false,
            whatsapp_enabled: false,
            daily_new_contacts: None,
            purchased_at: number.purchased_at,
            external_id: number.external_id.clone(),
            expires_at: number.expires_at,
            rcs_fallback_for_alias: None,
            carrier: number.carrier.clone(),
            released_at: number.released_at,
        }
    }
}

/// The three digits behind +1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AreaCode(pub String);

impl FromField for AreaCode {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string of three digits"))?;
        if text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Problem::value("must be three digits such as 415"))
        }
    }
}

impl PartialSchema for AreaCode {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).pattern(Some("^[0-9]{3}$")).into()
    }
}

impl ToSchema for AreaCode {}

/// What is said of an area code outside of the North American countries that are sold.
fn area_code_elsewhere() -> Problem {
    Problem::value("area codes are for the countries US and CA only")
}
