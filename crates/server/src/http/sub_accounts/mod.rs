//! `/v1/sub-accounts`: accounts of their own that this one pays for.

pub mod close;
pub mod create;
pub mod list;
pub mod update;

use offhook_domain::{AccountId, Timestamp};
use offhook_store::sub_accounts::SubAccount;
use serde::Serialize;
use utoipa::ToSchema;

/// A sub-account as the API shows it (contract, "sub-accounts").
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SubAccount)]
pub struct SubAccountView {
    /// What `X-Sub-Account-Id` takes.
    #[schema(value_type = String)]
    id: AccountId,
    name: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl SubAccountView {
    fn of(account: SubAccount) -> Self {
        let SubAccount { id, name, created_at } = account;
        Self { id, name, created_at }
    }
}
