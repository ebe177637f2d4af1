//! Counts by the hour, and their sums.

use std::time::Duration;

use offhook_domain::time::DAY_MICROS;
use offhook_domain::usage::UsageDelta;
use offhook_domain::{AccountId, NumberId, Timestamp};
use offhook_store::usage::{AgentUsage, DayUsage};
use offhook_store::{Store, StoreError, Tx};
use tokio::task::JoinSet;

use crate::fixtures::{NOON, account, agent, stored_number};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

on_both_engines!(concurrent_counts_add_up, async |store| {
    let account = account(&store).await;
    let number = stored_number(&store, &account, "+14155550100").await;
    let mut counting = JoinSet::new();
    for n in 0..60 {
        let (store, account, number) = (store.clone(), account.clone(), number.id.clone());
        counting.spawn(async move { count(&store, &account, Some(&number), "", n, NOON, texts(1, 2)).await });
    }
    counting.join_all().await;
    let sums = since(&store, &account, NOON).await;
    assert_eq!(sums, UsageDelta { segments: 180, ..texts(60, 120) });
});

on_both_engines!(a_span_begins_at_its_full_hour, async |store| {
    let account = account(&store).await;
    let hour = NOON.hour_start();
    for at in [hour.minus(Duration::from_micros(1)), hour, hour.plus(HOUR)] {
        count(&store, &account, None, "", 0, at, texts(1, 0)).await;
    }
    assert_eq!(since(&store, &account, hour.plus(HOUR / 2)).await.messages_in, 2);
    assert_eq!(since(&store, &account, Timestamp::from_micros(0)).await.messages_in, 3);
});

on_both_engines!(days_are_summed_and_quiet_ones_left_out, async |store| {
    let account = account(&store).await;
    let webhooks = UsageDelta { webhooks: 3, webhooks_succeeded: 2, webhooks_failed: 1, ..UsageDelta::default() };
    let today = Timestamp::from_micros(NOON.as_micros() / DAY_MICROS * DAY_MICROS);
    count(&store, &account, None, "", 0, today, texts(1, 1)).await;
    count(&store, &account, None, "", 0, today.plus(23 * HOUR), webhooks).await;
    count(&store, &account, None, "", 0, today.plus(2 * DAY), texts(4, 0)).await;
    count(&store, &account, None, "", 0, today.minus(HOUR), texts(9, 9)).await;
    let ours = account.clone();
    let read = async move |tx: &mut Tx| tx.of(&ours).usage_by_day(today).await;
    let mut days = store.read(read).await.unwrap();
    days.sort_by_key(|day| day.day);
    let first = today.as_micros() / DAY_MICROS;
    let expected = [day(first, 2, 3), day(first + 2, 4, 0)];
    assert_eq!(days, expected);
});

on_both_engines!(numbers_and_agents_have_their_shares, async |store| {
    let account = account(&store).await;
    let (desk, door) = (agent(&store, &account, "Desk").await, agent(&store, &account, "Door").await);
    let number = stored_number(&store, &account, "+14155550100").await;
    let quiet = stored_number(&store, &account, "+14155550101").await;
    let (desk, gone) = (desk.id.to_string(), "agt_gone");
    count(&store, &account, Some(&number.id), &desk, 0, NOON, texts(2, 1)).await;
    count(&store, &account, Some(&number.id), gone, 0, NOON, texts(1, 0)).await;
    count(&store, &account, Some(&number.id), "", 0, NOON.plus(DAY), texts(5, 0)).await;

    let ours = account.clone();
    let read = async move |tx: &mut Tx| tx.of(&ours).usage_by_number().await;
    let numbers = store.read(read).await.unwrap();
    let shares: Vec<_> = numbers.iter().map(|used| (used.id.clone(), used.messages)).collect();
    assert_eq!(shares, [(quiet.id, 0), (number.id, 9)]);

    let read = async move |tx: &mut Tx| tx.of(&account).usage_by_agent(NOON, NOON.plus(HOUR)).await;
    let agents = store.read(read).await.unwrap();
    let share = |key: &str, name: Option<&str>, messages| AgentUsage {
        agent_key: key.to_owned(),
        name: name.map(str::to_owned),
        messages,
        calls: 0,
        call_seconds: 0,
    };
    let door = door.id.to_string();
    assert_eq!(agents, [share(&door, Some("Door"), 0), share(&desk, Some("Desk"), 3), share(gone, None, 1)]);
});

on_both_engines!(another_accounts_counts_are_out_of_reach, async |store| {
    let (mine, theirs) = (account(&store).await, account(&store).await);
    count(&store, &mine, None, "", 0, NOON, texts(1, 0)).await;
    assert_eq!(since(&store, &theirs, NOON).await, UsageDelta::default());
});

fn day(day: i64, messages: i64, webhooks: i64) -> DayUsage {
    DayUsage { day, messages, webhooks, calls: 0, call_seconds: 0 }
}

fn texts(messages_in: i64, messages_out: i64) -> UsageDelta {
    UsageDelta { messages_in, messages_out, segments: messages_in + messages_out, ..UsageDelta::default() }
}

async fn count(
    store: &Store,
    account: &AccountId,
    number: Option<&NumberId>,
    agent: &str,
    writer: i64,
    at: Timestamp,
    delta: UsageDelta,
) {
    let (account, number, agent) = (account.clone(), number.cloned(), agent.to_owned());
    let count = async move |tx: &mut Tx| {
        tx.of(&account).count_usage(at, number.as_ref(), &agent, &writer.to_string(), delta);
        Ok::<_, StoreError>(())
    };
    store.write(count).await.unwrap();
}

async fn since(store: &Store, account: &AccountId, at: Timestamp) -> UsageDelta {
    let account = account.clone();
    store.read(async move |tx: &mut Tx| tx.of(&account).usage_since(at).await).await.unwrap()
}
