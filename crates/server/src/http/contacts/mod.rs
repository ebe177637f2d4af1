//! `/v1/contacts`: the account's address book.

pub mod capabilities;
pub mod create;
pub mod delete;
pub mod email;
pub mod get;
pub mod list;
pub mod update;

use offhook_domain::contact::Contact;
use offhook_domain::{ContactId, E164, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;

/// A contact as the API shows it (contract, "Contacts").
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Contact)]
pub struct ContactView {
    #[schema(value_type = String)]
    id: ContactId,
    #[schema(value_type = String, example = "+14155550100")]
    phone_number: E164,
    name: String,
    email: Option<String>,
    notes: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl ContactView {
    fn of(contact: Contact) -> Self {
        let Contact { id, phone_number, name, email, notes, created_at, updated_at } = contact;
        Self { id, phone_number, name, email, notes, created_at, updated_at }
    }
}

/// 409: a number is in the address book once.
fn duplicate(number: &E164) -> ApiError {
    ApiError::conflict("CONFLICT", format!("there is a contact with the number {number} already"))
}
