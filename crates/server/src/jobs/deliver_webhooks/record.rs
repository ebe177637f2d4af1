//! What attempts came to, on its way to the store: one transaction for many.

use std::sync::Arc;

use offhook_domain::usage::UsageDelta;
use offhook_domain::webhook::{DeliveryStatus, Webhook, WebhookStatus};
use offhook_domain::{AccountId, AgentId, Id, Timestamp, WebhookId};
use offhook_store::delivery_work::Attempt;
use offhook_store::{StoreError, Tx};

use crate::app::App;
use crate::app::post_event::{Endpoint, GONE};
use crate::jobs::persist::until_kept;

/// How many waiting deliveries are given up in one transaction.
const PORTION: i64 = 500;

/// A delivery that was sent, judged.
#[derive(Clone)]
pub struct Ended {
    pub lane: String,
    pub attempt: Attempt,
    /// The rest of its lane waits with it for its next attempt.
    pub holds_lane: bool,
    /// The endpoint that said it is gone.
    pub gone: Option<Arc<Endpoint>>,
}

/// Keeps what attempts came to, however long the store is away.
pub async fn keep(app: App, webhook: Webhook, ended: Arc<Vec<Ended>>) {
    until_kept("outcomes of deliveries", || {
        let (webhook, ended, now) = (webhook.clone(), ended.clone(), app.now());
        app.store.write(async move |tx: &mut Tx| write(tx, &webhook, &ended, now).await)
    })
    .await;
}

async fn write(tx: &mut Tx, webhook: &Webhook, ended: &[Ended], now: Timestamp) -> Result<(), StoreError> {
    let attempts: Vec<_> = ended.iter().map(|one| one.attempt.clone()).collect();
    let kept = tx.record_attempts(&attempts).await?;
    let mut delta = UsageDelta::default();
    // A row that changed in between was ended, and counted, by somebody else.
    for (one, _) in ended.iter().zip(kept).filter(|(_, kept)| *kept) {
        match one.attempt.status {
            DeliveryStatus::Success => delta.webhooks_succeeded += 1,
            DeliveryStatus::Failed => delta.webhooks_failed += 1,
            DeliveryStatus::Pending => {}
        }
        if one.holds_lane {
            tx.hold_lane(&webhook.id, &one.lane, one.attempt.due_at).await?;
        }
    }
    for endpoint in ended.iter().filter_map(|one| one.gone.as_ref()) {
        tx.disable_webhook(&endpoint.webhook).await?;
    }
    let agent_key = webhook.agent_id.as_ref().map_or("", AgentId::as_str);
    count(tx, &webhook.account_id, agent_key, &webhook.id, now, delta);
    Ok(())
}

/// Holds lanes of which more came while they were held.
pub async fn hold(app: App, line: WebhookId, lanes: Arc<Vec<(String, Timestamp)>>) {
    until_kept("lanes held", || {
        let (line, lanes) = (line.clone(), lanes.clone());
        app.store.write(async move |tx: &mut Tx| {
            for (lane, until) in lanes.iter() {
                tx.hold_lane(&line, lane, *until).await?;
            }
            Ok(())
        })
    })
    .await;
}

/// Whether a line without a working webhook is done with what waited for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abandoning {
    MoreWaits,
    Done,
    /// The webhook is there again.
    Revived,
}

/// Gives up a portion of what waits for a webhook that was deleted or disabled.
pub async fn abandon(app: App, line: WebhookId) -> Abandoning {
    until_kept("deliveries given up", || {
        let (line, now) = (line.clone(), app.now());
        app.store.write(async move |tx: &mut Tx| give_up(tx, &line, now).await)
    })
    .await
}

async fn give_up(tx: &mut Tx, line: &WebhookId, now: Timestamp) -> Result<Abandoning, StoreError> {
    let error = match tx.webhook_by_id(line).await? {
        None => "the webhook was deleted",
        Some(webhook) if webhook.status == WebhookStatus::Disabled => GONE,
        Some(_) => return Ok(Abandoning::Revived),
    };
    let Some(given_up) = tx.abandon_deliveries(line, error, PORTION).await? else { return Ok(Abandoning::Done) };
    let failed = i64::try_from(given_up.count).unwrap_or(PORTION);
    let delta = UsageDelta { webhooks_failed: failed, ..UsageDelta::default() };
    count(tx, &given_up.account, &given_up.agent_key, line, now, delta);
    Ok(if failed < PORTION { Abandoning::Done } else { Abandoning::MoreWaits })
}

fn count(tx: &mut Tx, account: &AccountId, agent_key: &str, line: &WebhookId, now: Timestamp, delta: UsageDelta) {
    tx.of(account).count_usage(now, None, agent_key, line.as_str(), delta);
}
