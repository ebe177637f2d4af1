//! `/sandbox/*`: the phones of the sandbox network, for people and tests. Only there in sandbox mode, and
//! without a key: a phone on the street has none.

pub mod calls;
pub mod inbox;
pub mod text;

use offhook_domain::Timestamp;
use offhook_domain::message::Direction;
use offhook_store::sandbox_world::HandsetText;
use serde::Serialize;
use utoipa::ToSchema;

/// A text as a handset shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HandsetMessage {
    id: String,
    from: String,
    to: String,
    body: String,
    media_urls: Vec<String>,
    /// As the handset sees it.
    #[schema(value_type = String)]
    direction: Direction,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl From<HandsetText> for HandsetMessage {
    fn from(text: HandsetText) -> Self {
        let HandsetText { id, from, to, body, media_urls, direction, at, handset: _ } = text;
        Self { id, from, to, body, media_urls, direction, at }
    }
}
