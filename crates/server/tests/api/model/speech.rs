//! What is said: messages out and in, where they stand, and the events that tell of them.

use serde_json::{Value, json};

use super::effects::text;
use super::orders::MEDIA;
use super::steps::{Receiver, Sender, Who, Words};
use super::world::{Agrees, Conversation, Count, Delivery, Event, Job, Message, SEGMENT_PRICE, State, World, disagree};

impl World {
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
    pub fn sent(
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
}

fn channel(media: bool) -> &'static str {
    if media { "mms" } else { "sms" }
}
