//! A text through the sandbox network: into a handset's inbox or to a number of the platform, with its receipt.

use std::time::Duration;

use offhook_domain::message::{Failure, ReceiptStatus, SendOutcome};
use offhook_domain::{E164, Id, MessageId, Timestamp};

use super::magic::{Fate, fate};
use super::world::{AirPayload, HandsetMessage, SandboxWorld, WorldError};
use crate::Submission;

/// How long the carrier's own answer takes where its receipt is faster.
const SLOW_ANSWER: Duration = Duration::from_millis(300);
/// Tries that a busy carrier turns away.
const BUSY_TRIES: u32 = 2;

/// Takes one text.
pub async fn send(world: &dyn SandboxWorld, now: Timestamp, submission: &Submission) -> SendOutcome {
    let fate = fate(&submission.to);
    match fate {
        Fate::Refused(code, reason) => return SendOutcome::Refused(Failure::new(code, reason)),
        Fate::BusyTwice if submission.attempt < BUSY_TRIES => {
            return SendOutcome::NotTaken(Failure::new("30022", "the carrier is busy for the moment"));
        }
        Fate::Silence => return std::future::pending().await,
        _ => {}
    }
    // A fresh id for every submission: this network, like any, does not notice that it gets a text twice.
    let id = format!("sbx_{}", MessageId::generate(now).as_str().trim_start_matches(MessageId::PREFIX));
    match take(world, now, &id, submission, fate).await {
        Ok(()) => {}
        Err(WorldError::NotDone(why)) => return SendOutcome::NotTaken(Failure::new("30022", &why)),
        Err(WorldError::Unknown(why)) => return SendOutcome::Unknown(Failure::new("30001", &why)),
    }
    match fate {
        Fate::ReceiptFirst => {
            tokio::time::sleep(SLOW_ANSWER).await;
            SendOutcome::Accepted { carrier_message_id: id }
        }
        Fate::AnswerLost | Fate::AnswerLostReceiptLate(_) => {
            SendOutcome::Unknown(Failure::new("30001", "the carrier's answer was lost"))
        }
        _ => SendOutcome::Accepted { carrier_message_id: id },
    }
}

async fn take(
    world: &dyn SandboxWorld,
    now: Timestamp,
    id: &str,
    submission: &Submission,
    fate: Fate,
) -> Result<(), WorldError> {
    let mut air = Vec::new();
    let platform = platform_number(world, &submission.to).await?;
    let text = HandsetMessage {
        id: id.to_owned(),
        from: submission.from.to_string(),
        to: submission.to.clone(),
        body: submission.body.clone(),
        media_urls: submission.media_urls.clone(),
    };
    let arrives = !matches!(fate, Fate::Undelivered(..) | Fate::Filtered(..));
    let mut inbox = None;
    match platform {
        Some(to) => air.push((
            now,
            AirPayload::Message {
                id: text.id.clone(),
                from: text.from.clone(),
                to,
                body: text.body.clone(),
                media_urls: text.media_urls.clone(),
            },
        )),
        None if arrives => inbox = Some(&text),
        None => {}
    }
    air.extend(receipt(now, id, submission, fate));
    world.carry(inbox, &air, submission.until).await
}

/// The receiver, where it is a number that the sandbox sold.
async fn platform_number(world: &dyn SandboxWorld, to: &str) -> Result<Option<E164>, WorldError> {
    let Ok(number) = E164::parse(to) else { return Ok(None) };
    if !may_be_sold(&number) {
        return Ok(None);
    }
    Ok(world.sold_among(std::slice::from_ref(&number)).await?.pop())
}

/// Of the North American plan only NPA-555-01XX is for sale, so that most receivers need no look-up.
fn may_be_sold(number: &E164) -> bool {
    let digits = number.as_str();
    number.area_code().is_none() || digits.get(5..10) == Some("55501")
}

fn receipt(now: Timestamp, id: &str, submission: &Submission, fate: Fate) -> Option<(Timestamp, AirPayload)> {
    let (after, status, failure) = match fate {
        Fate::Delivered | Fate::ReceiptFirst | Fate::BusyTwice => (Duration::ZERO, ReceiptStatus::Delivered, None),
        Fate::ReceiptLate(wait) | Fate::AnswerLostReceiptLate(wait) => (wait, ReceiptStatus::Delivered, None),
        Fate::Undelivered(code, reason) => {
            (Duration::ZERO, ReceiptStatus::Undelivered, Some(Failure::new(code, reason)))
        }
        Fate::Filtered(code, reason) => (Duration::ZERO, ReceiptStatus::Failed, Some(Failure::new(code, reason))),
        Fate::ReceiptNever | Fate::AnswerLost | Fate::Refused(..) | Fate::Silence => return None,
    };
    let payload = AirPayload::Receipt {
        carrier_message_id: id.to_owned(),
        message_id: submission.message_id.clone(),
        status,
        failure,
    };
    Some((now.plus(after), payload))
}
