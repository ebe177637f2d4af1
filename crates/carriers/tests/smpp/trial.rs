//! Binds that are only tried.

use std::time::Duration;

use offhook_carriers::smpp::{BindAs, SmppSettings, SmppTls, try_binds};
use offhook_smpp::Status;
use offhook_testkit::smsc::Smsc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

fn settings(port: u16) -> SmppSettings {
    SmppSettings {
        response_timeout: Duration::from_millis(700),
        ..SmppSettings::new("smpp", "127.0.0.1", port, "us", "secret")
    }
}

/// What is in the way.
async fn why(settings: &SmppSettings) -> String {
    try_binds(settings).await.remove(0).bound.unwrap_err().to_string()
}

/// A peer that says one thing, and then nothing.
async fn says(words: &'static [u8], tasks: &mut JoinSet<()>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = [0; 256];
        assert!(stream.read(&mut heard).await.unwrap() > 0);
        stream.write_all(words).await.unwrap();
        while stream.read(&mut heard).await.is_ok_and(|count| count > 0) {}
    });
    port
}

#[tokio::test]
async fn who_is_let_in_takes_leave() {
    let smsc = Smsc::start().await;
    let pair = SmppSettings { bind: BindAs::Pair, connections: 3, ..settings(smsc.port()) };
    let tried = try_binds(&pair).await;
    let modes: Vec<&str> = tried.iter().map(|one| one.mode).collect();
    assert_eq!(modes, ["transmitter", "receiver"]);
    assert!(tried.iter().all(|one| one.bound.is_ok()), "{tried:?}");
    smsc.deserted().await;
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why() {
    let smsc = Smsc::start().await;
    smsc.behave(|manners| manners.bind = Status::RINVPASWD);
    let refused = why(&settings(smsc.port())).await;
    assert!(refused.contains("ESME_RINVPASWD"), "{refused}");

    let mut peers = JoinSet::new();
    let http = says(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", &mut peers).await;
    let garbage = why(&settings(http)).await;
    assert!(!garbage.is_empty() && !garbage.contains("not answered"), "{garbage}");
    let silent = says(b"", &mut peers).await;
    assert_eq!(why(&settings(silent)).await, "the bind was not answered");

    smsc.behave(|manners| manners.bind = Status::ROK);
    let mut with_tls = settings(smsc.port());
    with_tls.tls = Some(SmppTls::trusting(Vec::new()).unwrap());
    let plain = why(&with_tls).await;
    assert!(plain.starts_with("no connection: "), "{plain}");
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    assert!(why(&settings(gone)).await.starts_with("no connection: "));
}
