//! Whether an answer is right, given all that happened before; and what follows from it.
//!
//! In: a request and its answer. Out: the world after it, or why the answer is wrong. The model takes ids and times from
//! the answer, and nothing else.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::http::Method;
use serde_json::Value;

use super::orders::Order;
use super::steps::{Deed, Place, Wanted};
use super::world::{Agrees, DAY, Kept, Mismatch, Purchase, Told, World, disagree};

/// An answer as the model sees it.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub text: String,
    pub replayed: bool,
}

impl Answer {
    pub fn json(&self) -> Result<Value, Mismatch> {
        if self.text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&self.text).map_err(|error| Mismatch(format!("{error} in {}", self.text)))
    }

    pub fn code(&self) -> String {
        let body = self.json().unwrap_or_default();
        body["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// How often each kind of request came to what, in all stories of this process.
pub static MET: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());

impl Answer {
    pub fn count(&self, order: &Order) {
        let deed = format!("{:?}", order.deed);
        let deed = deed.split([' ', '(']).next().unwrap_or_default();
        let replayed = if self.replayed { " replayed" } else { "" };
        let met = format!("{deed:14} {} {}{replayed}", self.status, self.code());
        *MET.lock().unwrap_or_else(PoisonError::into_inner).entry(met).or_default() += 1;
    }
}

/// What a request must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    Done(u16),
    Refused(u16, &'static str),
}

impl World {
    /// Takes a request and its answer in.
    pub fn judge(&mut self, order: &Order, url: &dyn Fn(Place) -> String, answer: &Answer) -> Agrees {
        let needs_key = !matches!(order.deed, Deed::Text { .. });
        if needs_key && order.revoked {
            return refused(answer, 401, "UNAUTHORIZED");
        }
        let request = order.request(url);
        let key = order.once.filter(|_| needs_key && request.0 != Method::GET);
        if let Some(key) = key
            && let Some(kept) = self.kept(order, key)
        {
            return check_kept(&kept, &request, answer);
        }
        if answer.replayed {
            disagree!("replayed, though there was nothing to replay: {answer:?}");
        }
        let due = self.due(order);
        match due {
            Due::Refused(status, code) => refused(answer, status, code)?,
            Due::Done(status) if answer.status != status => disagree!("{status} was due: {answer:?}"),
            Due::Done(_) => self.learn(order, &answer.json()?)?,
        }
        let unconfirmed = due == Due::Refused(409, "PURCHASE_UNCONFIRMED");
        if unconfirmed {
            self.leave_open(order, key);
        }
        if let Some(key) = key.filter(|_| answer.status < 500) {
            let answer = if unconfirmed { Told::NotYet } else { Told::Before(answer.status, answer.text.clone()) };
            let at = self.now;
            self.of_mut(order.who).once.insert(key, Kept { at, request, answer });
        }
        Ok(())
    }

    /// What is known of a key; nothing after a day.
    fn kept(&self, order: &Order, key: u8) -> Option<Kept> {
        self.of(order.who).once.get(&key).filter(|kept| self.now - kept.at < DAY).cloned()
    }

    fn leave_open(&mut self, order: &Order, once: Option<u8>) {
        let Deed::Buy { what: Wanted::This(phone), agent, ends } = &order.deed else { return };
        let purchase = Purchase {
            phone: (*phone).to_owned(),
            sold: phone.ends_with("198"),
            agent: agent.clone(),
            ends_at: ends.map(|span| order.at + span.0),
            once: once.map(|key| (key, self.now)),
        };
        let account = self.of_mut(order.who);
        account.wallet -= super::world::NUMBER_PRICE;
        account.purchases.push(purchase);
    }
}

fn check_kept(kept: &Kept, request: &(Method, String, Option<Value>), answer: &Answer) -> Agrees {
    if kept.request != *request {
        return refused(answer, 422, "IDEMPOTENCY_KEY_REUSED");
    }
    match &kept.answer {
        Told::NotYet => refused(answer, 409, "IDEMPOTENCY_IN_PROGRESS"),
        Told::Before(status, text) if answer.replayed && answer.status == *status && answer.text == *text => Ok(()),
        Told::Bought(phone) if answer.replayed && answer.status == 200 && answer.json()?["phoneNumber"] == **phone => {
            Ok(())
        }
        kept => disagree!("not the answer that is kept, {kept:?}: {answer:?}"),
    }
}

pub fn refused(answer: &Answer, status: u16, code: &str) -> Agrees {
    if answer.status != status || answer.code() != code {
        disagree!("{status} {code} was due: {answer:?}");
    }
    let body = answer.json()?;
    let whole = body["error"]["message"].is_string() && body["error"]["requestId"].is_string();
    if !whole || body["detail"].is_null() {
        disagree!("not the envelope of errors: {body}");
    }
    Ok(())
}
