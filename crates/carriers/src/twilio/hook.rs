//! What Twilio posts to us: a form, signed. In: a request. Out: a text or a receipt.

use offhook_domain::message::{Failure, ReceiptStatus};
use offhook_domain::{E164, Id, MessageId};
use secrecy::ExposeSecret;
use url::{Url, form_urlencoded};

use super::{TwilioCarrier, errors, signature};
use crate::{Answer, Hook, HookRefused, Hooks, Inbound, InboundMessage, Receipt};

/// More than any text has.
const MOST_MEDIA: usize = 20;

impl Hooks for TwilioCarrier {
    fn read(&self, hook: &Hook<'_>) -> Result<Vec<Inbound>, HookRefused> {
        let form: Vec<(String, String)> = form_urlencoded::parse(hook.body).into_owned().collect();
        let signature = hook.header("x-twilio-signature").ok_or(HookRefused::Unsigned)?;
        if !signature::is_valid(self.settings.auth_token.expose_secret(), hook.url, &form, signature) {
            return Err(HookRefused::Forged);
        }
        let form = Form(form);
        let read = if form.text("MessageStatus").is_some() { self.receipt(hook, &form) } else { self.text(&form) };
        read.map(|one| one.into_iter().collect())
    }

    fn thanks(&self) -> Answer {
        // TwiML that does nothing: anything else would be read as what to do.
        Answer {
            content_type: "text/xml; charset=utf-8",
            body: "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response/>",
        }
    }
}

impl TwilioCarrier {
    fn text(&self, form: &Form) -> Result<Option<Inbound>, HookRefused> {
        let id = form.text("MessageSid").or_else(|| form.text("SmsMessageSid")).ok_or(HookRefused::Unreadable)?;
        let to = E164::parse(form.text("To").ok_or(HookRefused::Unreadable)?).map_err(|_| HookRefused::Unreadable)?;
        let media = form.text("NumMedia").and_then(|text| text.parse().ok()).unwrap_or(0).min(MOST_MEDIA);
        let media_urls = (0..media).filter_map(|n| form.text(&format!("MediaUrl{n}")).map(str::to_owned));
        Ok(Some(Inbound::Message(InboundMessage {
            carrier: self.settings.name,
            carrier_message_id: id.to_owned(),
            from: form.text("From").ok_or(HookRefused::Unreadable)?.to_owned(),
            to,
            body: form.text("Body").unwrap_or_default().to_owned(),
            media_urls: media_urls.collect(),
        })))
    }

    fn receipt(&self, hook: &Hook<'_>, form: &Form) -> Result<Option<Inbound>, HookRefused> {
        let id = form.text("MessageSid").ok_or(HookRefused::Unreadable)?;
        let status = match form.text("MessageStatus") {
            Some("sent") => ReceiptStatus::Sent,
            Some("delivered" | "read") => ReceiptStatus::Delivered,
            Some("undelivered") => ReceiptStatus::Undelivered,
            Some("failed" | "canceled") => ReceiptStatus::Failed,
            // On its way at Twilio, which we know already.
            _ => return Ok(None),
        };
        let failed = matches!(status, ReceiptStatus::Undelivered | ReceiptStatus::Failed);
        let failure = failed.then(|| {
            let code = form.text("ErrorCode").unwrap_or("30008");
            Failure::new(code, form.text("ErrorMessage").unwrap_or_else(|| errors::reason(code)))
        });
        Ok(Some(Inbound::Receipt(Receipt {
            carrier: self.settings.name,
            carrier_message_id: id.to_owned(),
            message_id: ours(hook.url),
            status,
            failure,
            at: hook.now,
        })))
    }
}

/// Our id, which the address bears and the signature covers.
fn ours(url: &str) -> Option<MessageId> {
    let url = Url::parse(url).ok()?;
    let (_, id) = url.query_pairs().find(|(name, _)| name == "message")?;
    MessageId::parse(&id).ok()
}

struct Form(Vec<(String, String)>);

impl Form {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|text| !text.is_empty())
    }
}
