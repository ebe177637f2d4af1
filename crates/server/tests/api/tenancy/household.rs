//! An account that has one of everything, and all that it can see.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use axum::http::Method;
use offhook_domain::{CallId, Id, TurnId};
use offhook_store::engine::Value as Column;
use offhook_store::{Sql, StoreError, Tx};
use offhook_testkit::webhook_receiver::WebhookReceiver;
use serde_json::{Value, json};

use super::plan::{Kind, Place, Plan};
use crate::app::{Client, TestApp, id};

/// An account and what is its own.
pub struct Household {
    pub client: Client,
    own: Own,
}

/// What is one account's own, by which it would be known.
#[derive(Clone, Default)]
pub struct Own {
    /// In every text of its own.
    pub words: &'static str,
    /// Whom it speaks with.
    pub handset: &'static str,
    /// Where its events go.
    pub endpoint: String,
    ids: BTreeMap<Kind, Vec<String>>,
}

impl Deref for Household {
    type Target = Own;

    fn deref(&self) -> &Own {
        &self.own
    }
}

impl Own {
    pub fn ids(&self, kind: Kind) -> &[String] {
        self.ids.get(&kind).map_or(&[], Vec::as_slice)
    }

    pub fn id(&self, kind: Kind, nth: usize) -> String {
        self.ids(kind).get(nth).cloned().unwrap_or_else(|| kind.nobody().to_owned())
    }

    /// One that is not in its address book.
    pub fn another_handset(&self) -> String {
        format!("{}7", self.handset.get(..11).unwrap_or_default())
    }
}

impl Household {
    pub fn empty(client: Client) -> Self {
        Self { client, own: Own::default() }
    }

    /// The same things, asked for by somebody else.
    pub fn as_asked_by(&self, client: Client) -> Self {
        Self { client, own: self.own.clone() }
    }

    /// Gives an account one of everything, through the API where that can.
    pub async fn furnish(
        app: &TestApp,
        client: Client,
        endpoint: &WebhookReceiver,
        words: &'static str,
        handset: &'static str,
    ) -> Self {
        client.credit(50).await;
        let own = Own { words, handset, endpoint: format!("{}/{words}", endpoint.url()), ids: BTreeMap::new() };
        let mut household = Self { client, own };
        household.furnish_agents_and_numbers().await;
        household.furnish_conversations(app).await;
        household.furnish_opt_out().await;
        household.keep_call(app).await;
        let named = json!({"name": words});
        let child = id(&household.client.post("/v1/sub-accounts").json(named.clone()).await.created());
        let key = id(&household.client.post("/v1/keys").json(named).await.created());
        let sip = json!({"name": words, "origination": {"uris": [{"sip_uri": format!("sip:{words}.example.com")}]}});
        let trunk = id(&household.client.post("/v1/sip-trunks").json(sip).await.created());
        household.keep(Kind::SipTrunk, vec![trunk]);
        household.keep(Kind::SubAccount, vec![child]);
        household.keep(Kind::Key, vec![key]);
        let checked = json!({"phone_number": household.another_handset()});
        let sent = household.client.post("/v1/verify/send").json(checked).await.ok();
        household.keep(Kind::Verification, vec![sent["verification_id"].as_str().unwrap().to_owned()]);
        let log = household.client.get("/v1/webhooks/deliveries").await.ok();
        household.keep(Kind::Delivery, log["items"].as_array().unwrap().iter().map(id).collect());
        household
    }

    async fn furnish_agents_and_numbers(&mut self) {
        let Own { words, handset, endpoint, .. } = self.own.clone();
        let client = self.client.clone();
        let described = json!({"name": words, "description": words, "systemPrompt": words, "transferNumber": handset});
        let agent = id(&client.post("/v1/agents").json(described).await.ok());
        let spare = id(&client.post("/v1/agents").json(json!({"name": words})).await.ok());
        let hook = json!({"url": endpoint, "externalId": words, "events": ["agent.message", "message.status"]});
        for path in ["/v1/webhooks".to_owned(), format!("/v1/agents/{spare}/webhook")] {
            client.post(&path).json(hook.clone()).await.ok();
        }
        let wish = |agent: &str| json!({"areaCode": "415", "agentId": agent, "externalId": words});
        let number = client.post("/v1/numbers").json(wish(&agent)).await.ok();
        let released = client.post("/v1/numbers").json(wish(&spare)).await.ok();
        let card = json!({"firstName": words, "displayName": words, "avatarUrl": "https://example.com/face.jpg"});
        client.put(&format!("/v1/numbers/{}/contact-card", id(&number))).json(card).await.ok();
        let digits = [&number, &released].map(|one| one["phoneNumber"].as_str().unwrap().to_owned());
        self.keep(Kind::Agent, vec![agent, spare]);
        self.keep(Kind::Number, vec![id(&number), id(&released)]);
        self.keep(Kind::Digits, digits.to_vec());
        self.keep(Kind::Words, vec![words.to_owned()]);
    }

    async fn furnish_conversations(&mut self, app: &TestApp) {
        let Own { words, handset, .. } = self.own.clone();
        let client = self.client.clone();
        let (digits, agent) = (self.ids(Kind::Digits).to_vec(), self.id(Kind::Agent, 0));
        for to in &digits {
            app.is_sent(handset, to, words, &["https://example.com/cat.jpg"]).await;
        }
        let words_back = json!({"agent_id": agent, "to_number": handset, "body": words});
        client.post("/v1/messages").json(words_back).await.ok();
        client.delete(&format!("/v1/numbers/{}", self.id(Kind::Number, 1))).await.ok();
        let person =
            json!({"phoneNumber": handset, "name": words, "notes": words, "email": format!("{words}@example.org")});
        let contact = id(&client.post("/v1/contacts").json(person).await.created());
        let listed = client.get("/v1/conversations").await.ok();
        let conversations: Vec<String> = listed["data"].as_array().unwrap().iter().map(id).collect();
        for conversation in &conversations {
            let notes = json!({"metadata": {"of": words}, "group_name": words});
            client.patch(&format!("/v1/conversations/{conversation}")).json(notes).await.ok();
        }
        let said = client.get(&format!("/v1/conversations/{}/messages", conversations[0])).await.ok();
        self.keep(Kind::Message, said["data"].as_array().unwrap().iter().map(id).collect());
        self.keep(Kind::Conversation, conversations);
        self.keep(Kind::Contact, vec![contact]);
    }

    async fn furnish_opt_out(&mut self) {
        let phone_number = format!("{}8", self.handset.get(..11).unwrap_or_default());
        let asked = json!({"phoneNumber": phone_number, "numberId": self.id(Kind::Number, 0), "note": self.words});
        let opt_out = id(&self.client.post("/v1/opt-outs").json(asked).await.ok());
        self.client.patch("/v1/opt-outs/answers").json(json!({"help": self.words})).await.ok();
        self.keep(Kind::OptOut, vec![opt_out]);
    }

    /// Writes a call, with a turn and a mark: nobody leads calls here.
    async fn keep_call(&mut self, app: &TestApp) {
        const INSERT: Sql =
            Sql("INSERT INTO calls (id, account_id, agent_id, number_id, phone_number, from_number, to_number, direction,
            status, started_at, last_transcript_snippet) VALUES ($1, $2, $3, $4, $5, $6, $7, 'inbound', 'completed', $8, $9)");
        const TURN: Sql = Sql(
            "INSERT INTO call_turns (id, account_id, call_id, role, content, at) VALUES ($1, $2, $3, 'user', $4, $5)",
        );
        const MARK: Sql =
            Sql("INSERT INTO call_marks (call_id, place, account_id, since, name) VALUES ($1, 0, $2, 0, 'began')");
        let now = app.app.now();
        let (number, agent) = (self.id(Kind::Number, 0), self.id(Kind::Agent, 0));
        let (ours, theirs) = (self.id(Kind::Digits, 0), self.handset.to_owned());
        let call = CallId::generate(now).to_string();
        let turn = TurnId::generate(now).to_string();
        let texts = [call.clone(), self.client.account.to_string(), agent, number, ours.clone(), theirs, ours]
            .map(Column::Text);
        let [a, b, c, d, e, f, g] = texts;
        let values = [a, b, c, d, e, f, g, Column::Int(now.as_micros()), Column::Text(self.words.to_owned())];
        let turn = [turn, self.client.account.to_string(), call.clone(), self.words.to_owned()].map(Column::Text);
        let mark = [call.clone(), self.client.account.to_string()].map(Column::Text);
        let work = async move |tx: &mut Tx| {
            tx.run(INSERT, values.clone()).await?;
            let [a, b, c, d] = turn.clone();
            tx.run(TURN, [a, b, c, d, Column::Int(now.as_micros())]).await?;
            tx.run(MARK, mark.clone()).await
        };
        app.app.store.write::<(), StoreError>(work).await.unwrap();
        self.keep(Kind::Call, vec![call]);
    }

    fn keep(&mut self, kind: Kind, ids: Vec<String>) {
        assert!(!ids.is_empty(), "{} has no {kind:?}", self.words);
        self.own.ids.insert(kind, ids);
    }

    /// What would give this account away in somebody else's answer: its ids, numbers, words and secrets.
    pub fn marks(&self, everything: &BTreeMap<String, Value>) -> BTreeSet<String> {
        let mut marks =
            BTreeSet::from([self.words.to_owned(), self.handset.to_owned(), self.client.account.to_string()]);
        marks.extend(self.ids.values().flatten().cloned());
        for body in everything.values() {
            collect(body, &mut marks);
        }
        for mark in &marks {
            let shown = everything.values().any(|body| body.to_string().contains(mark.as_str()));
            // A verification is shown once, to whoever began it; there is no list of them.
            let is_seen_once = self.ids(Kind::Verification).contains(mark);
            assert!(
                shown || is_seen_once || *mark == self.client.account.as_str(),
                "{mark} shows nowhere, not even to its own"
            );
        }
        marks
    }
}

/// Ids and secrets of a body.
fn collect(body: &Value, marks: &mut BTreeSet<String>) {
    match body {
        Value::String(text) => {
            let is_id = text.rsplit_once('_').is_some_and(|(_, rest)| rest.len() == 26);
            if is_id || text.starts_with("whsec_") {
                marks.insert(text.clone());
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, marks)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, marks)),
        _ => {}
    }
}

/// Everything that an account can see: each route that only reads, of each of its things.
pub async fn everything(household: &Household, plans: &[Plan]) -> BTreeMap<String, Value> {
    let mut seen = BTreeMap::new();
    for plan in plans.iter().filter(|plan| plan.operation.method == Method::GET && plan.operation.needs_key) {
        let slots: Vec<_> = plan.slots.iter().filter(|slot| matches!(slot.place, Place::Path(_))).cloned().collect();
        let ids = slots.first().map_or(&[][..], |slot| household.ids(slot.kind));
        assert!(slots.len() < 2, "{} names two things", plan.operation.name);
        let trials: Vec<Vec<String>> = match slots.is_empty() {
            true => vec![Vec::new()],
            false => ids.iter().map(|id| vec![id.clone()]).collect(),
        };
        for names in trials {
            let answer = plan.request(household, &slots, &names).await;
            // A stream is text; a recording, that there is none.
            let mut body = match plan.operation.name.as_str() {
                "streamCallTranscript" => json!(answer.text),
                "getCallRecording" => json!(answer.refused(404).code),
                _ => answer.ok(),
            };
            // The time of the answer itself.
            for field in ["reportGeneratedAt", "checkedAt"] {
                body.as_object_mut().into_iter().for_each(|fields| drop(fields.remove(field)));
            }
            seen.insert(format!("{} {}", plan.operation.path, names.join(" ")), body);
        }
    }
    seen
}
