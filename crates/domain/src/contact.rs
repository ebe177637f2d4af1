//! An address-book entry of an account.

use crate::ids::ContactId;
use crate::phone::E164;
use crate::time::Timestamp;

#[derive(Debug, Clone)]
pub struct Contact {
    pub id: ContactId,
    pub phone_number: E164,
    pub name: String,
    pub email: Option<String>,
    pub notes: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
