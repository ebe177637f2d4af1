//! What is done now and then: receipts that crossed with their answers, outcomes past their time, gauges.

use std::time::Duration;

use offhook_domain::guards::{day_of, hour_of};
use offhook_domain::{DeliveryId, Id};
use offhook_store::{StoreError, Tx};
use tokio_util::sync::CancellationToken;

use crate::app::{App, codes, record_outcome, registration};
use crate::telemetry::names;

const EVERY: Duration = Duration::from_secs(1);
/// The most pages of belated receipts in one round.
const BELATED_PAGES: usize = 50;
/// Pruning is done every so many rounds.
const PRUNE_ROUNDS: u32 = 600;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How much of the log is dropped in one transaction, and how many of them in one round.
const PORTION: i64 = 500;
const PORTIONS: usize = 20;
/// Waiting deliveries are counted up to here: a gauge must not cost what a backlog costs.
const MOST_COUNTED: i64 = 100_000;
/// How long a receipt waits for a send that nobody knows.
const RECEIPT_KEPT: Duration = Duration::from_secs(3 * 24 * 3600);

/// Does its rounds until asked to stop. Safe on every node at once: each step is one transaction that finds its
/// own work.
///
/// # Errors
/// Never: a round that fails is logged and done again.
pub async fn run(app: App, stop: CancellationToken) -> Result<(), String> {
    let mut round = 0u32;
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        if let Err(error) = do_round(&app, round.is_multiple_of(PRUNE_ROUNDS)).await {
            tracing::warn!(%error, "a round of housekeeping failed");
        }
        round = round.wrapping_add(1);
    }
    Ok(())
}

async fn do_round(app: &App, prune: bool) -> Result<(), StoreError> {
    for _ in 0..BELATED_PAGES {
        if !record_outcome::apply_belated(app).await? {
            break;
        }
    }
    note_key_uses(app).await?;
    registration::ask_carriers(app).await?;
    show_send_queue(app).await?;
    show_delivery_queue(app).await?;
    forget_deliveries(app).await?;
    if prune {
        super::retention::round(app).await?;
        let now = app.now();
        app.store
            .write::<_, StoreError>(async move |tx: &mut Tx| {
                tx.prune_idempotency(now).await?;
                let (day, hour) = (day_of(now.minus(DAY * 40)), hour_of(now.minus(DAY)));
                tx.prune_guards(day, hour, now.minus(DAY * 2)).await?;
                tx.prune_rate_buckets(now.minus(DAY)).await?;
                tx.prune_sign_ups(now.minus(codes::REMEMBERED)).await?;
                tx.prune_verifications(now.minus(codes::REMEMBERED)).await?;
                tx.prune_early_receipts(now.minus(RECEIPT_KEPT)).await
            })
            .await?;
    }
    Ok(())
}

/// Writes down which keys were used lately, and from where.
///
/// # Errors
/// [`StoreError`].
pub async fn note_key_uses(app: &App) -> Result<(), StoreError> {
    let uses = app.keys.take_uses();
    if uses.is_empty() {
        return Ok(());
    }
    app.store.write(async move |tx: &mut Tx| tx.keys_were_used(&uses).await).await
}

async fn show_send_queue(app: &App) -> Result<(), StoreError> {
    let (depth, oldest) = app.store.read::<_, StoreError>(async |tx: &mut Tx| tx.send_queue_depth().await).await?;
    let age = oldest.map_or(Duration::ZERO, |at| app.now().since(at));
    metrics::gauge!(names::QUEUE_DEPTH, "queue" => "send").set(depth as f64);
    metrics::gauge!(names::QUEUE_OLDEST_AGE_SECONDS, "queue" => "send").set(age.as_secs_f64());
    Ok(())
}

/// Drops from the log what is past its time, in portions that leave the writer free in between.
async fn forget_deliveries(app: &App) -> Result<(), StoreError> {
    let kept = DAY * app.config.retention.webhook_delivery_days;
    let before = DeliveryId::generate(app.now().minus(kept));
    for _ in 0..PORTIONS {
        let before = before.clone();
        let forget = async move |tx: &mut Tx| tx.forget_deliveries(&before, PORTION).await;
        if app.store.write::<_, StoreError>(forget).await? < PORTION as usize {
            break;
        }
    }
    Ok(())
}

async fn show_delivery_queue(app: &App) -> Result<(), StoreError> {
    let count = async |tx: &mut Tx| tx.deliveries_waiting(MOST_COUNTED).await;
    let depth = app.store.read::<_, StoreError>(count).await?;
    metrics::gauge!(names::QUEUE_DEPTH, "queue" => "deliver").set(depth as f64);
    Ok(())
}
