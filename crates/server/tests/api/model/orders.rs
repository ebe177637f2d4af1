//! Requests as they are made. In: a deed and the world it is done in. Out: the same with ids in place of places, and
//! what goes over the wire.

use axum::http::Method;
use serde_json::{Value, json};

use super::effects::at;
use super::steps::{Ask, Deed, HANDSETS, Pick, Place, Receiver, Sender, Wanted, Who, Words};
use super::world::World;

/// A request with everything that makes it the same request when it is repeated.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub who: Who,
    pub revoked: bool,
    pub once: Option<u8>,
    pub deed: Deed<String>,
    /// When it was first made: its times are counted from there.
    pub at: i64,
}

/// A kind of thing that can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Agent,
    Number,
    /// A number by its digits.
    Digits,
    Contact,
    Conversation,
    Delivery,
}

impl Kind {
    /// Well formed, and nothing's.
    pub fn nobody(self) -> &'static str {
        match self {
            Self::Agent => "agt_06ck3v0w2e8zg1m8t4q7x5n9ra",
            Self::Number => "num_06ck3v0w2e8zg1m8t4q7x5n9ra",
            Self::Digits => "+14155550177",
            Self::Contact => "contact_06ck3v0w2e8zg1m8t4q7x5n9ra",
            Self::Conversation => "conv_06ck3v0w2e8zg1m8t4q7x5n9ra",
            Self::Delivery => "del_06ck3v0w2e8zg1m8t4q7x5n9ra",
        }
    }
}

impl World {
    pub fn order(&mut self, ask: &Ask) -> Order {
        let deed = self.resolve(ask.who, &ask.deed);
        Order { who: ask.who, revoked: ask.revoked, once: ask.once, deed, at: self.now }
    }

    fn resolve(&mut self, who: Who, deed: &Deed<Pick>) -> Deed<String> {
        let serial = self.next_serial();
        let named = |words: &Words| Words { serial, ..*words };
        let name = |kind: Kind, pick: &Pick| self.named(who, kind, *pick);
        let agent = |pick: &Pick| name(Kind::Agent, pick);
        let number = |pick: &Pick| name(Kind::Number, pick);
        match deed {
            Deed::MakeAgent { name, messaging } => Deed::MakeAgent { name: *name, messaging: *messaging },
            Deed::ChangeAgent { agent: id, name, messaging } => {
                Deed::ChangeAgent { agent: agent(id), name: *name, messaging: *messaging }
            }
            Deed::DeleteAgent(id) => Deed::DeleteAgent(agent(id)),
            Deed::Attach { agent: id, number: n } => Deed::Attach { agent: agent(id), number: number(n) },
            Deed::Detach { agent: id, number: n } => Deed::Detach { agent: agent(id), number: number(n) },
            Deed::Buy { what, agent: id, ends } => {
                Deed::Buy { what: *what, agent: id.as_ref().map(agent), ends: *ends }
            }
            Deed::Release(n) => Deed::Release(number(n)),
            Deed::SetNumber { number: n, external, ends } => {
                Deed::SetNumber { number: number(n), external: *external, ends: *ends }
            }
            Deed::Send { from, agent: id, to, text, media } => Deed::Send {
                from: match from {
                    Sender::Number(n) => Sender::Number(number(n)),
                    Sender::Digits(n) => Sender::Digits(name(Kind::Digits, n)),
                    Sender::OfAgent => Sender::OfAgent,
                },
                // One of the three has to be there.
                agent: match (from, id) {
                    (Sender::OfAgent, None) => Some(agent(&Pick::Own(0))),
                    (_, id) => id.as_ref().map(agent),
                },
                to: match to {
                    Receiver::Outside(text) => Receiver::Outside(text),
                    Receiver::Number(n) => Receiver::Number(name(Kind::Digits, n)),
                },
                text: named(text),
                media: *media,
            },
            Deed::MakeContact { phone, name } => Deed::MakeContact { phone: *phone, name: *name },
            Deed::ChangeContact { contact, phone, name: given } => {
                Deed::ChangeContact { contact: name(Kind::Contact, contact), phone: *phone, name: *given }
            }
            Deed::DeleteContact(id) => Deed::DeleteContact(name(Kind::Contact, id)),
            Deed::Annotate { conversation, metadata, group_name } => Deed::Annotate {
                conversation: name(Kind::Conversation, conversation),
                metadata: *metadata,
                group_name: *group_name,
            },
            Deed::Typing(id) => Deed::Typing(name(Kind::Conversation, id)),
            Deed::SetWebhook { agent: id, place, statuses, rotate } => {
                Deed::SetWebhook { agent: id.as_ref().map(agent), place: *place, statuses: *statuses, rotate: *rotate }
            }
            Deed::DeleteWebhook(id) => Deed::DeleteWebhook(id.as_ref().map(agent)),
            Deed::TestWebhook(id) => Deed::TestWebhook(id.as_ref().map(agent)),
            Deed::Replay(id) => Deed::Replay(name(Kind::Delivery, id)),
            Deed::Text { from, to, text } => Deed::Text { from: *from, to: name(Kind::Digits, to), text: named(text) },
        }
    }
}

impl Order {
    /// Method, path and body. `url` tells where an endpoint is.
    pub fn request(&self, url: impl Fn(Place) -> String) -> (Method, String, Option<Value>) {
        let end = |seconds: i64| at(self.at + seconds);
        let hook = |agent: &Option<String>| match agent {
            Some(agent) => format!("/v1/agents/{agent}/webhook"),
            None => "/v1/webhooks".to_owned(),
        };
        match &self.deed {
            Deed::MakeAgent { name, messaging } => {
                post("/v1/agents", json!({"name": agent_name(*name), "enableMessaging": messaging}))
            }
            Deed::ChangeAgent { agent, name, messaging } => {
                let mut body = json!({});
                name.iter().for_each(|name| body["name"] = json!(agent_name(*name)));
                messaging.iter().for_each(|messaging| body["enableMessaging"] = json!(messaging));
                (Method::PATCH, format!("/v1/agents/{agent}"), Some(body))
            }
            Deed::DeleteAgent(agent) => delete(format!("/v1/agents/{agent}")),
            Deed::Attach { agent, number } => post(&format!("/v1/agents/{agent}/numbers"), json!({"numberId": number})),
            Deed::Detach { agent, number } => delete(format!("/v1/agents/{agent}/numbers/{number}")),
            Deed::Buy { what, agent, ends } => {
                let mut body = json!({"agentId": agent});
                match what {
                    Wanted::Near(area) => body["areaCode"] = json!(area),
                    Wanted::This(phone) => body["phoneNumber"] = json!(phone),
                }
                ends.iter().for_each(|span| body["expiresAt"] = json!(end(span.0)));
                post("/v1/numbers", body)
            }
            Deed::Release(number) => delete(format!("/v1/numbers/{number}")),
            Deed::SetNumber { number, external, ends } => {
                let mut body = json!({});
                external.iter().for_each(|external| body["externalId"] = json!(format!("ref {external}")));
                ends.iter().for_each(|ends| body["expiresAt"] = json!(ends.map(|span| end(span.0))));
                (Method::PATCH, format!("/v1/numbers/{number}"), Some(body))
            }
            Deed::Send { from, agent, to, text, media } => {
                let mut body = json!({"body": text.body(), "agent_id": agent});
                match from {
                    Sender::Number(id) => body["number_id"] = json!(id),
                    Sender::Digits(phone) => body["from_number"] = json!(phone),
                    Sender::OfAgent => {}
                }
                body["to_number"] = json!(to.text());
                if *media {
                    body["media_urls"] = json!([MEDIA]);
                }
                post("/v1/messages", body)
            }
            Deed::MakeContact { phone, name } => {
                post("/v1/contacts", json!({"phoneNumber": HANDSETS[usize::from(*phone)], "name": contact_name(*name)}))
            }
            Deed::ChangeContact { contact, phone, name } => {
                let mut body = json!({});
                phone.iter().for_each(|phone| body["phoneNumber"] = json!(HANDSETS[usize::from(*phone)]));
                name.iter().for_each(|name| body["name"] = json!(contact_name(*name)));
                (Method::PATCH, format!("/v1/contacts/{contact}"), Some(body))
            }
            Deed::DeleteContact(contact) => delete(format!("/v1/contacts/{contact}")),
            Deed::Annotate { conversation, metadata, group_name } => {
                let mut body = json!({});
                metadata.iter().for_each(|given| body["metadata"] = metadata_of(*given));
                group_name.iter().for_each(|given| body["group_name"] = group_name_of(*given));
                (Method::PATCH, format!("/v1/conversations/{conversation}"), Some(body))
            }
            Deed::Typing(conversation) => (Method::POST, format!("/v1/conversations/{conversation}/typing"), None),
            Deed::SetWebhook { agent, place, statuses, rotate } => {
                let events: &[&str] = if *statuses { &["agent.message", "message.status"] } else { &["agent.message"] };
                let body = json!({"url": url(*place), "events": events, "rotateSecret": rotate, "timeout": 20});
                post(&hook(agent), body)
            }
            Deed::DeleteWebhook(agent) => delete(hook(agent)),
            Deed::TestWebhook(agent) => (Method::POST, format!("{}/test", hook(agent)), None),
            Deed::Replay(delivery) => (Method::POST, format!("/v1/webhooks/deliveries/{delivery}/replay"), None),
            Deed::Text { from, to, text } => {
                post("/sandbox/messages", json!({"from": HANDSETS[usize::from(*from)], "to": to, "body": text.body()}))
            }
        }
    }
}

fn post(path: &str, body: Value) -> (Method, String, Option<Value>) {
    (Method::POST, path.to_owned(), Some(body))
}

fn delete(path: String) -> (Method, String, Option<Value>) {
    (Method::DELETE, path, None)
}

pub const MEDIA: &str = "https://example.com/cat.jpg";

pub fn agent_name(n: u8) -> String {
    format!("agent {n}")
}

pub fn contact_name(n: u8) -> String {
    format!("person {n}")
}

pub fn metadata_of(given: Option<u8>) -> Value {
    given.map_or(Value::Null, |n| json!({"step": n}))
}

pub fn group_name_of(given: Option<u8>) -> Value {
    given.map_or(Value::Null, |n| json!(format!("group {n}")))
}

impl Words {
    pub fn body(&self) -> String {
        match self.kind {
            0 => format!("text {}", self.serial),
            // Beyond the 160 letters of one segment, and beyond the 70 that other alphabets have.
            1 => format!("text {} {}", self.serial, "x".repeat(160)),
            _ => format!("text {} {}", self.serial, "ж".repeat(70)),
        }
    }

    pub fn segments(&self) -> i64 {
        if self.kind == 0 { 1 } else { 2 }
    }
}

impl Receiver<String> {
    pub fn text(&self) -> &str {
        match self {
            Self::Outside(text) => text,
            Self::Number(phone) => phone,
        }
    }
}
