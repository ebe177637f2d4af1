//! `/v1/numbers/{id}/contact-card`: what a number shows of its owner on phones that can show it. SMS can't; the card is
//! kept for channels that can, and goes out as a file where it is shared.

pub mod delete;
pub mod file;
pub mod get;
pub mod put;
pub mod share;

use offhook_domain::number::ContactCard;
use serde::Serialize;
use utoipa::ToSchema;

/// A card as the API shows it; of a number without one, an empty one.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ContactCard)]
pub struct CardView {
    first_name: Option<String>,
    last_name: Option<String>,
    display_name: Option<String>,
    has_avatar: bool,
}

impl CardView {
    fn of(card: ContactCard) -> Self {
        let ContactCard { first_name, last_name, display_name, avatar_url } = card;
        Self { first_name, last_name, display_name, has_avatar: avatar_url.is_some() }
    }
}
