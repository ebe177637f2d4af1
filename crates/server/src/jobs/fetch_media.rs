//! Fetches files that go with messages, each once.
//!
//! A claim (a transaction), then the network and the store of objects, then what became of it (a second transaction). What is
//! cut off in between is fetched again once its claim is over, into an object of another name. No account has more than a
//! quarter of the places, so that one whose servers dawdle holds up no other.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use offhook_domain::message::{Direction, Failure};
use offhook_domain::{AccountId, MediaId};
use offhook_store::media::{MediaJob, StoredMedia};
use offhook_store::{StoreError, Tx};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::app::media::{self, File, KEEPING, NotFetched};
use crate::app::{App, Ring};
use crate::telemetry::names;

/// How often the worker looks for itself.
const LOOK: Duration = Duration::from_secs(1);
/// After the store of objects failed.
const STORE_REST: Duration = Duration::from_secs(5);

/// Runs until asked to stop. What is under way is then waited for.
///
/// # Errors
/// Never: what fails is logged and done again.
pub async fn run(app: App, stop: CancellationToken) -> Result<(), String> {
    let mut under_way = FuturesUnordered::new();
    let mut busy: HashMap<AccountId, Vec<MediaId>> = HashMap::new();
    loop {
        if stop.is_cancelled() && under_way.is_empty() {
            return Ok(());
        }
        if !stop.is_cancelled() {
            match due(&app, &busy).await {
                Ok(jobs) => {
                    for job in jobs {
                        busy.entry(job.account.clone()).or_default().push(job.id.clone());
                        under_way.push(work(&app, job));
                    }
                }
                Err(error) => tracing::warn!(%error, "files to fetch could not be looked for; it goes on in a moment"),
            }
        }
        tokio::select! {
            () = stop.cancelled(), if !stop.is_cancelled() => {}
            Some((account, id)) = under_way.next() => {
                if let Some(of_one) = busy.get_mut(&account) {
                    of_one.retain(|other| *other != id);
                    if of_one.is_empty() {
                        busy.remove(&account);
                    }
                }
            }
            () = app.wakes.media.notified(), if !stop.is_cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// What there is a place for.
async fn due(app: &App, busy: &HashMap<AccountId, Vec<MediaId>>) -> Result<Vec<MediaJob>, StoreError> {
    let most = app.config.media.concurrency;
    let mut room = most.saturating_sub(busy.values().map(Vec::len).sum());
    if room == 0 {
        return Ok(Vec::new());
    }
    let now = app.now();
    let find = async move |tx: &mut Tx| tx.accounts_with_media_due(now).await;
    let accounts = app.store.read::<_, StoreError>(find).await?;
    let mut jobs = Vec::new();
    for account in accounts {
        let under_way = busy.get(&account).map(Vec::as_slice).unwrap_or_default();
        let limit = most.div_ceil(4).saturating_sub(under_way.len()).min(room);
        if limit == 0 {
            continue;
        }
        // Those under way are not due, as a rule: their claim put them off.
        let find = async move |tx: &mut Tx| tx.media_due(&account, now, limit as i64).await;
        let found = app.store.read::<_, StoreError>(find).await?;
        jobs.extend(found.into_iter().filter(|job| !under_way.contains(&job.id)));
        room = most.saturating_sub(busy.values().map(Vec::len).sum::<usize>() + jobs.len());
        if room == 0 {
            break;
        }
    }
    Ok(jobs)
}

async fn work(app: &App, job: MediaJob) -> (AccountId, MediaId) {
    match claim_and_fetch(app, &job).await {
        Ok(Some(outcome)) => metrics::counter!(names::MEDIA_FETCHES, "outcome" => outcome).increment(1),
        Ok(None) => {}
        // Its claim runs out, and it is fetched again.
        Err(error) => tracing::warn!(media.id = %job.id, %error, "what became of a file could not be kept"),
    }
    (job.account, job.id)
}

/// What became of it; `None` where it was another's.
async fn claim_and_fetch(app: &App, job: &MediaJob) -> Result<Option<&'static str>, StoreError> {
    let claim = media::claim(&app.config.media);
    // Our claim ends by this clock, however long the store takes to keep it.
    let ends = Instant::now() + claim;
    let (claimed, until) = (job.clone(), app.now().plus(claim));
    let ours = async move |tx: &mut Tx| tx.claim_media(&claimed, until).await;
    if !app.store.write::<_, StoreError>(ours).await? || Instant::now() + app.config.media.timeout + KEEPING >= ends {
        return Ok(None);
    }
    match media::fetch(app, job).await {
        Ok(file) => keep(app, job, file).await.map(Some),
        Err(NotFetched::ForGood(failure)) => give_up(app, job, failure).await.map(Some),
        Err(NotFetched::ForNow(failure)) => {
            let tried = usize::try_from(job.failures).unwrap_or(usize::MAX);
            match app.config.media.retries.get(tried) {
                Some(wait) => defer(app, job, *wait, true).await.map(|()| Some("retry")),
                None => give_up(app, job, failure).await.map(Some),
            }
        }
    }
}

async fn keep(app: &App, job: &MediaJob, file: File) -> Result<&'static str, StoreError> {
    let File { content_type, bytes } = file;
    let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    let stored = StoredMedia { object: job.object(), content_type, size };
    let why = match timeout(KEEPING, app.media.put(&stored.object, bytes)).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("it took too long".to_owned()),
    };
    if let Some(why) = why {
        tracing::warn!(media.id = %job.id, why, "a fetched file can't be kept; it is fetched again");
        return defer(app, job, STORE_REST, false).await.map(|()| "not_kept");
    }
    let (done, doors) = (job.clone(), app.clone());
    let line = app
        .store
        .write::<_, StoreError>(async move |tx: &mut Tx| {
            let removals = media::removals(&doors);
            if !tx.media_is_stored(&done, &stored, removals.now, removals.leftovers_due).await? {
                return Ok(None);
            }
            free(tx, &done, &doors).await
        })
        .await?;
    ring(app, line);
    Ok("stored")
}

async fn give_up(app: &App, job: &MediaJob, failure: Failure) -> Result<&'static str, StoreError> {
    tracing::info!(media.id = %job.id, code = failure.code, why = failure.reason, "a file can't be had");
    let (done, doors) = (job.clone(), app.clone());
    let line = app
        .store
        .write::<_, StoreError>(async move |tx: &mut Tx| {
            let removals = media::removals(&doors);
            if !tx.media_has_failed(&done, &failure, removals.now, removals.leftovers_due).await? {
                return Ok(None);
            }
            free(tx, &done, &doors).await
        })
        .await?;
    ring(app, line);
    Ok("failed")
}

/// Lets the message go that waited for it, to its carrier or to its end.
async fn free(tx: &mut Tx, job: &MediaJob, app: &App) -> Result<Option<String>, StoreError> {
    match job.direction {
        Direction::Outbound => Ok(tx.free_sends_behind(&job.message, app.now()).await?.map(|line| line.to_string())),
        Direction::Inbound => Ok(None),
    }
}

fn ring(app: &App, line: Option<String>) {
    if let Some(line) = line {
        app.wakes.ring(Ring::Send(line));
    }
}

async fn defer(app: &App, job: &MediaJob, wait: Duration, by_its_source: bool) -> Result<(), StoreError> {
    let (job, due_at) = (job.clone(), app.now().plus(wait));
    app.store.write(async move |tx: &mut Tx| tx.defer_media(&job, due_at, by_its_source).await).await
}
