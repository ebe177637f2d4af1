//! Webhooks, events and deliveries: what is due, in which order, and what the log tells.

use std::time::Duration;

use offhook_domain::webhook::{DeliveryStatus, EventType, Webhook, WebhookStatus};
use offhook_domain::{AccountId, AgentId, ConversationId, DeliveryId, Id, Timestamp, WebhookId};
use offhook_store::deliveries::{Emission, NewEvent};
use offhook_store::delivery_work::{Attempt, DueDelivery, LastSeen, Place};
use offhook_store::{Store, StoreError, Tx, Window};

use crate::fixtures::{account, now};

/// A store with one account and its webhook.
struct Story {
    store: Store,
    account: AccountId,
    webhook: Webhook,
}

impl Story {
    async fn begin(store: Store) -> Self {
        let account = account(&store).await;
        let webhook = webhook(&account, None);
        let story = Self { store, account, webhook };
        let webhook = story.put(story.webhook.clone()).await;
        Self { webhook, ..story }
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl AsyncFn(&mut Tx) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        self.store.write(work).await.unwrap()
    }

    async fn put(&self, webhook: Webhook) -> Webhook {
        let account = self.account.clone();
        self.write(async move |tx| tx.of(&account).put_webhook(webhook.clone(), false).await).await
    }

    async fn emit(&self, lane: &str) -> DeliveryId {
        let (webhook, lane, at) = (self.webhook.clone(), lane.to_owned(), now());
        self.write(async move |tx| {
            let event = NewEvent { event_type: EventType::Message, channel: "sms", lane: &lane, message_id: None, at };
            let body = format!("{{\"lane\":\"{lane}\"}}");
            tx.insert_deliveries(vec![Emission { webhook: &webhook, event, body }]).await.map(|mut ids| ids.remove(0))
        })
        .await
    }

    async fn due(&self, after: Place, now: Timestamp, limit: i64) -> Vec<DueDelivery> {
        let line = self.webhook.id.clone();
        self.write(async move |tx| tx.due_deliveries(&line, after, now, limit).await).await
    }

    async fn record(&self, attempts: Vec<Attempt>) -> Vec<bool> {
        self.write(async move |tx| tx.record_attempts(&attempts).await).await
    }

    fn attempt(&self, delivery: &DueDelivery, status: DeliveryStatus, due_at: Timestamp) -> Attempt {
        Attempt {
            delivery: delivery.id.clone(),
            before: delivery.attempts,
            status,
            due_at,
            http_status: Some(200),
            error: None,
            response_body: Some("ok".to_owned()),
            response_ms: 3,
            at: now(),
        }
    }
}

fn webhook(account: &AccountId, agent_id: Option<AgentId>) -> Webhook {
    let at = now();
    Webhook {
        id: WebhookId::generate(at),
        account_id: account.clone(),
        agent_id,
        url: "https://example.com/hook".to_owned(),
        sealed_secret: "sealed".to_owned(),
        status: WebhookStatus::Active,
        context_limit: 10,
        timeout_seconds: 30,
        events: EventType::DEFAULT.to_vec(),
        external_id: None,
        created_at: at,
    }
}

on_both_engines!(an_agents_own_webhook_stands_before_the_accounts, async |store| {
    let story = Story::begin(store).await;
    let agent = AgentId::generate(now());
    let own = story.put(webhook(&story.account, Some(agent.clone()))).await;
    let (account, other) = (story.account.clone(), AgentId::generate(now()));
    let chosen = story
        .write(async move |tx| {
            let mut scope = tx.of(&account);
            let mut chosen = Vec::new();
            for asked in [Some(&agent), Some(&other), None] {
                chosen.push(scope.webhook_for(asked).await?.map(|webhook| webhook.id));
            }
            Ok(chosen)
        })
        .await;
    assert_eq!(chosen, [Some(own.id), Some(story.webhook.id.clone()), Some(story.webhook.id.clone())]);
});

on_both_engines!(replacing_keeps_the_id_and_wakes_a_disabled_one, async |store| {
    let story = Story::begin(store).await;
    let first = story.webhook.clone();
    let gone = first.clone();
    story.write(async move |tx| tx.disable_webhook(&gone).await).await;
    let second =
        story.put(Webhook { url: "https://example.com/new".to_owned(), ..webhook(&story.account, None) }).await;
    assert_eq!((&second.id, second.created_at), (&first.id, first.created_at));
    // The endpoint that said it is gone is another one by now.
    story.write(async move |tx| tx.disable_webhook(&first).await).await;
    let id = second.id.clone();
    let kept = story.write(async move |tx| tx.webhook_by_id(&id).await).await.unwrap();
    assert_eq!((kept.status, kept.url.as_str()), (WebhookStatus::Active, "https://example.com/new"));
});

on_both_engines!(pages_of_due_deliveries_go_on_where_they_ended, async |store| {
    let story = Story::begin(store).await;
    for lane in ["a", "b", "a"] {
        story.emit(lane).await;
    }
    let now = now();
    let first = story.due(Place::START, now, 2).await;
    let place = Place { due_at: first[1].due_at, at: first[1].at };
    let rest = story.due(place, now, 2).await;
    let lanes: Vec<_> = first.iter().chain(&rest).map(|due| due.lane.as_str()).collect();
    assert_eq!(lanes, ["a", "b", "a"]);
    assert_eq!(first[0].body, r#"{"lane":"a"}"#);
    assert_eq!(story.due(Place::START, first[0].at, 9).await.len(), 1, "only what is due");
});

on_both_engines!(an_outcome_is_kept_once, async |store| {
    let story = Story::begin(store).await;
    let id = story.emit("a").await;
    let due = story.due(Place::START, now(), 1).await.remove(0);
    let outcome = story.attempt(&due, DeliveryStatus::Success, due.due_at);
    assert_eq!(story.record(vec![outcome.clone(), outcome]).await, [true, false]);
    let account = story.account.clone();
    let (kept, owner) = story.write(async move |tx| tx.of(&account).delivery(&id).await).await.unwrap();
    assert_eq!((kept.status, kept.attempts, owner), (DeliveryStatus::Success, 1, None));
    assert!(kept.delivered_at.is_some() && kept.next_retry_at().is_none());
});

on_both_engines!(a_held_lane_waits_for_its_head_and_keeps_its_order, async |store| {
    let story = Story::begin(store).await;
    for lane in ["a", "b", "a", "a"] {
        story.emit(lane).await;
    }
    let now = now();
    let head = story.due(Place::START, now, 1).await.remove(0);
    let until = now.plus(Duration::from_secs(5));
    story.record(vec![story.attempt(&head, DeliveryStatus::Pending, until)]).await;
    let line = story.webhook.id.clone();
    story.write(async move |tx| tx.hold_lane(&line, "a", until).await).await;
    let lanes = |due: Vec<DueDelivery>| due.into_iter().map(|due| due.lane).collect::<Vec<_>>();
    assert_eq!(lanes(story.due(Place::START, now, 9).await), ["b"]);
    let later = story.due(Place::START, until, 9).await;
    assert_eq!(later.iter().map(|due| due.attempts).collect::<Vec<_>>(), [0, 1, 0, 0], "the head leads its lane");
});

on_both_engines!(lines_are_found_by_their_heads, async |store| {
    let story = Story::begin(store).await;
    let agent = AgentId::generate(now());
    let other = story.put(webhook(&story.account, Some(agent))).await;
    story.emit("a").await;
    story.emit("a").await;
    let story = Story { webhook: other.clone(), ..story };
    story.emit("b").await;
    let now = now();
    let lines = story.write(async move |tx| tx.delivery_lines_due(now).await).await;
    assert_eq!(lines.len(), 2);
    let due = story.due(Place::START, now, 1).await.remove(0);
    let later = now.plus(Duration::from_secs(60));
    story.record(vec![story.attempt(&due, DeliveryStatus::Pending, later)]).await;
    let lines = story.write(async move |tx| tx.delivery_lines_due(now).await).await;
    assert!(lines.iter().all(|(line, _)| *line != other.id.as_str()) && lines.len() == 1);
    let line = story.webhook.id.clone();
    assert_eq!(story.write(async move |tx| tx.next_delivery_due(&line).await).await, Some(later));
});

on_both_engines!(what_waits_for_a_webhook_that_is_gone_is_given_up_in_portions, async |store| {
    let story = Story::begin(store).await;
    for _ in 0..3 {
        story.emit("a").await;
    }
    let mut counts = Vec::new();
    loop {
        let line = story.webhook.id.clone();
        let given_up = story.write(async move |tx| tx.abandon_deliveries(&line, "webhook deleted", 2).await).await;
        let Some(given_up) = given_up else { break };
        assert_eq!((&given_up.account, given_up.agent_key.as_str()), (&story.account, ""));
        counts.push(given_up.count);
    }
    assert_eq!(counts, [2, 1]);
});

on_both_engines!(the_log_tells_how_an_endpoint_was_last_seen, async |store| {
    let story = Story::begin(store).await;
    let seen = async || {
        let (line, account) = (story.webhook.id.clone(), story.account.clone());
        story.write(async move |tx| tx.last_seen(&line, &account, "").await).await
    };
    story.emit("a").await;
    assert_eq!(seen().await, LastSeen::Never);
    let due = story.due(Place::START, now(), 1).await.remove(0);
    story.record(vec![story.attempt(&due, DeliveryStatus::Pending, due.due_at)]).await;
    assert_eq!(seen().await, LastSeen::Failing);
    let due = DueDelivery { attempts: 1, ..due };
    story.record(vec![story.attempt(&due, DeliveryStatus::Success, due.due_at)]).await;
    story.emit("a").await;
    assert_eq!(seen().await, LastSeen::Succeeding);
});

on_both_engines!(the_log_counts_lists_replays_and_forgets, async |store| {
    let story = Story::begin(store).await;
    let lane = ConversationId::generate(now()).to_string();
    for _ in 0..3 {
        story.emit(&lane).await;
    }
    let due = story.due(Place::START, now(), 1).await.remove(0);
    story.record(vec![story.attempt(&due, DeliveryStatus::Failed, due.due_at)]).await;
    let (account, webhook, at) = (story.account.clone(), story.webhook.clone(), now());
    let ended = due.id.clone();
    let (listed, tallies) = story
        .write(async move |tx| {
            let mut scope = tx.of(&account);
            let (earlier, _) = scope.delivery(&ended).await?.unwrap();
            scope.replay_delivery(&webhook, &earlier, at).await?;
            let listed = scope.deliveries(Timestamp::from_micros(0), Window { limit: 2, offset: 1 }).await?;
            Ok((listed, scope.delivery_tallies(Timestamp::from_micros(0)).await?))
        })
        .await;
    assert_eq!((listed.items.len(), listed.total), (2, 4));
    assert!(listed.items[0].at > listed.items[1].at);
    let count = |status| tallies.iter().filter(|t| t.status == status).map(|t| t.count).sum::<i64>();
    assert_eq!((count(DeliveryStatus::Failed), count(DeliveryStatus::Pending)), (1, 3));

    let before = DeliveryId::generate(now());
    let dropped = story.write(async move |tx| tx.forget_deliveries(&before, 100).await).await;
    assert_eq!(dropped, 1, "what waits stays");
    let replayed = story.due(Place::START, now(), 9).await;
    assert_eq!(replayed.len(), 3);
    assert_eq!(replayed[2].body, due.body);
});

on_both_engines!(another_accounts_log_is_out_of_reach, async |store| {
    let (story, other) = (Story::begin(store.clone()).await, account(&store).await);
    let id = story.emit("a").await;
    let seen = story
        .write(async move |tx| {
            let mut scope = tx.of(&other);
            let listed = scope.deliveries(Timestamp::from_micros(0), Window { limit: 9, offset: 0 }).await?;
            let tallies = scope.delivery_tallies(Timestamp::from_micros(0)).await?;
            let own = (scope.webhook(None).await?.is_none(), scope.delete_webhook(None).await?.is_none());
            Ok((scope.delivery(&id).await?.is_none(), listed.total, tallies.len(), own))
        })
        .await;
    assert_eq!(seen, (true, 0, 0, (true, true)));
});
