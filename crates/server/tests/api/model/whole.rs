//! Everything, in the end: the lists that nobody looked at meanwhile, the tables behind them, and what came out at the
//! other ends.

use std::collections::BTreeMap;

use offhook_domain::time::DAY_MICROS;
use offhook_store::{Sql, StoreError, Tx};
use serde_json::{Value, json};

use super::compare::same;
use super::drive::Stage;
use super::effects::at;
use super::judge::MET;
use super::look::read;
use super::steps::{Span, Step, Who};
use super::world::{Agrees, Count, Mismatch, disagree};

/// What there must be none of: a name for it, and how to find it. Rows that hang in the air, rows of one account that
/// name another's, and sums that are not those of their parts.
const NEVER: [(&str, &str); 14] = [
    (
        "messages without a conversation of their own account and number",
        "SELECT m.id FROM messages m LEFT JOIN conversations c ON c.id = m.conversation_id
            AND c.account_id = m.account_id AND c.number_id = m.number_id WHERE c.id IS NULL",
    ),
    (
        "conversations without a number of their own account",
        "SELECT c.id FROM conversations c LEFT JOIN numbers n ON n.id = c.number_id AND n.account_id = c.account_id
            WHERE n.id IS NULL",
    ),
    (
        "conversations that miscount their messages",
        "SELECT c.id FROM conversations c WHERE c.message_count <> (SELECT COUNT(*) FROM messages m
            WHERE m.conversation_id = c.id) OR c.last_message_at <> (SELECT MAX(m.at) FROM messages m
            WHERE m.conversation_id = c.id)",
    ),
    (
        "numbers of somebody else's agent, or of none there is",
        "SELECT n.id FROM numbers n LEFT JOIN agents a ON a.id = n.agent_id AND a.account_id = n.account_id
            WHERE n.agent_id IS NOT NULL AND a.id IS NULL",
    ),
    (
        "webhooks of an agent that is gone",
        "SELECT w.id FROM webhooks w LEFT JOIN agents a ON a.id = w.agent_key AND a.account_id = w.account_id
            WHERE w.agent_key <> '' AND a.id IS NULL",
    ),
    (
        "sends of what does not wait",
        "SELECT j.message_id FROM send_jobs j LEFT JOIN messages m ON m.id = j.message_id AND m.status = 'queued'
            WHERE m.id IS NULL",
    ),
    (
        "messages that wait for nobody",
        "SELECT m.id FROM messages m LEFT JOIN send_jobs j ON j.message_id = m.id
            WHERE m.status = 'queued' AND j.message_id IS NULL",
    ),
    (
        "deliveries of nothing",
        "SELECT d.id FROM deliveries d LEFT JOIN events e ON e.id = d.event_id AND e.account_id = d.account_id
            WHERE e.id IS NULL",
    ),
    ("events for nobody", "SELECT e.id FROM events e LEFT JOIN deliveries d ON d.event_id = e.id WHERE d.id IS NULL"),
    (
        "events of a message of another account",
        "SELECT d.id FROM deliveries d JOIN messages m ON m.id = d.message_id WHERE m.account_id <> d.account_id",
    ),
    (
        "places of the limit that are not those of numbers and purchases",
        "SELECT a.id FROM accounts a WHERE a.numbers_held <>
            (SELECT COUNT(*) FROM numbers n WHERE n.account_id = a.id AND n.status = 'active') +
            (SELECT COUNT(*) FROM purchases p WHERE p.account_id = a.id AND p.state IN ('reserved', 'unconfirmed'))",
    ),
    (
        "accounts whose books don't come to zero",
        "SELECT account_id FROM books GROUP BY account_id HAVING SUM(balance) <> 0",
    ),
    (
        "messages that are charged otherwise than they cost",
        "SELECT m.id FROM messages m WHERE m.price <> COALESCE((SELECT SUM(l.amount) FROM ledger_entries l
            WHERE l.reference = m.id AND l.account_id = m.account_id AND l.kind IN ('message_in', 'message_out')), 0)
            OR COALESCE((SELECT SUM(l.amount) FROM ledger_entries l WHERE l.reference = m.id
                AND l.kind = 'message_refund'), 0) NOT IN (0, m.price)",
    ),
    (
        "keys under way for no purchase",
        "SELECT i.key FROM idempotency i WHERE i.status IS NULL AND NOT EXISTS (SELECT 1 FROM purchases p
            WHERE p.account_id = i.account_id AND p.once_key = i.key AND p.state IN ('reserved', 'unconfirmed'))",
    ),
];

impl Stage {
    pub async fn check_the_whole(&mut self) -> Agrees {
        self.let_all_end().await?;
        for (what, sql) in NEVER {
            let look = async move |tx: &mut Tx| {
                let rows = tx.rows(Sql(sql), []).await?;
                rows.into_iter().map(|mut row| row.take::<String>()).collect::<Result<Vec<_>, StoreError>>()
            };
            match self.app.app.store.read(look).await {
                Ok(found) if found.is_empty() => {}
                found => disagree!("there are {what}: {found:?}"),
            }
        }
        for who in Who::BOTH {
            self.check_usage(who).await?;
            self.check_pages(who).await?;
            self.check_released(who).await?;
        }
        self.check_inboxes().await?;
        self.check_endpoints().await?;
        self.count_ends();
        Ok(())
    }

    /// What still waits goes, or is given up.
    async fn let_all_end(&mut self) -> Agrees {
        self.perform(&Step::Work).await?;
        // As many as there are tries, each after the longest wait and its jitter.
        for _ in 0..7 {
            if self.waiting().await?.is_empty() {
                return Ok(());
            }
            self.perform(&Step::Wait(Span(3 * 3600))).await?;
            self.perform(&Step::Work).await?;
        }
        match self.waiting().await?.first() {
            None => Ok(()),
            Some(waiting) => disagree!("it waits for ever: {waiting}"),
        }
    }

    async fn waiting(&self) -> Result<Vec<String>, Mismatch> {
        let mut waiting = Vec::new();
        for who in Who::BOTH {
            let queued = self.world.of(who).messages.iter().filter(|message| message.job.is_some());
            waiting.extend(queued.map(|message| format!("{message:?}")));
            let log = read(self.client(who), "/v1/webhooks/deliveries?limit=100").await?;
            let pending = log["items"].as_array().into_iter().flatten().filter(|one| one["status"] == "pending");
            waiting.extend(pending.map(ToString::to_string));
        }
        Ok(waiting)
    }

    async fn check_usage(&self, who: Who) -> Agrees {
        let (client, account) = (self.client(who), self.world.of(who));
        let mut by_number: Vec<Value> = (0..account.numbers.len())
            .map(|nth| {
                let messages = account.sum(|count| count.number == Some(nth), |count| count.messages);
                let number = &account.numbers[nth];
                json!([number.phone, if number.active { "active" } else { "released" }, number.agent, messages])
            })
            .collect();
        let seen = read(client, "/v1/usage/by-number").await?;
        let seen = seen["data"].as_array().unwrap().iter();
        let seen = seen.map(|one| json!([one["phoneNumber"], one["status"], one["agentId"], one["messages"]]));
        let mut seen: Vec<_> = seen.collect();
        // A number that was settled and ended in one go has no id that the model knows.
        for list in [&mut by_number, &mut seen] {
            list.sort_by_key(ToString::to_string);
        }
        same("usage by number", json!(by_number), json!(seen))?;
        let today = at(self.world.now).as_micros() / DAY_MICROS;
        let of_last = |days: i64| move |count: &&Count| today - at(count.at).as_micros() / DAY_MICROS < days;
        for days in [1, 40, 365] {
            let seen = read(client, &format!("/v1/usage/daily?days={days}")).await?;
            let sum = |field: &str| seen["data"].as_array().unwrap().iter().filter_map(|day| day[field].as_i64()).sum();
            let model = [account.sum(of_last(days), |c| c.messages), account.sum(of_last(days), |c| c.webhooks)];
            let (messages, webhooks): (i64, i64) = (sum("messages"), sum("webhooks"));
            same(&format!("usage of {days} days"), json!(model), json!([messages, webhooks]))?;
        }
        Ok(())
    }

    /// Page by page, lists show what they show at once, and nothing twice.
    async fn check_pages(&self, who: Who) -> Agrees {
        let client = self.client(who);
        for path in ["/v1/conversations", "/v1/agents", "/v1/numbers"] {
            let whole = read(client, &format!("{path}?limit=100")).await?;
            let mut paged = Vec::new();
            loop {
                let page = read(client, &format!("{path}?limit=2&offset={}", paged.len())).await?;
                paged.extend(page["data"].as_array().unwrap().iter().map(|one| one["id"].clone()));
                if page["hasMore"] != true {
                    break;
                }
            }
            let ids: Vec<_> = whole["data"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
            same(path, json!(ids), json!(paged))?;
        }
        for conversation in self.world.of(who).conversations.iter().filter_map(|one| one.id.as_deref()) {
            let path = format!("/v1/conversations/{conversation}/messages");
            let whole = read(client, &format!("{path}?limit=200")).await?["data"].clone();
            let mut paged = Vec::new();
            loop {
                let last = paged.last().map_or("", |one: &Value| one["receivedAt"].as_str().unwrap());
                let page = read(client, &format!("{path}?limit=3&before={last}")).await?;
                paged.extend(page["data"].as_array().unwrap().clone());
                if page["hasMore"] != true {
                    break;
                }
            }
            same(&path, whole, json!(paged))?;
        }
        Ok(())
    }

    async fn check_released(&self, who: Who) -> Agrees {
        for number in self.world.of(who).numbers.iter().filter(|number| !number.active) {
            let Some(id) = &number.id else { continue };
            let seen = read(self.client(who), &format!("/v1/numbers/{id}")).await?;
            if seen["status"] != "released" || !seen["releasedAt"].is_string() || !seen["agentId"].is_null() {
                disagree!("a number is released: {seen}");
            }
        }
        Ok(())
    }

    /// Every handset has what was sent to it, each text once.
    async fn check_inboxes(&self) -> Agrees {
        for (handset, model) in &self.world.inboxes {
            let path = format!("/sandbox/handsets/{}/messages?limit=100", handset.replace('+', "%2B"));
            let seen = read(self.client(Who::A), &path).await?;
            let mut seen: Vec<String> = seen["data"].as_array().unwrap().iter().map(in_inbox).collect();
            let mut model = model.clone();
            seen.sort();
            model.sort();
            same(&format!("the inbox of {handset}"), json!(model), json!(seen))?;
        }
        Ok(())
    }

    /// Each delivery came as often as the log says, signed with a secret that its webhook had.
    async fn check_endpoints(&self) -> Agrees {
        let mut came: BTreeMap<String, u64> = BTreeMap::new();
        for receiver in self.endpoints.values() {
            for request in receiver.received() {
                *came.entry(request.header("x-webhook-id").to_owned()).or_default() += 1;
            }
        }
        for who in Who::BOTH {
            for page in 0.. {
                let path = format!("/v1/webhooks/deliveries?limit=100&offset={}", page * 100);
                let log = read(self.client(who), &path).await?;
                for item in log["items"].as_array().unwrap() {
                    let times = came.remove(item["id"].as_str().unwrap()).unwrap_or(0);
                    if item["attemptCount"] != times {
                        disagree!("{times} requests came of {item}");
                    }
                }
                if log["hasMore"] != true {
                    break;
                }
            }
        }
        if came.is_empty() { Ok(()) } else { disagree!("requests came that are in no log: {came:?}") }
    }

    /// What the stories of this process came to.
    fn count_ends(&self) {
        let mut met = MET.lock().unwrap();
        for who in Who::BOTH {
            let account = self.world.of(who);
            for message in &account.messages {
                let error = message.error.as_deref().unwrap_or_default();
                *met.entry(format!("(message)      {} {error}", message.status)).or_default() += 1;
            }
            for delivery in &account.deliveries {
                *met.entry(format!("(delivery)     {:?}", delivery.state)).or_default() += 1;
            }
            for number in &account.numbers {
                let end = if number.active { "active" } else { "released" };
                *met.entry(format!("(number)       {end}")).or_default() += 1;
            }
        }
    }
}

fn in_inbox(text: &Value) -> String {
    let did = if text["direction"] == "inbound" { "got" } else { "sent" };
    format!("{did} {}", text["body"].as_str().unwrap())
}
