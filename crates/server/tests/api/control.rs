//! The operator's door on this machine.

use std::time::Duration;

use offhook_server::app::api_keys::{KeyCommand, KeyReport};
use offhook_server::control;
use offhook_server::lifecycle::{Lifecycle, Stopped};
use tokio::net::UnixStream;

use crate::app::TestApp;

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
