//! A carrier that speaks SMPP 3.4.
//!
//! In: texts of the platform, and what the message centre brings. Out: their outcomes, and [`Inbound`](crate::Inbound)
//! things. Connections are made and kept by [`Carrier::run`]; a message goes over whichever has room. Numbers are not
//! sold this way: they are imported.

mod address;
mod arrivals;
mod compose;
mod ids;
mod link;
mod memory;
mod outbox;
mod outcome;
mod settings;
mod sightings;
mod state;
mod trial;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::join_all;
use offhook_domain::message::{Failure, SendOutcome};
use offhook_domain::{Clock, E164, PurchaseId};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::arrivals::{Arrival, Porter};
use self::compose::{TooLong, compose};
use self::link::Shared;
use self::outbox::{Fate, Outgoing};
use self::outcome::Folded;
use self::state::LinkStates;
use crate::{AvailableNumber, BuyError, Carrier, CarrierError, InboundSink, NumberOrder, NumberSearch, Submission};
pub use memory::{
    Arrived, PartReceipt, PartStanding, PartsTold, Piece, SentParts, SmppMemory, Standing, WholeText,
    fold as fold_parts,
};
pub use offhook_smpp::Coding;
pub use settings::{BindAs, Concatenation, MessageIds, NumberFormat, SmppSettings, SmppTls};
pub use state::{LinkState, LinkStatus};
pub use trial::{NotBound, TriedBind, try_binds};

/// How often messages are looked for whose time is over, where no connection takes any.
const EXPIRE_EVERY: Duration = Duration::from_millis(250);
/// A task that panicked is started again after this.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// One message centre.
pub struct SmppCarrier {
    shared: Arc<Shared>,
    memory: Arc<dyn SmppMemory>,
    arriving: mpsc::WeakUnboundedSender<Arrival>,
    /// Until it runs.
    receiving: std::sync::Mutex<Option<Receiving>>,
    reference: AtomicU16,
}

type Receiving = (mpsc::UnboundedSender<Arrival>, mpsc::UnboundedReceiver<Arrival>);

impl SmppCarrier {
    /// A carrier that takes messages, and has no connection before it [runs](Carrier::run).
    #[must_use]
    pub fn new(settings: SmppSettings, memory: Arc<dyn SmppMemory>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let states = Arc::new(LinkStates::new(&settings.modes()));
        let shared = Shared {
            settings: Arc::new(settings),
            clock,
            outbox: Arc::default(),
            sightings: Arc::default(),
            whole_ids: Arc::default(),
            states,
            links: AtomicU64::new(0),
        };
        Arc::new(Self {
            shared: Arc::new(shared),
            memory,
            arriving: sender.downgrade(),
            receiving: std::sync::Mutex::new(Some((sender, receiver))),
            // Elsewhere than where the last start began.
            reference: AtomicU16::new(rand::random()),
        })
    }

    /// How the connections stand.
    #[must_use]
    pub fn links(&self) -> Vec<LinkStatus> {
        self.shared.states.all()
    }

    /// Waits until all connections are bound.
    pub async fn all_bound(&self) {
        self.shared.states.all_bound().await;
    }

    fn porter(&self, sink: Arc<dyn InboundSink>) -> Porter {
        Porter {
            settings: self.shared.settings.clone(),
            memory: self.memory.clone(),
            sink,
            clock: self.shared.clock.clone(),
            whole_ids: self.shared.whole_ids.clone(),
        }
    }

    /// Hands the parts over together, and waits for all of their fates.
    async fn submit(&self, submission: &Submission, messages: Vec<offhook_smpp::Message>) -> Vec<Fate> {
        let patience = Instant::now() + self.shared.settings.patience;
        let until = submission.until.map_or(patience, |until| until.min(patience));
        let is_part = messages.len() > 1;
        let (mut all, mut fates) = (Vec::new(), Vec::new());
        for message in messages {
            let (told, fate) = oneshot::channel();
            let message_id = submission.message_id.clone();
            all.push(Outgoing { message, message_id, is_part, until, doubt: None, put_off: None, told });
            fates.push(fate);
        }
        self.shared.outbox.put(all);
        if self.shared.states.is_cut_off(self.shared.settings.unbound_patience) {
            self.shared.outbox.turn_away();
        }
        let fate = |fate: Result<Fate, _>| fate.unwrap_or(Fate::Unknown("the connection to the carrier failed"));
        join_all(fates).await.into_iter().map(fate).collect()
    }

    /// Remembers which parts make up the message, for the receipts to come, and hears those that came before.
    async fn keep_parts(&self, submission: &Submission, total: usize, folded: &Folded) {
        let (Some(whole_id), Ok(total)) = (&folded.whole_id, u8::try_from(total)) else { return };
        let sent = SentParts {
            carrier: self.shared.settings.name,
            message_id: submission.message_id.clone(),
            whole_id: whole_id.clone(),
            total,
            parts: folded.taken.clone(),
            at: self.shared.clock.now(),
        };
        match self.memory.keep_sent_parts(sent).await {
            Ok(Some(told)) => {
                if let Some(arriving) = self.arriving.upgrade() {
                    drop(arriving.send(Arrival::Told(arrivals::of_whole(self.shared.settings.name, told))));
                }
            }
            Ok(None) => {}
            Err(error) => {
                let (carrier, message) = (self.shared.settings.name, &submission.message_id);
                tracing::error!(carrier, %message, %error, "the ids of a message's parts are lost, and with them its receipts");
            }
        }
    }
}

#[async_trait]
impl Carrier for SmppCarrier {
    fn name(&self) -> &'static str {
        self.shared.settings.name
    }

    async fn search(&self, _: &NumberSearch) -> Result<Vec<AvailableNumber>, CarrierError> {
        Ok(Vec::new())
    }

    async fn buy(&self, _: &NumberOrder) -> Result<(), BuyError> {
        Err(BuyError::Refused("an SMPP carrier sells no numbers; import yours".to_owned()))
    }

    async fn find_order(&self, _: &PurchaseId) -> Result<Option<E164>, CarrierError> {
        Ok(None)
    }

    async fn release(&self, _: &E164, _: Option<&PurchaseId>) -> Result<(), CarrierError> {
        Ok(())
    }

    fn takes_media(&self, _: &str) -> bool {
        false
    }

    fn links(&self) -> Vec<LinkStatus> {
        self.shared.states.all()
    }

    /// Keeps the connections, and takes leave of the peer in the end. It runs once.
    async fn run(&self, sink: Arc<dyn InboundSink>, stop: CancellationToken) {
        let taken = self.receiving.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some((sender, receiver)) = taken else { return stop.cancelled().await };
        let porter = Arc::new(self.porter(sink));
        let mut links = JoinSet::new();
        for (place, mode) in self.shared.settings.modes().into_iter().enumerate() {
            let (shared, arriving, stop) = (self.shared.clone(), sender.clone(), stop.clone());
            links.spawn(supervise("link", stop.clone(), move || {
                link::keep(shared.clone(), place, mode, arriving.clone(), stop.clone())
            }));
        }
        drop(sender);
        let mut others = JoinSet::new();
        let (shared, ended) = (self.shared.clone(), stop.clone());
        others.spawn(supervise("outbox", stop.clone(), move || expire(shared.clone(), ended.clone())));
        let (sweeping, ended) = (porter.clone(), stop.clone());
        others.spawn(supervise("sweep", stop.clone(), move || sweep(sweeping.clone(), ended.clone())));
        let mut porting = JoinSet::new();
        porting.spawn(async move { porter.run(receiver).await });
        while links.join_next().await.is_some() {}
        // Nothing arrives any more, and what did is kept.
        while porting.join_next().await.is_some() {}
        while others.join_next().await.is_some() {}
    }

    async fn send(&self, submission: &Submission) -> SendOutcome {
        if !submission.media_urls.is_empty() {
            return SendOutcome::Refused(Failure::new("30012", "this carrier takes no media"));
        }
        let is_phone = submission.to.trim_start_matches('+').bytes().all(|octet| octet.is_ascii_digit());
        if !is_phone || submission.to.is_empty() {
            return SendOutcome::Refused(Failure::new("21211", "this carrier reaches phone numbers only"));
        }
        let reference = self.reference.fetch_add(1, Ordering::Relaxed);
        let messages = match compose(&self.shared.settings, submission, reference) {
            Ok(messages) => messages,
            Err(TooLong) => return SendOutcome::Refused(Failure::new("21617", "the text is too long to be sent")),
        };
        let total = messages.len();
        let folded = outcome::fold(&self.submit(submission, messages).await);
        if total > 1 {
            self.keep_parts(submission, total, &folded).await;
        }
        folded.outcome
    }
}

/// Runs a task until it ends, and again where it panics: one poisoned PDU must not be the end of a connection for good.
async fn supervise<F>(task: &'static str, stop: CancellationToken, make: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let mut running = JoinSet::new();
        running.spawn(make());
        match running.join_next().await {
            Some(Err(error)) if error.is_panic() => {
                tracing::error!(task, %error, "a task of an SMPP carrier panicked");
                if stop.run_until_cancelled(tokio::time::sleep(AFTER_PANIC)).await.is_none() {
                    return;
                }
            }
            _ => return,
        }
    }
}

async fn expire(shared: Arc<Shared>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(EXPIRE_EVERY)).await.is_some() {
        shared.outbox.look_again(Instant::now());
        if shared.states.is_cut_off(shared.settings.unbound_patience) {
            shared.outbox.turn_away();
        }
    }
    // What is not submitted by now is for the next start.
    shared.outbox.close();
}

async fn sweep(porter: Arc<Porter>, stop: CancellationToken) {
    let pause = arrivals::sweep_interval(porter.settings.parts_expire);
    while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        porter.give_up_waiting().await;
    }
}
