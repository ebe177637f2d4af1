//! Twilio, by its API of 2010-04-01: numbers, texts, and what it posts to us.
//!
//! In: orders of the platform. Out: their outcomes, and in [`Hooks`] what comes from phones. Never here: the media
//! themselves, of which only addresses go and come.

mod errors;
mod hook;
mod numbers;
pub mod signature;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use offhook_domain::message::SendOutcome;
use offhook_domain::{E164, PurchaseId};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::rest::{Api, Ask, Body, ClientUnbuildable, text};
use crate::{AvailableNumber, BuyError, Carrier, CarrierError, Finding, Hooks, NumberOrder, NumberSearch, Submission};

/// Twilio posts once, unless the address says otherwise ("Connection overrides"). The fragment is neither sent nor signed.
const TRY_AGAIN: &str = "#rc=5&rp=all";

/// How an account at Twilio is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The operator's name for it, kept with numbers and messages.
    pub name: &'static str,
    /// AC…
    pub account_sid: String,
    pub auth_token: SecretString,
    /// MG…
    pub messaging_service_sid: Option<String>,
    pub base_url: Url,
    /// How the world reaches us, without a slash at the end.
    pub public_url: String,
}

/// A carrier that is an account at Twilio.
pub struct TwilioCarrier {
    settings: Settings,
    api: Api,
}

impl TwilioCarrier {
    /// # Errors
    /// [`ClientUnbuildable`].
    pub fn new(settings: Settings) -> Result<Self, ClientUnbuildable> {
        let headers = login(&settings).map(|login| (AUTHORIZATION, login)).into_iter().collect::<HeaderMap>();
        let api = Api::new(settings.base_url.clone(), headers)?;
        Ok(Self { settings, api })
    }

    /// The path of something of the account's.
    fn path(&self, rest: &str) -> String {
        format!("/2010-04-01/Accounts/{}{rest}", self.settings.account_sid)
    }

    /// Where texts for our numbers are posted.
    fn inbound_url(&self) -> String {
        format!("{}/hooks/twilio/{}/message{TRY_AGAIN}", self.settings.public_url, self.settings.name)
    }

    /// Where what becomes of a text is posted. It bears our id, so that a lost answer can be settled by a receipt.
    fn status_url(&self, submission: &Submission) -> String {
        let Settings { public_url, name, .. } = &self.settings;
        format!("{public_url}/hooks/twilio/{name}/status?message={}{TRY_AGAIN}", submission.message_id)
    }

    fn message(&self, submission: &Submission) -> Vec<(&'static str, String)> {
        let mut form = vec![
            ("From", submission.from.to_string()),
            ("To", submission.to.clone()),
            ("StatusCallback", self.status_url(submission)),
        ];
        if !submission.body.is_empty() || submission.media_urls.is_empty() {
            form.push(("Body", submission.body.clone()));
        }
        form.extend(self.settings.messaging_service_sid.clone().map(|sid| ("MessagingServiceSid", sid)));
        form.extend(submission.media_urls.iter().map(|url| ("MediaUrl", url.clone())));
        form
    }
}

#[async_trait]
impl Carrier for TwilioCarrier {
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
        let (path, body) = (self.path("/Messages.json"), Body::Form(self.message(submission)));
        let ask = Ask { method: Method::POST, path: &path, query: &[], body, until: submission.until };
        self.api.hand_over(ask, "20429", |body| text(body, "sid"), errors::of_message).await
    }

    fn hooks(&self) -> Option<&dyn Hooks> {
        Some(self)
    }

    fn media_login(&self, url: &Url) -> Option<HeaderValue> {
        let is_api = url.origin() == self.settings.base_url.origin()
            || (url.scheme() == "https" && url.host_str() == Some("api.twilio.com"));
        is_api.then(|| login(&self.settings)).flatten()
    }

    async fn check(&self, repair: bool) -> Result<Vec<Finding>, CarrierError> {
        let reply = self.api.get(&self.path(".json"), &[]).await.map_err(CarrierError)?;
        let mut found = Vec::new();
        match (reply.status, text(&reply.body, "status")) {
            (StatusCode::OK, Some("active") | None) => found.push(Finding::Good("the account is active".to_owned())),
            (StatusCode::OK, Some(status)) => found.push(Finding::Bad(format!("the account is {status}"))),
            (StatusCode::UNAUTHORIZED, _) => {
                return Err(CarrierError("account_sid and auth_token do not belong together".to_owned()));
            }
            _ => return Err(CarrierError(errors::words(&reply))),
        }
        found.push(numbers::check(self, repair).await?);
        Ok(found)
    }
}

/// What it knows us by.
fn login(settings: &Settings) -> Option<HeaderValue> {
    let login = format!("{}:{}", settings.account_sid, settings.auth_token.expose_secret());
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(login))).ok()?;
    value.set_sensitive(true);
    Some(value)
}
