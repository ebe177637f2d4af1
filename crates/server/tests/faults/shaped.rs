//! kill -9 while messages wait for their turn under a rate that their numbers share.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use offhook_store::{Sql, Store, StoreError, Tx};
use serde_json::json;

use crate::cast::Cast;
use crate::client::Client;
use crate::database::{Database, column};
use crate::process::{Launch, Offhook};

const RATE: usize = 25;
const SETTINGS: [(&str, &str); 1] = [("OFFHOOK__SHAPING__CARRIER_MESSAGES_PER_SECOND", "25")];
const NUMBERS: usize = 3;
const RECEIVERS: usize = 4;
/// In each conversation: six seconds' worth in all.
const EACH: usize = 12;
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// Slots are kept exactly; when a message leaves is up to a busy machine. So much less than a second is a second here.
const JITTER: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shaped_campaign_goes_on_in_order_and_no_faster_after_a_kill_on_sqlite() {
    let database = Database::sqlite();
    let settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mut offhook = Offhook::launch(&database, Launch { before: Vec::new(), settings }).await;
    let cast = ask(&offhook.client()).await;
    let mut claimed = HashSet::new();
    for _ in 0..2 {
        offhook.kill().await;
        claimed.extend(under_way(&database.open().await).await);
        offhook.restart().await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    wait_until_settled(&offhook.client(), &cast).await;
    offhook.kill().await;
    check(&database.open().await, &claimed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shaped_campaign_goes_on_in_order_and_no_faster_after_a_kill_on_postgres() {
    let database = Database::postgres().await;
    let mut one = Offhook::start_node(&database, "one", &SETTINGS).await;
    let two = Offhook::start_node(&database, "two", &SETTINGS).await;
    let store = database.open().await;
    let cast = ask(&one.client()).await;
    one.kill().await;
    // The other node's own are among them: more than may end unconfirmed, never fewer.
    let claimed = under_way(&store).await.into_iter().collect();
    wait_until_settled(&two.client(), &cast).await;
    check(&store, &claimed).await;
}

/// Has the messages of all conversations accepted, and sees the first of them go.
async fn ask(client: &Client) -> Cast {
    let cast = Cast::of_plain_numbers(client, NUMBERS).await;
    for n in 0..EACH {
        for number in &cast.numbers {
            for receiver in 0..RECEIVERS {
                let to = format!("+1415201{:04}", 3000 + receiver);
                let message = json!({"from_number": number.digits, "to_number": to, "body": format!("{n:03}")});
                client.post("/v1/messages", &message).await.unwrap().ok();
            }
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    cast
}

/// Messages that are claimed: only these may be in doubt.
async fn under_way(store: &Store) -> Vec<String> {
    column(store, "SELECT message_id FROM send_jobs WHERE epoch IS NOT NULL").await
}

async fn wait_until_settled(client: &Client, cast: &Cast) {
    let deadline = Instant::now() + SETTLED_WITHIN;
    for number in &cast.numbers {
        loop {
            let list = client.get(&format!("/v1/numbers/{}/messages?limit=100", number.id)).await.unwrap().ok();
            let all = list["data"].as_array().unwrap();
            let open = all.iter().filter(|one| one["status"] != "delivered" && one["status"] != "unconfirmed").count();
            if all.len() == RECEIVERS * EACH && open == 0 {
                break;
            }
            assert!(Instant::now() < deadline, "{open} of {} are open", all.len());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What the handsets hold, and when it was handed over.
#[derive(Debug)]
struct Text {
    at: i64,
    from: String,
    to: String,
    body: String,
}

async fn texts(store: &Store) -> Vec<Text> {
    const TEXTS: Sql = Sql("SELECT at, sender, receiver, body FROM sandbox_messages ORDER BY at");
    let read = async |tx: &mut Tx| -> Result<Vec<Text>, StoreError> {
        let rows = tx.rows(TEXTS, []).await?.into_iter();
        rows.map(|mut row| Ok(Text { at: row.take()?, from: row.take()?, to: row.take()?, body: row.take()? }))
            .collect()
    };
    store.read(read).await.unwrap()
}

/// Nothing twice, nothing lost, in order, and no second above the rate.
async fn check(store: &Store, claimed: &HashSet<String>) {
    let texts = texts(store).await;
    let mut last: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for text in &texts {
        let before = last.insert((&text.from, &text.to), &text.body);
        assert!(before.is_none_or(|before| before < text.body.as_str()), "{text:?} after {before:?}");
    }
    let unconfirmed: Vec<String> = column(store, "SELECT id FROM messages WHERE status = 'unconfirmed'").await;
    assert!(unconfirmed.iter().all(|id| claimed.contains(id)), "more in doubt than was claimed: {unconfirmed:?}");
    let all = NUMBERS * RECEIVERS * EACH;
    assert!(texts.len() <= all && texts.len() + unconfirmed.len() >= all, "{} and {unconfirmed:?}", texts.len());
    let delivered: Vec<i64> = column(store, "SELECT COUNT(*) FROM messages WHERE status = 'delivered'").await;
    assert!(delivered[0] == (all - unconfirmed.len()) as i64, "{delivered:?} and {}", unconfirmed.len());

    let span = 1_000_000 - i64::try_from(JITTER.as_micros()).unwrap();
    for (n, first) in texts.iter().enumerate() {
        let within = texts[n..].iter().take_while(|text| text.at < first.at + span).count();
        assert!(within <= RATE + 1, "{within} in a second from {n} on: {texts:?}");
    }
    println!("{} went, {} of {} claimed ones are in doubt", texts.len(), unconfirmed.len(), claimed.len());
}
