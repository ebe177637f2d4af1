//! `PATCH /v1/account`

use std::borrow::Cow;

use axum::extract::State;
use axum::response::Response;
use offhook_domain::Micros;
use offhook_store::sub_accounts::AccountSettings;
use serde_json::Value;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{RefOr, schema};
use utoipa::{PartialSchema, ToSchema};

use super::AccountView;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::Body;
use crate::http::fields::{Casing, Fields, FromField, Input, Patch, Problem};
use crate::http::once::{Once, Reply};
use crate::http::values::{Name, Number};

/// An amount of money as a text: `"25"`, `"0.50"`, at most a million dollars, to the micro-dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dollars(pub Micros);

const MOST_DOLLARS: i64 = 1_000_000;
const PATTERN: &str = r"^[0-9]{1,7}(\.[0-9]{1,6})?$";

impl Dollars {
    fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |part: &str, most: usize| {
            (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !is_number(whole, 7) || !is_number(fraction, 6) {
            return None;
        }
        let micros = format!("{fraction:0<6}");
        let amount = whole.parse::<i64>().ok()? * 1_000_000 + micros.parse::<i64>().ok()?;
        (amount <= MOST_DOLLARS * 1_000_000).then_some(Self(Micros(amount)))
    }
}

impl FromField for Dollars {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string such as \"25.00\""))?;
        let rule = || Problem::value("must be dollars such as \"25.00\", from 0 to 1000000");
        Self::parse(text).ok_or_else(rule)
    }
}

impl PartialSchema for Dollars {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
        text.pattern(Some(PATTERN)).format(Some(schema::SchemaFormat::Custom("dollars".to_owned()))).into()
    }
}

impl ToSchema for Dollars {
    fn name() -> Cow<'static, str> {
        "Dollars".into()
    }
}

/// What to change about the account. A field that isn't sent stays as it is; null takes a setting back.
#[derive(Debug, Clone, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct UpdateAccount {
    name: Option<Name<1, 100>>,
    #[schema(value_type = Option<Number<1, 3650>>)]
    retention_days: Patch<Number<1, 3650>>,
    #[schema(value_type = Option<Dollars>)]
    daily_spend_limit: Patch<Dollars>,
}

impl Input for UpdateAccount {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            name: fields.optional("name"),
            retention_days: fields.patch("retention_days"),
            daily_spend_limit: fields.patch("daily_spend_limit"),
        })
    }
}

impl UpdateAccount {
    /// Refused where who pays has set the limit, and somebody else wants another.
    fn apply(self, caller: &Caller, settings: &mut AccountSettings) -> Result<(), ApiError> {
        let before = settings.daily_spend_limit;
        let is_set = !matches!(self.daily_spend_limit, Patch::Absent);
        if let Some(name) = self.name {
            settings.name = name.0;
        }
        self.retention_days.map(|days| days.0).apply(&mut settings.retention_days);
        self.daily_spend_limit.map(|dollars| dollars.0).apply(&mut settings.daily_spend_limit);
        let is_payers = settings.daily_spend_limit_by.as_ref() == Some(&caller.payer);
        if !caller.is_payer() && is_payers {
            let message = "dailySpendLimit was set by the account that pays: only its key can change it";
            return if settings.daily_spend_limit == before { Ok(()) } else { Err(ApiError::forbidden(message)) };
        }
        if is_set {
            settings.daily_spend_limit_by = settings.daily_spend_limit.map(|_| caller.owner.clone());
        }
        Ok(())
    }
}

/// Changes what is sent about the account.
#[utoipa::path(
    patch,
    path = "/v1/account",
    operation_id = "updateAccount",
    tag = "Account",
    request_body = UpdateAccount,
    responses(
        (status = 200, body = AccountView),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 403, body = ErrorEnvelope, description = "The key lacks the scope admin, or the limit was set by who pays"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Body(input): Body<UpdateAccount>,
) -> Result<Response, ApiError> {
    let asking = caller.clone();
    once.write(&app, &caller, async move |tx| {
        let mut scope = tx.of(&asking.account);
        scope.lock_account().await?;
        let mut settings = scope.account_settings().await?;
        input.clone().apply(&asking, &mut settings)?;
        scope.set_account_settings(&settings).await?;
        Reply::ok(&AccountView::of(&asking, settings))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_exact_to_the_micro_dollar() {
        let read = |text: &str| Dollars::parse(text).map(|dollars| dollars.0.0);
        assert_eq!(read("25"), Some(25_000_000));
        assert_eq!(read("0.50"), Some(500_000));
        assert_eq!(read("0.000001"), Some(1));
        assert_eq!(read("1000000.000000"), Some(1_000_000_000_000));
        for bad in ["", ".", "1.", ".5", "-1", "1e3", "1.0000001", "1000000.000001", "9999999", "1,5", " 1"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
