//! Two transactions that met at a message, told one after the other: what the second had read is old.

use offhook_domain::Destination;
use offhook_domain::ledger::Book;
use offhook_store::numbers::NumberSought;

use super::*;
use crate::app::bootstrap;
use crate::app::send_message::{self, Order};
use crate::config::Config;
use crate::startup;

const DELIVERED: ReceiptStatus = ReceiptStatus::Delivered;
const UNDELIVERED: ReceiptStatus = ReceiptStatus::Undelivered;

/// An installation with a message that waits to be sent, as it was read.
struct Story {
    app: App,
    read: Flight,
    _folder: tempfile::TempDir,
}

impl Story {
    async fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_str().unwrap().to_owned();
        let config = Config::load(&|name| match name {
            "OFFHOOK_DATA" => Some(data.clone()),
            "OFFHOOK__MODE__SANDBOX" => Some("true".to_owned()),
            "OFFHOOK__PRICES__SANDBOX_FREE" => Some("false".to_owned()),
            _ => None,
        });
        let app = startup::open(config.unwrap()).await.unwrap();
        let started = bootstrap::run(&app).await.unwrap();
        let order = Order {
            account: started.account,
            agent: None,
            sender: NumberSought::FirstOfAgent(started.agent.unwrap()),
            to: Destination::parse("+14155550123").unwrap(),
            body: "Hello".to_owned(),
            media_urls: Vec::new(),
        };
        let doors = app.clone();
        let accept = async move |tx: &mut Tx| {
            let mut all =
                send_message::accept_all(tx, &[&order], doors.prices(), &doors.config, &doors.carriers, &*doors.clock)
                    .await?;
            let message = all.remove(0).unwrap();
            Ok::<_, StoreError>(tx.flights(&[message.id]).await?.remove(0).unwrap())
        };
        let read = app.store.write(accept).await.unwrap();
        Self { app, read, _folder: folder }
    }

    /// Has it heard of the message as it was when it was read.
    async fn hear(&self, told: &[Told]) {
        let (doors, read, told) = (self.app.clone(), self.read.clone(), told.to_vec());
        let write_all = async move |tx: &mut Tx| {
            let mut moving = Moving::new(read.clone());
            told.iter().cloned().for_each(|told| moving.hear(told));
            write(&doors, tx, vec![moving]).await
        };
        self.app.store.write::<_, StoreError>(write_all).await.unwrap();
    }

    async fn status(&self) -> MessageStatus {
        let id = self.read.id.clone();
        let look = async move |tx: &mut Tx| tx.message_state(&id).await;
        self.app.store.read::<_, StoreError>(look).await.unwrap().unwrap().0
    }

    async fn wallet(&self) -> i64 {
        let account = self.read.account_id.clone();
        let look = async move |tx: &mut Tx| tx.of(&account).balance(Book::Wallet).await;
        self.app.store.read::<_, StoreError>(look).await.unwrap().0
    }
}

fn receipt(status: ReceiptStatus) -> Told {
    Told::Receipt(status, None, Timestamp::from_micros(1))
}

fn lost() -> Told {
    Told::Lost(Failure::new("30001", "the answer was lost"))
}

fn refused() -> Told {
    Told::Refused(Failure::new("21211", "the number is not valid"))
}

#[tokio::test]
async fn the_second_of_two_receipts_is_not_dropped() {
    let story = Story::begin().await;
    story.hear(&[lost()]).await;
    story.hear(&[receipt(ReceiptStatus::Sent)]).await;
    assert_eq!(story.status().await, MessageStatus::Sent);
    story.hear(&[receipt(ReceiptStatus::Sent), receipt(DELIVERED)]).await;
    assert_eq!(story.status().await, MessageStatus::Delivered);
}

#[tokio::test]
async fn the_first_final_receipt_wins_over_one_that_met_it() {
    let story = Story::begin().await;
    story.hear(&[receipt(DELIVERED)]).await;
    story.hear(&[receipt(UNDELIVERED)]).await;
    assert_eq!(story.status().await, MessageStatus::Delivered);
}

#[tokio::test]
async fn a_refusal_that_met_another_move_gives_the_price_back_once_or_not_at_all() {
    let story = Story::begin().await;
    let paid = story.wallet().await;
    story.hear(&[lost()]).await;
    story.hear(&[refused()]).await;
    story.hear(&[refused()]).await;
    assert_eq!(story.status().await, MessageStatus::Failed);
    assert_eq!(story.wallet().await - paid, story.read.price.0);

    let story = Story::begin().await;
    let paid = story.wallet().await;
    story.hear(&[receipt(DELIVERED)]).await;
    story.hear(&[refused()]).await;
    assert_eq!(story.status().await, MessageStatus::Delivered);
    assert_eq!(story.wallet().await, paid, "it has arrived: nothing is given back");
}
