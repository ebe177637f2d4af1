//! The calls of this node. In: orders to take one or to place one, and those that are to end. Out: each is led by the
//! exchange. Beside it, the node says that it leads its calls, and closes those that nobody leads any more.

use std::sync::Arc;
use std::time::Duration;

use offhook_domain::CallId;
use offhook_domain::call::EndReason;
use offhook_domain::ledger::Book;
use offhook_store::call_flow::OpenCall;
use offhook_store::{StoreError, Tx};
use offhook_voice::exchange::Exchange;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::app::host_calls::{self, HostCalls, LASTING};
use crate::app::networks::Networks;
use crate::app::recordings;
use crate::app::{App, CallOrder};
use crate::telemetry::names;

/// How often a node says that it leads its calls: three may fail before another one takes them for lost.
const HEARTBEAT: Duration = Duration::from_secs(3);
/// How often it looks which of them are to end, when nobody rings.
const LOOK: Duration = Duration::from_secs(1);
/// Lost calls that are closed at once.
const LOST: i64 = 100;
/// Of the time that a stop has, what is kept for closing the books.
const CLOSING: Duration = Duration::from_secs(5);

/// Leads calls until it is stopped, and then those that stand for a while longer.
///
/// # Errors
/// Sockets that are configured can't be opened.
pub async fn run(
    app: App,
    mut orders: mpsc::UnboundedReceiver<CallOrder>,
    stop: CancellationToken,
) -> Result<(), String> {
    let host = Arc::new(HostCalls::new(app.clone()));
    let exchange = Exchange::new(host.clone());
    let networks = Networks::open(&app, &exchange).await.map_err(|error| error.to_string())?;
    if let Err(error) = recordings::keep_leftovers(&app).await {
        tracing::warn!(%error, "what an earlier life recorded could not be kept yet");
    }
    let (mut heartbeat, mut look) = (tokio::time::interval(HEARTBEAT), tokio::time::interval(LOOK));
    heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let draining = drain(&app, &exchange, &networks, &stop);
    tokio::pin!(draining);
    loop {
        tokio::select! {
            () = &mut draining => break,
            Some(order) = orders.recv() => match order {
                CallOrder::Take { arrival, line } => exchange.take(arrival, line),
                CallOrder::Place(call) => place(&app, &host, &exchange, &networks, call),
                CallOrder::End => end_wanted(&app, &exchange).await,
            },
            _ = heartbeat.tick() => {
                metrics::gauge!(names::CALLS_LED).set(exchange.calls_here().len() as f64);
                networks.measure();
                beat(&app, &exchange).await;
            }
            _ = look.tick() => end_wanted(&app, &exchange).await,
        }
    }
    networks.close().await;
    Ok(())
}

/// After the stop: no new calls, time for those that stand, and an end for the rest.
async fn drain(app: &App, exchange: &Exchange, networks: &Networks, stop: &CancellationToken) {
    stop.cancelled().await;
    networks.drain();
    exchange.drain(app.config.server.drain.saturating_sub(CLOSING)).await;
    app.turns.close();
    let _ = tokio::time::timeout(CLOSING, app.turns.wait()).await;
}

/// Has a kept call placed, beside everything else.
fn place(app: &App, host: &Arc<HostCalls>, exchange: &Exchange, networks: &Networks, call: CallId) {
    let (app, host, exchange, networks) = (app.clone(), host.clone(), exchange.clone(), networks.clone());
    let turns = app.turns.clone();
    turns.spawn(async move {
        match host.job_of(&call).await {
            Ok(Some((job, open))) => match networks.dial(&open, &job.plan).await {
                Ok(line) => exchange.place(job, line),
                Err(reason) => close(&app, &open, reason).await,
            },
            Ok(None) => tracing::info!(call.id = %call, "a call was over, or its agent gone, before it was placed"),
            // It is taken for lost, and closed, when nobody speaks for it any more.
            Err(error) => tracing::error!(call.id = %call, %error, "a call could not be placed"),
        }
    });
}

async fn close(app: &App, open: &OpenCall, reason: EndReason) {
    let ending = crate::app::end_call::Ending { reason, at: app.now(), recording: None };
    host_calls::close(app, &open.id, &ending).await;
}

/// Ends the calls of this node that somebody wants to end.
async fn end_wanted(app: &App, exchange: &Exchange) {
    if exchange.calls_here().is_empty() {
        return;
    }
    let node = app.node.clone();
    let wanted = app.store.read::<_, StoreError>(async move |tx: &mut Tx| tx.calls_to_end(&node).await).await;
    match wanted {
        Ok(calls) => {
            for call in &calls {
                exchange.end(call, EndReason::Canceled);
            }
        }
        Err(error) => tracing::warn!(%error, "which calls are to end could not be looked up"),
    }
}

/// Says that this node leads its calls, ends those that nobody can pay for, and closes lost ones.
async fn beat(app: &App, exchange: &Exchange) {
    let beaten = async {
        if !exchange.calls_here().is_empty() {
            let node = app.node.clone();
            let prolong = async move |tx: &mut Tx| tx.prolong_calls(&node, LASTING).await;
            app.store.write::<_, StoreError>(prolong).await?;
            end_unpayable(app, exchange).await?;
        }
        close_lost(app).await
    };
    if let Err(error) = beaten.await {
        tracing::warn!(%error, "the calls of this node could not be looked after");
    }
}

async fn end_unpayable(app: &App, exchange: &Exchange) -> Result<(), StoreError> {
    let minute = app.prices().voice_minute;
    if minute.is_zero() {
        return Ok(());
    }
    let (node, now) = (app.node.clone(), app.now());
    let unpayable = async move |tx: &mut Tx| {
        let mut gone = Vec::new();
        let mut owed: std::collections::HashMap<_, i64> = std::collections::HashMap::new();
        for call in tx.calls_led_by(&node).await? {
            let Some(answered) = call.answered_at else { continue };
            let payers = tx.payers_of([&call.account_id]).await?;
            let payer = payers.of(&call.account_id).clone();
            let so_far = offhook_domain::call::price(minute, offhook_domain::Micros::ZERO, now.since(answered));
            // Several calls share one wallet.
            let owed = owed.entry(payer).or_default();
            *owed = owed.saturating_add(so_far.0);
            if tx.of(&call.account_id).balance(Book::Wallet).await?.0 < *owed {
                gone.push(call.id);
            }
        }
        Ok(gone)
    };
    for call in app.store.read::<_, StoreError>(unpayable).await? {
        exchange.end(&call, EndReason::BalanceExhausted);
    }
    Ok(())
}

async fn close_lost(app: &App) -> Result<(), StoreError> {
    let lost = app.store.read::<_, StoreError>(async |tx: &mut Tx| tx.lost_calls(LOST).await).await?;
    for open in lost {
        let (id, node) = (open.id.clone(), app.node.clone());
        let take_over = async move |tx: &mut Tx| {
            let Some(until) = tx.call_lost_at(&id).await? else { return Ok(None) };
            Ok(tx.take_call_over(&id, &node, LASTING).await?.then_some(until))
        };
        if let Some(until) = app.store.write::<_, StoreError>(take_over).await? {
            tracing::warn!(call.id = %open.id, "nobody leads this call any more: it is closed");
            // It was led until its last sign of life.
            let ending = host_calls::ending_of_lost(&open, until.minus(LASTING));
            host_calls::close(app, &open.id, &ending).await;
        }
    }
    Ok(())
}
