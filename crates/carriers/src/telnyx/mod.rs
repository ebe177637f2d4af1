//! Telnyx, by its API v2: numbers, texts, and what it posts to us.
//!
//! In: orders of the platform. Out: their outcomes, and in [`Hooks`] what comes from phones. Never here: media, whose addresses are
//! handed on for Telnyx to fetch.

mod errors;
mod hook;
mod numbers;
pub mod signature;

use async_trait::async_trait;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use offhook_domain::message::SendOutcome;
use offhook_domain::{E164, PurchaseId};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use crate::rest::{Api, Ask, Body, ClientUnbuildable, text};
use crate::{AvailableNumber, BuyError, Carrier, CarrierError, Finding, Hooks, NumberOrder, NumberSearch, Submission};

/// How an account at Telnyx is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The operator's name for it, kept with numbers and messages.
    pub name: &'static str,
    pub api_key: SecretString,
    /// Ed25519: what hooks are signed with.
    pub public_key: [u8; 32],
    pub messaging_profile_id: String,
    /// With the version: `https://api.telnyx.com/v2`.
    pub base_url: Url,
    /// How the world reaches us, without a slash at the end.
    pub public_url: String,
}

/// A carrier that is an account at Telnyx.
pub struct TelnyxCarrier {
    settings: Settings,
    api: Api,
}

impl TelnyxCarrier {
    /// # Errors
    /// [`ClientUnbuildable`].
    pub fn new(settings: Settings) -> Result<Self, ClientUnbuildable> {
        let mut headers = HeaderMap::new();
        if let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", settings.api_key.expose_secret())) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let api = Api::new(settings.base_url.clone(), headers)?;
        Ok(Self { settings, api })
    }

    /// Where the profile posts what comes in.
    fn hook_url(&self) -> String {
        format!("{}/hooks/telnyx/{}", self.settings.public_url, self.settings.name)
    }

    fn message(&self, submission: &Submission) -> Value {
        // It bears our id, so that a lost answer can be settled by a receipt.
        let webhook_url = format!("{}?message={}", self.hook_url(), submission.message_id);
        let mut message = json!({
            "from": submission.from,
            "to": submission.to,
            "text": submission.body,
            "messaging_profile_id": self.settings.messaging_profile_id,
            "webhook_url": webhook_url,
            "use_profile_webhooks": false,
        });
        if !submission.media_urls.is_empty() {
            message["media_urls"] = json!(submission.media_urls);
        }
        message
    }
}

#[async_trait]
impl Carrier for TelnyxCarrier {
    fn name(&self) -> &'static str {
        self.settings.name
    }

    async fn search(&self, query: &NumberSearch) -> Result<Vec<AvailableNumber>, CarrierError> {
        numbers::search(self, query).await
    }

    async fn buy(&self, order: &NumberOrder) -> Result<(), BuyError> {
        numbers::buy(self, order).await
    }

    async fn find_order(&self, reference: &PurchaseId) -> Result<Option<E164>, CarrierError> {
        numbers::find_order(self, reference).await
    }

    async fn release(&self, number: &E164, reference: Option<&PurchaseId>) -> Result<(), CarrierError> {
        numbers::release(self, number, reference).await
    }

    async fn send(&self, submission: &Submission) -> SendOutcome {
        let body = Body::Json(self.message(submission));
        let ask = Ask { method: Method::POST, path: "/messages", query: &[], body, until: submission.until };
        self.api.hand_over(ask, "30022", |body| text(body.get("data")?, "id"), errors::of_message).await
    }

    fn hooks(&self) -> Option<&dyn Hooks> {
        Some(self)
    }

    async fn check(&self, repair: bool) -> Result<Vec<Finding>, CarrierError> {
        let path = format!("/messaging_profiles/{}", self.settings.messaging_profile_id);
        let reply = self.api.get(&path, &[]).await.map_err(CarrierError)?;
        match reply.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Err(CarrierError("api_key is not known to Telnyx".to_owned())),
            StatusCode::NOT_FOUND => {
                return Err(CarrierError("the account has no such messaging_profile_id".to_owned()));
            }
            _ => return Err(CarrierError(errors::words(&reply))),
        }
        let mut found = vec![Finding::Good("the key and the messaging profile are known".to_owned())];
        let (profile, url) = (&reply.body["data"], self.hook_url());
        let right = text(profile, "webhook_url") == Some(&url) && text(profile, "webhook_api_version") == Some("2");
        found.push(match (right, repair) {
            (true, _) => Finding::Good(format!("the profile posts what comes in to {url}")),
            (false, true) => {
                let body = Body::Json(json!({"webhook_url": url, "webhook_api_version": "2"}));
                let ask = Ask { method: Method::PATCH, path: &path, query: &[], body, until: None };
                let reply = self.api.ask(ask).await.map_err(|error| CarrierError(error.into_words()))?;
                if !reply.status.is_success() {
                    return Err(CarrierError(errors::words(&reply)));
                }
                Finding::Good(format!("the profile posted what comes in elsewhere; now to {url}"))
            }
            (false, false) => Finding::Bad(format!(
                "the profile does not post what comes in to {url} (API version 2): `--repair` has it do so"
            )),
        });
        Ok(found)
    }
}
