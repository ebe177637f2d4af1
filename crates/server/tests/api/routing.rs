//! Two carriers, one of which stands in for the other.

use std::sync::Arc;
use std::time::Duration;

use offhook_carriers::{Inbound, Receipt};
use offhook_domain::circuit::Health;
use offhook_domain::message::ReceiptStatus;
use offhook_domain::routing::Terms;
use offhook_domain::{Country, Id, MessageId, Timestamp};
use offhook_server::app::App;
use offhook_server::app::carriers::Placed;
use offhook_server::app::operator::{CarrierCondition, OperatorCommand, OperatorReport, run_here};
use offhook_server::app::receiving::receive;
use offhook_store::engine::IntoValue;
use offhook_store::{Sql, StoreError, Tx};
use serde_json::json;

use crate::app::{Client, ScriptedCarrier, Setup, TestApp, Turn, id};

const OURS: &str = "+14155550100";
const ADA: &str = "+14152011234";
const BEN: &str = "+14152015678";
/// The carrier of the numbers in these tests, and the one that carries for it.
const HOME: &str = "sandbox";
const SECOND: &str = "second";

struct Two {
    app: TestApp,
    home: Arc<ScriptedCarrier>,
    second: Arc<ScriptedCarrier>,
}

impl Two {
    /// An installation with workers, and a number.
    async fn start(of_home: Terms, second: Arc<ScriptedCarrier>) -> Self {
        let home = ScriptedCarrier::named(HOME);
        let (first, other) = (home.clone(), second.clone());
        let setup = Setup::default().placed(move |_, _| {
            let carries = Terms { carries_for: vec![HOME.to_owned()], ..Terms::default() };
            vec![
                Placed { terms: of_home, ..Placed::anywhere(first) },
                Placed { terms: carries, ..Placed::anywhere(other) },
            ]
        });
        let app = setup.start().await;
        app.number(OURS).await;
        Self { app: app.working(), home, second }
    }

    async fn plain() -> Self {
        Self::start(Terms::default(), ScriptedCarrier::named(SECOND)).await
    }

    async fn send(&self, to: &str) -> String {
        send(&self.app, to).await
    }

    /// Sends a message, and waits until it is so.
    async fn sent(&self, to: &str, status: &str) -> String {
        let message = self.send(to).await;
        self.comes_to(&message, status).await;
        message
    }

    async fn comes_to(&self, message: &str, status: &str) {
        comes_to(&self.app.app, message, status).await;
    }

    fn health(&self) -> Health {
        self.app.app.health.of(HOME, self.app.app.now())
    }

    async fn hears(&self, carrier: &'static str, id: &str, message: Option<&str>) {
        let receipt = Receipt {
            carrier,
            carrier_message_id: id.to_owned(),
            message_id: message.map(|id| MessageId::parse(id).unwrap()),
            status: ReceiptStatus::Delivered,
            failure: None,
            at: Timestamp::from_micros(0),
        };
        receive(&self.app.app, vec![Inbound::Receipt(receipt)]).await.unwrap();
    }
}

async fn send(client: &Client, to: &str) -> String {
    let text = json!({"from_number": OURS, "to_number": to, "body": "Hi"});
    id(&client.post("/v1/messages").json(text).await.ok())
}

/// Where a message stands, and whose it is.
async fn state(app: &App, message: &str) -> (String, String) {
    const STATE: Sql = Sql("SELECT status, carrier FROM messages WHERE id = $1");
    let message = message.to_owned();
    let read = async move |tx: &mut Tx| {
        let mut row = tx.one(STATE, [message.as_str().into_value()]).await?;
        Ok::<(String, String), StoreError>((row.take()?, row.take()?))
    };
    app.store.read(read).await.unwrap()
}

pub async fn comes_to(app: &App, message: &str, status: &str) {
    let looking = tokio::time::timeout(Duration::from_secs(30), async {
        while state(app, message).await.0 != status {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    if looking.await.is_err() {
        panic!("{message} did not come to {status}: {:?}", state(app, message).await);
    }
}

#[tokio::test]
async fn a_carrier_that_is_down_is_stood_in_for_until_it_is_back() {
    let two = Two::plain().await;
    let well = two.sent(ADA, "sent").await;
    assert_eq!(state(&two.app.app, &well).await.1, HOME);

    two.home.set_down(true);
    let mut away = Vec::new();
    for _ in 0..7 {
        away.push(two.sent(ADA, "sent").await);
    }
    for message in &away {
        assert_eq!(state(&two.app.app, message).await.1, SECOND);
    }
    assert_eq!(two.home.asked().len(), 1 + 5, "five in vain are enough");
    assert_eq!(two.second.asked().len(), 7);
    assert_eq!(two.health(), Health::Ill);
    let asked = OperatorCommand::CarrierStates { carriers: vec![HOME.to_owned(), SECOND.to_owned()] };
    let OperatorReport::States { states } = run_here(&two.app.app, asked).await else { panic!("no states") };
    assert_eq!(
        states.iter().filter_map(|state| state.health).collect::<Vec<_>>(),
        [CarrierCondition::Ill, CarrierCondition::Well]
    );

    // Both gave a message the id SM1, and a receipt is of the one of its carrier.
    two.hears(SECOND, "SM1", None).await;
    two.comes_to(&away[0], "delivered").await;
    assert_eq!(state(&two.app.app, &well).await.0, "sent");
    // Replies come by the number's own carrier, into the same conversation.
    two.app.is_texted(ADA, OURS, "Yes?").await;
    let conversations = two.app.get("/v1/conversations").await.ok();
    assert_eq!(conversations["data"].as_array().unwrap().len(), 1);
    assert_eq!(conversations["data"][0]["messageCount"], 9);

    two.app.later(Duration::from_secs(10));
    two.sent(BEN, "sent").await;
    assert_eq!(two.home.asked().len(), 1 + 5 + 1, "one tries it, in vain");
    assert_eq!(two.second.asked().len(), 8, "and goes by the other at once");
    two.home.set_down(false);
    two.app.later(Duration::from_secs(20));
    let back = two.sent(BEN, "sent").await;
    assert_eq!(state(&two.app.app, &back).await.1, HOME);
    assert_eq!(two.health(), Health::Well);
    two.sent(BEN, "sent").await;
    assert_eq!(two.second.asked().len(), 8);
}

#[tokio::test]
async fn what_a_carrier_may_have_goes_by_no_other() {
    let two = Two::plain().await;
    two.home.next(ADA, [Turn::Lose]);
    let lost = two.sent(ADA, "unconfirmed").await;
    assert_eq!(state(&two.app.app, &lost).await.1, HOME);
    assert_eq!(two.second.asked().len(), 0);

    two.home.set_down(true);
    two.second.next(BEN, [Turn::Lose]);
    let lost = two.sent(BEN, "unconfirmed").await;
    assert_eq!(state(&two.app.app, &lost).await.1, SECOND);
    assert_eq!(two.second.asked(), [BEN]);
    // A receipt may still settle it.
    two.hears(SECOND, "SM-late", Some(&lost)).await;
    assert_eq!(state(&two.app.app, &lost).await, ("delivered".to_owned(), SECOND.to_owned()));
    two.sent(BEN, "sent").await;
    assert_eq!(two.second.asked().len(), 2, "nothing is sent twice");
}

#[tokio::test]
async fn a_receipt_of_the_second_may_be_faster_than_its_answer() {
    let two = Two::plain().await;
    two.home.set_down(true);
    two.second.next(ADA, [Turn::Wait]);
    two.hears(SECOND, "SM1", None).await;
    let message = two.send(ADA).await;
    let asked = tokio::time::timeout(Duration::from_secs(30), async {
        while two.second.asked().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    asked.await.unwrap();
    // Whoever waits is rung only where it has come to wait.
    let answered = tokio::time::timeout(Duration::from_secs(30), async {
        while state(&two.app.app, &message).await.0 == "queued" {
            two.second.may_answer.notify_waiters();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    answered.await.unwrap();
    two.comes_to(&message, "delivered").await;
    assert_eq!(state(&two.app.app, &message).await.1, SECOND);
}

#[tokio::test]
async fn where_all_are_down_a_message_waits_for_its_own() {
    let two = Two::plain().await;
    two.home.set_down(true);
    two.second.set_down(true);
    let message = two.send(ADA).await;
    let tried = async |wanted: usize| {
        let looking = tokio::time::timeout(Duration::from_secs(30), async {
            while two.home.asked().len() < wanted {
                two.app.later(Duration::from_secs(1));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        looking.await.unwrap();
    };
    tried(3).await;
    assert_eq!(state(&two.app.app, &message).await, ("queued".to_owned(), HOME.to_owned()));
    two.home.set_down(false);
    tried(4).await;
    two.comes_to(&message, "sent").await;
    assert_eq!(state(&two.app.app, &message).await.1, HOME);
}

#[tokio::test]
async fn a_drained_carrier_carries_for_nobody_else() {
    let two = Two::plain().await;
    let drain = OperatorCommand::DrainCarrier { carrier: SECOND.to_owned(), drained: true };
    assert_eq!(run_here(&two.app.app, drain).await, OperatorReport::Done);
    two.home.set_down(true);
    let message = two.send(ADA).await;
    let looking = tokio::time::timeout(Duration::from_secs(30), async {
        while two.home.asked().len() < 2 {
            two.app.later(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    looking.await.unwrap();
    assert_eq!(two.second.asked().len(), 0);
    assert_eq!(state(&two.app.app, &message).await.0, "queued");
}

#[tokio::test]
async fn a_country_that_its_own_carrier_is_not_for_is_reached_by_the_other() {
    let of_home = Terms { destinations: vec![Country::US], ..Terms::default() };
    let two = Two::start(of_home, ScriptedCarrier::named(SECOND)).await;
    let (here, abroad) = (two.sent(ADA, "sent").await, two.sent("+493012345678", "sent").await);
    assert_eq!(state(&two.app.app, &here).await.1, HOME);
    assert_eq!(state(&two.app.app, &abroad).await.1, SECOND);
    assert_eq!(two.home.asked(), [ADA]);
}

#[tokio::test]
async fn what_has_files_goes_by_no_carrier_that_takes_none() {
    let two = Two::start(Terms::default(), ScriptedCarrier::named_without_media(SECOND)).await;
    two.home.set_down(true);
    let text = json!({"from_number": OURS, "to_number": BEN, "body": "Hi", "media_urls": ["https://a.example/b.png"]});
    let picture = id(&two.app.post("/v1/messages").json(text).await.ok());
    two.sent(ADA, "sent").await;
    let looking = tokio::time::timeout(Duration::from_secs(30), async {
        while two.home.asked().iter().filter(|to| *to == BEN).count() < 2 {
            two.app.later(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    looking.await.unwrap();
    assert_eq!(two.second.asked(), [ADA]);
    assert_eq!(state(&two.app.app, &picture).await.0, "queued");
}
