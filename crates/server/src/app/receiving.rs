//! The one door through which carriers bring things: what arrives together shares a transaction.
//!
//! In: texts and receipts. Out: of each whether it is kept, after the commit; only then may a carrier be told. Never here:
//! what they cause ([`receive_message`], [`record_outcome`]).

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use offhook_carriers::{Inbound, InboundMessage, InboundSink, NotKept, Receipt};
use offhook_domain::message::Channel;
use offhook_store::{Store, StoreError, Tx};

use super::fit_inbound::fit;
use super::receive_message::{self, Brought, Kept};
use super::record_outcome::{self, After};
use super::together::{Gathering, Gone, Writing, together};
use super::{App, Ring};
use crate::telemetry::names;

/// Things in one transaction, at most.
const MOST: usize = 256;

#[async_trait]
impl InboundSink for App {
    async fn receive(&self, inbound: Vec<Inbound>) -> Result<(), NotKept> {
        receive(self, inbound).await.map_err(|error| NotKept(error.to_string()))
    }
}

/// Keeps what carriers brought.
///
/// # Errors
/// [`StoreError`]: nothing is kept, or not all; the carrier must bring it again.
pub async fn receive(app: &App, inbound: Vec<Inbound>) -> Result<(), StoreError> {
    for brought in receive_each(app, inbound).await {
        if brought? == Brought::Later {
            return Err(StoreError::Unavailable("it can't be kept now".to_owned()));
        }
    }
    Ok(())
}

/// Keeps what carriers brought, and tells of each what became of it: one that can't be kept keeps no other from being
/// received. What failed must be brought again.
pub async fn receive_each(app: &App, inbound: Vec<Inbound>) -> Vec<Result<Brought, StoreError>> {
    let arriving = inbound.into_iter().map(|one| {
        let arriving = Arriving { app: app.clone(), inbound: fit(one, app.now()) };
        async { app.receiving.join(arriving).await.unwrap_or_else(|Gone| Err(gone())) }
    });
    let mut crossing = Vec::new();
    let told = join_all(arriving).await.into_iter().map(|told| {
        let Told { brought, crossing: mine } = told?;
        crossing.extend(mine);
        Ok(brought)
    });
    let told = told.collect();
    record_outcome::apply_crossed(app, crossing).await;
    told
}

fn gone() -> StoreError {
    StoreError::Unavailable("the store takes nothing more".to_owned())
}

/// Something that a carrier brought.
pub struct Arriving {
    app: App,
    inbound: Inbound,
}

/// What became of it.
pub struct Told {
    brought: Brought,
    /// See [`record_outcome::apply_crossed`]; whoever is first looks for all.
    crossing: Vec<(String, String)>,
}

/// Where what carriers bring gathers.
pub type Receiving = Gathering<Arriving, Result<Told, StoreError>>;

/// An empty gathering.
#[must_use]
pub fn gathering() -> Arc<Receiving> {
    together(MOST, Receive)
}

struct Receive;

/// What a transaction kept.
struct Written {
    after: After,
    /// Of each thing, in order.
    kept: Vec<Kept>,
}

impl Writing for Receive {
    type Item = Arriving;
    type Kept = Written;
    type Answer = Result<Told, StoreError>;

    fn store<'a>(&'a self, first: &'a Arriving) -> &'a Store {
        &first.app.store
    }

    async fn write(tx: &mut Tx, items: &[Arriving]) -> Result<Written, StoreError> {
        let Some(Arriving { app, .. }) = items.first() else {
            return Ok(Written { after: After::default(), kept: Vec::new() });
        };
        let (mut texts, mut receipts): (Vec<&InboundMessage>, Vec<Receipt>) = (Vec::new(), Vec::new());
        for item in items {
            match &item.inbound {
                Inbound::Message(message) => texts.push(message),
                Inbound::Receipt(receipt) => receipts.push(receipt.clone()),
            }
        }
        // In one order for every transaction, so that two of them can't wait for each other (PostgreSQL).
        receipts.sort_by(|a, b| a.carrier_message_id.cmp(&b.carrier_message_id));
        let after = record_outcome::apply_receipts(app, tx, &receipts).await?;
        let mut of_texts = receive_message::keep_all(app, tx, &texts).await?.into_iter();
        let of_each = items.iter().map(|item| match &item.inbound {
            Inbound::Message(_) => of_texts.next().unwrap_or(Kept::Nothing(Brought::Later)),
            Inbound::Receipt(_) => Kept::Nothing(Brought::Kept),
        });
        let kept = of_each.collect();
        Ok(Written { after, kept })
    }

    fn committed(&self, items: &[Arriving], Written { after, kept }: Written) -> Vec<Result<Told, StoreError>> {
        let Some(Arriving { app, .. }) = items.first() else { return Vec::new() };
        after.commit(app);
        let mut crossing = Some(after.crossing);
        let tell = |one: Kept| {
            if let Kept::Text { channel, webhook, answers } = &one {
                metrics::counter!(names::MESSAGES, "direction" => "inbound", "channel" => channel.as_str())
                    .increment(1);
                if *channel == Channel::Mms {
                    app.wakes.ring(Ring::Media);
                }
                if let Some(webhook) = webhook {
                    app.wakes.ring(Ring::Deliver(webhook.to_string()));
                }
                if let Some(number) = answers {
                    app.wakes.ring(Ring::Send(number.to_string()));
                }
            }
            Ok(Told { brought: one.brought(), crossing: crossing.take().unwrap_or_default() })
        };
        kept.into_iter().map(tell).collect()
    }

    fn failed(&self, error: StoreError) -> Result<Told, StoreError> {
        tracing::warn!(%error, "something that a carrier brought can't be kept");
        Err(error)
    }
}
