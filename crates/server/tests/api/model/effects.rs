//! What follows from a request that was done. In: the request and the body of its answer. Out: the world after it.

use offhook_domain::Timestamp;
use serde_json::{Value, json};

use super::orders::{MEDIA, Order, agent_name, contact_name, group_name_of, metadata_of};
use super::steps::{Deed, HANDSETS, Place, Receiver, Sender, Wanted, Who, Words};
use super::world::{
    Agent, Agrees, Contact, Conversation, Count, Delivery, Event, Job, Message, Mismatch, NUMBER_PRICE, Number, PERIOD,
    SEGMENT_PRICE, START, State, Webhook, World, disagree,
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

    /// The carrier never had it, so its price is returned.
    pub fn ends_unsent(&mut self, who: Who, nth: usize, error: &str) {
        let account = self.of_mut(who);
        let message = &mut account.messages[nth];
        message.job = None;
        account.wallet += message.price;
        self.moves(who, nth, "failed", Some(error));
    }

    /// A message goes to another status, and whoever wants to hear of it does.
    pub fn moves(&mut self, who: Who, nth: usize, status: &'static str, error: Option<&str>) {
        let message = &mut self.of_mut(who).messages[nth];
        message.status = status;
        message.error = error.map(str::to_owned);
        let conversation = message.conversation;
        let agent = self.of(who).conversations[conversation].agent.clone();
        self.happens(who, Event::Status(nth), agent);
    }

    /// An event for whoever wants to hear of it.
    fn happens(&mut self, who: Who, event: Event, agent: Option<String>) {
        let now = self.now;
        let account = self.of_mut(who);
        let Some(line) = account.webhook_for(agent.as_deref()) else { return };
        let webhook = &account.webhooks[line];
        if webhook.disabled || matches!(event, Event::Status(_)) && !webhook.statuses {
            return;
        }
        let number = match event {
            Event::Message(nth) | Event::Status(nth) => {
                Some(account.conversations[account.messages[nth].conversation].number)
            }
            Event::Test => None,
        };
        let state = if webhook.loose { State::Loose } else { State::Pending };
        account.deliveries.push(Delivery { id: None, event, line, state });
        account.counts.push(Count { at: now, number, agent, webhooks: 1, ..Count::default() });
    }

    #[expect(clippy::too_many_arguments, reason = "what a request to send has")]
    fn sent(
        &mut self,
        who: Who,
        from: &Sender<String>,
        agent: Option<&str>,
        to: &Receiver<String>,
        words: &Words,
        media: bool,
        body: &Value,
    ) -> Agrees {
        let Some(number) = self.of(who).sender(from, agent) else { disagree!("sent from nowhere: {body}") };
        let own = self.of(who).numbers[number].agent.clone();
        let agent = agent.map(str::to_owned).or(own);
        let phone = self.of(who).numbers[number].phone.clone();
        let media_urls = if media { json!([MEDIA]) } else { json!([]) };
        let said = (&body["status"], &body["from_number"], &body["to_number"], &body["media_urls"]);
        if said != (&json!("queued"), &json!(phone), &json!(to.text()), &media_urls) {
            disagree!("not the message that was to be sent: {body}");
        }
        let conversation = self.spoken(who, number, to.text(), agent.clone(), &words.body(), media);
        let id = text(body, "conversation_id")?;
        let now = self.now;
        let account = self.of_mut(who);
        let known = account.conversations[conversation].id.get_or_insert(id.clone());
        if *known != id {
            disagree!("sent in conversation {id}, not in {known}");
        }
        let due = now.max(account.conversations[conversation].held_until);
        let price = SEGMENT_PRICE * words.segments();
        account.wallet -= price;
        account.messages.push(Message {
            id: Some(text(body, "id")?),
            conversation,
            outbound: true,
            channel: channel(media),
            status: "queued",
            error: None,
            body: words.body(),
            price,
            job: Some(Job { accepted: now, due, attempts: 0 }),
            at_carrier: false,
            early: Vec::new(),
        });
        let count =
            Count { at: now, number: Some(number), agent, messages: 1, segments: words.segments(), ..Count::default() };
        account.counts.push(count);
        Ok(())
    }

    /// A text came in, where somebody holds the number.
    pub fn received(&mut self, from: &str, to: &str, body: &str, segments: i64, media: bool) {
        let Some((who, number)) = self.holder(to) else { return };
        let agent = self.of(who).numbers[number].agent.clone();
        let conversation = self.spoken(who, number, from, agent.clone(), body, media);
        let now = self.now;
        let account = self.of_mut(who);
        account.wallet -= SEGMENT_PRICE * segments;
        account.messages.push(Message {
            id: None,
            conversation,
            outbound: false,
            channel: channel(media),
            status: "received",
            error: None,
            body: body.to_owned(),
            price: 0,
            job: None,
            at_carrier: true,
            early: Vec::new(),
        });
        let nth = account.messages.len() - 1;
        let count =
            Count { at: now, number: Some(number), agent: agent.clone(), messages: 1, segments, ..Count::default() };
        account.counts.push(count);
        self.happens(who, Event::Message(nth), agent);
    }

    /// Adds to a conversation, which is made where there is none; its place.
    fn spoken(
        &mut self,
        who: Who,
        number: usize,
        participant: &str,
        agent: Option<String>,
        body: &str,
        media: bool,
    ) -> usize {
        let account = self.of_mut(who);
        let same = |one: &Conversation| one.number == number && one.participant == participant;
        let place = account.conversations.iter().position(same).unwrap_or_else(|| {
            account.conversations.push(Conversation {
                id: None,
                number,
                participant: participant.to_owned(),
                agent: None,
                channel: "sms",
                preview: String::new(),
                count: 0,
                metadata: Value::Null,
                group_name: Value::Null,
                held_until: 0,
            });
            account.conversations.len() - 1
        });
        let one = &mut account.conversations[place];
        one.agent = agent.or(one.agent.take());
        one.channel = channel(media);
        one.preview = body.chars().take(100).collect();
        one.count += 1;
        account.order.retain(|other| *other != place);
        account.order.insert(0, place);
        place
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

fn channel(media: bool) -> &'static str {
    if media { "mms" } else { "sms" }
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
