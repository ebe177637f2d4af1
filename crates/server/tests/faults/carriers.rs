//! A carrier that hangs, with a hundred thousand messages behind it: others don't notice, and neither does the memory.

use offhook_domain::message::{Channel, Direction, Message, MessageStatus};
use offhook_domain::{Clock, ConversationId, Id, MessageId, Micros, SystemClock};
use offhook_store::engine::IntoValue;
use offhook_store::send_jobs::SendJob;
use offhook_store::{Sql, StoreError, Tx};
use serde_json::{Value, json};

use crate::cast::text;
use crate::client::Client;
use crate::database::Database;
use crate::process::{Launch, Offhook};
use crate::{vitals, waiting};

/// The sandbox's carrier never answers for this receiver.
const SILENT: &str = "+15005550016";
const WAITING: usize = 100_000;
const PORTION: usize = 1_000;
/// Each, so that all of them would be 100 MB and more.
const CHARACTERS: usize = 1_000;
/// What a start with them may take more than one without: SQLite's caches (16 MB for each of three connections) and the
/// allocator's slack. The messages would take more than twice that.
const MORE_KIB: u64 = 64 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_behind_a_carrier_that_hangs_on_sqlite() {
    hang(Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_behind_a_carrier_that_hangs_on_postgres() {
    hang(Database::postgres().await).await;
}

async fn hang(database: Database) {
    let long = ("OFFHOOK__SENDING__SUBMIT_TIMEOUT_SECONDS".to_owned(), "300".to_owned());
    let short_drain = ("OFFHOOK__SERVER__DRAIN_SECONDS".to_owned(), "1".to_owned());
    let launch = Launch { settings: vec![long, short_drain], ..Launch::default() };
    let mut offhook = Offhook::launch(&database, launch).await;
    let client = offhook.client();
    let mut numbers = Vec::new();
    for area_code in ["415", "212"] {
        let bought = client.post("/v1/numbers", &json!({"areaCode": area_code})).await.unwrap().ok();
        numbers.push(text(&bought["phoneNumber"]));
    }
    let (ours, other) = (&numbers[0], &numbers[1]);
    let first = send(&client, ours, SILENT, "first").await;
    is_delivered(&client, &send(&client, ours, "+14152010000", "before").await).await;
    let without = vitals::memory(offhook.pid());
    offhook.stop().await;
    pile_up(&database, &first).await;

    offhook.restart().await;
    let client = offhook.client();
    for n in 0..20 {
        let handset = format!("+1415201{n:04}");
        for number in [ours, other] {
            is_delivered(&client, &send(&client, number, &handset, "beside").await).await;
        }
    }
    let with = vitals::memory(offhook.pid());
    println!("{} MB without, {} MB with {WAITING} messages waiting", without >> 10, with >> 10);
    assert!(with < without + MORE_KIB, "{with} KiB with them, {without} KiB without");
    let conversation =
        client.get(&format!("/v1/conversations/{}", text(&first["conversation_id"]))).await.unwrap().ok();
    assert_eq!(conversation["messages"][0]["status"], "queued");
    offhook.stop().await;
}

async fn send(client: &Client, from: &str, to: &str, body: &str) -> Value {
    let message = json!({"from_number": from, "to_number": to, "body": body});
    client.post("/v1/messages", &message).await.unwrap().ok()
}

async fn is_delivered(client: &Client, sent: &Value) {
    let path = format!("/v1/conversations/{}", text(&sent["conversation_id"]));
    waiting::until("delivered", async || {
        let conversation = client.get(&path).await.unwrap().ok();
        let messages = conversation["messages"].as_array().unwrap();
        messages.iter().any(|message| message["id"] == sent["id"] && message["status"] == "delivered")
    })
    .await;
}

/// Puts a hundred thousand messages behind one that waits, as accepting them one by one would have.
async fn pile_up(database: &Database, first: &Value) {
    const OF_FIRST: Sql = Sql("SELECT m.account_id, m.number_id, c.phone_number FROM messages m
        JOIN conversations c ON c.id = m.conversation_id WHERE m.id = $1");
    let store = database.open().await;
    let (id, conversation) = (text(&first["id"]), text(&first["conversation_id"]));
    let read = async move |tx: &mut Tx| -> Result<_, StoreError> {
        let mut row = tx.one(OF_FIRST, [id.as_str().into_value()]).await?;
        Ok((row.take()?, row.take()?, row.take::<String>()?))
    };
    let (account_id, number_id, from) = store.read(read).await.unwrap();
    let template = Message {
        id: MessageId::generate(SystemClock::default().now()),
        account_id,
        number_id,
        conversation_id: ConversationId::parse(&conversation).unwrap(),
        direction: Direction::Outbound,
        channel: Channel::Sms,
        status: MessageStatus::Queued,
        from,
        to: SILENT.to_owned(),
        body: "x".repeat(CHARACTERS),
        media_urls: Vec::new(),
        segments: 7,
        failure: None,
        carrier: "sandbox".to_owned(),
        carrier_message_id: None,
        at: SystemClock::default().now(),
        delivered_at: None,
        estimated_send_at: None,
    };
    let clock = SystemClock::default();
    for _ in 0..WAITING / PORTION {
        let messages: Vec<Message> = (0..PORTION)
            .map(|_| {
                let at = clock.now();
                Message { id: MessageId::generate(at), at, ..template.clone() }
            })
            .collect();
        let write = async move |tx: &mut Tx| {
            let jobs: Vec<_> =
                messages.iter().map(|message| SendJob { message, due_at: message.at, exempt: false }).collect();
            let priced: Vec<_> = messages.iter().map(|message| (message, Micros(0))).collect();
            tx.insert_messages(&priced).await?;
            tx.insert_send_jobs(&jobs).await
        };
        store.write::<_, StoreError>(write).await.unwrap();
    }
}
