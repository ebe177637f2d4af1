//! What limits the messages of a number: its own limit, its campaign's, its carrier's.
//!
//! In: the configuration and what is known of a message. Out: the limits, the narrowest first. Never here: what was taken
//! of them.

use offhook_domain::campaign::CampaignStatus;
use offhook_domain::message::{Direction, Message, MessageStatus};
use offhook_domain::shaping::estimate;
use offhook_domain::{Country, E164, Id, Timestamp};
use offhook_store::campaigns::Standing;
use offhook_store::pacers::{Backlog, Limited};
use offhook_store::send_jobs::{Campaign, Waiting};
use offhook_store::{Scope, StoreError};

use crate::config::Shaping;

/// What limits a line (a number's id), by one of its messages and the carrier that takes them now.
#[must_use]
pub fn limits_of(config: &Shaping, line: &str, carrier: &str, message: &Waiting) -> Vec<Limited> {
    let campaign = message.campaign.as_ref().map(of_campaign);
    let number = Limited { resource: format!("number:{line}"), limit: config.number };
    let carrier = Limited { resource: format!("carrier:{carrier}"), limit: config.carrier };
    let all = [Some(number), campaign, Some(carrier)];
    all.into_iter().flatten().filter(|limited| !limited.limit.is_none()).collect()
}

fn of_campaign(campaign: &Campaign) -> Limited {
    Limited { resource: campaign_resource(campaign.id.as_str()), limit: campaign.class.limit() }
}

/// The name under which is kept what was taken of a campaign.
#[must_use]
pub fn campaign_resource(id: &str) -> String {
    format!("campaign:{id}")
}

/// When a message is likely to go that has so many before it, under an approved campaign.
#[must_use]
pub fn likely(config: &Shaping, standing: &Standing, backlog: Backlog, now: Timestamp) -> Timestamp {
    estimate(standing.class.limit(), backlog.pace, &config.days, now, backlog.before)
}

/// Tells of queued messages (the newest first, of one number) when they are likely to go, where a campaign has them wait.
/// Costs nothing where none is queued.
///
/// # Errors
/// [`StoreError`].
pub async fn tell_estimates(
    config: &Shaping,
    scope: &mut Scope<'_>,
    messages: &mut [Message],
    now: Timestamp,
) -> Result<(), StoreError> {
    let waits = |message: &Message| message.direction == Direction::Outbound && message.status == MessageStatus::Queued;
    let Some(oldest) = messages.iter().rev().find(|message| waits(message)) else { return Ok(()) };
    let (line, at, is_us) = (oldest.number_id.clone(), oldest.at, is_us(&oldest.from));
    let Some(standing) = scope.standing().await?.filter(|one| one.status == CampaignStatus::Approved && is_us) else {
        return Ok(());
    };
    let mut backlog = scope.backlog(&line, at, &campaign_resource(standing.id.as_str())).await?;
    for message in messages.iter_mut().rev().filter(|message| waits(message)) {
        message.estimated_send_at = Some(likely(config, &standing, backlog, now));
        backlog.before += 1;
    }
    Ok(())
}

/// Whether a number is one of the US, to which campaigns are for.
fn is_us(number: &str) -> bool {
    E164::parse(number)
        .ok()
        .and_then(|number| number.country())
        .is_some_and(|country: Country| country.as_str() == "US")
}
