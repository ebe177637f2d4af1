//! Brings to the platform what is due in the sandbox's air: texts for its numbers, and receipts.
//!
//! Like a real carrier it brings a thing again until it is acknowledged: a thing leaves the air only after the
//! platform has committed it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use offhook_carriers::{AirPayload, Inbound, InboundMessage, Receipt, SANDBOX};
use offhook_domain::Timestamp;
use offhook_store::sandbox_world::Airborne;
use offhook_store::{StoreError, Tx};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::lines::{self, Hold, LineWork};
use crate::app::receive_message::Brought;
use crate::app::{App, receiving};

/// The air is one line: its things come in the order they are due.
const LINE: &str = "air";
const PAGE: i64 = 256;
const LINGER: Duration = Duration::from_secs(1);
/// When a thing that the platform could not take yet is brought again. It stands behind the others then.
const PUT_OFF: Duration = Duration::from_secs(1);

struct SandboxAir {
    app: App,
}

/// Pumps the air until asked to stop.
///
/// # Errors
/// A worker that panicked.
pub async fn run(app: App, stop: CancellationToken) -> Result<(), String> {
    let (ring, rung) = mpsc::unbounded_channel();
    let air = app.wakes.air.clone();
    let ringing = async move {
        loop {
            air.notified().await;
            drop(ring.send(LINE.to_owned()));
        }
    };
    tokio::select! {
        done = lines::run(app.clone(), Arc::new(SandboxAir { app }), rung, stop) => done,
        () = ringing => Ok(()),
    }
}

impl LineWork for SandboxAir {
    const KIND: &'static str = "sandbox";

    async fn due(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        let next = self.app.store.read::<_, StoreError>(async |tx| tx.next_air_due().await).await?;
        Ok(next.filter(|due| *due <= now).map(|_| LINE.to_owned()).into_iter().collect())
    }

    async fn work(&self, _line: &str, hold: &Hold) -> Result<(), StoreError> {
        while hold.is_held() && !hold.stopping() {
            if self.bring_page().await? {
                continue;
            }
            let next = self.app.store.read::<_, StoreError>(async |tx| tx.next_air_due().await).await?;
            let soon = next.map(|due| due.since(self.app.now())).filter(|wait| *wait <= LINGER);
            if !hold.woken(Instant::now() + soon.unwrap_or(LINGER)).await && soon.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl SandboxAir {
    /// Whether there was anything to bring.
    async fn bring_page(&self) -> Result<bool, StoreError> {
        let now = self.app.now();
        let due = self.app.store.read::<_, StoreError>(async move |tx| tx.air_due(now, PAGE).await).await?;
        if due.is_empty() {
            return Ok(false);
        }
        // What can't be read is dropped.
        let brought: Vec<_> = due.iter().filter_map(|thing| Some((&thing.id, inbound(thing)?))).collect();
        let (ids, things): (Vec<_>, Vec<_>) = brought.into_iter().unzip();
        let mut later = HashSet::new();
        for (id, brought) in ids.into_iter().zip(receiving::receive_each(&self.app, things).await) {
            match brought {
                Ok(Brought::Kept | Brought::Dropped) => {}
                Ok(Brought::Later) => drop(later.insert(id.clone())),
                // Nobody could have kept it: others must not wait for it.
                Err(error) if error.is_of_the_values() => drop(later.insert(id.clone())),
                Err(error) => return Err(error),
            }
        }
        let (put_off, landed): (Vec<_>, Vec<_>) =
            due.into_iter().map(|thing| thing.id).partition(|id| later.contains(id));
        let again = self.app.now().plus(PUT_OFF);
        let change = async move |tx: &mut Tx| {
            tx.land(&landed).await?;
            tx.put_off(&put_off, again).await
        };
        self.app.store.write::<_, StoreError>(change).await.map(|()| true)
    }
}

fn inbound(thing: &Airborne) -> Option<Inbound> {
    let payload = serde_json::from_str(&thing.payload)
        .inspect_err(|error| tracing::error!(id = thing.id, %error, "an unreadable thing in the air is dropped"));
    Some(match payload.ok()? {
        AirPayload::Message { id, from, to, body, media_urls } => {
            Inbound::Message(InboundMessage { carrier: SANDBOX, carrier_message_id: id, from, to, body, media_urls })
        }
        AirPayload::Receipt { carrier_message_id, message_id, status, failure } => Inbound::Receipt(Receipt {
            carrier: SANDBOX,
            carrier_message_id,
            message_id: Some(message_id),
            status,
            failure,
            at: thing.due_at,
        }),
    })
}
