//! What a request must come to, by the contract's rules, in the order in which they are looked at.

use super::judge::Due::{self, Done, Refused};
use super::orders::Order;
use super::steps::{Deed, HANDSETS, Receiver, Sender, Span, Wanted, Words};
use super::world::{Account, NUMBER_LIMIT, NUMBER_PRICE, SEGMENT_PRICE, World};

const NO_AGENT: Due = Refused(404, "AGENT_NOT_FOUND");
const NO_NUMBER: Due = Refused(404, "PHONE_NUMBER_NOT_FOUND");
const NO_CONVERSATION: Due = Refused(404, "CONVERSATION_NOT_FOUND");
const NO_CONTACT: Due = Refused(404, "CONTACT_NOT_FOUND");
const NO_WEBHOOK: Due = Refused(404, "WEBHOOK_NOT_FOUND");
const NOT_HERE: Due = Refused(400, "VALIDATION_ERROR");
const MALFORMED: Due = Refused(422, "VALIDATION_ERROR");

impl World {
    pub fn due(&self, order: &Order) -> Due {
        let account = self.of(order.who);
        let known = |agent: &Option<String>| agent.as_ref().is_none_or(|id| account.agent(id).is_some());
        match &order.deed {
            Deed::MakeAgent { .. } => Done(200),
            Deed::ChangeAgent { agent: id, .. } | Deed::DeleteAgent(id) => {
                if account.agent(id).is_some() {
                    Done(200)
                } else {
                    NO_AGENT
                }
            }
            Deed::Attach { agent, number } => match account.number(number) {
                _ if account.agent(agent).is_none() => NO_AGENT,
                None => NO_NUMBER,
                Some(place) if !account.numbers[place].active => NOT_HERE,
                Some(_) => Done(200),
            },
            Deed::Detach { agent, number } => match account.number(number) {
                _ if account.agent(agent).is_none() => NO_AGENT,
                Some(place) if account.numbers[place].agent.as_ref() == Some(agent) => Done(200),
                _ => NO_NUMBER,
            },
            Deed::Buy { what, agent, ends } => {
                if self.is_past(order.at, *ends) {
                    MALFORMED
                } else if !known(agent) {
                    NO_AGENT
                } else {
                    self.purchase(account, *what)
                }
            }
            Deed::Release(number) => match account.number(number) {
                None => NO_NUMBER,
                Some(place) if account.numbers[place].active => Done(200),
                Some(_) => NOT_HERE,
            },
            Deed::SetNumber { number, ends, .. } => match account.number(number) {
                _ if self.is_past(order.at, ends.flatten()) => MALFORMED,
                None => NO_NUMBER,
                Some(place) if account.numbers[place].active => Done(200),
                Some(_) => NOT_HERE,
            },
            Deed::Send { from, agent, to, text, .. } => send(account, from, agent.as_deref(), to, text),
            Deed::MakeContact { phone, .. } => {
                if has_contact(account, *phone, None) {
                    Refused(409, "CONFLICT")
                } else {
                    Done(201)
                }
            }
            Deed::ChangeContact { contact, phone, .. } => match account.contact(contact) {
                None => NO_CONTACT,
                Some(place) if phone.is_some_and(|phone| has_contact(account, phone, Some(place))) => {
                    Refused(409, "CONFLICT")
                }
                Some(_) => Done(200),
            },
            Deed::DeleteContact(contact) => account.contact(contact).map_or(NO_CONTACT, |_| Done(204)),
            Deed::Annotate { conversation, .. } => {
                account.conversation(conversation).map_or(NO_CONVERSATION, |_| Done(200))
            }
            Deed::Typing(conversation) => account.conversation(conversation).map_or(NO_CONVERSATION, |_| NOT_HERE),
            Deed::SetWebhook { agent, .. } => {
                if known(agent) {
                    Done(200)
                } else {
                    NO_AGENT
                }
            }
            Deed::DeleteWebhook(agent) | Deed::TestWebhook(agent) => match account.webhook(agent.as_deref()) {
                Some(_) => Done(200),
                None if known(agent) => NO_WEBHOOK,
                None => NO_AGENT,
            },
            Deed::Replay(delivery) => match account.replayed_to(delivery) {
                None => Refused(404, "DELIVERY_NOT_FOUND"),
                Some(Some(webhook)) if !account.webhooks[webhook].disabled => Done(200),
                Some(_) => NOT_HERE,
            },
            Deed::Text { to, .. } => {
                if self.holder(to).is_some() {
                    Done(200)
                } else {
                    NO_NUMBER
                }
            }
        }
    }

    /// Whether a time that was asked for lies in the past by now.
    fn is_past(&self, asked_at: i64, ends: Option<Span>) -> bool {
        ends.is_some_and(|span| asked_at + span.0 <= self.now)
    }

    fn purchase(&self, account: &Account, what: Wanted) -> Due {
        if account.places_taken() >= NUMBER_LIMIT {
            return Refused(400, "VALIDATION_ERROR_NUMBER_LIMIT");
        }
        if account.wallet < NUMBER_PRICE {
            return Refused(402, "INSUFFICIENT_BALANCE");
        }
        let Wanted::This(phone) = what else { return Done(200) };
        if self.holder(phone).is_some() || self.to_give_back.iter().any(|one| one == phone) || self.is_sold(phone) {
            return NOT_HERE;
        }
        match phone {
            "+13125550196" => Refused(502, "CARRIER_ERROR"),
            "+13125550197" | "+13125550198" => Refused(409, "PURCHASE_UNCONFIRMED"),
            "+18005550100" => NOT_HERE,
            _ => Done(200),
        }
    }

    /// Whether a purchase that is being found out about has bought it.
    fn is_sold(&self, phone: &str) -> bool {
        let open = super::steps::Who::BOTH.into_iter().flat_map(|who| self.of(who).purchases.iter());
        open.into_iter().any(|purchase| purchase.sold && purchase.phone == phone)
    }
}

fn send(account: &Account, from: &Sender<String>, agent: Option<&str>, to: &Receiver<String>, text: &Words) -> Due {
    match agent.map(|id| account.agent(id)) {
        Some(None) => return NO_AGENT,
        Some(Some(agent)) if !agent.messaging => return NOT_HERE,
        _ => {}
    }
    let place = match account.sender(from, agent) {
        Some(place) => place,
        None if *from == Sender::OfAgent => return NOT_HERE,
        None => return NO_NUMBER,
    };
    let number = &account.numbers[place];
    if !number.active || agent.is_some() && number.agent.is_some() && number.agent.as_deref() != agent {
        return NOT_HERE;
    }
    if matches!(to.text(), "911" | "ada@example.org") || to.text() == number.phone {
        return NOT_HERE;
    }
    if account.wallet < SEGMENT_PRICE * text.segments() {
        return Refused(402, "INSUFFICIENT_BALANCE");
    }
    Done(200)
}

fn has_contact(account: &Account, phone: u8, but: Option<usize>) -> bool {
    let has = |(place, contact): (usize, &super::world::Contact)| {
        contact.alive && contact.phone == HANDSETS[usize::from(phone)] && Some(place) != but
    };
    account.contacts.iter().enumerate().any(has)
}

impl Account {
    /// The number that a message goes out from.
    pub fn sender(&self, from: &Sender<String>, agent: Option<&str>) -> Option<usize> {
        match from {
            Sender::Number(id) => self.number(id),
            Sender::Digits(phone) => self.number_by_phone(phone),
            Sender::OfAgent => self.numbers_of(agent?).first().copied(),
        }
    }

    /// Where the event of a delivery would go now: nowhere where there is no such delivery, or no endpoint.
    pub fn replayed_to(&self, delivery: &str) -> Option<Option<usize>> {
        let found = self.deliveries.iter().find(|one| one.id.as_deref() == Some(delivery))?;
        Some(self.webhook_for(self.webhooks[found.line].agent.as_deref()))
    }
}
