//! Recordings of calls. While a call goes on, its sound is written into a file of this node; when it is over, the file
//! becomes an object, beside the files of messages.
//!
//! In: a call that was recorded. Out: the object. A file that a crash left is mended and kept when the node is back.

use std::path::{Path, PathBuf};

use offhook_domain::ledger::{EntryKind, Posting};
use offhook_domain::{AccountId, CallId, Id};
use offhook_store::call_flow::RecordsCalls;
use offhook_store::{StoreError, Tx};

use super::App;

/// Where this node writes what it records.
fn folder(app: &App) -> PathBuf {
    app.config.storage.data_dir.join("recording")
}

/// Whether a call of an account that begins now is recorded. The first of a period pays for it, where it costs something; one
/// that can't be paid for is not recorded.
///
/// # Errors
/// [`StoreError`].
pub async fn records(app: &App, tx: &mut Tx, account: &AccountId) -> Result<bool, StoreError> {
    let RecordsCalls { wanted, .. } = tx.of(account).records_calls().await?;
    Ok(wanted.unwrap_or(app.config.voice.record) && pay(app, tx, account).await?)
}

/// Pays for a period of recording, unless it is paid for; false where the balance does not cover it.
///
/// # Errors
/// [`StoreError`].
pub async fn pay(app: &App, tx: &mut Tx, account: &AccountId) -> Result<bool, StoreError> {
    let (price, now) = (app.prices().recording_period, app.now());
    let mut scope = tx.of(account);
    let is_paid = scope.records_calls().await?.paid_until.is_some_and(|until| until > now);
    if price.is_zero() || is_paid {
        return Ok(true);
    }
    if !scope.recording_is_paid(now.plus(app.config.numbers.period()), now).await? {
        return Ok(true);
    }
    let reference = account.as_str().to_owned();
    let charge = Posting { kind: EntryKind::Recording, amount: price, reference, at: now };
    if scope.post_covered(&charge).await? {
        return Ok(true);
    }
    // As if it had not been paid: the time is over already.
    scope.recording_is_paid(now, now.plus(app.config.numbers.period())).await?;
    Ok(false)
}

/// The file of a call that is being recorded.
#[must_use]
pub fn file_of(app: &App, call: &CallId) -> PathBuf {
    folder(app).join(format!("{}.wav", call.as_str()))
}

/// The object that a call's recording is kept in.
fn object_of(call: &CallId) -> String {
    format!("recordings/{}.wav", call.as_str())
}

/// Keeps what was recorded of a call; the object that it is in. Nothing was recorded, or it can't be kept now: then the file
/// stays, and the next start tries again.
pub async fn keep(app: &App, call: &CallId) -> Option<String> {
    let (file, object) = (file_of(app, call), object_of(call));
    match app.media.put_file(&object, &file).await {
        Ok(true) => {
            // What stays is kept twice, and once more with the next start.
            let _ = tokio::fs::remove_file(&file).await;
            Some(object)
        }
        Ok(false) => None,
        Err(error) => {
            tracing::error!(call.id = %call, %error, "a recording can't be kept; its file stays");
            None
        }
    }
}

/// Keeps what an earlier life of this node recorded and did not keep.
///
/// # Errors
/// [`StoreError`].
pub async fn keep_leftovers(app: &App) -> Result<(), StoreError> {
    for (call, file) in leftovers(&folder(app)) {
        let mended = tokio::task::spawn_blocking(move || mend(&file)).await;
        if !matches!(mended, Ok(Ok(_))) {
            tracing::warn!(call.id = %call, "what was recorded of a call can't be read, and stays where it is");
            continue;
        }
        if let Some(object) = keep(app, &call).await {
            let id = call.clone();
            app.store.write::<_, StoreError>(async move |tx: &mut Tx| tx.call_is_recorded(&id, &object).await).await?;
            tracing::info!(call.id = %call, "a recording that a crash left was mended and kept");
        }
    }
    Ok(())
}

fn mend(file: &Path) -> std::io::Result<u64> {
    offhook_voice::mend_recording(std::fs::OpenOptions::new().read(true).write(true).open(file)?)
}

fn leftovers(folder: &Path) -> Vec<(CallId, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let call = |path: &Path| path.file_stem()?.to_str().and_then(|name| CallId::parse(name).ok());
    entries.flatten().filter_map(|entry| Some((call(&entry.path())?, entry.path()))).collect()
}
