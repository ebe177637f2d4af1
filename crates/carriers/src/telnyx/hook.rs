//! What Telnyx posts to us: JSON, signed. In: a request. Out: texts or a receipt.

use offhook_domain::message::{Failure, ReceiptStatus};
use offhook_domain::{E164, Id, MessageId};
use serde_json::Value;
use url::Url;

use super::{TelnyxCarrier, errors, signature};
use crate::rest::text;
use crate::{Answer, Hook, HookRefused, Hooks, Inbound, InboundMessage, Receipt};

/// More than any text has.
const MOST_MEDIA: usize = 20;

impl Hooks for TelnyxCarrier {
    fn read(&self, hook: &Hook<'_>) -> Result<Vec<Inbound>, HookRefused> {
        let signature = hook.header("telnyx-signature-ed25519").ok_or(HookRefused::Unsigned)?;
        let timestamp = hook.header("telnyx-timestamp").ok_or(HookRefused::Unsigned)?;
        signature::check(&self.settings.public_key, timestamp, signature, hook.body, hook.now)?;
        let event: Value = serde_json::from_slice(hook.body).map_err(|_| HookRefused::Unreadable)?;
        let (kind, payload) = (text(&event["data"], "event_type"), &event["data"]["payload"]);
        match kind {
            Some("message.received") => self.text(payload).map(|text| vec![text]),
            Some("message.sent" | "message.finalized") => Ok(self.receipt(hook, payload)?.into_iter().collect()),
            // About numbers, calls or whatever else the account is subscribed to.
            Some(_) => Ok(Vec::new()),
            None => Err(HookRefused::Unreadable),
        }
    }

    fn thanks(&self) -> Answer {
        Answer { content_type: "application/json", body: "{}" }
    }
}

impl TelnyxCarrier {
    fn text(&self, payload: &Value) -> Result<Inbound, HookRefused> {
        let unreadable = HookRefused::Unreadable;
        let to = receiver(payload).and_then(|to| text(to, "phone_number")).ok_or(unreadable)?;
        let media = payload["media"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        Ok(Inbound::Message(InboundMessage {
            carrier: self.settings.name,
            carrier_message_id: text(payload, "id").ok_or(unreadable)?.to_owned(),
            from: text(&payload["from"], "phone_number").ok_or(unreadable)?.to_owned(),
            to: E164::parse(to).map_err(|_| unreadable)?,
            body: text(payload, "text").unwrap_or_default().to_owned(),
            media_urls: media.take(MOST_MEDIA).filter_map(|one| text(one, "url").map(str::to_owned)).collect(),
        }))
    }

    fn receipt(&self, hook: &Hook<'_>, payload: &Value) -> Result<Option<Inbound>, HookRefused> {
        let id = text(payload, "id").ok_or(HookRefused::Unreadable)?;
        let status = match receiver(payload).and_then(|to| text(to, "status")) {
            // The other carrier never tells.
            Some("sent" | "delivery_unconfirmed") => ReceiptStatus::Sent,
            Some("delivered") => ReceiptStatus::Delivered,
            Some("delivery_failed") => ReceiptStatus::Undelivered,
            Some("sending_failed") => ReceiptStatus::Failed,
            // On its way at Telnyx, which we know already.
            _ => return Ok(None),
        };
        let failed = matches!(status, ReceiptStatus::Undelivered | ReceiptStatus::Failed);
        let failure = failed.then(|| {
            let told = payload["errors"].get(0).and_then(errors::failure_of);
            let (code, words) = told.unwrap_or_else(|| ("40008".to_owned(), "the message did not arrive".to_owned()));
            Failure::new(&code, &words)
        });
        Ok(Some(Inbound::Receipt(Receipt {
            carrier: self.settings.name,
            carrier_message_id: id.to_owned(),
            // From what is signed, as the address that was called is not.
            message_id: text(payload, "webhook_url").and_then(ours),
            status,
            failure,
            at: hook.now,
        })))
    }
}

fn receiver(payload: &Value) -> Option<&Value> {
    match &payload["to"] {
        Value::Array(all) => all.first(),
        _ => None,
    }
}

fn ours(url: &str) -> Option<MessageId> {
    let url = Url::parse(url).ok()?;
    let (_, id) = url.query_pairs().find(|(name, _)| name == "message")?;
    MessageId::parse(&id).ok()
}
