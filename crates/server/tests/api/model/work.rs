//! Has the product's workers do all that is due, in the order that the model's `pass` follows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use offhook_domain::Timestamp;
use offhook_server::app::{reconcile_purchases, record_outcome};
use offhook_server::jobs::deliver_webhooks::DeliverWebhooks;
use offhook_server::jobs::lines::{self, LineWork};
use offhook_server::jobs::sandbox_air;
use offhook_server::jobs::send_messages::SendMessages;
use offhook_store::{StoreError, Tx};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::drive::Stage;
use super::world::{Agrees, Mismatch, disagree};

/// For what is waited for. Nothing takes long; a machine may.
const DEADLINE: Duration = Duration::from_secs(60);

impl Stage {
    /// Purchases, numbers, messages, events: one after the other, each until nothing of it is due.
    pub async fn have_all_work(&self) -> Agrees {
        let app = &self.app.app;
        let failed = |error: StoreError| Mismatch(format!("a worker failed: {error}"));
        while reconcile_purchases::reconcile_purchases(app).await.map_err(failed)? > 0 {}
        self.app.look_after_numbers().await;
        let stop = CancellationToken::new();
        let sends = worker(self, SendMessages::new(app.clone()), &stop);
        let air = begin(sandbox_air::run(app.clone(), stop.clone()));
        self.until_nothing_is_due("messages", async |tx, now| {
            let sends = tx.send_lines_due(now).await?.len();
            let air = tx.next_air_due().await?.filter(|due| *due <= now);
            Ok(sends + usize::from(air.is_some()))
        })
        .await?;
        stop.cancel();
        for worker in [sends, air] {
            worker.await.map_err(|error| Mismatch(error.to_string()))?.map_err(Mismatch)?;
        }
        while record_outcome::apply_belated(app).await.map_err(failed)? {}
        let stop = CancellationToken::new();
        let deliveries = worker(self, DeliverWebhooks::new(app.clone()), &stop);
        self.until_nothing_is_due("events", async |tx, now| Ok(tx.delivery_lines_due(now).await?.len())).await?;
        stop.cancel();
        deliveries.await.map_err(|error| Mismatch(error.to_string()))?.map_err(Mismatch)
    }

    async fn until_nothing_is_due(
        &self,
        what: &str,
        due: impl AsyncFn(&mut Tx, Timestamp) -> Result<usize, StoreError> + Clone + Send + 'static,
    ) -> Agrees {
        let began = Instant::now();
        loop {
            let (due, now) = (due.clone(), self.app.app.now());
            let left = self.app.app.store.read::<_, StoreError>(async move |tx: &mut Tx| due(tx, now).await).await;
            match left {
                Ok(0) => return Ok(()),
                left if began.elapsed() > DEADLINE => disagree!("{what} are still due: {left:?}"),
                _ => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }
}

type Worker = JoinHandle<Result<(), String>>;

fn worker<W: LineWork>(stage: &Stage, work: W, stop: &CancellationToken) -> Worker {
    let (_, rung) = mpsc::unbounded_channel();
    begin(lines::run(stage.app.app.clone(), Arc::new(work), rung, stop.clone()))
}

#[expect(clippy::disallowed_methods, reason = "a test waits for what it starts")]
fn begin(work: impl Future<Output = Result<(), String>> + Send + 'static) -> Worker {
    tokio::spawn(work)
}
