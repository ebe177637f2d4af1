//! A platform in memory: what a carrier remembers, and what it brings.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use offhook_carriers::smpp::{
    Arrived, PartReceipt, PartStanding, PartsTold, Piece, SentParts, SmppMemory, Standing, WholeText, fold_parts,
};
use offhook_carriers::{Inbound, InboundMessage, InboundSink, NotKept, Receipt};
use offhook_domain::Timestamp;
use offhook_domain::message::{Failure, ReceiptStatus};
use tokio::sync::watch;

/// Keeps what it is told while it lives, which is as long as the test.
#[derive(Default)]
pub struct Platform {
    kept: Mutex<Kept>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Kept {
    texts: Vec<Kin>,
    sent: HashMap<String, Sent>,
    parts: HashMap<String, String>,
    early: Vec<Receipt>,
    messages: Vec<InboundMessage>,
    ids: HashSet<String>,
    receipts: Vec<Receipt>,
    fails: usize,
    at: Vec<(String, Timestamp)>,
}

struct Kin {
    key: String,
    text: WholeText,
    digests: BTreeMap<u8, String>,
    settled: HashSet<u8>,
}

struct Sent {
    total: u8,
    told: PartsTold,
    heard: BTreeMap<String, (Option<ReceiptStatus>, Option<Failure>)>,
}

impl Platform {
    /// The next so many things can't be kept.
    pub fn fail(&self, times: usize) {
        self.locked().fails = times;
    }

    pub fn messages_so_far(&self) -> Vec<InboundMessage> {
        self.locked().messages.clone()
    }

    pub fn receipts_so_far(&self) -> Vec<Receipt> {
        self.locked().receipts.clone()
    }

    pub fn unforgotten(&self) -> usize {
        self.locked().texts.len()
    }

    /// Waits until the peer is known to have the answers to so many parts.
    pub async fn settled(&self, count: usize) {
        let settled = |kept: &Kept| kept.texts.iter().map(|kin| kin.settled.len()).sum::<usize>();
        self.until(|kept| (settled(kept) >= count).then_some(())).await;
    }

    pub async fn messages(&self, count: usize) -> Vec<InboundMessage> {
        self.until(|kept| (kept.messages.len() >= count).then(|| kept.messages.clone())).await
    }

    pub async fn receipts(&self, count: usize) -> Vec<Receipt> {
        self.until(|kept| (kept.receipts.len() >= count).then(|| kept.receipts.clone())).await
    }

    pub async fn all_forgotten(&self) {
        self.until(|kept| kept.texts.is_empty().then_some(())).await;
    }

    async fn until<T>(&self, look: impl Fn(&Kept) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        let waiting = async {
            loop {
                if let Some(found) = look(&self.locked()) {
                    return found;
                }
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("the platform waited in vain")
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

#[async_trait]
impl InboundSink for Platform {
    async fn receive(&self, inbound: Vec<Inbound>) -> Result<(), NotKept> {
        let mut kept = self.locked();
        if kept.fails > 0 {
            kept.fails -= 1;
            return Err(NotKept("told to fail".to_owned()));
        }
        for one in inbound {
            match one {
                Inbound::Message(message) if kept.ids.insert(message.carrier_message_id.clone()) => {
                    kept.messages.push(message);
                }
                Inbound::Message(_) => {}
                Inbound::Receipt(receipt) => {
                    kept.early.push(receipt.clone());
                    kept.receipts.push(receipt);
                }
            }
        }
        drop(kept);
        self.tell();
        Ok(())
    }
}

#[async_trait]
impl SmppMemory for Platform {
    async fn keep_arrived(&self, _: &'static str, arrived: Vec<Arrived>) -> Result<Vec<Standing>, NotKept> {
        let mut kept = self.locked();
        let standings = arrived.into_iter().map(|one| kept.keep(one)).collect();
        drop(kept);
        self.tell();
        Ok(standings)
    }

    async fn forget_arrived(&self, _: &'static str, ids: Vec<String>) -> Result<(), NotKept> {
        self.locked().texts.retain(|kin| !ids.contains(&kin.text.id));
        self.tell();
        Ok(())
    }

    async fn settle_parts(&self, _: &'static str, parts: Vec<(String, u8)>) -> Result<(), NotKept> {
        let mut kept = self.locked();
        for (id, number) in parts {
            for kin in kept.texts.iter_mut().filter(|kin| kin.text.id == id) {
                kin.settled.insert(number);
            }
        }
        drop(kept);
        self.tell();
        Ok(())
    }

    async fn unfinished(&self, _: &'static str, before: Timestamp) -> Result<Vec<WholeText>, NotKept> {
        let kept = self.locked();
        let old = |id: &str| kept.at.iter().any(|(known, at)| known == id && *at < before);
        let kin = kept.texts.iter().filter(|kin| old(&kin.text.id));
        Ok(kin.filter(|kin| !kin.is_whole()).map(|kin| kin.text.clone()).collect())
    }

    async fn keep_sent_parts(&self, sent: SentParts) -> Result<Option<PartsTold>, NotKept> {
        let mut kept = self.locked();
        let told = PartsTold {
            message_id: sent.message_id,
            whole_id: sent.whole_id.clone(),
            status: ReceiptStatus::Sent,
            failure: None,
            at: sent.at,
        };
        let heard = sent.parts.iter().map(|(_, id)| (id.clone(), (None, None))).collect();
        for (_, id) in &sent.parts {
            kept.parts.insert(id.clone(), sent.whole_id.clone());
        }
        kept.sent.insert(sent.whole_id, Sent { total: sent.total, told, heard });
        let early: Vec<Receipt> = kept.early.clone();
        let mut last = None;
        for receipt in early {
            let Receipt { carrier_message_id, status, failure, at, .. } = receipt;
            if let PartStanding::Told(told) =
                kept.hear(PartReceipt { part_id: carrier_message_id, status, failure, at })
            {
                last = Some(told);
            }
        }
        Ok(last)
    }

    async fn hear_of_parts(&self, _: &'static str, receipts: Vec<PartReceipt>) -> Result<Vec<PartStanding>, NotKept> {
        let mut kept = self.locked();
        Ok(receipts.into_iter().map(|receipt| kept.hear(receipt)).collect())
    }
}

impl Kept {
    fn keep(&mut self, one: Arrived) -> Standing {
        let Piece { number, .. } = one.piece;
        let mut same = self.texts.iter_mut().rev().filter(|kin| kin.key == one.text_key);
        let is_another = |kin: &Kin| kin.is_whole() && (one.fresh || kin.settled.contains(&number));
        let place =
            same.find(|kin| kin.digests.get(&number).is_none_or(|digest| *digest == one.digest && !is_another(kin)));
        let kin = match place {
            Some(kin) => kin,
            None => {
                self.at.push((one.id.clone(), one.at));
                let Arrived { id, sender, receiver, total, .. } = one.clone();
                let text = WholeText { id, sender, receiver, total, pieces: Vec::new() };
                self.texts.push(Kin { key: one.text_key, text, digests: BTreeMap::new(), settled: HashSet::new() });
                self.texts.last_mut().unwrap()
            }
        };
        if kin.digests.insert(number, one.digest).is_none() {
            kin.text.pieces.push(one.piece);
            kin.text.pieces.sort_by_key(|piece| piece.number);
        }
        if kin.is_whole() {
            Standing::Whole(kin.text.clone())
        } else {
            Standing::Waiting { text_id: kin.text.id.clone() }
        }
    }

    fn hear(&mut self, receipt: PartReceipt) -> PartStanding {
        let Some(whole) = self.parts.get(&receipt.part_id) else { return PartStanding::NoPart };
        let sent = self.sent.get_mut(whole).unwrap();
        sent.heard.insert(receipt.part_id, (Some(receipt.status), receipt.failure));
        let heard: Vec<_> = sent.heard.values().cloned().collect();
        match fold_parts(sent.total, &heard) {
            Some((status, failure)) => PartStanding::Told(PartsTold { status, failure, ..sent.told.clone() }),
            None => PartStanding::Pending,
        }
    }
}

impl Kin {
    fn is_whole(&self) -> bool {
        self.digests.len() == usize::from(self.text.total)
    }
}
