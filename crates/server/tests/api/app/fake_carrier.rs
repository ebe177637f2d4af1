//! A carrier that does to each purchase what the test wants.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use offhook_carriers::{AvailableNumber, BuyError, Carrier, CarrierError, NumberOrder, NumberSearch, Submission};
use offhook_domain::message::{Failure, SendOutcome};
use offhook_domain::{E164, PurchaseId};
use tokio::sync::Notify;

/// What becomes of one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Taken,
    Refuse,
    Fail,
    LoseUnsold,
    SellAndLose,
    /// The answer is lost, and the order takes effect behind the first question for it.
    LoseAndSellLate,
    /// Never answers, and sells nothing.
    Hang,
    SellAndHang,
    /// Sells and answers when the test says so.
    WaitAndSell,
    /// Sells at once and answers when the test says so.
    SellAndWait,
}

/// Sells +1 415 555 0100 and the two numbers behind it; plainly, unless there are deeds to do.
#[derive(Default)]
pub struct FakeCarrier {
    deeds: Mutex<VecDeque<Deed>>,
    sold: Mutex<BTreeMap<String, E164>>,
    late: Mutex<Option<NumberOrder>>,
    searches_that_fail: Mutex<usize>,
    releases_that_lose_their_answer: Mutex<usize>,
    /// Rung when an order is kept waiting.
    pub keeps_waiting: Notify,
    /// Rung by the test: the order may be answered.
    pub may_answer: Notify,
}

impl FakeCarrier {
    pub fn doing(deeds: impl IntoIterator<Item = Deed>) -> Arc<Self> {
        Arc::new(Self { deeds: Mutex::new(deeds.into_iter().collect()), ..Self::default() })
    }

    pub fn failing_searches(count: usize) -> Arc<Self> {
        Arc::new(Self { searches_that_fail: Mutex::new(count), ..Self::default() })
    }

    /// Takes that many numbers back without saying so.
    pub fn losing_releases(count: usize) -> Arc<Self> {
        Arc::new(Self { releases_that_lose_their_answer: Mutex::new(count), ..Self::default() })
    }

    /// What is sold, as the carrier sees it.
    pub fn sold(&self) -> Vec<String> {
        let mut sold: Vec<_> = self.sold.lock().unwrap().values().map(ToString::to_string).collect();
        sold.sort();
        sold
    }

    fn sell(&self, order: &NumberOrder) -> Result<(), BuyError> {
        let mut sold = self.sold.lock().unwrap();
        if sold.values().any(|number| *number == order.phone_number) {
            return Err(BuyError::Taken);
        }
        sold.insert(order.reference.to_string(), order.phone_number.clone());
        Ok(())
    }
}

#[async_trait]
impl Carrier for FakeCarrier {
    fn name(&self) -> &'static str {
        "fake"
    }

    async fn search(&self, query: &NumberSearch) -> Result<Vec<AvailableNumber>, CarrierError> {
        let mut failing = self.searches_that_fail.lock().unwrap();
        if *failing > 0 {
            *failing -= 1;
            return Err(CarrierError("down".to_owned()));
        }
        let sold = self.sold();
        let all = ["+14155550100", "+14155550101", "+14155550102"];
        let free = all.into_iter().filter(|number| !sold.contains(&(*number).to_owned()));
        let offer = |number| AvailableNumber {
            phone_number: E164::parse(number).unwrap(),
            city: None,
            region: None,
            rate_center: None,
            area_code: None,
        };
        Ok(free.map(offer).take(query.limit).collect())
    }

    async fn buy(&self, order: &NumberOrder) -> Result<(), BuyError> {
        let lost = || BuyError::Unknown("lost".to_owned());
        let deed = self.deeds.lock().unwrap().pop_front();
        match deed {
            None => self.sell(order),
            Some(Deed::Taken) => Err(BuyError::Taken),
            Some(Deed::Refuse) => Err(BuyError::Refused("no such customer".to_owned())),
            Some(Deed::Fail) => Err(BuyError::NotBought("down".to_owned())),
            Some(Deed::LoseUnsold) => Err(lost()),
            Some(Deed::SellAndLose) => self.sell(order).and(Err(lost())),
            Some(Deed::LoseAndSellLate) => {
                *self.late.lock().unwrap() = Some(order.clone());
                Err(lost())
            }
            Some(Deed::Hang) => {
                self.keeps_waiting.notify_one();
                std::future::pending().await
            }
            Some(Deed::SellAndHang) => {
                self.sell(order)?;
                self.keeps_waiting.notify_one();
                std::future::pending().await
            }
            Some(Deed::WaitAndSell) => {
                self.keeps_waiting.notify_one();
                self.may_answer.notified().await;
                self.sell(order)
            }
            Some(Deed::SellAndWait) => {
                self.sell(order)?;
                self.keeps_waiting.notify_one();
                self.may_answer.notified().await;
                Ok(())
            }
        }
    }

    async fn find_order(&self, reference: &PurchaseId) -> Result<Option<E164>, CarrierError> {
        let known = self.sold.lock().unwrap().get(&reference.to_string()).cloned();
        if let Some(order) = self.late.lock().unwrap().take() {
            self.sell(&order).unwrap();
        }
        Ok(known)
    }

    async fn release(&self, number: &E164, reference: Option<&PurchaseId>) -> Result<(), CarrierError> {
        let asked = reference.map(ToString::to_string);
        let mut sold = self.sold.lock().unwrap();
        sold.retain(|under, sold| sold != number || asked.as_ref().is_some_and(|asked| asked != under));
        drop(sold);
        let mut losing = self.releases_that_lose_their_answer.lock().unwrap();
        if *losing > 0 {
            *losing -= 1;
            return Err(CarrierError("lost".to_owned()));
        }
        Ok(())
    }

    async fn send(&self, _: &Submission) -> SendOutcome {
        SendOutcome::NotTaken(Failure { code: "30000".to_owned(), reason: "it sends nothing".to_owned() })
    }
}
