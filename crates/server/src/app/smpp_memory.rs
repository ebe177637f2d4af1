//! What SMPP carriers remember, kept in our store.

use std::time::Duration;

use async_trait::async_trait;
use offhook_carriers::NotKept;
use offhook_carriers::smpp::{
    Arrived, PartReceipt, PartStanding, PartsTold, Piece, SentParts, SmppMemory, Standing, WholeText, fold_parts,
};
use offhook_domain::Timestamp;
use offhook_store::inbound_parts::{ArrivedPart, PartedText, TextPiece};
use offhook_store::outcomes::KeptReceipt;
use offhook_store::sent_parts::PartsHeard;
use offhook_store::{Store, StoreError, Tx};

use super::hex;

/// No receipt comes later than this.
const RECEIPTS_COME: Duration = Duration::from_secs(14 * 86_400);

/// The memory of all SMPP carriers.
pub struct StoredSmppMemory {
    store: Store,
}

impl StoredSmppMemory {
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl SmppMemory for StoredSmppMemory {
    async fn keep_arrived(&self, carrier: &'static str, arrived: Vec<Arrived>) -> Result<Vec<Standing>, NotKept> {
        let parts: Vec<ArrivedPart> = arrived.into_iter().map(arrived_part).collect();
        let keep = async move |tx: &mut Tx| tx.keep_arrived_parts(carrier, &parts).await;
        let texts = self.store.write(keep).await.map_err(|error| not_kept(&error))?;
        let standing = |text: PartedText| {
            if text.is_whole() {
                whole_text(text).map(Standing::Whole)
            } else {
                Ok(Standing::Waiting { text_id: text.id })
            }
        };
        texts.into_iter().map(standing).collect()
    }

    async fn forget_arrived(&self, carrier: &'static str, ids: Vec<String>) -> Result<(), NotKept> {
        let forget = async move |tx: &mut Tx| tx.forget_texts(carrier, &ids).await;
        self.store.write(forget).await.map_err(|error| not_kept(&error))
    }

    async fn settle_parts(&self, carrier: &'static str, parts: Vec<(String, u8)>) -> Result<(), NotKept> {
        let parts: Vec<_> = parts.into_iter().map(|(id, number)| (id, u32::from(number))).collect();
        let settle = async move |tx: &mut Tx| tx.settle_parts(carrier, &parts).await;
        self.store.write(settle).await.map_err(|error| not_kept(&error))
    }

    async fn unfinished(&self, carrier: &'static str, before: Timestamp) -> Result<Vec<WholeText>, NotKept> {
        let look = async move |tx: &mut Tx| {
            tx.prune_sent_parts(carrier, before.minus(RECEIPTS_COME)).await?;
            tx.unfinished_texts(carrier, before).await
        };
        let texts = self.store.write(look).await.map_err(|error| not_kept(&error))?;
        texts.into_iter().map(whole_text).collect()
    }

    async fn keep_sent_parts(&self, sent: SentParts) -> Result<Option<PartsTold>, NotKept> {
        let (carrier, ids) = (sent.carrier, sent.parts.iter().map(|(_, id)| id.clone()).collect::<Vec<_>>());
        let keep = async move |tx: &mut Tx| {
            let parts: Vec<(u32, String)> =
                sent.parts.iter().map(|(number, id)| (u32::from(*number), id.clone())).collect();
            let whole = (sent.whole_id.as_str(), u32::from(sent.total));
            tx.keep_sent_parts(sent.carrier, &sent.message_id, whole, &parts, sent.at).await
        };
        self.store.write(keep).await.map_err(|error: StoreError| not_kept(&error))?;
        // In a transaction of its own: whoever kept a receipt as that of a whole message looks for the parts after its
        // commit, as this looks for receipts after the parts', so that one of the two finds the other.
        let take = async move |tx: &mut Tx| {
            let asked: Vec<_> = ids.iter().map(|id| (carrier, id.as_str())).collect();
            let early: Vec<KeptReceipt> = tx.take_early_receipts(&asked).await?.into_iter().flatten().collect();
            let heard = tx.hear_of_parts(carrier, &early).await?;
            Ok(heard.into_iter().zip(early).map(|(heard, receipt)| standing(heard, receipt.at)).collect::<Vec<_>>())
        };
        let standings = self.store.write(take).await.map_err(|error: StoreError| not_kept(&error))?;
        let mut told = standings.into_iter().filter_map(|standing| match standing {
            PartStanding::Told(told) => Some(told),
            PartStanding::NoPart | PartStanding::Pending => None,
        });
        Ok(told.next_back())
    }

    async fn hear_of_parts(
        &self,
        carrier: &'static str,
        receipts: Vec<PartReceipt>,
    ) -> Result<Vec<PartStanding>, NotKept> {
        let kept = receipts.into_iter().map(|PartReceipt { part_id, status, failure, at }| KeptReceipt {
            carrier_message_id: part_id,
            status,
            failure,
            at,
        });
        let receipts: Vec<KeptReceipt> = kept.collect();
        let kept = receipts.clone();
        let hear = async move |tx: &mut Tx| {
            let heard = tx.hear_of_parts(carrier, &kept).await?;
            let parts = heard.iter().zip(&kept).filter(|(heard, _)| heard.is_some());
            let parts: Vec<_> = parts.map(|(_, receipt)| (carrier, receipt.carrier_message_id.as_str())).collect();
            if parts.is_empty() {
                return Ok(heard);
            }
            // It may have been kept as a whole message's before its part's id was. Left behind, it would settle whichever
            // message gets that id next.
            let early: Vec<KeptReceipt> = tx.take_early_receipts(&parts).await?.into_iter().flatten().collect();
            if early.is_empty() {
                return Ok(heard);
            }
            tx.hear_of_parts(carrier, &early).await?;
            tx.hear_of_parts(carrier, &kept).await
        };
        let heard = self.store.write(hear).await.map_err(|error| not_kept(&error))?;
        Ok(heard.into_iter().zip(receipts).map(|(heard, receipt)| standing(heard, receipt.at)).collect())
    }
}

fn standing(heard: Option<PartsHeard>, at: Timestamp) -> PartStanding {
    let Some(PartsHeard { message_id, whole_id, total, told }) = heard else { return PartStanding::NoPart };
    match fold_parts(u8::try_from(total).unwrap_or(u8::MAX), &told) {
        Some((status, failure)) => PartStanding::Told(PartsTold { message_id, whole_id, status, failure, at }),
        None => PartStanding::Pending,
    }
}

fn arrived_part(one: Arrived) -> ArrivedPart {
    let Arrived { id, text_key, digest, fresh, sender, receiver, total, piece, at } = one;
    let piece = TextPiece { number: u32::from(piece.number), coding: piece.coding, octets: hex(&piece.octets) };
    ArrivedPart { id, text_key, digest, fresh, sender, receiver, total: u32::from(total), piece, at }
}

fn whole_text(text: PartedText) -> Result<WholeText, NotKept> {
    let odd = || NotKept("a stored part makes no sense".to_owned());
    let PartedText { id, sender, receiver, total, pieces } = text;
    let piece = |piece: TextPiece| {
        let number = u8::try_from(piece.number).map_err(|_| odd())?;
        Ok(Piece { number, coding: piece.coding, octets: octets(&piece.octets).ok_or_else(odd)? })
    };
    let pieces = pieces.into_iter().map(piece).collect::<Result<_, NotKept>>()?;
    Ok(WholeText { id, sender, receiver, total: u8::try_from(total).map_err(|_| odd())?, pieces })
}

fn octets(hexadecimal: &str) -> Option<Vec<u8>> {
    let pairs = hexadecimal.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn not_kept(error: &StoreError) -> NotKept {
    NotKept(error.to_string())
}
