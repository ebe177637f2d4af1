//! `/v1/account`: the account itself, and what it has set.

pub mod get;
pub mod update;

use offhook_domain::{AccountId, Micros, Timestamp};
use offhook_store::sub_accounts::AccountSettings;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Caller;

/// The account that is acted on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Account)]
pub struct AccountView {
    #[schema(value_type = String)]
    id: AccountId,
    name: String,
    /// Who pays for this sub-account; null where it is none.
    #[schema(value_type = Option<String>)]
    parent_id: Option<AccountId>,
    /// After so many days a message is deleted. Null keeps messages for good.
    retention_days: Option<i64>,
    /// The most that may be spent in a day, in dollars. Null where there is no limit of the account's own.
    #[schema(example = "25.00")]
    daily_spend_limit: Option<String>,
    /// Whose key set that limit: `account`, this one's own, or `payer`, the account that pays, which alone can change it then.
    daily_spend_limit_by: Option<&'static str>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl AccountView {
    fn of(caller: &Caller, settings: AccountSettings) -> Self {
        let AccountSettings { name, retention_days, daily_spend_limit, daily_spend_limit_by, created_at } = settings;
        Self {
            id: caller.account.clone(),
            name,
            parent_id: caller.is_sub_account().then(|| caller.payer.clone()),
            retention_days,
            daily_spend_limit: daily_spend_limit.map(in_dollars),
            daily_spend_limit_by: daily_spend_limit_by.map(|by| if by == caller.account { "account" } else { "payer" }),
            created_at,
        }
    }
}

fn in_dollars(amount: Micros) -> String {
    amount.to_string().trim_start_matches('$').to_owned()
}
