//! What the peer brings, on its way to the platform: parts gathered to texts, receipts of parts to those of messages.
//!
//! In: messages that connections received. Out: answers for the peer, each after the commit that keeps what it answers.
//! What arrives while some is being kept goes together next. Never here: the wire.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use offhook_domain::message::{Failure, ReceiptStatus};
use offhook_domain::{Clock, Id, MessageId};
use offhook_smpp::{Coding, Fragment, FragmentKey, Message, Request, State, Status, Udh, esm_class, gsm7};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::memory::{Arrived, PartReceipt, PartStanding, PartsTold, Piece, SmppMemory, Standing, WholeText};
use super::settings::SmppSettings;
use super::{address, ids};
use crate::{Inbound, InboundMessage, InboundSink, NotKept, Receipt};

/// Things that are kept together, at most.
const MOST: usize = 256;
/// How long something that nobody waits for is kept back when the platform can't take it.
const AGAIN: Duration = Duration::from_secs(1);
/// Ids of messages that are known to be whole, at most.
const WHOLE_IDS: usize = 100_000;

/// Something for the platform.
#[derive(Debug)]
pub enum Arrival {
    /// The peer brought it over a connection that waits for the answer.
    Brought(Brought),
    /// What we found out ourselves.
    Told(Receipt),
    /// The peer has our answer to these.
    Settled(Vec<Kept>),
}

/// A message that a connection received.
#[derive(Debug)]
pub struct Brought {
    pub message: Box<Message>,
    pub digest: String,
    /// It is no repeat ([`Sightings::arrive`](super::sightings::Sightings::arrive)).
    pub fresh: bool,
    pub request: Request,
    pub answer: mpsc::UnboundedSender<Answer>,
}

/// The answer for the peer.
#[derive(Debug)]
pub struct Answer {
    pub request: Request,
    pub status: Status,
    pub digest: String,
    /// What is kept of it, and can't come again once the peer has the answer.
    pub kept: Option<Kept>,
}

/// What is kept of something that was brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Kept {
    /// A text in one piece.
    Text(String),
    /// A part of a text, by its number.
    Part(String, u8),
}

/// Equal where two messages are equal in everything.
pub fn digest(message: &Message) -> String {
    let mut hash = Sha256::new();
    for address in [&message.source, &message.destination] {
        hash.update([address.ton, address.npi]);
        hash.update((address.digits.len() as u64).to_be_bytes());
        hash.update(address.digits.as_bytes());
    }
    hash.update([message.esm_class, message.protocol_id, message.data_coding]);
    hash.update((message.short_message.len() as u64).to_be_bytes());
    hash.update(&message.short_message);
    let mut tlvs = Vec::new();
    message.tlvs.write(&mut tlvs);
    hash.update(&tlvs);
    hash.finalize().iter().take(16).map(|octet| format!("{octet:02x}")).collect()
}

/// Ids of messages that went in one piece: their receipts need no look for parts.
#[derive(Debug, Default)]
pub struct WholeIds {
    known: Mutex<(HashSet<String>, VecDeque<String>)>,
}

impl WholeIds {
    pub fn add(&self, id: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0.insert(id.to_owned()) {
            known.1.push_back(id.to_owned());
        }
        if known.1.len() > WHOLE_IDS
            && let Some(oldest) = known.1.pop_front()
        {
            known.0.remove(&oldest);
        }
    }

    fn has(&self, id: &str) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).0.contains(id)
    }
}

/// Brings what arrives to the platform.
pub struct Porter {
    pub settings: Arc<SmppSettings>,
    pub memory: Arc<dyn SmppMemory>,
    pub sink: Arc<dyn InboundSink>,
    pub clock: Arc<dyn Clock>,
    pub whole_ids: Arc<WholeIds>,
}

impl Porter {
    /// Works until no connection is left that could bring anything.
    pub async fn run(&self, mut arriving: mpsc::UnboundedReceiver<Arrival>) {
        let mut owed: Vec<Receipt> = Vec::new();
        loop {
            let mut batch = Vec::new();
            let pause = tokio::time::sleep(AGAIN);
            tokio::select! {
                count = arriving.recv_many(&mut batch, MOST) => if count == 0 { break },
                () = pause, if !owed.is_empty() => {}
            }
            let (mut brought, mut settled, mut told) = (Vec::new(), Vec::new(), std::mem::take(&mut owed));
            for one in batch {
                match one {
                    Arrival::Brought(one) => brought.push(one),
                    Arrival::Told(receipt) => told.push(receipt),
                    Arrival::Settled(kept) => settled.extend(kept),
                }
            }
            let (texts, receipts): (Vec<_>, Vec<_>) = brought.into_iter().partition(|one| !one.message.is_receipt());
            // First: what arrived since says the same only by chance.
            self.settle(settled).await;
            self.take_texts(texts).await;
            self.take_receipts(receipts).await;
            owed = self.tell(told).await;
        }
    }

    async fn settle(&self, settled: Vec<Kept>) {
        let (name, mut texts, mut parts) = (self.settings.name, Vec::new(), Vec::new());
        for one in settled {
            match one {
                Kept::Text(text) => texts.push(text),
                Kept::Part(text, number) => parts.push((text, number)),
            }
        }
        let mut done = Ok(());
        if !texts.is_empty() {
            done = self.memory.forget_arrived(name, texts).await;
        }
        if !parts.is_empty() {
            done = done.and(self.memory.settle_parts(name, parts).await);
        }
        if let Err(error) = done {
            tracing::debug!(carrier = name, %error, "what can't come again could not be noted; it expires");
        }
    }

    /// Brings texts of which a part never came, as far as they go.
    pub async fn give_up_waiting(&self) {
        let before = self.clock.now().minus(self.settings.parts_expire);
        let unfinished = match self.memory.unfinished(self.settings.name, before).await {
            Ok(unfinished) => unfinished,
            Err(error) => {
                tracing::warn!(carrier = self.settings.name, %error, "texts that wait for parts could not be looked for");
                return;
            }
        };
        let mut done = Vec::new();
        for text in unfinished {
            tracing::warn!(carrier = self.settings.name, text = text.id, "a text is brought without all of its parts");
            match self.deliver(&text).await {
                Ok(()) => done.push(text.id),
                Err(error) => tracing::warn!(carrier = self.settings.name, %error, "it could not be kept"),
            }
        }
        if !done.is_empty() {
            // What can't be forgotten comes again under the same id, which is harmless.
            drop(self.memory.forget_arrived(self.settings.name, done).await);
        }
    }

    async fn take_texts(&self, brought: Vec<Brought>) {
        let (mut waiting, mut arrived) = (Vec::new(), Vec::new());
        for one in brought {
            if address::our_number(&self.settings, &one.message.destination).is_none() {
                tracing::warn!(carrier = self.settings.name, "a text for what is no phone number was turned away");
                self.answer(one, Status::RINVDSTADR, None);
                continue;
            }
            arrived.push(self.arrived(&one));
            waiting.push(one);
        }
        if arrived.is_empty() {
            return;
        }
        let standings = self.keep(arrived).await;
        let each = waiting.into_iter().zip(standings).map(async |(one, standing)| match standing {
            Ok(Standing::Waiting { text_id }) => {
                let kept = kept(&one.message, text_id);
                self.answer(one, Status::ROK, Some(kept));
            }
            Ok(Standing::Whole(text)) => match self.deliver(&text).await {
                Ok(()) => {
                    let kept = kept(&one.message, text.id);
                    self.answer(one, Status::ROK, Some(kept));
                }
                Err(error) => self.turn_away(one, &error),
            },
            Err(error) => self.turn_away(one, &error),
        });
        join_all(each).await;
    }

    /// Keeps what arrived; where it can't be kept together, each by itself.
    async fn keep(&self, arrived: Vec<Arrived>) -> Vec<Result<Standing, NotKept>> {
        let name = self.settings.name;
        let count = arrived.len();
        match self.memory.keep_arrived(name, arrived.clone()).await {
            Ok(standings) => standings.into_iter().map(Ok).collect(),
            Err(error) if count == 1 => vec![Err(error)],
            Err(_) => {
                let mut each = Vec::with_capacity(count);
                for one in arrived {
                    let kept = self.memory.keep_arrived(name, vec![one]).await;
                    each.push(kept.and_then(|mut all| all.pop().ok_or_else(|| NotKept("nothing was kept".to_owned()))));
                }
                each
            }
        }
    }

    async fn deliver(&self, text: &WholeText) -> Result<(), NotKept> {
        let settings = &self.settings;
        let receiver = offhook_smpp::Address::new(1, 1, &text.receiver);
        // It was one when it was kept.
        let Some(to) = address::our_number(settings, &receiver) else { return Ok(()) };
        let message = InboundMessage {
            carrier: settings.name,
            carrier_message_id: text.id.clone(),
            from: text.sender.clone(),
            to,
            body: body(text),
            media_urls: Vec::new(),
        };
        self.sink.receive(vec![Inbound::Message(message)]).await
    }

    fn arrived(&self, one: &Brought) -> Arrived {
        let (message, settings) = (&one.message, &self.settings);
        let at = self.clock.now();
        let receiver = address::our_number(settings, &message.destination).map(|number| number.to_string());
        let (sender, receiver) = (address::sender(settings, &message.source), receiver.unwrap_or_default());
        let fragment = Fragment::of(message);
        let text_key = fragment.map_or_else(
            || one.digest.clone(),
            |Fragment { key, total, .. }| {
                let reference = match key {
                    FragmentKey::Udh8(reference) => format!("u8:{reference}"),
                    FragmentKey::Udh16(reference) => format!("u16:{reference}"),
                    FragmentKey::Sar(reference) => format!("sar:{reference}"),
                };
                format!("{reference}/{total}:{receiver}:{sender}")
            },
        );
        Arrived {
            id: format!("smpp_{}", MessageId::generate(at).as_str().trim_start_matches(MessageId::PREFIX)),
            text_key,
            digest: one.digest.clone(),
            fresh: one.fresh,
            sender,
            receiver,
            total: fragment.map_or(1, |fragment| fragment.total),
            piece: piece(settings, message, fragment.map_or(1, |fragment| fragment.number)),
            at,
        }
    }

    async fn take_receipts(&self, brought: Vec<Brought>) {
        let (mut waiting, mut receipts) = (Vec::new(), Vec::new());
        for one in brought {
            match self.receipt(&one.message) {
                Some(receipt) => {
                    waiting.push(one);
                    receipts.push(receipt);
                }
                None => {
                    // Taken all the same: it would be brought for ever.
                    tracing::warn!(carrier = self.settings.name, "a receipt that names no message was dropped");
                    self.answer(one, Status::ROK, None);
                }
            }
        }
        if receipts.is_empty() {
            return;
        }
        for (one, kept) in waiting.into_iter().zip(self.keep_receipts(receipts).await) {
            match kept {
                Ok(()) => self.answer(one, Status::ROK, None),
                Err(error) => self.turn_away(one, &error),
            }
        }
    }

    fn receipt(&self, message: &Message) -> Option<Receipt> {
        let read = offhook_smpp::Receipt::read(message)?;
        let status = match read.state {
            State::Delivered => ReceiptStatus::Delivered,
            State::Expired | State::Deleted | State::Undeliverable => ReceiptStatus::Undelivered,
            State::Rejected => ReceiptStatus::Failed,
            State::EnRoute | State::Unknown => ReceiptStatus::Sent,
        };
        let failure = matches!(status, ReceiptStatus::Undelivered | ReceiptStatus::Failed).then(|| {
            let state = read.state.as_str();
            let code = read.error.as_deref().unwrap_or(state);
            Failure::new(code, &format!("the carrier says {state}"))
        });
        Some(Receipt {
            carrier: self.settings.name,
            carrier_message_id: ids::in_receipt(self.settings.message_ids, &read.message_id),
            message_id: None,
            status,
            failure,
            // Their clocks and zones are their own.
            at: self.clock.now(),
        })
    }

    /// Keeps receipts. Those of parts are kept with their messages, and go on once they say something of the whole.
    async fn keep_receipts(&self, receipts: Vec<Receipt>) -> Vec<Result<(), NotKept>> {
        let standings = self.stand(&receipts).await;
        let each = receipts.iter().zip(standings).map(async |(receipt, standing)| match standing? {
            PartStanding::Pending => Ok(false),
            PartStanding::Told(told) => self.pass_on(self.of_whole(told)).await.map(|()| false),
            PartStanding::NoPart => self.pass_on(receipt.clone()).await.map(|()| true),
        });
        let kept = join_all(each).await;
        // Its answer may have come in between the two, and be that of a part.
        let look_again = |(receipt, kept): (&Receipt, &Result<bool, NotKept>)| {
            (matches!(kept, Ok(true)) && !self.whole_ids.has(&receipt.carrier_message_id)).then(|| receipt.clone())
        };
        let doubtful: Vec<Receipt> = receipts.iter().zip(&kept).filter_map(look_again).collect();
        if !doubtful.is_empty() {
            for told in self.stand(&doubtful).await {
                if let Ok(PartStanding::Told(told)) = told
                    && let Err(error) = self.pass_on(self.of_whole(told)).await
                {
                    return kept.into_iter().map(|_| Err(error.clone())).collect();
                }
            }
        }
        kept.into_iter().map(|one| one.map(|_| ())).collect()
    }

    async fn stand(&self, receipts: &[Receipt]) -> Vec<Result<PartStanding, NotKept>> {
        let is_whole = |receipt: &Receipt| self.whole_ids.has(&receipt.carrier_message_id);
        let asked: Vec<PartReceipt> = receipts.iter().filter(|receipt| !is_whole(receipt)).map(part_receipt).collect();
        let mut heard = Ok(Vec::new());
        if !asked.is_empty() {
            heard = self.memory.hear_of_parts(self.settings.name, asked).await;
        }
        let mut heard = heard.map(Vec::into_iter);
        let each = receipts.iter().map(|receipt| match &mut heard {
            _ if is_whole(receipt) => Ok(PartStanding::NoPart),
            Ok(standings) => Ok(standings.next().unwrap_or(PartStanding::NoPart)),
            Err(error) => Err(error.clone()),
        });
        each.collect()
    }

    /// Passes on what we found out ourselves; what could not be kept is owed still.
    async fn tell(&self, told: Vec<Receipt>) -> Vec<Receipt> {
        let each = told.into_iter().map(async |receipt| self.pass_on(receipt.clone()).await.err().map(|_| receipt));
        join_all(each).await.into_iter().flatten().collect()
    }

    async fn pass_on(&self, receipt: Receipt) -> Result<(), NotKept> {
        self.sink.receive(vec![Inbound::Receipt(receipt)]).await
    }

    fn of_whole(&self, told: PartsTold) -> Receipt {
        of_whole(self.settings.name, told)
    }

    fn turn_away(&self, one: Brought, error: &NotKept) {
        tracing::warn!(carrier = self.settings.name, %error, "something that the peer brought could not be kept");
        self.answer(one, Status::RX_T_APPN, None);
    }

    fn answer(&self, one: Brought, status: Status, kept: Option<Kept>) {
        // Where the connection is gone the peer brings it again.
        drop(one.answer.send(Answer { request: one.request, status, digest: one.digest, kept }));
    }
}

fn kept(message: &Message, text_id: String) -> Kept {
    match Fragment::of(message) {
        // A text in one part is one in one piece.
        Some(Fragment { total, number, .. }) if total > 1 => Kept::Part(text_id, number),
        _ => Kept::Text(text_id),
    }
}

/// The receipt of a message whose parts were heard of.
pub fn of_whole(carrier: &'static str, told: PartsTold) -> Receipt {
    Receipt {
        carrier,
        carrier_message_id: told.whole_id,
        message_id: Some(told.message_id),
        status: told.status,
        failure: told.failure,
        at: told.at,
    }
}

fn part_receipt(receipt: &Receipt) -> PartReceipt {
    PartReceipt {
        part_id: receipt.carrier_message_id.clone(),
        status: receipt.status,
        failure: receipt.failure.clone(),
        at: receipt.at,
    }
}

/// ASCII, as the specification has it. Some peers mean the default alphabet, in which what ASCII has for controls are
/// letters.
const IA5: u8 = 0x01;

/// A message's octets without header and packing, and how they are to be read.
fn piece(settings: &SmppSettings, message: &Message, number: u8) -> Piece {
    let has_header = message.esm_class & esm_class::UDHI != 0;
    let (header, octets) = if has_header {
        let udh = Udh::read(message.payload());
        (udh.length, udh.text)
    } else {
        (0, message.payload())
    };
    let coding = match message.data_coding {
        IA5 if octets.iter().any(|octet| *octet < 0x20 && !matches!(octet, b'\t' | b'\n' | b'\r')) => {
            Some(Coding::Gsm7)
        }
        data_coding => coding_of(settings, data_coding),
    };
    let (coding, octets) = match coding {
        Some(Coding::Gsm7Packed) => ("gsm7", gsm7::unpack(octets, gsm7::fill_bits(header))),
        Some(Coding::Gsm7) => ("gsm7", octets.to_vec()),
        Some(Coding::Ucs2) => ("ucs2", octets.to_vec()),
        Some(Coding::Latin1) => ("latin1", octets.to_vec()),
        None => ("utf8", octets.to_vec()),
    };
    Piece { number, coding: coding.to_owned(), octets }
}

/// The alphabet that a `data_coding` tells; `None` for octets that are no text, or in who knows what alphabet.
fn coding_of(settings: &SmppSettings, data_coding: u8) -> Option<Coding> {
    match data_coding {
        0x00 => Some(settings.default_coding),
        0x01 | 0x03 => Some(Coding::Latin1),
        0x08 => Some(Coding::Ucs2),
        // 3GPP TS 23.038: with a message class, or a group of indications.
        coding if coding & 0xF4 == 0xF0 => Some(settings.default_coding),
        coding if coding & 0xF0 == 0xE0 => Some(Coding::Ucs2),
        coding if matches!(coding & 0xF0, 0xC0 | 0xD0) => Some(settings.default_coding),
        coding if coding & 0xF0 == 0x10 => match coding & 0x0C {
            0x00 => Some(settings.default_coding),
            0x08 => Some(Coding::Ucs2),
            _ => None,
        },
        _ => None,
    }
}

/// The words of a text: pieces of one alphabet are joined before they are read, for senders tear characters apart. Where
/// pieces are missing there is an ellipsis.
fn body(text: &WholeText) -> String {
    let mut words = String::new();
    let mut run: Option<(&str, Vec<u8>)> = None;
    let mut expected = 1;
    for piece in &text.pieces {
        let gap = piece.number > expected;
        expected = piece.number.saturating_add(1);
        match &mut run {
            Some((coding, octets)) if *coding == piece.coding && !gap => octets.extend(&piece.octets),
            _ => {
                if let Some((coding, octets)) = run.take() {
                    words.push_str(&read(coding, &octets));
                }
                if gap {
                    words.push_str("[…]");
                }
                run = Some((piece.coding.as_str(), piece.octets.clone()));
            }
        }
    }
    if let Some((coding, octets)) = run {
        words.push_str(&read(coding, &octets));
    }
    if expected <= text.total {
        words.push_str("[…]");
    }
    words
}

fn read(coding: &str, octets: &[u8]) -> String {
    match coding {
        "gsm7" => offhook_smpp::decode(octets, Coding::Gsm7, 0),
        "ucs2" => offhook_smpp::decode(octets, Coding::Ucs2, 0),
        "utf8" => String::from_utf8(octets.to_vec())
            .unwrap_or_else(|octets| offhook_smpp::decode(octets.as_bytes(), Coding::Latin1, 0)),
        _ => offhook_smpp::decode(octets, Coding::Latin1, 0),
    }
}

/// How often to look for texts that wait for parts in vain.
pub fn sweep_interval(expire: Duration) -> Duration {
    (expire / 4).clamp(Duration::from_millis(50), Duration::from_secs(60))
}
