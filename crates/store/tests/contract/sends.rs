//! Messages that wait to be handed to a carrier: found by age, or conversation by conversation.

use offhook_domain::message::Direction;
use offhook_domain::number::Number;
use offhook_domain::{ConversationId, Id, MessageId, Timestamp};
use offhook_store::send_jobs::SendJob;
use offhook_store::{Store, StoreError, Tx};

use crate::conversations::say;
use crate::fixtures::{account, now, stored_number};

/// The end of all times in these stories.
const LATER: Timestamp = Timestamp::from_micros(i64::MAX);

on_both_engines!(conversations_are_passed_in_turn, async |store| {
    let number = number(&store).await;
    let mut conversations = Vec::new();
    for _ in 0..5 {
        conversations.push(waiting(&store, &number, 3).await.0);
    }
    let other = stored_number(&store, &number.account_id, "+14155550101").await;
    waiting(&store, &other, 1).await;

    let first = passed(&store, &number, "", 2).await;
    assert_eq!(first, conversations[..2]);
    assert_eq!(passed(&store, &number, first[1].as_str(), 10).await, conversations[2..]);
    assert_eq!(passed(&store, &number, conversations[4].as_str(), 10).await, []);
});

on_both_engines!(one_conversations_messages_come_in_order_and_not_before_they_are_due, async |store| {
    let number = number(&store).await;
    let (busy, messages) = waiting(&store, &number, 5).await;
    let (other, _) = waiting(&store, &number, 1).await;
    assert_eq!(of(&store, &number, &busy, LATER, 3).await, messages[..3]);
    assert_eq!(of(&store, &number, &other, LATER, 3).await.len(), 1);

    claim(&store, &messages[0], 7).await;
    assert_eq!(of(&store, &number, &busy, LATER, 9).await, messages[1..]);
    let (first, held, until) = (messages[0].clone(), busy.clone(), now());
    store.write(async move |tx: &mut Tx| tx.put_back_send_job(&first, &held, 7, until, until).await).await.unwrap();
    // Those behind it wait with it, and nobody else does.
    let before = Timestamp::from_micros(until.as_micros() - 1);
    assert_eq!(of(&store, &number, &busy, before, 9).await, []);
    assert_eq!(of(&store, &number, &other, before, 3).await.len(), 1);
    assert_eq!(of(&store, &number, &busy, until, 9).await, messages);
});

async fn number(store: &Store) -> Number {
    let account = account(store).await;
    stored_number(store, &account, "+14155550100").await
}

/// A conversation with so many messages that wait.
async fn waiting(store: &Store, number: &Number, count: usize) -> (ConversationId, Vec<MessageId>) {
    let participant = format!("+1415{}", now().as_micros() % 10_000_000);
    let mut messages = Vec::new();
    for n in 0..count {
        messages.push(say(store, number, Direction::Outbound, &participant, &n.to_string(), &[]).await);
    }
    let conversation = messages[0].conversation_id.clone();
    let ids = messages.iter().map(|message| message.id.clone()).collect();
    let work = async move |tx: &mut Tx| {
        let jobs: Vec<_> =
            messages.iter().map(|message| SendJob { message, due_at: message.at, exempt: false }).collect();
        tx.insert_send_jobs(&jobs).await
    };
    store.write::<_, StoreError>(work).await.unwrap();
    (conversation, ids)
}

async fn passed(store: &Store, number: &Number, after: &str, limit: i64) -> Vec<ConversationId> {
    let (line, after) = (number.id.to_string(), after.to_owned());
    store.read(async move |tx: &mut Tx| tx.conversations_sending(&line, &after, limit).await).await.unwrap()
}

async fn of(
    store: &Store,
    number: &Number,
    conversation: &ConversationId,
    now: Timestamp,
    limit: i64,
) -> Vec<MessageId> {
    let (line, conversation) = (number.id.to_string(), conversation.clone());
    let read = async move |tx: &mut Tx| tx.waiting_sends_of(&line, &conversation, now, limit).await;
    store.read::<_, StoreError>(read).await.unwrap().into_iter().map(|waiting| waiting.message_id).collect()
}

async fn claim(store: &Store, message: &MessageId, epoch: i64) {
    let message = message.clone();
    let claimed = store.write(async move |tx: &mut Tx| tx.claim_send_jobs(&[&message], epoch).await).await;
    assert_eq!(claimed.unwrap(), [true]);
}
