//! What follows from a request that was done. In: the request and the body of its answer. Out: the world after it.

use offhook_domain::Timestamp;
use serde_json::{Value, json};

use super::orders::{Order, agent_name, contact_name, group_name_of, metadata_of};
use super::steps::{Deed, HANDSETS, Place, Wanted, Who};
use super::world::{
    Agent, Agrees, Contact, Count, Delivery, Event, Message, Mismatch, NUMBER_PRICE, Number, PERIOD, START, State,
    Webhook, World, disagree,
};

impl World {
    pub fn learn(&mut self, order: &Order, body: &Value) -> Agrees {
        let who = order.who;
        match &order.deed {
            Deed::MakeAgent { name, messaging } => {
                let (id, name) = (text(body, "id")?, agent_name(*name));
                self.of_mut(who).agents.push(Agent { id, name, messaging: *messaging, alive: true });
            }
            Deed::ChangeAgent { agent, name, messaging } => {
                let found = self.of_mut(who).agents.iter_mut().find(|one| one.id == *agent);
                if let Some(agent) = found {
                    agent.name = name.map_or(agent.name.clone(), agent_name);
                    agent.messaging = messaging.unwrap_or(agent.messaging);
                }
            }
            Deed::DeleteAgent(agent) => self.delete_agent(who, agent),
            Deed::Attach { agent, number } => self.attach(who, number, Some(agent.clone())),
            Deed::Detach { number, .. } => self.attach(who, number, None),
            Deed::Buy { what, agent, ends } => {
                let ends_at = ends.map(|span| order.at + span.0);
                let number = self.bought(*what, agent.clone(), ends_at, body)?;
                let account = self.of_mut(who);
                account.wallet -= NUMBER_PRICE;
                account.numbers.push(number);
            }
            Deed::Release(number) => self.each_number(who, number, |world, place| world.release(who, place)),
            Deed::SetNumber { number, external, ends } => {
                let ends_at = ends.map(|ends| ends.map(|span| order.at + span.0));
                self.each_number(who, number, |world, place| {
                    let number = &mut world.of_mut(who).numbers[place];
                    number.external = external.map_or(number.external.clone(), |n| Some(format!("ref {n}")));
                    number.ends_at = ends_at.unwrap_or(number.ends_at);
                });
            }
            Deed::Send { from, agent, to, text, media } => {
                self.sent(who, from, agent.as_deref(), to, text, *media, body)?;
            }
            Deed::MakeContact { phone, name } => {
                let (id, phone, name) =
                    (text(body, "id")?, HANDSETS[usize::from(*phone)].to_owned(), contact_name(*name));
                self.of_mut(who).contacts.push(Contact { id, phone, name, alive: true });
            }
            Deed::ChangeContact { contact, phone, name } => {
                let account = self.of_mut(who);
                if let Some(place) = account.contact(contact) {
                    let contact = &mut account.contacts[place];
                    contact.phone = phone.map_or(contact.phone.clone(), |n| HANDSETS[usize::from(n)].to_owned());
                    contact.name = name.map_or(contact.name.clone(), contact_name);
                }
            }
            Deed::DeleteContact(contact) => {
                let account = self.of_mut(who);
                account.contact(contact).into_iter().for_each(|place| account.contacts[place].alive = false);
            }
            Deed::Annotate { conversation, metadata, group_name } => {
                let account = self.of_mut(who);
                if let Some(place) = account.conversation(conversation) {
                    let one = &mut account.conversations[place];
                    one.metadata = metadata.map_or(one.metadata.clone(), metadata_of);
                    one.group_name = group_name.map_or(one.group_name.clone(), group_name_of);
                }
            }
            Deed::Typing(_) => disagree!("done, though there is no iMessage"),
            Deed::SetWebhook { agent, place, statuses, rotate } => {
                self.set_webhook(who, agent.clone(), *place, *statuses, *rotate, body)?;
            }
            Deed::DeleteWebhook(agent) => {
                let account = self.of_mut(who);
                account.webhook(agent.as_deref()).into_iter().for_each(|place| account.webhooks[place].alive = false);
            }
            Deed::TestWebhook(agent) => self.tested(who, agent.as_deref(), body)?,
            Deed::Replay(delivery) => self.replayed(who, delivery, body)?,
            Deed::Text { from, to, text } => {
                self.inbox(HANDSETS[usize::from(*from)]).push(format!("sent {}", text.body()));
                self.received(HANDSETS[usize::from(*from)], to, &text.body(), text.segments(), false);
            }
        }
        Ok(())
    }

    pub fn inbox(&mut self, handset: &str) -> &mut Vec<String> {
        self.inboxes.entry(handset.to_owned()).or_default()
    }

    fn each_number(&mut self, who: Who, number: &str, change: impl Fn(&mut Self, usize)) {
        self.of(who).number(number).into_iter().for_each(|place| change(self, place));
    }

    fn attach(&mut self, who: Who, number: &str, agent: Option<String>) {
        self.each_number(who, number, |world, place| world.of_mut(who).numbers[place].agent = agent.clone());
    }

    fn delete_agent(&mut self, who: Who, id: &str) {
        let account = self.of_mut(who);
        let theirs = |agent: &Option<String>| agent.as_deref() == Some(id);
        account.agents.iter_mut().filter(|agent| agent.id == id).for_each(|agent| agent.alive = false);
        account.numbers.iter_mut().filter(|number| theirs(&number.agent)).for_each(|number| number.agent = None);
        account.conversations.iter_mut().filter(|one| theirs(&one.agent)).for_each(|one| one.agent = None);
        account.webhooks.iter_mut().filter(|webhook| theirs(&webhook.agent)).for_each(|webhook| webhook.alive = false);
    }

    fn bought(
        &self,
        what: Wanted,
        agent: Option<String>,
        ends_at: Option<i64>,
        body: &Value,
    ) -> Result<Number, Mismatch> {
        let (id, phone) = (text(body, "id")?, text(body, "phoneNumber")?);
        let wanted = match what {
            Wanted::Near(area) => phone.starts_with(&format!("+1{area}55501")),
            Wanted::This(wanted) => phone == wanted,
        };
        if !wanted || self.holder(&phone).is_some() || self.to_give_back.contains(&phone) {
            disagree!("{phone} could not be bought: {body}");
        }
        if body["agentId"] != json!(agent) || body["status"] != "active" {
            disagree!("not the number that was asked for: {body}");
        }
        let renews_at = micros(body, "purchasedAt")? + PERIOD * 1_000_000;
        Ok(Number { id: Some(id), phone, agent, active: true, external: None, ends_at, renews_at, unpaid: None })
    }

    /// A number is given up: what waits to go out from it fails.
    pub fn release(&mut self, who: Who, place: usize) {
        let account = self.of_mut(who);
        let number = &mut account.numbers[place];
        number.active = false;
        number.agent = None;
        let phone = number.phone.clone();
        let waits =
            |message: &Message| message.job.is_some() && account.conversations[message.conversation].number == place;
        let waiting: Vec<_> = (0..account.messages.len()).filter(|nth| waits(&account.messages[*nth])).collect();
        for nth in waiting {
            self.ends_unsent(who, nth, "30004");
        }
        self.to_give_back.push(phone);
    }

    fn set_webhook(
        &mut self,
        who: Who,
        agent: Option<String>,
        place: Place,
        statuses: bool,
        rotate: bool,
        body: &Value,
    ) -> Agrees {
        let (id, secret) = (text(body, "id")?, text(body, "secret")?);
        let account = self.of_mut(who);
        let loose = place == Place::Bad;
        let Some(nth) = account.webhook(agent.as_deref()) else {
            let fresh = Webhook { id, agent, place, statuses, secret, alive: true, disabled: false, loose };
            account.webhooks.push(fresh);
            return Ok(());
        };
        let webhook = &mut account.webhooks[nth];
        if webhook.id != id || (webhook.secret == secret) == rotate {
            disagree!("rotate {rotate} of {} with {} gave {body}", webhook.id, webhook.secret);
        }
        (webhook.secret, webhook.place, webhook.statuses, webhook.disabled) = (secret, place, statuses, false);
        webhook.loose |= loose;
        if webhook.loose {
            self.loosen(who, nth);
        }
        Ok(())
    }

    /// What waits for a place that fails, ends nobody knows when.
    fn loosen(&mut self, who: Who, line: usize) {
        let waits = |delivery: &&mut Delivery| delivery.line == line && delivery.state == State::Pending;
        self.of_mut(who).deliveries.iter_mut().filter(waits).for_each(|delivery| delivery.state = State::Loose);
    }

    fn tested(&mut self, who: Who, agent: Option<&str>, body: &Value) -> Agrees {
        let now = self.now;
        let account = self.of_mut(who);
        let Some(line) = account.webhook(agent) else { disagree!("a test of nothing: {body}") };
        let webhook = &account.webhooks[line];
        let (good, status) = match webhook.place {
            Place::Good => (true, 200),
            Place::Bad => (false, 500),
            Place::Gone => (false, 410),
        };
        if (&body["success"], &body["httpStatus"]) != (&json!(good), &json!(status)) {
            disagree!("not what the endpoint answered: {body}");
        }
        let state = if good { State::Success } else { State::Failed };
        let (succeeded, failed) = (i64::from(good), i64::from(!good));
        let agent = webhook.agent.clone();
        account.deliveries.push(Delivery { id: None, event: Event::Test, line, state });
        account.counts.push(Count { at: now, agent, webhooks: 1, succeeded, failed, ..Count::default() });
        Ok(())
    }

    fn replayed(&mut self, who: Who, delivery: &str, body: &Value) -> Agrees {
        let now = self.now;
        let account = self.of_mut(who);
        let Some(Some(line)) = account.replayed_to(delivery) else { disagree!("a replay to nowhere: {body}") };
        let Some(earlier) = account.deliveries.iter().find(|one| one.id.as_deref() == Some(delivery)) else {
            disagree!("a replay of nothing: {body}")
        };
        let (id, event) = (text(body, "id")?, earlier.event);
        let known = account.deliveries.iter().any(|one| one.id.as_ref() == Some(&id));
        if known || body["status"] != "pending" {
            disagree!("not a new delivery: {body}");
        }
        let webhook = &account.webhooks[line];
        let state = if webhook.loose { State::Loose } else { State::Pending };
        let agent = webhook.agent.clone();
        account.deliveries.push(Delivery { id: Some(id), event, line, state });
        account.counts.push(Count { at: now, agent, webhooks: 1, ..Count::default() });
        Ok(())
    }
}

pub fn text(body: &Value, field: &str) -> Result<String, Mismatch> {
    body[field].as_str().map(str::to_owned).ok_or_else(|| Mismatch(format!("no {field} in {body}")))
}

/// A time of an answer, in microseconds; none that lies in the past or the future of the step.
pub fn micros(body: &Value, field: &str) -> Result<i64, Mismatch> {
    let at = Timestamp::parse(&text(body, field)?).map_err(|error| Mismatch(format!("{field}: {error}")))?;
    Ok(at.as_micros())
}

/// The product's clock at a second of the model's.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(START.as_micros() + seconds * 1_000_000)
}
