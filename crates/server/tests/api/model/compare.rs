//! Whether what a customer sees is what the model says. In: lists, as they were read. Out: agreement, with the ids that
//! the model could not know taken over.

use std::collections::BTreeMap;

use offhook_domain::time::HOUR_MICROS;
use serde_json::{Value, json};

use super::effects::{at, micros};
use super::world::{Account, Agrees, Count, DAY, Delivery, Event, NUMBER_LIMIT, PERIOD, State, disagree};

impl Account {
    pub fn agrees_on_numbers(&mut self, seen: &[Value]) -> Agrees {
        for number in self.numbers.iter_mut().filter(|number| number.active && number.id.is_none()) {
            let Some(found) = seen.iter().find(|one| one["phoneNumber"] == *number.phone) else {
                disagree!("{} is not in the list of numbers", number.phone)
            };
            number.id = found["id"].as_str().map(str::to_owned);
            number.renews_at = micros(found, "purchasedAt")? + PERIOD * 1_000_000;
        }
        let mut active: Vec<_> = self.numbers.iter().filter(|number| number.active).collect();
        active.sort_by(|a, b| b.id.cmp(&a.id));
        let model = active.iter().map(|number| {
            json!([number.id, number.phone, number.agent, number.external, number.ends_at.map(at), "active"])
        });
        let names = ["id", "phoneNumber", "agentId", "externalId", "expiresAt", "status"];
        same("numbers", model.collect(), fields(seen, &names))
    }

    pub fn agrees_on_agents(&self, seen: &[Value]) -> Agrees {
        let mut alive: Vec<_> = self.agents.iter().filter(|agent| agent.alive).collect();
        alive.sort_by(|a, b| b.id.cmp(&a.id));
        let model = alive.iter().map(|agent| {
            let numbers: Vec<_> = self.numbers_of(&agent.id).into_iter().map(|nth| &self.numbers[nth].id).collect();
            json!([agent.id, agent.name, agent.messaging, numbers])
        });
        let shown = seen.iter().map(|agent| {
            let numbers: Vec<_> = agent["numbers"].as_array().into_iter().flatten().map(|one| &one["id"]).collect();
            json!([agent["id"], agent["name"], agent["enableMessaging"], numbers])
        });
        same("agents", model.collect(), shown.collect())
    }

    pub fn agrees_on_contacts(&self, seen: &[Value]) -> Agrees {
        let mut alive: Vec<_> = self.contacts.iter().filter(|contact| contact.alive).collect();
        alive.sort_by(|a, b| b.id.cmp(&a.id));
        let model = alive.iter().map(|contact| json!([contact.id, contact.phone, contact.name]));
        same("contacts", model.collect(), fields(seen, &["id", "phoneNumber", "name"]))
    }

    pub fn agrees_on_conversations(&mut self, seen: &[Value]) -> Agrees {
        let mut order = Vec::with_capacity(seen.len());
        for shown in seen {
            let is_it = |nth: &usize| {
                let one = &self.conversations[*nth];
                self.numbers[one.number].id.as_deref() == shown["phoneNumberId"].as_str()
                    && one.participant == shown["participant"]
            };
            let Some(nth) = (0..self.conversations.len()).find(is_it) else {
                disagree!("a conversation that nobody had: {shown}")
            };
            let one = &mut self.conversations[nth];
            let id = shown["id"].as_str().unwrap_or_default().to_owned();
            if *one.id.get_or_insert(id.clone()) != id {
                disagree!("two conversations of one number and participant: {shown}");
            }
            let number = &self.numbers[one.number];
            let model = json!([
                number.phone,
                one.agent,
                one.channel,
                one.preview,
                one.count,
                one.metadata,
                one.group_name,
                number.active
            ]);
            let mut shown_fields = fields(
                std::slice::from_ref(shown),
                &["phoneNumber", "agentId", "channel", "lastMessagePreview", "messageCount", "metadata", "groupName"],
            )[0]
            .clone();
            shown_fields.as_array_mut().into_iter().for_each(|all| {
                all.push(shown["capabilities"]["canSendMessages"].clone());
            });
            same(&format!("conversation {id}"), model, shown_fields)?;
            order.push(nth);
        }
        let touched = std::mem::take(&mut self.spoken_together);
        let top = self.order.iter().take_while(|nth| touched.contains(nth)).count();
        let (mut new, mut known) = (order[..top.min(order.len())].to_vec(), self.order[..top].to_vec());
        new.sort_unstable();
        known.sort_unstable();
        if order.len() != self.order.len() || new != known || order[top..] != self.order[top..] {
            disagree!("conversations, by their places, are {:?} in the model and {order:?} in the list", self.order);
        }
        self.order = order;
        Ok(())
    }

    pub fn agrees_on_messages(&mut self, seen: &BTreeMap<String, Vec<Value>>) -> Agrees {
        let mut left: Vec<usize> = (0..self.messages.len()).collect();
        for (number, shown) in seen {
            let times: Result<Vec<i64>, _> = shown.iter().map(|one| micros(one, "receivedAt")).collect();
            if !times?.is_sorted_by(|a, b| a > b) {
                disagree!("messages of {number} are not listed the newest first");
            }
            for one in shown.iter().rev() {
                let conversation = one["conversationId"].as_str().unwrap_or_default();
                let Some(conversation) = self.conversation(conversation) else {
                    disagree!("a message of no conversation: {one}")
                };
                // Of each conversation in order.
                let Some(place) = left.iter().position(|nth| self.messages[*nth].conversation == conversation) else {
                    disagree!("a message that nobody wrote: {one}")
                };
                self.agrees_on_message(left.remove(place), one)?;
            }
        }
        match left.first() {
            None => Ok(()),
            Some(nth) => disagree!("{} messages are not listed, such as {:?}", left.len(), self.messages[*nth]),
        }
    }

    fn agrees_on_message(&mut self, nth: usize, shown: &Value) -> Agrees {
        let message = &mut self.messages[nth];
        let id = shown["id"].as_str().unwrap_or_default().to_owned();
        message.id.get_or_insert(id);
        let conversation = &self.conversations[message.conversation];
        let ours = &self.numbers[conversation.number].phone;
        let theirs = &conversation.participant;
        let (direction, from, to) =
            if message.outbound { ("outbound", ours, theirs) } else { ("inbound", theirs, ours) };
        let model = json!([
            message.id,
            message.body,
            direction,
            message.channel,
            message.status,
            from,
            to,
            message.error.is_some()
        ]);
        let shown = json!([
            shown["id"],
            shown["body"],
            shown["direction"],
            shown["channel"],
            shown["status"],
            shown["from"],
            shown["to"],
            shown["failureReason"].is_string(),
        ]);
        same("a message", model, shown)
    }

    pub fn agrees_on_webhooks(&mut self, seen: &BTreeMap<Option<String>, Value>) -> Agrees {
        for (owner, shown) in seen {
            let Some(nth) = self.webhook(owner.as_deref()) else {
                same("a webhook", Value::Null, shown.clone())?;
                continue;
            };
            let webhook = &mut self.webhooks[nth];
            // Whether one that had failed before was called once more, its delays say.
            if webhook.loose && webhook.place == super::steps::Place::Gone {
                webhook.disabled = shown["status"] == "disabled";
            }
            let status = if webhook.disabled { "disabled" } else { "active" };
            let model = json!([[webhook.id, webhook.secret, status]]);
            same("a webhook", model, fields(std::slice::from_ref(shown), &["id", "secret", "status"]))?;
        }
        Ok(())
    }

    pub fn agrees_on_deliveries(&mut self, seen: &[Value], owners: &BTreeMap<String, String>) -> Agrees {
        for shown in seen.iter().rev() {
            let id = shown["id"].as_str().unwrap_or_default();
            let owner = owners.get(id).map(String::as_str);
            let known = self.deliveries.iter().position(|one| one.id.as_deref() == Some(id));
            let Some(nth) = known.or_else(|| self.new_delivery(shown, owner)) else {
                disagree!("a delivery of nothing to {owner:?}: {shown}")
            };
            let delivery = &mut self.deliveries[nth];
            delivery.id = Some(id.to_owned());
            let fits = match delivery.state {
                State::Pending => shown["status"] == "pending",
                State::Success => shown["status"] == "success",
                State::Failed => shown["status"] == "failed",
                State::Loose => true,
            };
            if !fits || (shown["status"] == "success") != (shown["success"] == true) {
                disagree!("a delivery is {:?} in the model: {shown}", delivery.state);
            }
        }
        if seen.len() != self.deliveries.len() {
            let missing = self.deliveries.iter().find(|one| one.id.is_none());
            disagree!("{} of {} deliveries are in the log; not {missing:?}", seen.len(), self.deliveries.len());
        }
        Ok(())
    }

    /// The first delivery not seen yet that tells of this.
    fn new_delivery(&self, shown: &Value, owner: Option<&str>) -> Option<usize> {
        let told_of = |nth: usize| self.messages[nth].id.as_deref() == shown["messageId"].as_str();
        let is_new = |one: &Delivery| {
            let theirs = self.webhooks[one.line].agent.as_deref();
            one.id.is_none() && theirs.filter(|id| self.agent(id).is_some()) == owner
        };
        let same = |one: &Delivery| match one.event {
            Event::Message(nth) => is_new(one) && shown["eventType"] == "agent.message" && told_of(nth),
            Event::Status(nth) => is_new(one) && shown["eventType"] == "message.status" && told_of(nth),
            Event::Test => false,
        };
        let test = |one: &Delivery| is_new(one) && one.event == Event::Test && shown["eventType"] == "agent.message";
        let place = |is_it: &dyn Fn(&Delivery) -> bool| self.deliveries.iter().position(is_it);
        place(&same).or_else(|| place(&test))
    }

    pub fn agrees_on_usage(&self, now: i64, seen: &Value) -> Agrees {
        let held = self.places_taken();
        let numbers = json!({"used": held, "limit": NUMBER_LIMIT, "remaining": NUMBER_LIMIT.saturating_sub(held)});
        same("numbers held", numbers, seen["numbers"].clone())?;
        same("the balance", json!(self.wallet), seen["balance"]["micros"].clone())?;
        let since = |span: i64| {
            // Spans begin with the hour they fall in.
            let hour = at(now - span).as_micros() / HOUR_MICROS;
            move |count: &&Count| at(count.at).as_micros() / HOUR_MICROS >= hour
        };
        let ever = |_: &&Count| true;
        let stats = &seen["stats"];
        let model = json!([
            self.sum(ever, |count| count.messages),
            self.sum(since(DAY), |count| count.messages),
            self.sum(since(7 * DAY), |count| count.messages),
            self.sum(since(30 * DAY), |count| count.messages),
            self.sum(since(30 * DAY), |count| count.segments),
            self.sum(ever, |count| count.webhooks),
        ]);
        let names = [
            "totalMessages",
            "messagesLast24h",
            "messagesLast7d",
            "messagesLast30d",
            "smsSegmentsLast30d",
            "totalWebhookDeliveries",
        ];
        same("usage", json!([model]), fields(std::slice::from_ref(stats), &names))?;
        if self.deliveries.iter().any(|delivery| delivery.state == State::Loose) {
            return Ok(());
        }
        let ended = json!([[self.sum(ever, |count| count.succeeded), self.sum(ever, |count| count.failed)]]);
        let names = ["successfulWebhookDeliveries", "failedWebhookDeliveries"];
        same("deliveries that ended", ended, fields(std::slice::from_ref(stats), &names))
    }

    pub fn agrees_on_usage_by_agent(&self, now: i64, seen: &Value) -> Agrees {
        let year = |seconds: i64| at(seconds).to_jiff().to_string()[..4].to_owned();
        let mut model: BTreeMap<&str, i64> = BTreeMap::new();
        for count in self.counts.iter().filter(|count| count.messages > 0 && year(count.at) == year(now)) {
            *model.entry(count.agent.as_deref().unwrap_or_default()).or_default() += count.messages;
        }
        let shown = seen["data"].as_array().into_iter().flatten().filter(|one| one["messages"] != 0);
        let shown: BTreeMap<&str, &Value> =
            shown.map(|one| (one["agentId"].as_str().unwrap_or_default(), &one["messages"])).collect();
        same("usage by agent", json!(model), json!(shown))
    }

    pub fn sum(&self, of: impl Fn(&&Count) -> bool, what: impl Fn(&Count) -> i64) -> i64 {
        self.counts.iter().filter(of).map(what).sum()
    }
}

pub fn same(what: &str, model: Value, seen: Value) -> Agrees {
    if model == seen { Ok(()) } else { disagree!("{what}: the model has\n  {model}\nand what is seen is\n  {seen}") }
}

/// Some fields of each item.
fn fields(items: &[Value], names: &[&str]) -> Value {
    items.iter().map(|item| names.iter().map(|name| item[*name].clone()).collect::<Value>()).collect()
}
