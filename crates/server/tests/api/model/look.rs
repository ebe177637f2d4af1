//! What a customer can see: every list of an account, read whole, to be compared with the model.

use std::collections::BTreeMap;

use serde_json::Value;

use super::steps::Who;
use super::world::{Account, Agrees, Mismatch, World, disagree};
use crate::app::Client;

/// All that an account's lists show.
pub struct Seen {
    usage: Value,
    by_agent: Value,
    numbers: Vec<Value>,
    agents: Vec<Value>,
    contacts: Vec<Value>,
    conversations: Vec<Value>,
    /// The account's own, and each agent's.
    webhooks: BTreeMap<Option<String>, Value>,
    log: Vec<Value>,
    /// Of deliveries to an agent's own endpoint: whose.
    owners: BTreeMap<String, String>,
    /// Each number's, released ones too.
    messages: BTreeMap<String, Vec<Value>>,
}

impl Seen {
    pub async fn by(client: &Client, account: &Account) -> Result<Self, Mismatch> {
        let mut seen = Self {
            usage: read(client, "/v1/usage").await?,
            by_agent: read(client, "/v1/usage/by-agent?period=year").await?,
            numbers: all(client, "/v1/numbers", "data").await?,
            agents: all(client, "/v1/agents", "data").await?,
            contacts: all(client, "/v1/contacts", "data").await?,
            conversations: all(client, "/v1/conversations", "data").await?,
            webhooks: BTreeMap::from([(None, read(client, "/v1/webhooks").await?)]),
            log: all(client, "/v1/webhooks/deliveries", "items").await?,
            owners: BTreeMap::new(),
            messages: BTreeMap::new(),
        };
        for agent in seen.agents.iter().filter_map(|agent| agent["id"].as_str()) {
            let path = format!("/v1/agents/{agent}/webhook");
            seen.webhooks.insert(Some(agent.to_owned()), read(client, &path).await?);
            let log = read(client, &format!("{path}/deliveries?limit=100")).await?;
            let ids = log.as_array().into_iter().flatten().filter_map(|one| one["id"].as_str());
            seen.owners.extend(ids.map(|id| (id.to_owned(), agent.to_owned())));
        }
        let listed = seen.numbers.iter().filter_map(|number| number["id"].as_str());
        let known = account.numbers.iter().filter_map(|number| number.id.as_deref());
        let mut numbers: Vec<String> = listed.chain(known).map(str::to_owned).collect();
        numbers.sort();
        numbers.dedup();
        for number in numbers {
            let page = read(client, &format!("/v1/numbers/{number}/messages?limit=200")).await?;
            seen.messages.insert(number, page["data"].as_array().cloned().unwrap_or_default());
        }
        Ok(seen)
    }
}

pub async fn read(client: &Client, path: &str) -> Result<Value, Mismatch> {
    let answer = client.get(path).await;
    if answer.status != 200 {
        disagree!("GET {path} answered {}: {}", answer.status, answer.text);
    }
    serde_json::from_str(&answer.text).map_err(|error| Mismatch(format!("GET {path}: {error}")))
}

/// A whole list, page by page.
async fn all(client: &Client, path: &str, field: &str) -> Result<Vec<Value>, Mismatch> {
    let mut items = Vec::new();
    loop {
        let page = read(client, &format!("{path}?limit=100&offset={}", items.len())).await?;
        items.extend(page[field].as_array().cloned().unwrap_or_default());
        let more = page["hasMore"] == true;
        if page["total"].as_u64() != Some(items.len() as u64) && !more {
            disagree!("{path} says that there are {}, and shows {}", page["total"], items.len());
        }
        if !more {
            return Ok(items);
        }
    }
}

impl World {
    /// Compares what an account sees with what it should, and takes the ids over that are new.
    pub fn agrees(&mut self, who: Who, seen: &Seen) -> Agrees {
        let now = self.now;
        let account = self.of_mut(who);
        account.agrees_on_numbers(&seen.numbers)?;
        account.agrees_on_agents(&seen.agents)?;
        account.agrees_on_contacts(&seen.contacts)?;
        account.agrees_on_conversations(&seen.conversations)?;
        account.agrees_on_messages(&seen.messages)?;
        account.agrees_on_webhooks(&seen.webhooks)?;
        account.agrees_on_deliveries(&seen.log, &seen.owners)?;
        account.agrees_on_usage(now, &seen.usage)?;
        account.agrees_on_usage_by_agent(now, &seen.by_agent)
    }
}
