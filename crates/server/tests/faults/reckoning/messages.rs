//! Texts that were sent and received: none lost, none doubled, in order, and every answer true.

use serde_json::Value;

use super::at_rest::Sums;
use super::{Books, fates, field};
use crate::ledger_of_deeds::{Deeds, Outcome, Pair, Text};

/// Whether a request without an answer may take effect when others behind it have been answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lateness {
    /// Its server is dead.
    Never,
    /// Its server was paused or cut off, and may come to it later.
    Possible,
}

impl Books {
    /// Every text that was accepted came to its end and arrived as that end says, in order.
    pub fn check_sent(&self, deeds: &Deeds, lateness: Lateness) {
        for (pair, texts) in deeds.all_sent() {
            let stored = self.stored(&pair, "outbound");
            check_answers(&stored, &texts, lateness);
            let inbox = self.inboxes.get(&pair).map(Vec::as_slice).unwrap_or_default();
            for message in &stored {
                let (body, status) = (field(&message["body"]), field(&message["status"]));
                let arrived = inbox.iter().filter(|one| *one == body).count();
                assert!(fates::may_be(&pair.handset, status, arrived), "{body}: {status}, and arrived {arrived} times");
            }
            let sent: Vec<&str> = stored.iter().map(|message| field(&message["body"])).collect();
            let in_order: Vec<&str> = sent.into_iter().filter(|body| inbox.iter().any(|one| one == body)).collect();
            let differing = inbox.iter().zip(&in_order).position(|(arrived, accepted)| arrived != accepted);
            if let Some(n) = differing.or((inbox.len() != in_order.len()).then_some(0)) {
                let (arrived, accepted) = (&inbox[n..inbox.len().min(n + 5)], &in_order[n..in_order.len().min(n + 5)]);
                panic!("arrived in another order than accepted, or more often: {arrived:#?}, accepted {accepted:#?}");
            }
        }
    }

    /// Every text of a handset that was accepted is there, once.
    pub fn check_received(&self, deeds: &Deeds, lateness: Lateness) {
        for (pair, texts) in deeds.all_texted() {
            let stored = self.stored(&pair, "inbound");
            check_answers(&stored, &texts, lateness);
            assert!(stored.iter().all(|message| message["status"] == "received"));
        }
    }

    /// What the account is told of its use and its money is what the rows add up to.
    pub fn check_usage(&self, sums: &Sums) {
        let stats = &self.usage["stats"];
        let told = |name: &str| stats[name].as_i64().unwrap_or_else(|| panic!("{name} in {stats}"));
        assert_eq!(told("totalMessages"), sums.messages);
        assert_eq!(told("smsSegmentsLast30d"), sums.segments);
        assert_eq!(told("totalWebhookDeliveries"), sums.deliveries);
        assert_eq!(told("successfulWebhookDeliveries"), sums.delivered);
        assert_eq!(told("failedWebhookDeliveries"), sums.failed);
        assert_eq!(i64::try_from(self.deliveries), Ok(sums.deliveries));
        assert_eq!(self.usage["balance"]["micros"], sums.wallet, "the balance, in micro-dollars");
        assert_eq!(self.usage["numbers"]["used"], sums.numbers);
    }

    /// The messages of a conversation in one direction, in the order of their acceptance.
    pub fn stored(&self, pair: &Pair, direction: &str) -> Vec<&Value> {
        let all = self.conversations.get(pair).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(|message| message["direction"] == direction).collect()
    }

    /// Every message of every conversation.
    pub fn all(&self) -> impl Iterator<Item = &Value> {
        self.conversations.values().flatten()
    }
}

/// The messages are those that were asked for, and every answer to that was true.
fn check_answers(stored: &[&Value], texts: &[Text], lateness: Lateness) {
    for Text { body, outcome } in texts {
        let found: Vec<_> = stored.iter().filter(|message| message["body"] == body.as_str()).collect();
        assert!(found.len() <= 1, "{body}: stored twice: {found:?}");
        match (outcome, found.first()) {
            (Outcome::Done(id), Some(message)) if message["direction"] == "outbound" => {
                assert_eq!(field(&message["id"]), id, "{body}");
            }
            (Outcome::Done(id), None) => panic!("{body}: accepted as {id}, and lost"),
            (Outcome::Refused, Some(message)) => panic!("{body}: answered that nothing happened, and there: {message}"),
            _ => {}
        }
    }
    let mut place = 0;
    for message in stored {
        let body = field(&message["body"]);
        let asked = texts.iter().position(|text| text.body == body);
        let asked = asked.unwrap_or_else(|| panic!("{body}: never asked for"));
        if lateness == Lateness::Never || texts[asked].outcome != Outcome::Open {
            assert!(asked >= place, "{body}: stored behind {}, which was asked for later", texts[place].body);
            place = asked;
        }
    }
}
