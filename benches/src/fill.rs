//! Rows as months of use would have left them, or a backlog, written past the server while it is down.

use std::time::Duration;

use offhook_domain::{AccountId, ConversationId, DeliveryId, EventId, Id, MessageId, Timestamp};
use offhook_store::engine::{IntoValue, Value};
use offhook_store::{Sql, SqlMany, Store, StoreError, Tx};

/// Rows in one transaction.
const PORTION: u64 = 2_000;

const CONVERSATION: SqlMany = SqlMany {
    one: Sql("INSERT INTO conversations (id, account_id, number_id, phone_number, participant, channel, last_message_at,
        last_message_preview, message_count, created_at) VALUES ($1, $2, $3, $4, $5, 'sms', $6, 'Thanks!', $7, $8)"),
    all: Sql("INSERT INTO conversations (id, account_id, number_id, phone_number, participant, channel, last_message_at,
        last_message_preview, message_count, created_at)
        SELECT id, account, number, phone, participant, 'sms', last, 'Thanks!', count, at
        FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::BIGINT[], $7::BIGINT[], $8::BIGINT[])
        AS e (id, account, number, phone, participant, last, count, at)"),
};
const MESSAGE: SqlMany = SqlMany {
    one: Sql(
        "INSERT INTO messages (id, account_id, number_id, conversation_id, direction, channel, status, body, segments,
        price, carrier, carrier_message_id, at, delivered_at)
        VALUES ($1, $2, $3, $4, $5, 'sms', $6, $7, 1, 0, 'sandbox', $8, $9, $10)",
    ),
    all: Sql(
        "INSERT INTO messages (id, account_id, number_id, conversation_id, direction, channel, status, body, segments,
        price, carrier, carrier_message_id, at, delivered_at)
        SELECT id, account, number, conversation, direction, 'sms', status, body, 1, 0, 'sandbox', theirs, at, delivered
        FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::TEXT[],
            $9::BIGINT[], $10::BIGINT[])
        AS e (id, account, number, conversation, direction, status, body, theirs, at, delivered)",
    ),
};
const EVENT: SqlMany = SqlMany {
    one: Sql("INSERT INTO events (id, account_id, body) VALUES ($1, $2, $3)"),
    all: Sql("INSERT INTO events (id, account_id, body) SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[])"),
};
const DELIVERY: SqlMany = SqlMany {
    one: Sql(
        "INSERT INTO deliveries (id, account_id, agent_key, webhook_id, event_id, event_type, channel, lane, status,
        at, due_at, attempts) VALUES ($1, $2, $3, $4, $5, 'agent.message', 'sms', $6, $7, $8, $9, $10)",
    ),
    all: Sql(
        "INSERT INTO deliveries (id, account_id, agent_key, webhook_id, event_id, event_type, channel, lane, status,
        at, due_at, attempts)
        SELECT id, account, agent, webhook, event, 'agent.message', 'sms', lane, status, at, due, attempts
        FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::BIGINT[],
            $9::BIGINT[], $10::BIGINT[]) AS e (id, account, agent, webhook, event, lane, status, at, due, attempts)",
    ),
};

/// A webhook, and the agent it is of, or "" where it is the account's.
#[derive(Debug, Clone)]
pub struct Hook {
    pub id: String,
    pub agent_key: String,
}

/// The account that the server made at its first start.
pub async fn first_account(store: &Store) -> AccountId {
    store.read::<_, StoreError>(async |tx: &mut Tx| tx.first_account().await).await.unwrap().expect("an account")
}

/// Deliveries that wait, `per_lane` in each of so many lanes of each hook, all due.
pub async fn backlog(store: &Store, hooks: &[Hook], lanes: u64, per_lane: u64) {
    let account = first_account(store).await;
    let now = wall_clock();
    let total = hooks.len() as u64 * lanes * per_lane;
    for from in (0..total).step_by(PORTION as usize) {
        let (mut events, mut deliveries) = (Vec::new(), Vec::new());
        for n in from..total.min(from + PORTION) {
            // By sequence first, so that every lane of every hook has something due from the start.
            let (place, sequence) = (n % (hooks.len() as u64 * lanes), n / (hooks.len() as u64 * lanes));
            let hook = &hooks[(place % hooks.len() as u64) as usize];
            let lane = format!("lane{place}");
            let at = Timestamp::from_micros(now - (total - n) as i64);
            let event = EventId::generate(at);
            events.push([event.clone().into_value(), account.clone().into_value(), body(&lane, sequence).into_value()]);
            deliveries.push(delivery(&account, hook, &event, &lane, "pending", at));
        }
        write(store, &[], &[], &events, &deliveries).await;
    }
}

/// `total` messages of months past, every second one inbound with its delivered event, spread over conversations.
pub async fn history(store: &Store, numbers: &[(String, String)], hook: &Hook, total: u64, conversations: u64) {
    let account = first_account(store).await;
    let begin = wall_clock() - Duration::from_secs(80 * 24 * 3600).as_micros() as i64;
    let step = Duration::from_secs(79 * 24 * 3600).as_micros() as i64 / total as i64;
    let mut ids: Vec<ConversationId> = Vec::with_capacity(conversations as usize);
    for from in (0..total).step_by(PORTION as usize) {
        let (mut talks, mut messages, mut events, mut deliveries) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for n in from..total.min(from + PORTION) {
            let at = Timestamp::from_micros(begin + n as i64 * step);
            // Everybody once; after that in no order that an index would like.
            let talk = if n < conversations { n } else { n.wrapping_mul(2_654_435_761) % conversations };
            let (number, digits) = &numbers[(talk % numbers.len() as u64) as usize];
            if n < conversations {
                ids.push(ConversationId::generate(at));
                let (participant, count) = (format!("+1646{talk:07}"), (total / conversations) as i64);
                let last = Timestamp::from_micros(begin + total as i64 * step);
                let id = ids[talk as usize].clone();
                let [number, digits] = [number, digits].map(|text| text.clone().into_value());
                let [last, at] = [last, at].map(IntoValue::into_value);
                let account = account.clone().into_value();
                let participant = participant.into_value();
                talks.push([id.into_value(), account, number, digits, participant, last, count.into_value(), at]);
            }
            let (id, lane) = (MessageId::generate(at), &ids[talk as usize]);
            let inbound = n % 2 == 0;
            let (direction, status) = if inbound { ("inbound", "received") } else { ("outbound", "delivered") };
            let text = format!("Your table for {} is confirmed, reference {n}. See you then!", n % 9 + 1);
            messages.push([
                id.clone().into_value(),
                account.clone().into_value(),
                number.clone().into_value(),
                lane.clone().into_value(),
                direction.into_value(),
                status.into_value(),
                text.into_value(),
                id.as_str().replace("msg_", "sbx_").into_value(),
                at.into_value(),
                (!inbound).then_some(at).into_value(),
            ]);
            if inbound {
                let event = EventId::generate(at);
                let body = body(lane.as_str(), n);
                events.push([event.clone().into_value(), account.clone().into_value(), body.into_value()]);
                deliveries.push(delivery(&account, hook, &event, lane.as_str(), "success", at));
            }
        }
        write(store, &talks, &messages, &events, &deliveries).await;
    }
}

fn delivery(account: &AccountId, hook: &Hook, event: &EventId, lane: &str, status: &str, at: Timestamp) -> [Value; 10] {
    let attempts = i64::from(status != "pending");
    [
        DeliveryId::generate(at).into_value(),
        account.clone().into_value(),
        hook.agent_key.clone().into_value(),
        hook.id.clone().into_value(),
        event.clone().into_value(),
        lane.into_value(),
        status.into_value(),
        at.into_value(),
        at.into_value(),
        attempts.into_value(),
    ]
}

/// As long as the event of a text.
fn body(lane: &str, sequence: u64) -> String {
    format!(
        "{{\"event\":\"agent.message\",\"channel\":\"sms\",\"timestamp\":\"2026-11-25T12:00:00.000000Z\",\"agentId\":null,\
         \"data\":{{\"messageId\":\"msg_06ck3v0w2e8zg1m8t4q7x5n9ra\",\"conversationId\":\"{lane}\",\"from\":\"+14155550123\",\
         \"to\":\"+14155550100\",\"message\":\"{sequence}\",\"mediaUrls\":[],\"direction\":\"inbound\",\"contact\":null,\
         \"receivedAt\":\"2026-11-25T12:00:00.000000Z\",\"padding\":\"{}\"}},\"conversationState\":null,\"recentHistory\":[]}}",
        "x".repeat(300)
    )
}

async fn write(
    store: &Store,
    talks: &[[Value; 8]],
    messages: &[[Value; 10]],
    events: &[[Value; 3]],
    deliveries: &[[Value; 10]],
) {
    let (talks, messages) = (talks.to_vec(), messages.to_vec());
    let (events, deliveries) = (events.to_vec(), deliveries.to_vec());
    let write = async move |tx: &mut Tx| {
        tx.run_each(CONVERSATION, talks.clone()).await?;
        tx.run_each(MESSAGE, messages.clone()).await?;
        tx.run_each(EVENT, events.clone()).await?;
        tx.run_each(DELIVERY, deliveries.clone()).await
    };
    store.write::<_, StoreError>(write).await.unwrap();
}

fn wall_clock() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}
