//! The product, told what to do step by step, and the model beside it.
//!
//! Workers don't run on their own here: a step has them do all that is due. So it is certain what waits at any time, and
//! what a request finds.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use offhook_store::{StoreError, Tx};
use offhook_testkit::webhook_receiver::WebhookReceiver;

use super::judge::{self, Answer};
use super::look::Seen;
use super::orders::Order;
use super::steps::{Ask, Deed, Pick, Place, Span, Step, Wanted, Who};
use super::world::{Agrees, Mismatch, START, World, disagree};
use crate::app::{Client, Setup, TestApp};

/// An installation with two accounts, its endpoints, and the model of them.
pub struct Stage {
    pub app: TestApp,
    pub world: World,
    pub endpoints: BTreeMap<u8, WebhookReceiver>,
    pub accounts: [Keys; 2],
    pub receipts: u32,
}

pub struct Keys {
    pub good: Client,
    pub revoked: Client,
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
        // Where a send crosses with the release of its number, what is left of it ends at the next look at numbers. An event
        // that crosses with the end of its agent waits for the agent's endpoint or for the account's: only its end tells.
        let works = orders.iter().any(|order| matches!(order.deed, Deed::Release(_) | Deed::DeleteAgent(_)));
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
            let before = Who::BOTH.map(|who| world.of(who).messages.len());
            world.judge(order, &url, answer)?;
            // Each has its time when it begins, and stands when it commits: of two at once, the one that stands first may have
            // the later time.
            for (who, before) in Who::BOTH.into_iter().zip(before) {
                let account = world.of_mut(who);
                if account.messages.len() > before {
                    account.spoken_together.extend(account.order.first());
                }
            }
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
