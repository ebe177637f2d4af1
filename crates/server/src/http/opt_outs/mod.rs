//! `/v1/opt-outs`: who may not be texted, the log of who said so, and the account's own answers.

pub mod add;
pub mod answers;
pub mod list;
pub mod log;
pub mod remove;

use offhook_domain::{ApiKeyId, Destination, MessageId, NumberId, OptOutId, OptOutLogId, Timestamp};
use offhook_store::Window;
use offhook_store::opt_outs::{OptOut, OptOutLogged};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::http::fields::{Casing, Fields, Input};
use crate::http::values::{Number, Text};

/// A participant who may not be texted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OptOut)]
pub struct OptOutView {
    #[schema(value_type = String)]
    id: OptOutId,
    /// Who may not be texted: a phone number or a short code.
    phone_number: String,
    /// From which of your numbers; null: from none of them.
    #[schema(value_type = Option<String>)]
    number_id: Option<NumberId>,
    /// The word that was texted; null where a key said so.
    keyword: Option<String>,
    /// The message with that word.
    #[schema(value_type = Option<String>)]
    message_id: Option<MessageId>,
    #[schema(value_type = Option<String>, format = DateTime)]
    opted_out_at: Option<Timestamp>,
}

impl OptOutView {
    fn of(one: OptOut) -> Self {
        let OptOut { id, participant, number_id, opted_out_at, keyword, message_id } = one;
        Self { id, phone_number: participant, number_id, keyword, message_id, opted_out_at }
    }
}

/// Something that was said about being texted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OptOutLogLine)]
pub struct OptOutLogView {
    #[schema(value_type = String)]
    id: OptOutLogId,
    phone_number: String,
    #[schema(value_type = Option<String>)]
    number_id: Option<NumberId>,
    /// `opted_out`, `opted_in` or `help`.
    action: String,
    /// Whether it changed anything.
    changed: bool,
    keyword: Option<String>,
    #[schema(value_type = Option<String>)]
    message_id: Option<MessageId>,
    /// The key that said so for them, and the proof it gave.
    #[schema(value_type = Option<String>)]
    key_id: Option<ApiKeyId>,
    note: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl OptOutLogView {
    fn of(line: OptOutLogged) -> Self {
        let OptOutLogged { id, participant, number_id, action, changed, keyword, message_id, key_id, note, at } = line;
        Self { id, phone_number: participant, number_id, action, changed, keyword, message_id, key_id, note, at }
    }
}

/// `limit`, `offset`, and whose.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfParticipant {
    /// How many items at the most.
    #[param(inline, required = false, default = 20)]
    limit: Number<1, 100>,
    /// How many items to pass over.
    #[param(inline, required = false, default = 0)]
    offset: Number<0, 1_000_000_000>,
    /// Only this participant's, in E.164 or as a short code.
    #[param(inline, nullable = false)]
    phone_number: Option<Text<0, 40>>,
}

impl Input for OfParticipant {
    const CASING: Casing = Casing::Snake;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            limit: fields.or("limit", Number(20)),
            offset: fields.or("offset", Number(0)),
            phone_number: fields.optional("phone_number"),
        })
    }
}

impl OfParticipant {
    /// The participant as they are kept: a number in any usual format is theirs too.
    fn participant(&self) -> Option<String> {
        let text = &self.phone_number.as_ref()?.0;
        let parsed = Destination::parse(text).ok();
        Some(parsed.and_then(participant).unwrap_or_else(|| text.clone()))
    }

    fn window(&self) -> Window {
        Window { limit: self.limit.0, offset: self.offset.0 }
    }
}

/// The text a participant is kept under.
fn participant(destination: Destination) -> Option<String> {
    match destination {
        Destination::Phone(number) => Some(number.to_string()),
        Destination::ShortCode(code) => Some(code),
        Destination::Email(_) | Destination::Group(_) => None,
    }
}
