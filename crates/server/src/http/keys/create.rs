//! `POST /v1/keys`

use std::borrow::Cow;

use axum::extract::State;
use axum::response::Response;
use offhook_domain::{AccountId, KeyScope, KeyScopes};
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use super::KeyView;
use crate::app::api_keys::{generate_secret, stored_key};
use crate::app::{App, hash_api_key};
use crate::http::auth::Caller;
use crate::http::error::{ApiError, ErrorEnvelope};
use crate::http::extract::{Body, Named};
use crate::http::fields::{Casing, Fields, FromField, Input, Problem};
use crate::http::once::{Once, Reply};
use crate::http::values::{List, Name, one_of};

#[derive(Debug, ToSchema)]
pub struct CreateKey {
    /// What it is for.
    name: Name<1, 100>,
    /// What it may do: any of `read`, `messages`, `calls`, `numbers`, `admin`. Everything where this is absent.
    #[schema(value_type = Option<ScopesSchema>)]
    scopes: Option<KeyScopes>,
}

impl Input for CreateKey {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name");
        let words: Option<List<KeyScope, 5>> = fields.optional("scopes");
        let scopes = words.map(|words| KeyScopes::of(&words.0));
        if scopes == Some(None) {
            fields.complain("scopes", Problem::value("must name at least one scope, or be absent"));
        }
        Some(Self { name: name?, scopes: scopes.flatten() })
    }
}

impl FromField for KeyScope {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        one_of(value, Self::TEXTS, Self::parse)
    }
}

/// What stands for a list of scopes in the OpenAPI document.
struct ScopesSchema;

impl PartialSchema for ScopesSchema {
    fn schema() -> RefOr<Schema> {
        let words = KeyScope::TEXTS.iter().copied();
        let word = ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).enum_values(Some(words));
        ArrayBuilder::new().items(word).min_items(Some(1)).max_items(Some(5)).into()
    }
}

impl ToSchema for ScopesSchema {
    fn name() -> Cow<'static, str> {
        "KeyScopes".into()
    }
}

/// A fresh key, with its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedKey {
    #[serde(flatten)]
    stored: KeyView,
    /// The secret, shown this once: only its hash is kept.
    #[schema(example = "sk_live_0f…")]
    key: String,
}

/// Makes a key of the account.
#[utoipa::path(
    post,
    path = "/v1/keys",
    operation_id = "createKey",
    tag = "Keys",
    request_body = CreateKey,
    responses(
        (status = 201, body = CreatedKey),
        (status = 401, body = ErrorEnvelope, description = "The key is missing, malformed or revoked"),
        (status = 403, body = ErrorEnvelope, description = "The key lacks the scope admin"),
        (status = 422, body = ErrorEnvelope, description = "A field is malformed"),
    )
)]
pub async fn handle(
    State(app): State<App>,
    caller: Caller,
    once: Once,
    Body(input): Body<CreateKey>,
) -> Result<Response, ApiError> {
    let account = caller.account.clone();
    let secret = generate_secret(app.config.mode.sandbox);
    let mut key = stored_key(&secret, &input.name.0, app.now());
    key.scopes = input.scopes.unwrap_or(KeyScopes::ALL);
    once.write(&app, &caller, async move |tx| {
        if !tx.of(&account).lock_open_account().await? {
            return Err(AccountId::missing());
        }
        tx.of(&account).add_key(&key, &hash_api_key(&secret)).await?;
        Reply::created(&CreatedKey { stored: KeyView::of(key.clone()), key: secret.clone() })
    })
    .await
}
