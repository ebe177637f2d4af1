//! Time, carriers and endpoints: what becomes of everything that waits when all workers have done what is due.
//!
//! The order is that of `drive`: purchases, numbers, messages, events.

use super::steps::{Place, Says, Who};
use super::world::{Count, GRACE, NUMBER_PRICE, Number, PERIOD, Receipt, State, Told, World};

/// The waits between the tries of a busy carrier, and when it is given up on (`[sending]` in the configuration).
const RETRIES: [i64; 5] = [1, 5, 30, 120, 600];
const GIVE_UP: i64 = 14_400;
/// How long the sandbox's late receipts take.
const LATE: i64 = 3;

/// What the sandbox does with a message (docs/guides/sandbox.md).
enum Fate {
    Arrives,
    Refused(&'static str),
    /// Taken, and it does not arrive.
    Lost(&'static str, &'static str),
    Late,
    Never,
    AnswerLost,
    AnswerLostLate,
    BusyTwice,
}

fn fate(to: &str) -> Fate {
    match to.strip_prefix("+1500555") {
        Some("0001") => Fate::Refused("21211"),
        Some("0002") => Fate::Lost("undelivered", "30003"),
        Some("0004") => Fate::Refused("21610"),
        Some("0005") => Fate::Lost("failed", "30007"),
        Some("0010") => Fate::Late,
        Some("0012") => Fate::Never,
        Some("0013") => Fate::AnswerLost,
        Some("0014") => Fate::AnswerLostLate,
        Some("0015") => Fate::BusyTwice,
        _ => Fate::Arrives,
    }
}

impl World {
    /// Everything that is due is done.
    pub fn work(&mut self) {
        self.settle_purchases();
        self.to_give_back.clear();
        while self.look_after_numbers() {}
        self.to_give_back.clear();
        for who in Who::BOTH {
            self.send_what_waits(who);
        }
        self.land_what_is_due();
        for who in Who::BOTH {
            for nth in 0..self.of(who).messages.len() {
                if self.of(who).messages[nth].status != "queued" {
                    self.hears_early(who, nth);
                }
            }
        }
        for who in Who::BOTH {
            self.deliver(who);
        }
    }

    fn settle_purchases(&mut self) {
        for who in Who::BOTH {
            let now = self.now;
            let account = self.of_mut(who);
            for purchase in std::mem::take(&mut account.purchases) {
                // By then the key may be another request's.
                let key = purchase.once.filter(|(key, at)| account.once.get(key).is_some_and(|kept| kept.at == *at));
                if !purchase.sold {
                    account.wallet += NUMBER_PRICE;
                    key.into_iter().for_each(|(key, _)| drop(account.once.remove(&key)));
                    continue;
                }
                if let Some(kept) = key.and_then(|(key, _)| account.once.get_mut(&key)) {
                    kept.answer = Told::Bought(purchase.phone.clone());
                }
                let agent = purchase.agent.filter(|id| account.agent(id).is_some());
                account.numbers.push(Number {
                    id: None,
                    phone: purchase.phone,
                    agent,
                    active: true,
                    external: None,
                    ends_at: purchase.ends_at,
                    // Put right when it is seen in the list.
                    renews_at: super::effects::at(now + PERIOD).as_micros(),
                    unpaid: None,
                });
            }
        }
    }

    /// One round of payments and ends; whether anything came of it.
    fn look_after_numbers(&mut self) -> bool {
        let now = self.now;
        let mut due: Vec<(Who, usize)> = Vec::new();
        let all = |world: &Self| -> Vec<(Who, usize)> {
            Who::BOTH.into_iter().flat_map(|who| (0..world.of(who).numbers.len()).map(move |nth| (who, nth))).collect()
        };
        let number = |world: &Self, (who, nth): (Who, usize)| world.of(who).numbers[nth].clone();
        let second = super::effects::at(now).as_micros() + 999_999;
        let mut renewing: Vec<_> = all(self).into_iter().filter(|one| number(self, *one).is_renewing(second)).collect();
        renewing.sort_by_key(|one| number(self, *one).renews_at);
        due.extend(renewing);
        let payable = |one: &(Who, usize)| number(self, *one).is_unpaid() && self.of(one.0).wallet >= NUMBER_PRICE;
        let mut owing: Vec<_> = all(self).into_iter().filter(payable).collect();
        owing.sort_by_key(|one| number(self, *one).unpaid);
        due.extend(owing);
        let mut done = false;
        for one in due {
            if number(self, one).ends_at.is_none_or(|end| end > now) {
                done |= self.renew(one);
            }
        }
        for (who, nth) in all(self) {
            let number = number(self, (who, nth));
            let expired = number.ends_at.is_some_and(|end| end <= now);
            let overdue = number.unpaid.is_some_and(|(since, _)| now - since >= GRACE);
            if number.active && (expired || overdue) {
                self.release(who, nth);
                done = true;
            }
        }
        done
    }

    fn renew(&mut self, (who, nth): (Who, usize)) -> bool {
        let (now, serial) = (self.now, self.next_serial());
        let account = self.of_mut(who);
        let number = &mut account.numbers[nth];
        if account.wallet >= NUMBER_PRICE {
            account.wallet -= NUMBER_PRICE;
            number.renews_at += PERIOD * 1_000_000;
            number.unpaid = None;
            return true;
        }
        let newly = number.unpaid.is_none();
        number.unpaid = number.unpaid.or(Some((now, serial)));
        newly
    }

    fn send_what_waits(&mut self, who: Who) {
        for conversation in 0..self.of(who).conversations.len() {
            loop {
                let now = self.now;
                let account = self.of(who);
                let waits = |nth: &usize| {
                    account.messages[*nth].conversation == conversation && account.messages[*nth].job.is_some()
                };
                let Some(nth) = (0..account.messages.len()).find(waits) else { break };
                if account.messages[nth].job.is_none_or(|job| job.due > now) || !self.submit(who, nth) {
                    break;
                }
            }
        }
    }

    /// Hands a message over; false where it waits for another try.
    fn submit(&mut self, who: Who, nth: usize) -> bool {
        let now = self.now;
        let account = self.of(who);
        let message = &account.messages[nth];
        let to = account.conversations[message.conversation].participant.clone();
        let fate = fate(&to);
        match fate {
            Fate::Refused(error) => {
                self.ends_unsent(who, nth, error);
                return true;
            }
            Fate::BusyTwice if message.job.is_some_and(|job| job.attempts < 2) => return self.is_busy(who, nth),
            _ => {}
        }
        self.goes_through(who, nth, &to, &fate);
        let message = &mut self.of_mut(who).messages[nth];
        message.job = None;
        let answered = !matches!(fate, Fate::AnswerLost | Fate::AnswerLostLate);
        message.at_carrier = answered;
        if answered {
            self.moves(who, nth, "sent", None);
        } else {
            self.moves(who, nth, "unconfirmed", Some("30001"));
            self.hears_early(who, nth);
        }
        let delivered = Receipt { status: "delivered", error: None };
        match fate {
            Fate::Arrives | Fate::BusyTwice => self.hears(who, nth, &delivered),
            Fate::Lost(status, error) => self.hears(who, nth, &Receipt { status, error: Some(error) }),
            Fate::Late | Fate::AnswerLostLate => self.late.push((now + LATE, who, nth)),
            Fate::Never | Fate::AnswerLost | Fate::Refused(_) => {}
        }
        true
    }

    fn is_busy(&mut self, who: Who, nth: usize) -> bool {
        let now = self.now;
        let account = self.of_mut(who);
        let conversation = account.messages[nth].conversation;
        let Some(job) = &mut account.messages[nth].job else { return true };
        if now - job.accepted >= GIVE_UP {
            self.ends_unsent(who, nth, "30022");
            return true;
        }
        let due = now + RETRIES[job.attempts.min(RETRIES.len() - 1)];
        job.attempts += 1;
        account.conversations[conversation].held_until = due;
        let theirs = account.messages.iter_mut().filter(|message| message.conversation == conversation);
        theirs.filter_map(|message| message.job.as_mut()).for_each(|job| job.due = job.due.max(due));
        false
    }

    /// Where the words come to: a number of the platform, or a handset.
    fn goes_through(&mut self, who: Who, nth: usize, to: &str, fate: &Fate) {
        let account = self.of(who);
        let message = &account.messages[nth];
        let (body, media) = (message.body.clone(), message.channel == "mms");
        let segments = message.price / super::world::SEGMENT_PRICE;
        let from = account.numbers[account.conversations[message.conversation].number].phone.clone();
        if self.holder(to).is_some() {
            self.in_air.push((from, to.to_owned(), body, segments, media));
        } else if !matches!(fate, Fate::Lost(..)) {
            self.inbox(to).push(format!("got {body}"));
        }
    }

    fn land_what_is_due(&mut self) {
        for (from, to, body, segments, media) in std::mem::take(&mut self.in_air) {
            self.received(&from, &to, &body, segments, media);
            if let Some((who, _)) = self.holder(&to) {
                let account = self.of_mut(who);
                account.spoken_together.extend(account.order.first());
            }
        }
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.late).into_iter().partition(|(due, ..)| *due <= now);
        self.late = later;
        for (_, who, nth) in Vec::from_iter::<Vec<_>>(due) {
            self.hears(who, nth, &Receipt { status: "delivered", error: None });
        }
    }

    /// What named the message by our id before its send was answered.
    fn hears_early(&mut self, who: Who, nth: usize) {
        let early = std::mem::take(&mut self.of_mut(who).messages[nth].early);
        early.iter().for_each(|receipt| self.hears(who, nth, receipt));
    }

    /// A receipt for a message: the first final one counts, and none of one that was never there.
    pub fn hears(&mut self, who: Who, nth: usize, receipt: &Receipt) {
        let open = match (self.of(who).messages[nth].status, receipt.status) {
            ("sent", "sent") => false,
            ("sent" | "unconfirmed", _) => true,
            _ => false,
        };
        if open {
            self.moves(who, nth, receipt.status, receipt.error);
        }
    }

    fn deliver(&mut self, who: Who) {
        let now = self.now;
        let account = self.of_mut(who);
        for line in 0..account.webhooks.len() {
            let waiting: Vec<_> = (0..account.deliveries.len())
                .filter(|nth| account.deliveries[*nth].line == line && account.deliveries[*nth].state == State::Pending)
                .collect();
            let webhook = &mut account.webhooks[line];
            if waiting.is_empty() {
                continue;
            }
            let good = webhook.alive && !webhook.disabled && webhook.place == Place::Good;
            webhook.disabled |= webhook.alive && webhook.place == Place::Gone;
            let agent = webhook.agent.clone();
            let count = i64::try_from(waiting.len()).unwrap();
            let (succeeded, failed) = if good { (count, 0) } else { (0, count) };
            account.counts.push(Count { at: now, agent, succeeded, failed, ..Count::default() });
            let state = if good { State::Success } else { State::Failed };
            waiting.into_iter().for_each(|nth| account.deliveries[nth].state = state);
        }
    }
}

impl Number {
    fn is_renewing(&self, now: i64) -> bool {
        self.active && self.unpaid.is_none() && self.renews_at <= now
    }

    fn is_unpaid(&self) -> bool {
        self.active && self.unpaid.is_some()
    }
}

impl Says {
    pub fn receipt(self) -> Receipt {
        match self {
            Self::Sent => Receipt { status: "sent", error: None },
            Self::Delivered => Receipt { status: "delivered", error: None },
            Self::Undelivered => Receipt { status: "undelivered", error: Some("30003") },
            Self::Failed => Receipt { status: "failed", error: Some("30008") },
        }
    }
}
