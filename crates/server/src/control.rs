//! The operator's door on this machine: `offhook keys …`, `campaigns …`, `feedback …`, `carriers …` and `numbers …` while the server has the
//! SQLite file.
//!
//! A Unix socket in the data folder, for its owner only. One JSON line in, one JSON line out. Never on the
//! network.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::app::api_keys::{self, KeyCommand, KeyReport};
use crate::app::operator::{self, OperatorCommand};
use crate::app::opinions::{self, FeedbackCommand};
use crate::app::registration::{self, CampaignCommand};
use crate::lifecycle::Lifecycle;

const LONGEST_LINE: u64 = 64 * 1024;
/// A hundred opinions, each as long as may be.
const LONGEST_ANSWER: u64 = 8 * 1024 * 1024;
/// How long a client may take to say its command, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);
const MOST_AT_ONCE: usize = 16;

/// What can be asked here.
#[derive(Deserialize)]
#[serde(untagged)]
enum Command {
    Keys(KeyCommand),
    Campaigns(CampaignCommand),
    Operator(OperatorCommand),
    Feedback(FeedbackCommand),
}

/// Where the socket of an installation is.
#[must_use]
pub fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("offhook.sock")
}

/// Opens the door. Without it the server still runs, and says so.
pub fn start(app: &App, life: &Lifecycle) {
    let path = socket_path(&app.config.storage.data_dir);
    match listen(&path) {
        Ok(listener) => {
            let (app, stop, tasks) = (app.clone(), life.stop_token(), life.clone());
            life.spawn_worker("control", async move {
                let places = Arc::new(Semaphore::new(MOST_AT_ONCE));
                while let Some((place, accepted)) = stop.run_until_cancelled(accept(&listener, &places)).await {
                    let Ok(stream) = accepted else { continue };
                    let (app, stop) = (app.clone(), stop.clone());
                    tasks.spawn_task("control", async move {
                        if let Err(error) = answer(&app, stream, &stop).await {
                            tracing::warn!(%error, "a control command could not be answered");
                        }
                        drop(place);
                    });
                }
                drop(std::fs::remove_file(&path));
                Ok::<(), String>(())
            });
        }
        Err(error) => tracing::warn!(%error, path = %path.display(), "no control socket: offhook keys needs it"),
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // Whoever left it is gone: the data folder is locked.
    drop(std::fs::remove_file(path));
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &UnixListener,
    places: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, io::Result<UnixStream>) {
    let place = Arc::clone(places).acquire_owned().await.ok();
    (place, listener.accept().await.map(|(stream, _)| stream))
}

/// A client that says nothing, or takes nothing, holds up neither the others nor the drain. A command that was read
/// is always done and answered.
async fn answer(app: &App, mut stream: UnixStream, stop: &CancellationToken) -> io::Result<()> {
    let (reading, mut writing) = stream.split();
    let mut line = String::new();
    let mut reader = BufReader::new(reading.take(LONGEST_LINE));
    match stop.run_until_cancelled(timeout(PATIENCE, reader.read_line(&mut line))).await {
        Some(read) => read??,
        None => return Ok(()),
    };
    let mut text = match serde_json::from_str::<Command>(&line) {
        Ok(Command::Keys(command)) => {
            let report = api_keys::run(&app.store, &*app.clock, command).await;
            // A key revoked here stops working here at once.
            app.keys.invalidate_all();
            serde_json::to_string(&report)
        }
        Ok(Command::Campaigns(command)) => {
            serde_json::to_string(&registration::run(&app.store, &*app.clock, command).await)
        }
        Ok(Command::Operator(command)) => serde_json::to_string(&operator::run_here(app, command).await),
        Ok(Command::Feedback(command)) => serde_json::to_string(&opinions::run(&app.store, command).await),
        Err(error) => serde_json::to_string(&KeyReport::Failed { reason: format!("unreadable command: {error}") }),
    }
    .map_err(io::Error::other)?;
    text.push('\n');
    timeout(PATIENCE, writing.write_all(text.as_bytes())).await?
}

/// Sends a command to the running server.
///
/// # Errors
/// No server listens there, or it went away.
pub async fn ask<R: DeserializeOwned>(data_dir: &Path, command: &impl Serialize) -> io::Result<R> {
    let mut stream = UnixStream::connect(socket_path(data_dir)).await?;
    let (reading, mut writing) = stream.split();
    let mut text = serde_json::to_string(command).map_err(io::Error::other)?;
    text.push('\n');
    writing.write_all(text.as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(reading.take(LONGEST_ANSWER)).read_line(&mut line).await?;
    serde_json::from_str(&line).map_err(io::Error::other)
}
