//! The words that a registration's fields may have. Each list is the rule and, in the OpenAPI document, its description.

use std::marker::PhantomData;

use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::http::fields::{FromField, Problem};
use crate::http::values::{one_of, schema_of_words};

/// A list of words.
pub trait Words {
    const ALL: &'static [&'static str];
}

/// One of the words of a list.
#[derive(Debug, Clone)]
pub struct Word<L>(pub &'static str, PhantomData<L>);

impl<L: Words> FromField for Word<L> {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let word = |text: &str| L::ALL.iter().find(|word| **word == text);
        one_of(value, L::ALL, word).map(|word| Self(word, PhantomData))
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident $all:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name;

        impl Words for $name {
            const ALL: &'static [&'static str] = &$all;
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                schema_of_words(Self::ALL)
            }
        }

        impl ToSchema for $name {}
    )+};
}

words! {
    /// What is registered.
    RegistrationType ["sole_proprietor", "standard_brand", "high_volume"];
    /// What kind of an organization it is.
    OrganizationType [
        "sole_proprietor", "private_corporation", "public_corporation", "llc", "partnership", "non_profit", "co_op",
        "government"
    ];
    /// What the contact is there.
    ContactTitle ["ceo", "cfo", "cto", "coo", "vp", "gm", "director", "other"];
    /// What messages are for.
    UseCase [
        "account_notification", "customer_care", "delivery_notification", "fraud_alert", "higher_education", "marketing",
        "polling_voting", "public_service_announcement", "security_alert", "two_factor_authentication"
    ];
    /// How much is sent.
    Volume ["low", "high"];
    /// What messages have in them.
    Includes ["links", "phone_numbers", "age_gated", "direct_lending"];
    /// States and territories of the US.
    UsState [
        "AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "DC", "FL", "GA", "HI", "ID", "IL", "IN", "IA", "KS", "KY", "LA",
        "ME", "MD", "MA", "MI", "MN", "MS", "MO", "MT", "NE", "NV", "NH", "NJ", "NM", "NY", "NC", "ND", "OH", "OK", "OR",
        "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VT", "VA", "WA", "WV", "WI", "WY", "AS", "GU", "MP", "PR", "VI"
    ];
}
