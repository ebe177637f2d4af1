//! What limits the messages of a number: its own limit, its campaign's, its carrier's.
//!
//! In: the configuration and what is known of a message. Out: the limits, the narrowest first. Never here: what was taken
//! of them.

use offhook_domain::Id;
use offhook_store::pacers::Limited;
use offhook_store::send_jobs::{Campaign, Waiting};

use crate::config::Shaping;

/// What limits a line (a number's id), by one of its messages.
#[must_use]
pub fn limits_of(config: &Shaping, line: &str, message: &Waiting) -> Vec<Limited> {
    let campaign = message.campaign.as_ref().map(of_campaign);
    let number = Limited { resource: format!("number:{line}"), limit: config.number };
    let carrier = Limited { resource: format!("carrier:{}", message.carrier), limit: config.carrier };
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
