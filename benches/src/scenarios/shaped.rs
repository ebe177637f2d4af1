//! A campaign of 225 messages a second, with a thousand others of 2.25 to 12 beside it, all with a backlog.

use std::time::Duration;

use offhook_domain::campaign::{CampaignClass, CampaignStatus, Decision, RegistrationType};
use offhook_domain::message::{Channel, Direction, Message, MessageStatus};
use offhook_domain::number::{Number, NumberStatus};
use offhook_domain::{AccountId, CampaignId, Clock, ConversationId, Country, E164, Id, MessageId, Micros, NumberId};
use offhook_domain::{SystemClock, Timestamp};
use offhook_store::campaigns::Campaign;
use offhook_store::engine::IntoValue;
use offhook_store::message_flow::Touch;
use offhook_store::send_jobs::SendJob;
use offhook_store::{Sql, StoreError, Tx};

use crate::server::{Data, Server};
use crate::table::{Goal, Table};

/// Left out of the figures, and measured.
const WARM_UP: Duration = Duration::from_secs(5);
const SPAN: Duration = Duration::from_secs(20);
/// Of the fast one, so that they share its rate.
const NUMBERS: usize = 4;
const RATE: f64 = 225.0;

/// By when the sandbox's network took them: receipts come later, and in batches.
const TAKEN: Sql = Sql("SELECT at, sender FROM sandbox_messages WHERE at >= $1 AND at < $2");

pub async fn run(table: &mut Table, data: &Data) {
    // So that there is a schema.
    Server::start(data, &[]).await.stop();
    let others = std::env::var("BENCH_OTHERS").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000);
    fill(data, others).await;
    let server = Server::start(data, &[]).await;
    let clock = SystemClock::default();
    let begin = clock.now().plus(WARM_UP);
    tokio::time::sleep(WARM_UP + SPAN + Duration::from_secs(2)).await;
    server.kill();

    let end = begin.plus(SPAN);
    let store = data.open().await;
    let asked = async move |tx: &mut Tx| {
        let rows = tx.rows(TAKEN, [begin.into_value(), end.into_value()]).await?;
        let read = rows.into_iter().map(|mut row| Ok((row.take()?, row.take()?)));
        read.collect::<Result<Vec<(i64, String)>, StoreError>>()
    };
    let went = store.read(asked).await.unwrap();
    let fast: Vec<String> = (0..NUMBERS).map(digits).collect();
    let mut fast: Vec<i64> = went.iter().filter(|(_, sender)| fast.contains(sender)).map(|(at, _)| *at).collect();
    fast.sort_unstable();
    let seconds = SPAN.as_secs_f64();
    let rate = fast.len() as f64 / seconds;
    let busiest =
        fast.iter().enumerate().map(|(n, at)| fast.partition_point(|other| *other < at + 1_000_000) - n).max();
    let name = data.name();
    table.add(name, "a campaign of 225 a second holds".to_owned(), rate, "/s", Goal::AtLeast(RATE * 0.98));
    table.add(name, "its busiest second".to_owned(), busiest.unwrap_or(0) as f64, "", Goal::AtMost(RATE * 1.02));
    let beside = (went.len() - fast.len()) as f64 / seconds;
    table.add(name, format!("beside it, {others} others together"), beside, "/s", Goal::None);
}

/// The class of one of the others: most small, as they are.
fn class(n: usize) -> (RegistrationType, CampaignClass) {
    match n % 20 {
        0 => (RegistrationType::HighVolume, CampaignClass::StandardTrust),
        1..=4 => (RegistrationType::StandardBrand, CampaignClass::LowVolume),
        _ => (RegistrationType::SoleProprietor, CampaignClass::SoleProprietor),
    }
}

/// Accounts with campaigns and with more to send than they may in the time; the fast one's first.
async fn fill(data: &Data, others: usize) {
    let store = data.open().await;
    for n in 0..=others {
        let ((registered, class), numbers, conversations) = match n {
            0 => ((RegistrationType::HighVolume, CampaignClass::HighestTrust), NUMBERS, 200),
            _ => (class(n), 1, 10),
        };
        let work = async move |tx: &mut Tx| {
            let clock = SystemClock::default();
            let account = AccountId::generate(clock.now());
            open_account(tx, &account, registered, class, clock.now()).await?;
            let wanted =
                (WARM_UP + SPAN + Duration::from_secs(10)).as_secs() as i64 * class.thousandths_per_second() / 1000;
            let each = wanted as usize / (numbers * conversations) + 1;
            for number in 0..numbers {
                let number = number_of(&account, n * NUMBERS + number, clock.now());
                tx.of(&account).insert_number(&number).await?;
                write(tx, &clock, &number, conversations, each).await?;
            }
            Ok::<_, StoreError>(())
        };
        store.write(work).await.unwrap();
    }
}

fn digits(nth: usize) -> String {
    format!("+1415201{nth:04}")
}

async fn open_account(
    tx: &mut Tx,
    account: &AccountId,
    registered: RegistrationType,
    class: CampaignClass,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.create_account(account, "bench", now).await?;
    let campaign = Campaign {
        id: CampaignId::generate(now),
        account_id: account.clone(),
        submitted_by: account.clone(),
        registration_type: registered,
        class,
        status: CampaignStatus::Pending,
        reason: None,
        sealed_form: String::new(),
        fee: Micros::ZERO,
        carrier: "sandbox".to_owned(),
        ask_at: None,
        submitted_at: now,
        decided_at: None,
    };
    tx.of(account).insert_campaign(&campaign).await?;
    tx.decide_campaign(&campaign, &Decision::Approved(class), now).await.map(drop)
}

fn number_of(account: &AccountId, nth: usize, now: Timestamp) -> Number {
    Number {
        id: NumberId::generate(now),
        account_id: account.clone(),
        phone_number: E164::parse(&digits(nth)).unwrap(),
        country: Country::parse("US").unwrap(),
        status: NumberStatus::Active,
        kind: "sms".to_owned(),
        agent_id: None,
        carrier: "sandbox".to_owned(),
        external_id: None,
        expires_at: None,
        purchased_at: now,
        renews_at: now.plus(Duration::from_secs(30 * 24 * 3600)),
        unpaid_since: None,
        released_at: None,
    }
}

/// So many messages in each of so many conversations, all to be sent.
async fn write(
    tx: &mut Tx,
    clock: &SystemClock,
    number: &Number,
    conversations: usize,
    each: usize,
) -> Result<(), StoreError> {
    let digits = number.phone_number.to_string();
    for n in 0..conversations {
        let (participant, id) = (format!("+1646{n:07}"), ConversationId::generate(clock.now()));
        let at: Vec<Timestamp> = (0..each).map(|_| clock.now()).collect();
        let touch = Touch {
            fresh_id: &id,
            account_id: &number.account_id,
            number_id: &number.id,
            phone_number: &digits,
            participant: &participant,
            agent_id: None,
            channel: Channel::Sms,
            body: "Your order is ready.",
            at: &at,
        };
        tx.touch_conversations(&[touch]).await?;
        let messages: Vec<Message> = at.iter().map(|at| message(number, &id, &participant, *at)).collect();
        tx.insert_messages(&messages.iter().map(|message| (message, Micros::ZERO)).collect::<Vec<_>>()).await?;
        let jobs: Vec<_> =
            messages.iter().map(|message| SendJob { message, due_at: message.at, exempt: false }).collect();
        tx.insert_send_jobs(&jobs).await?;
    }
    Ok(())
}

fn message(number: &Number, conversation: &ConversationId, to: &str, at: Timestamp) -> Message {
    Message {
        id: MessageId::generate(at),
        account_id: number.account_id.clone(),
        number_id: number.id.clone(),
        conversation_id: conversation.clone(),
        direction: Direction::Outbound,
        channel: Channel::Sms,
        status: MessageStatus::Queued,
        from: number.phone_number.to_string(),
        to: to.to_owned(),
        body: "Your order is ready.".to_owned(),
        media_urls: Vec::new(),
        segments: 1,
        failure: None,
        carrier: number.carrier.clone(),
        carrier_message_id: None,
        at,
        delivered_at: None,
        estimated_send_at: None,
    }
}
