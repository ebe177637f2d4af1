//! The first start of an installation: an account and its key.

use offhook_domain::{AccountId, Id};
use offhook_store::{StoreError, Tx};
use secrecy::ExposeSecret;

use super::api_keys::{generate_secret, stored_key};
use super::{App, hash_api_key};

/// What a start found or made.
#[derive(Debug)]
pub struct Started {
    pub account: AccountId,
    /// The key's secret, where this start made it or was given it.
    pub api_key: Option<String>,
}

/// Makes what a first start needs; later starts find it.
///
/// # Errors
/// [`StoreError`].
pub async fn run(app: &App) -> Result<Started, StoreError> {
    let now = app.now();
    let given = app.config.keys.bootstrap_key.as_ref().map(|key| key.expose_secret().to_owned());
    let sandbox = app.config.mode.sandbox;
    app.store
        .write(async move |tx: &mut Tx| {
            let known = tx.first_account().await?;
            let account = known.clone().unwrap_or_else(|| AccountId::generate(now));
            if known.is_none() {
                tx.create_account(&account, "Sandbox", now).await?;
            }
            let secret = given.clone().or_else(|| known.is_none().then(|| generate_secret(sandbox)));
            if let Some(secret) = &secret {
                tx.of(&account).add_key(&stored_key(secret, "first key", now), &hash_api_key(secret)).await?;
            }
            Ok(Started { account, api_key: secret })
        })
        .await
}
