//! Files that go with messages: rows for those to be fetched, and links to them.
//!
//! The walk of a file is short. `send_message` and `receive_message` write its row and its job in the transaction of its message;
//! `jobs/fetch_media.rs` fetches it once, keeps it as an object and then says so in a second transaction; `http/media.rs` hands it
//! to whoever has a link. A message that goes out waits for its files, and those behind it in its conversation with it. One
//! that comes in does not: its event leaves with links, which answer as soon as the file is there.

mod fetching;
mod keeping;

use std::time::Duration;

use offhook_domain::message::{Failure, Message};
use offhook_domain::{Id, MediaId, MessageId, Timestamp};
use offhook_store::media::NewMedia;
use offhook_store::privacy::Removals;
use offhook_store::{StoreError, Tx};

pub use fetching::{File, NotFetched, fetch};
pub use keeping::{KeptMedia, MediaUnreachable, Piece};

use super::App;
use super::signed_urls::Purpose;
use crate::config::Media;

/// The path under which files are served; so begins, too, what a message that came in has in place of an address.
const PATH: &str = "/media/";
const DAY_SECONDS: i64 = 24 * 3_600;
/// Writing a fetched file into the store of objects takes no longer.
pub const KEEPING: Duration = Duration::from_secs(30);
/// What a claim has on top of the work's own limits.
const SLACK: Duration = Duration::from_secs(15);

/// How long somebody who claimed a file may work on it. By then its work was cut off, or is done.
#[must_use]
pub fn claim(config: &Media) -> Duration {
    config.timeout + KEEPING + SLACK
}

/// How long a message waits for its files at the most before a look is taken at what became of them.
#[must_use]
pub fn longest_wait(config: &Media) -> Duration {
    let tries = u32::try_from(config.retries.len()).unwrap_or(u32::MAX).saturating_add(1);
    config.retries.iter().sum::<Duration>() + claim(config).saturating_mul(tries)
}

/// When the files of messages that are erased now are deleted.
#[must_use]
pub fn removals(app: &App) -> Removals {
    let now = app.now();
    Removals { now, leftovers_due: now.plus(claim(&app.config.media)) }
}

/// Puts a path of ours in the place of the address of each file of a message that came in; the addresses.
#[must_use]
pub fn take_over(urls: &mut Vec<String>, now: Timestamp) -> Vec<(MediaId, String)> {
    let taken: Vec<(MediaId, String)> =
        std::mem::take(urls).into_iter().map(|url| (MediaId::generate(now), url)).collect();
    urls.extend(taken.iter().map(|(id, _)| path(id)));
    taken
}

/// Has the files of a message fetched once this is committed.
///
/// # Errors
/// [`StoreError`].
pub async fn have_fetched(tx: &mut Tx, message: &Message, files: &[(MediaId, String)]) -> Result<(), StoreError> {
    for (position, (id, source_url)) in files.iter().enumerate() {
        let media = NewMedia {
            id,
            account: &message.account_id,
            message: &message.id,
            position,
            direction: message.direction,
            source_url,
            carrier: &message.carrier,
            at: message.at,
        };
        tx.insert_media(&media).await?;
    }
    Ok(())
}

/// Addresses as a customer sees them: links, where files are served here.
#[must_use]
pub fn linked(app: &App, urls: &[String]) -> Vec<String> {
    let now = app.now();
    urls.iter().map(|url| if url.starts_with(PATH) { link(app, url, now) } else { url.clone() }).collect()
}

/// Puts links to the files of messages that came in where their paths are.
pub fn link_all(app: &App, messages: &mut [Message]) {
    for message in messages.iter_mut().filter(|message| !message.media_urls.is_empty()) {
        message.media_urls = linked(app, &message.media_urls);
    }
}

/// A link that holds for what is configured, and to the end of that day: so that it is the same one for a while, and can be cached.
fn link(app: &App, path: &str, now: Timestamp) -> String {
    let until = now.plus(app.config.media.link).as_unix_seconds();
    let end_of_day = (until.div_euclid(DAY_SECONDS) + 1) * DAY_SECONDS;
    app.signed_urls.sign(Purpose::Media, path, Timestamp::from_micros(end_of_day * 1_000_000))
}

fn path(id: &MediaId) -> String {
    format!("{PATH}{id}")
}

/// What a carrier is to fetch for a message.
#[derive(Debug, PartialEq, Eq)]
pub enum ForCarrier {
    Urls(Vec<String>),
    /// A file is not there yet.
    Waits,
    /// One can't be had.
    Missing(Failure),
}

/// What a carrier is to fetch for a message whose files the customer says are at `asked`.
///
/// # Errors
/// [`StoreError`].
pub async fn for_carrier(app: &App, message: &MessageId, asked: &[String]) -> Result<ForCarrier, StoreError> {
    if asked.is_empty() {
        return Ok(ForCarrier::Urls(Vec::new()));
    }
    let id = message.clone();
    let files = app.store.read::<_, StoreError>(async move |tx: &mut Tx| tx.media_of_message(&id).await).await?;
    // Accepted while nothing was fetched.
    if files.is_empty() {
        return Ok(ForCarrier::Urls(asked.to_vec()));
    }
    if let Some(failure) = files.iter().find_map(|file| file.failure.clone()) {
        return Ok(ForCarrier::Missing(failure));
    }
    if files.iter().any(|file| !file.is_stored) {
        return Ok(ForCarrier::Waits);
    }
    let now = app.now();
    Ok(ForCarrier::Urls(files.iter().map(|file| link(app, &path(&file.id), now)).collect()))
}
