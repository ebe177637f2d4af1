//! The life of a server process: workers and doors up, then a drain when it is asked to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::app::App;
use crate::clients::Allowance;
use crate::jobs::deliver_webhooks::DeliverWebhooks;
use crate::jobs::send_messages::SendMessages;
use crate::jobs::{
    fetch_media, follow_trunks, housekeeping, lead_calls, lines, numbers, remove_media, sandbox_air, send_mails,
};
use crate::lifecycle::{Lifecycle, Stopped};
use crate::open_files::Shares;
use crate::{clients, control, http, telemetry};

/// Starts the workers of this node.
pub fn start_workers(app: &App, life: &Lifecycle) {
    let stop = life.stop_token();
    if let Some(ears) = app.wakes.listen() {
        let sends = Arc::new(SendMessages::new(app.clone()));
        life.spawn_worker("send messages", lines::run(app.clone(), sends, ears.sends, stop.clone()));
        let deliveries = Arc::new(DeliverWebhooks::new(app.clone()));
        life.spawn_worker("calls", lead_calls::run(app.clone(), ears.calls, stop.clone()));
        life.spawn_worker("deliver webhooks", lines::run(app.clone(), deliveries, ears.deliveries, stop.clone()));
    }
    life.spawn_worker("numbers", numbers::run(app.clone(), stop.clone()));
    life.spawn_worker("mails", send_mails::run(app.clone(), stop.clone()));
    life.spawn_worker("fetch media", fetch_media::run(app.clone(), stop.clone()));
    life.spawn_worker("remove media", remove_media::run(app.clone(), stop.clone()));
    life.spawn_worker("SIP trunks", follow_trunks::run(app.clone(), stop.clone()));
    life.spawn_worker("housekeeping", housekeeping::run(app.clone(), stop.clone()));
    if app.config.mode.sandbox {
        life.spawn_worker("sandbox air", sandbox_air::run(app.clone(), stop.clone()));
    }
    for carrier in app.carriers.all() {
        let (carrier, sink, stop) = (carrier.clone(), Arc::new(app.clone()), stop.clone());
        life.spawn_worker(carrier.name(), async move {
            carrier.run(sink, stop).await;
            Ok::<(), String>(())
        });
    }
    life.spawn_worker("metrics", async move {
        telemetry::upkeep(stop).await;
        Ok::<(), String>(())
    });
}

/// Binds the API's address.
///
/// # Errors
/// The address is taken or not ours.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until asked to stop, and drains.
pub async fn run(app: App, listener: TcpListener, life: Lifecycle) -> Stopped {
    let stop = life.stop_token();
    control::start(&app, &life);
    let server = &app.config.server;
    let allowance = Allowance { connections: Shares::of(&app.config).clients, idle: server.idle_timeout };
    if allowance.connections < server.connections {
        tracing::info!(
            connections = allowance.connections,
            "the limit of open files leaves room for fewer clients than server.connections"
        );
    }
    let (router, _) = http::router(app);
    life.spawn_worker("http", clients::serve(listener, router, allowance, stop));
    life.run_until_stopped().await
}
