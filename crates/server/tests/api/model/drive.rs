//! The product, told what to do step by step, and the model beside it.
//!
//! Workers don't run on their own here: a step has them do all that is due. So it is certain what waits at any time, and
//! what a request finds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use offhook_carriers::{Inbound, InboundMessage, Receipt, SANDBOX};
use offhook_domain::message::{Failure, ReceiptStatus};
use offhook_domain::{E164, Id, MessageId};
use offhook_server::app::api_keys::{KeyCommand, KeyReport};
use offhook_server::app::{api_keys, receive_message, reconcile_purchases, record_outcome};
use offhook_server::jobs::deliver_webhooks::DeliverWebhooks;
use offhook_server::jobs::lines::{self, LineWork};
use offhook_server::jobs::sandbox_air;
use offhook_server::jobs::send_messages::SendMessages;
use offhook_store::{StoreError, Tx};
use offhook_testkit::webhook_receiver::WebhookReceiver;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::judge::{self, Answer};
use super::look::Seen;
use super::orders::{Kind, Order};
use super::steps::{Ask, Deed, HANDSETS, Named, Pick, Place, Says, Span, Step, Wanted, Who};
use super::world::{Agrees, Mismatch, START, World, disagree};
use crate::app::{Client, Setup, TestApp};

/// For what is waited for. Nothing takes long; a machine may.
const DEADLINE: Duration = Duration::from_secs(60);

/// An installation with two accounts, its endpoints, and the model of them.
pub struct Stage {
    pub app: TestApp,
    pub world: World,
    pub endpoints: BTreeMap<u8, WebhookReceiver>,
    accounts: [Keys; 2],
    receipts: u32,
}

struct Keys {
    good: Client,
    revoked: Client,
}

impl Stage {
    /// Both accounts have an agent with a number and an endpoint that hears of everything, one much money, one little.
    pub async fn open() -> Result<Self, Mismatch> {
        let setup = Setup::default().standing_clock(START).sandbox();
        let setup = setup.setting("OFFHOOK__PRICES__SANDBOX_FREE", false);
        let app = setup.setting("OFFHOOK__LIMITS__NUMBERS_PER_ACCOUNT", super::world::NUMBER_LIMIT).start().await;
        let first = app.client().clone();
        let second = app.second_account().await;
        let accounts = [first, second].map(|good| {
            let revoked = app.with_key(&good.account, "sk_test_of_nobody");
            Keys { good, revoked }
        });
        let mut endpoints = BTreeMap::new();
        for (place, status) in [(Place::Good, 200), (Place::Bad, 500), (Place::Gone, 410)] {
            let receiver = WebhookReceiver::start().await;
            receiver.answer(status);
            endpoints.insert(place as u8, receiver);
        }
        let mut stage = Self { app, world: World::default(), endpoints, accounts, receipts: 0 };
        for who in Who::BOTH {
            stage.begin(who).await?;
        }
        Ok(stage)
    }

    async fn begin(&mut self, who: Who) -> Agrees {
        let cents = if who == Who::A { 1000 } else { 308 };
        self.perform(&Step::Credit(who, cents)).await?;
        let newest = Pick::Own(0);
        let place = Place::Good;
        for deed in [
            Deed::MakeAgent { name: 0, messaging: true },
            Deed::Buy { what: Wanted::Near("415"), agent: Some(newest), ends: None },
            Deed::SetWebhook { agent: None, place, statuses: true, rotate: true },
        ] {
            self.perform(&Step::Ask(Ask { who, revoked: false, once: None, deed })).await?;
        }
        Ok(())
    }

    /// Does one step, and compares what can be seen with what the model says.
    pub async fn perform(&mut self, step: &Step) -> Agrees {
        match step {
            Step::Ask(ask) => {
                let order = self.world.order(ask);
                self.ask(order).await?;
            }
            Step::Again(nth) => {
                let past = &self.world.past;
                let Some(order) = past.len().checked_sub(1 + usize::from(*nth)).map(|nth| past[nth].clone()) else {
                    return Ok(());
                };
                self.ask(order).await?;
            }
            Step::Crowd(asks) => {
                let orders: Vec<_> = asks.iter().map(|ask| self.world.order(ask)).collect();
                return self.crowd(orders).await;
            }
            Step::Twins(ask, count) => {
                let mut order = self.world.order(ask);
                order.once = order.once.or(Some(0));
                return self.crowd(vec![order; usize::from(*count)]).await;
            }
            Step::Work => self.work().await?,
            Step::Wait(Span(seconds)) => {
                self.app.later(Duration::from_secs(seconds.unsigned_abs()));
                self.world.now += seconds;
            }
            Step::Credit(who, cents) => {
                let micros = cents * 10_000;
                self.accounts[*who as usize].good.credit_micros(micros).await;
                self.world.of_mut(*who).wallet += micros;
            }
            Step::Receipts { who, message, named, says } => self.receipts(*who, *message, *named, says).await?,
            Step::Brings { from, to, times } => self.brings(*from, *to, *times).await?,
            Step::NewKey(who) => self.new_key(*who).await?,
        }
        self.look().await
    }

    async fn look(&mut self) -> Agrees {
        let seen = self.seen(&self.world).await?;
        for (who, seen) in Who::BOTH.into_iter().zip(&seen) {
            self.world
                .agrees(who, seen)
                .map_err(|Mismatch(why)| Mismatch(format!("{who:?} sees it otherwise: {why}")))?;
        }
        self.check_books().await
    }

    async fn seen(&self, world: &World) -> Result<[Seen; 2], Mismatch> {
        let [a, b] = Who::BOTH.map(|who| Seen::by(&self.accounts[who as usize].good, world.of(who)));
        let (a, b) = tokio::join!(a, b);
        Ok([a?, b?])
    }

    async fn check_books(&self) -> Agrees {
        let read = async |tx: &mut Tx| tx.disagreeing_books().await;
        let books = self.app.app.store.read::<_, StoreError>(read).await;
        match books {
            Ok(books) if books.is_empty() => Ok(()),
            books => disagree!("books that are not the sum of their lines: {books:?}"),
        }
    }

    pub fn url(&self, place: Place) -> String {
        self.endpoints[&(place as u8)].url()
    }

    pub fn client(&self, who: Who) -> &Client {
        &self.accounts[who as usize].good
    }

    async fn ask(&mut self, order: Order) -> Agrees {
        let answer = self.answer(&order).await;
        let mut world = self.world.clone();
        let url = |place| self.url(place);
        let judged = world.judge(&order, &url, &answer);
        judged.map_err(|Mismatch(why)| Mismatch(format!("{order:?}: {why}")))?;
        world.past.push(order);
        self.world = world;
        Ok(())
    }

    async fn answer(&self, order: &Order) -> Answer {
        let (method, path, body) = order.request(|place| self.url(place));
        let keys = &self.accounts[order.who as usize];
        let client = if order.revoked { &keys.revoked } else { &keys.good };
        let mut call = client.call(method, &path);
        if let Some(body) = body {
            call = call.json(body);
        }
        if let Some(key) = order.once {
            call = call.once(&format!("key {key}"));
        }
        let answer = call.await;
        let answer = Answer { status: answer.status.as_u16(), replayed: answer.replayed(), text: answer.text };
        answer.count(order);
        answer
    }

    /// All at once. There must be an order in which they could have come one by one, with the same answers and the same
    /// to see afterwards.
    async fn crowd(&mut self, orders: Vec<Order>) -> Agrees {
        let answers = join_all(orders.iter().map(|order| self.answer(order))).await;
        // Where a send crosses with the release of its number, what is left of it ends at the next look at numbers.
        let works = orders.iter().any(|order| matches!(order.deed, Deed::Release(_)));
        if works {
            self.have_all_work().await?;
        }
        let seen = self.seen(&self.world).await?;
        let mut reasons = Vec::new();
        for order_of_coming in orders_of(orders.len()) {
            match self.explains(&orders, &answers, &order_of_coming, works, &seen) {
                Ok(world) => {
                    self.world = world;
                    return self.check_books().await;
                }
                Err(Mismatch(why)) => reasons.push(format!("{order_of_coming:?}: {why}")),
            }
        }
        let both = orders.iter().zip(&answers).map(|(order, answer)| format!("{order:?}\n  {answer:?}\n"));
        disagree!("no order explains\n{}{}", both.collect::<String>(), reasons.join("\n"))
    }

    fn explains(
        &self,
        orders: &[Order],
        answers: &[Answer],
        order_of_coming: &[usize],
        works: bool,
        seen: &[Seen; 2],
    ) -> Result<World, Mismatch> {
        let mut world = self.world.clone();
        let url = |place| self.url(place);
        for nth in order_of_coming {
            let (order, answer) = (&orders[*nth], &answers[*nth]);
            // The first of its key is still under way.
            let another = || orders.iter().enumerate().any(|(other, one)| other != *nth && one.once == order.once);
            if order.once.is_some() && another() && judge::refused(answer, 409, "IDEMPOTENCY_IN_PROGRESS").is_ok() {
                continue;
            }
            world.judge(order, &url, answer)?;
        }
        if works {
            world.work();
        }
        for (who, seen) in Who::BOTH.into_iter().zip(seen) {
            world.agrees(who, seen)?;
        }
        world.past.extend(orders.iter().cloned());
        Ok(world)
    }

    async fn work(&mut self) -> Agrees {
        self.have_all_work().await?;
        self.world.work();
        Ok(())
    }

    /// Purchases, numbers, messages, events: one after the other, each until nothing of it is due.
    async fn have_all_work(&self) -> Agrees {
        let app = &self.app.app;
        let failed = |error: StoreError| Mismatch(format!("a worker failed: {error}"));
        while reconcile_purchases::reconcile_purchases(app).await.map_err(failed)? > 0 {}
        self.app.look_after_numbers().await;
        let stop = CancellationToken::new();
        let sends = worker(self, SendMessages::new(app.clone()), &stop);
        let air = begin(sandbox_air::run(app.clone(), stop.clone()));
        self.until_nothing_is_due("messages", async |tx, now| {
            let sends = tx.send_lines_due(now).await?.len();
            let air = tx.next_air_due().await?.filter(|due| *due <= now);
            Ok(sends + usize::from(air.is_some()))
        })
        .await?;
        stop.cancel();
        for worker in [sends, air] {
            worker.await.map_err(|error| Mismatch(error.to_string()))?.map_err(Mismatch)?;
        }
        while record_outcome::apply_belated(app).await.map_err(failed)? {}
        let stop = CancellationToken::new();
        let deliveries = worker(self, DeliverWebhooks::new(app.clone()), &stop);
        self.until_nothing_is_due("events", async |tx, now| Ok(tx.delivery_lines_due(now).await?.len())).await?;
        stop.cancel();
        deliveries.await.map_err(|error| Mismatch(error.to_string()))?.map_err(Mismatch)
    }

    async fn until_nothing_is_due(
        &self,
        what: &str,
        due: impl AsyncFn(&mut Tx, offhook_domain::Timestamp) -> Result<usize, StoreError> + Clone + Send + 'static,
    ) -> Agrees {
        let began = Instant::now();
        loop {
            let (due, now) = (due.clone(), self.app.app.now());
            let left = self.app.app.store.read::<_, StoreError>(async move |tx: &mut Tx| due(tx, now).await).await;
            match left {
                Ok(0) => return Ok(()),
                left if began.elapsed() > DEADLINE => disagree!("{what} are still due: {left:?}"),
                _ => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }

    async fn receipts(&mut self, who: Who, message: u8, named: Named, says: &[Says]) -> Agrees {
        let account = self.world.of(who);
        let outbound: Vec<_> = (0..account.messages.len()).filter(|nth| account.messages[*nth].outbound).collect();
        let Some(nth) =
            outbound.len().checked_sub(1).map(|last| outbound[last - usize::from(message) % outbound.len()])
        else {
            return Ok(());
        };
        let id = account.messages[nth].id.as_deref().and_then(|id| MessageId::parse(id).ok());
        let known = self.carriers_id(who, id.clone()).await;
        self.receipts += 1;
        let of_nobody = format!("rcp_{}", self.receipts);
        let (carrier_id, our_id) = match (named, known) {
            (Named::Carrier, Some(known)) => (known, None),
            (Named::Carrier | Named::Ours, _) => (of_nobody, id),
            (Named::Unknown, _) => (of_nobody, None),
        };
        let receipts = says.iter().map(|says| {
            Inbound::Receipt(Receipt {
                carrier: SANDBOX,
                carrier_message_id: carrier_id.clone(),
                message_id: our_id.clone(),
                status: status(*says),
                failure: says.receipt().error.map(|code| Failure::new(code, "told by a receipt")),
                at: self.app.app.now(),
            })
        });
        let received = receive_message::receive(&self.app.app, receipts.collect()).await;
        received.map_err(|error| Mismatch(format!("receipts are not kept: {error}")))?;
        if named != Named::Unknown {
            for says in says {
                let receipt = says.receipt();
                if self.world.of(who).messages[nth].status == "queued" {
                    self.world.of_mut(who).messages[nth].early.push(receipt);
                } else {
                    self.world.hears(who, nth, &receipt);
                }
            }
        }
        Ok(())
    }

    async fn carriers_id(&self, who: Who, id: Option<MessageId>) -> Option<String> {
        let (account, id) = (self.client(who).account.clone(), id?);
        let read = async move |tx: &mut Tx| tx.of(&account).message(&id).await;
        self.app.app.store.read::<_, StoreError>(read).await.ok()??.carrier_message_id
    }

    /// In one go, and once more behind that: it is one text.
    async fn brings(&mut self, from: u8, to: Pick, times: u8) -> Agrees {
        let from = HANDSETS[usize::from(from)];
        let to = self.world.named(Who::A, Kind::Digits, to);
        let body = format!("text {}", self.world.next_serial());
        let text = Inbound::Message(InboundMessage {
            carrier: SANDBOX,
            carrier_message_id: format!("inb {body}"),
            from: from.to_owned(),
            to: E164::parse(&to).map_err(|error| Mismatch(error.to_string()))?,
            body: body.clone(),
            media_urls: Vec::new(),
        });
        let is_being_bought =
            Who::BOTH.into_iter().any(|who| self.world.of(who).purchases.iter().any(|one| one.phone == to));
        for count in [usize::from(times), 1] {
            let kept = receive_message::receive(&self.app.app, vec![text.clone(); count]).await;
            if kept.is_ok() == (is_being_bought && self.world.holder(&to).is_none()) {
                disagree!("a text for {to} was answered with {kept:?}");
            }
        }
        self.world.received(from, &to, &body, 1, false);
        Ok(())
    }

    async fn new_key(&mut self, who: Who) -> Agrees {
        let app = &self.app.app;
        let account = self.client(who).account.clone();
        let create = KeyCommand::Create { name: "next".to_owned(), account: Some(account.clone()), sandbox: true };
        let keys =
            match api_keys::run(&app.store, &*app.clock, KeyCommand::List { account: Some(account.clone()) }).await {
                KeyReport::Listed { keys } => keys,
                other => disagree!("keys are not listed: {other:?}"),
            };
        let KeyReport::Created { secret, .. } = api_keys::run(&app.store, &*app.clock, create).await else {
            disagree!("no key is made")
        };
        for key in keys.into_iter().filter(|key| key.revoked_at.is_none()) {
            let revoke = KeyCommand::Revoke { id: key.id, account: Some(account.clone()) };
            let KeyReport::Revoked { .. } = api_keys::run(&app.store, &*app.clock, revoke).await else {
                disagree!("a key is not revoked")
            };
        }
        // As the control socket does.
        app.keys.invalidate_all();
        let good = self.app.with_key(&account, &secret);
        let keys = &mut self.accounts[who as usize];
        keys.revoked = std::mem::replace(&mut keys.good, good);
        Ok(())
    }
}

type Worker = JoinHandle<Result<(), String>>;

fn worker<W: LineWork>(stage: &Stage, work: W, stop: &CancellationToken) -> Worker {
    let (_, rung) = mpsc::unbounded_channel();
    begin(lines::run(stage.app.app.clone(), Arc::new(work), rung, stop.clone()))
}

#[expect(clippy::disallowed_methods, reason = "a test waits for what it starts")]
fn begin(work: impl Future<Output = Result<(), String>> + Send + 'static) -> Worker {
    tokio::spawn(work)
}

fn status(says: Says) -> ReceiptStatus {
    match says {
        Says::Sent => ReceiptStatus::Sent,
        Says::Delivered => ReceiptStatus::Delivered,
        Says::Undelivered => ReceiptStatus::Undelivered,
        Says::Failed => ReceiptStatus::Failed,
    }
}

/// Every order of so many.
fn orders_of(count: usize) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..count {
        let longer = |order: &Vec<usize>| {
            (0..count)
                .filter(|nth| !order.contains(nth))
                .map(|nth| [order.as_slice(), &[nth]].concat())
                .collect::<Vec<_>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}
