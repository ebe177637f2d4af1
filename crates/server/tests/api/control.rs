//! The operator's door on this machine.

use std::time::Duration;

use offhook_domain::{FeedbackId, Id};
use offhook_server::app::api_keys::{KeyCommand, KeyReport};
use offhook_server::app::opinions::{FeedbackCommand, FeedbackReport};
use offhook_server::control;
use offhook_server::lifecycle::{Lifecycle, Stopped};
use serde_json::json;
use tokio::net::UnixStream;

use crate::app::{TestApp, id};

#[tokio::test]
async fn a_silent_client_holds_up_neither_the_others_nor_the_drain() {
    let app = TestApp::start().await;
    let life = Lifecycle::new(Duration::from_secs(3));
    control::start(&app.app, &life);
    let data = &app.app.config.storage.data_dir;
    let _silent = UnixStream::connect(control::socket_path(data)).await.unwrap();

    let asked = control::ask(data, &KeyCommand::List { account: None });
    let report = tokio::time::timeout(Duration::from_secs(3), asked).await.unwrap().unwrap();
    assert!(matches!(report, KeyReport::Listed { .. }), "{report:?}");

    life.stop();
    assert_eq!(life.run_until_stopped().await, Stopped::Drained);
}

#[tokio::test]
async fn what_customers_told_is_read_through_it() {
    let app = TestApp::start().await;
    let life = Lifecycle::new(Duration::from_secs(3));
    control::start(&app.app, &life);
    let data = &app.app.config.storage.data_dir;
    let long = format!("a{}", "\u{7}".repeat(4999));
    let mut told = Vec::new();
    for note in ["It rang twice.", &long, "It rang at once."] {
        told.push(id(&app.post("/v1/feedback").json(json!({"category": "bell", "note": note})).await.ok()));
    }

    let list = async |before: Option<&str>, limit| {
        let before = before.map(|id| FeedbackId::parse(id).unwrap());
        let command = FeedbackCommand::List { before, limit };
        match control::ask(data, &command).await.unwrap() {
            FeedbackReport::Listed { opinions } => opinions,
            FeedbackReport::Failed { reason } => panic!("{reason}"),
        }
    };
    let newest = list(None, 2).await;
    assert_eq!(newest.iter().map(|one| one.id.to_string()).collect::<Vec<_>>(), [told[2].as_str(), &told[1]]);
    assert_eq!((newest[1].note.as_str(), &newest[1].account), (long.as_str(), &app.account));
    let older = list(Some(&told[1]), 100).await;
    assert_eq!(older.iter().map(|one| one.note.as_str()).collect::<Vec<_>>(), ["It rang twice."]);

    life.stop();
    assert_eq!(life.run_until_stopped().await, Stopped::Drained);
}
