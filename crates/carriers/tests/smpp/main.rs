//! The SMPP carrier against a message centre with the faults of real ones.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]
#![allow(clippy::disallowed_methods, reason = "tests watch what they start")]

mod arriving;
mod cuts;
mod interop;
mod remembered;
mod sending;
mod trial;

use std::sync::Arc;
use std::time::Duration;

use offhook_carriers::smpp::{SmppCarrier, SmppSettings};
use offhook_carriers::{Carrier, Submission};
use offhook_domain::{Clock, E164, Id, MessageId, SystemClock};
use offhook_smpp::{Address, Message};
use offhook_testkit::smsc::Smsc;
use tokio_util::sync::CancellationToken;

use self::remembered::Platform;

pub const OURS: &str = "+14155550100";
pub const THEIRS: &str = "+14155550111";

/// A carrier that runs against a message centre.
pub struct Stage {
    pub smsc: Smsc,
    pub platform: Arc<Platform>,
    pub carrier: Arc<SmppCarrier>,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut SmppSettings)) -> Self {
        let stage = Self::over(Smsc::start().await, Arc::default(), change);
        stage.carrier.all_bound().await;
        stage
    }

    /// One whose connections may not be made.
    pub fn over(smsc: Smsc, platform: Arc<Platform>, change: impl FnOnce(&mut SmppSettings)) -> Self {
        let mut settings = SmppSettings::new("smpp", "127.0.0.1", smsc.port(), "us", "secret");
        settings.response_timeout = Duration::from_secs(5);
        settings.reconnect_at_most = Duration::from_millis(300);
        // Machines that run tests may be slow.
        settings.unbound_patience = Duration::from_secs(5);
        change(&mut settings);
        let carrier = SmppCarrier::new(settings, platform.clone(), Arc::new(SystemClock::default()));
        let (stop, runner, sink) = (CancellationToken::new(), carrier.clone(), platform.clone());
        let stopping = stop.clone();
        let running = tokio::spawn(async move { runner.run(sink, stopping).await });
        Self { smsc, platform, carrier, stop, running }
    }

    /// Stops the carrier, and waits until it has taken leave.
    pub async fn stop(self) -> (Smsc, Arc<Platform>) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(20), self.running).await.expect("it stops").unwrap();
        (self.smsc, self.platform)
    }

    /// Ends the carrier where it stands, as a crash would.
    pub async fn crash(self) -> (Smsc, Arc<Platform>) {
        self.running.abort();
        drop(self.running.await);
        drop(self.carrier);
        (self.smsc, self.platform)
    }
}

pub fn submission(body: &str) -> Submission {
    Submission {
        message_id: MessageId::generate(SystemClock::default().now()),
        from: E164::parse(OURS).unwrap(),
        to: THEIRS.to_owned(),
        body: body.to_owned(),
        media_urls: Vec::new(),
        attempt: 0,
        until: None,
    }
}

/// A text from a handset, in the default alphabet.
pub fn text(body: &str) -> Message {
    Message {
        source: Address::new(1, 1, &THEIRS[1..]),
        destination: Address::new(1, 1, &OURS[1..]),
        short_message: offhook_smpp::encode(body, offhook_smpp::Coding::Gsm7, 0),
        ..Message::default()
    }
}
