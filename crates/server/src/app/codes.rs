//! One-time codes, and how often they may be asked for and guessed.
//!
//! Limits are buckets in the store (`rate_buckets`), so they hold on all nodes together and whatever comes at once. What
//! they are for is hashed: a bucket's name must tell nobody's address.

use std::time::Duration;

use offhook_domain::Timestamp;
use offhook_store::rate_buckets::{Rate, Taken};
use offhook_store::{StoreError, Tx};
use rand::RngExt;

use super::Sealer;

/// How long a code can be entered.
pub const LIFE: Duration = Duration::from_secs(600);
/// How many codes may be entered for one that was sent.
pub const TRIES: i64 = 5;
/// How long it is remembered that there was a code: until then it is past its time, later unknown.
pub const REMEMBERED: Duration = Duration::from_secs(3600);

const HOUR: Duration = Duration::from_secs(3600);

/// How often something may happen.
#[derive(Debug)]
pub struct Limit {
    resource: String,
    per_hour: u32,
    /// As in [`TooMany`].
    what: &'static str,
}

impl Limit {
    /// For everybody together.
    pub fn of_all(what: &'static str, per_hour: u32) -> Self {
        Self { resource: what.to_owned(), per_hour, what }
    }

    /// For whatever `name` names.
    pub fn of(what: &'static str, name: &str, per_hour: u32, sealer: &Sealer) -> Self {
        Self { resource: format!("{what} {}", &sealer.hash_code(what, name)[..32]), per_hour, what }
    }
}

/// Six digits.
pub fn generate() -> String {
    format!("{:06}", rand::rng().random_range(0..1_000_000))
}

/// A limit is reached, and for how long.
#[derive(Debug, thiserror::Error)]
#[error("too many {what}: try again after {} seconds", .wait.as_secs() + 1)]
pub struct TooMany {
    what: &'static str,
    pub wait: Duration,
}

/// Counts one more.
///
/// # Errors
/// [`StoreError`]; within, [`TooMany`] where that is more than may be.
pub async fn count(tx: &mut Tx, limits: &[Limit], now: Timestamp) -> Result<Result<(), TooMany>, StoreError> {
    for limit in limits {
        let rate = Rate { interval: HOUR / limit.per_hour.max(1), burst: limit.per_hour.max(1) };
        if let Taken::NoneFor(wait) = tx.take_tokens(&limit.resource, rate, 1, now).await? {
            return Ok(Err(TooMany { what: limit.what, wait }));
        }
    }
    Ok(Ok(()))
}
