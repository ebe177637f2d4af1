//! `/v1/privacy`: what is kept of one person, handed out or erased. The number goes in the body: addresses are logged by
//! many who stand between.

pub mod erase;
pub mod export;

use offhook_domain::E164;
use utoipa::ToSchema;

use super::fields::{Casing, Fields, Input};

/// Whom it is about.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Person {
    /// In any usual format.
    #[schema(value_type = String, format = "phone", example = "+14155550100")]
    phone_number: E164,
}

impl Input for Person {
    const CASING: Casing = Casing::Either;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { phone_number: fields.required("phone_number")? })
    }
}
