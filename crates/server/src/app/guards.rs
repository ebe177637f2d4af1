//! Guard rails of sending and of spending: what an agent must not do, however it was told to.
//!
//! In: messages about to be accepted. Out: those that nothing speaks against, and their counts. One question for all of
//! them, whatever is configured. What else an account buys is counted with what its messages cost. Never here: the money that
//! is there, or who answers.

use std::collections::{BTreeMap, HashMap, HashSet};

use offhook_domain::guards::{Counted, FloodLimit, LoopRule, day_of, hour_of, minute_of};
use offhook_domain::message::{Direction, Message};
use offhook_domain::{AccountId, E164, Micros, Timestamp, destinations};
use offhook_store::guards::{Heard, Known, More, Pair, Spending, Spent};
use offhook_store::{StoreError, Tx};

use super::send_message::SendRefused;
use crate::config::Config;

/// The guard rails in force.
#[derive(Debug, Clone, Copy)]
pub struct Guarding<'a> {
    config: &'a Config,
}

/// A message about to be accepted, and what it costs.
#[derive(Debug, Clone, Copy)]
pub struct Guarded<'a> {
    pub message: &'a Message,
    pub price: Micros,
}

/// An account may spend no more today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the account has spent what it may on one day, {limit}; it is counted anew at midnight UTC")]
pub struct SpendLimitReached {
    pub limit: Micros,
}

/// What was found, to be counted once the messages are kept.
#[derive(Debug, Default)]
pub struct Seen {
    spend_limits: HashMap<AccountId, Micros>,
    /// Who pays for sub-accounts.
    payers: HashMap<AccountId, AccountId>,
}

impl<'a> Guarding<'a> {
    #[must_use]
    pub fn of(config: &'a Config) -> Self {
        Self { config }
    }

    /// Whether somebody may be texted at all.
    ///
    /// # Errors
    /// [`SendRefused::ServiceLine`] or [`SendRefused::DestinationBlocked`].
    pub fn check_destination(&self, to: &str) -> Result<(), SendRefused> {
        if destinations::is_service_line(to) {
            return Err(SendRefused::ServiceLine(to.to_owned()));
        }
        let guards = &self.config.guards;
        let blocked = guards.blocked_prefixes.iter().any(|prefix| to.starts_with(prefix.as_str()));
        let elsewhere = || {
            let country = E164::parse(to).ok().and_then(|number| number.country());
            country.is_none_or(|country| !guards.allowed_countries.contains(&country))
        };
        if blocked || !guards.allowed_countries.is_empty() && to.starts_with('+') && elsewhere() {
            return Err(SendRefused::DestinationBlocked(to.to_owned()));
        }
        Ok(())
    }

    /// Looks at messages in their order; of each why it is refused, if it is. `None` in gives `None` out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn look(
        &self,
        tx: &mut Tx,
        messages: &[Option<Guarded<'_>>],
    ) -> Result<(Vec<Option<SendRefused>>, Seen), StoreError> {
        let pairs: HashSet<Pair<'_>> = messages.iter().flatten().map(|one| pair(one.message)).collect();
        let pairs: Vec<Pair<'_>> = pairs.into_iter().collect();
        let known: HashMap<Pair<'_>, Known> = pairs.iter().copied().zip(tx.known_of_pairs(&pairs).await?).collect();
        let mut tally = Tally::new(self);
        let mut refused = Vec::with_capacity(messages.len());
        for one in messages {
            let known = one.as_ref().and_then(|one| known.get(&pair(one.message)));
            refused.push(match (one, known) {
                (Some(one), Some(known)) => tally.judge(one, known).err(),
                _ => None,
            });
        }
        Ok((refused, Seen { spend_limits: tally.spend_limits, payers: tally.payers }))
    }

    /// Counts accepted messages; to be called when they have their places, and before anybody pays.
    ///
    /// # Errors
    /// [`StoreError`], also where another transaction was faster to use up a limit.
    pub async fn count(&self, tx: &mut Tx, messages: &[Guarded<'_>], seen: &Seen) -> Result<(), StoreError> {
        self.count_flood(tx, messages).await?;
        self.hear(tx, messages.iter().map(|one| one.message)).await?;
        let mut spending: BTreeMap<(&AccountId, i64), Micros> = BTreeMap::new();
        for one in messages.iter().filter(|one| !one.price.is_zero()) {
            let account = &one.message.account_id;
            for who in std::iter::once(account).chain(seen.payers.get(account)) {
                let sum = spending.entry((who, day_of(one.message.at))).or_default();
                *sum = *sum + one.price;
            }
        }
        for ((account, day), amount) in spending {
            match seen.spend_limits.get(account) {
                None => tx.note_spending(account, day, amount).await?,
                Some(limit) if tx.spend(account, day, amount, *limit).await? => {}
                Some(_) => return Err(tx.met_another("a day's spending came to its limit meanwhile")),
            }
        }
        Ok(())
    }

    /// Whether an account may spend so much now, and counts nothing yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn may_spend(
        &self,
        tx: &mut Tx,
        account: &AccountId,
        amount: Micros,
        at: Timestamp,
    ) -> Result<Result<(), SpendLimitReached>, StoreError> {
        if amount.is_zero() {
            return Ok(Ok(()));
        }
        let spending = tx.spending(account, day_of(at)).await?;
        let fits = |spent: &Spent| self.fits(*spent, amount);
        Ok(fits(&spending.own).and_then(|()| spending.payer.as_ref().map_or(Ok(()), |(_, spent)| fits(spent))))
    }

    fn fits(&self, spent: Spent, amount: Micros) -> Result<(), SpendLimitReached> {
        match self.spend_limit(spent.limit) {
            Some(limit) if spent.amount.0.saturating_add(amount.0) > limit.0 => Err(SpendLimitReached { limit }),
            _ => Ok(()),
        }
    }

    /// Counts what an account buys that is no message, before it pays: as its own spending and as its payer's. Refused, the
    /// transaction must be given up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn spend(
        &self,
        tx: &mut Tx,
        account: &AccountId,
        amount: Micros,
        at: Timestamp,
    ) -> Result<Result<(), SpendLimitReached>, StoreError> {
        if amount.is_zero() {
            return Ok(Ok(()));
        }
        let day = day_of(at);
        let Spending { own, payer } = tx.spending(account, day).await?;
        let mut all = vec![(account, own)];
        all.extend(payer.as_ref().map(|(payer, spent)| (payer, *spent)));
        // In one order for every transaction.
        all.sort_by_key(|(account, _)| *account);
        for (account, spent) in all {
            // The statement below looks at nothing where the day has no row yet.
            if let Err(reached) = self.fits(spent, amount) {
                return Ok(Err(reached));
            }
            match self.spend_limit(spent.limit) {
                None => tx.note_spending(account, day, amount).await?,
                Some(limit) if tx.spend(account, day, amount, limit).await? => {}
                Some(limit) => return Ok(Err(SpendLimitReached { limit })),
            }
        }
        Ok(Ok(()))
    }

    /// The limit of a day, where there is one: the account's own, else what is configured.
    fn spend_limit(&self, own: Option<Micros>) -> Option<Micros> {
        own.or(Some(Micros(self.config.guards.daily_spend_micros)).filter(|limit| !limit.is_zero()))
    }

    /// Notes who said something, for the detection of circles.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hear(&self, tx: &mut Tx, messages: impl Iterator<Item = &Message>) -> Result<(), StoreError> {
        let Some(rule) = self.circle() else { return Ok(()) };
        let heard: Vec<Heard<'_>> = messages.map(heard).collect();
        let Some(last) = heard.iter().map(|one| one.at).max() else { return Ok(()) };
        tx.hear(&heard, last.minus(rule.within), rule.answers).await
    }

    async fn count_flood(&self, tx: &mut Tx, messages: &[Guarded<'_>]) -> Result<(), StoreError> {
        let Some(limit) = self.flood() else { return Ok(()) };
        let mut more: BTreeMap<(&AccountId, &str), More<'_>> = BTreeMap::new();
        for Guarded { message, .. } in messages {
            let (account, participant) = (&message.account_id, message.to.as_str());
            let (minute, hour) = (minute_of(message.at), hour_of(message.at));
            let fresh = More { account, participant, minute, hour, count: 0 };
            let one = more.entry((account, participant)).or_insert(fresh);
            one.count += 1;
        }
        if more.is_empty() {
            return Ok(());
        }
        // In one order for every transaction.
        let more: Vec<More<'_>> = more.into_values().collect();
        if tx.count_to_destinations(&more, limit).await? {
            return Ok(());
        }
        Err(tx.met_another("a destination came to its limit meanwhile"))
    }

    fn flood(&self) -> Option<FloodLimit> {
        Some(self.config.guards.flood).filter(|flood| flood.is_set() && self.counts())
    }

    fn circle(&self) -> Option<LoopRule> {
        Some(self.config.guards.circle).filter(|circle| circle.is_set() && self.counts())
    }

    fn counts(&self) -> bool {
        !self.config.mode.sandbox || self.config.guards.in_sandbox
    }
}

/// What the messages of one transaction come to while they are looked at.
struct Tally<'g> {
    guards: &'g Guarding<'g>,
    counted: HashMap<(AccountId, String), Counted>,
    spent: HashMap<(AccountId, i64), Micros>,
    spend_limits: HashMap<AccountId, Micros>,
    payers: HashMap<AccountId, AccountId>,
}

impl<'g> Tally<'g> {
    fn new(guards: &'g Guarding<'g>) -> Self {
        let (counted, spent) = (HashMap::new(), HashMap::new());
        Self { guards, counted, spent, spend_limits: HashMap::new(), payers: HashMap::new() }
    }

    fn judge(&mut self, one: &Guarded<'_>, known: &Known) -> Result<(), SendRefused> {
        let Message { account_id, to, at, .. } = one.message;
        if known.closed {
            return Err(SendRefused::AccountClosed);
        }
        if known.opted_out {
            return Err(SendRefused::RecipientOptedOut(to.clone()));
        }
        if let (Some(rule), Some((answers, last_at))) = (self.guards.circle(), known.exchange)
            && rule.is_met(answers, last_at, *at)
        {
            return Err(SendRefused::LoopDetected { quiet_seconds: rule.within.as_secs() });
        }
        let counted = self.guards.flood().map(|limit| self.one_more(one.message, known, limit)).transpose()?;
        if !one.price.is_zero() {
            self.spend(account_id, day_of(*at), one.price, &known.spending)?;
        }
        if let Some(counted) = counted {
            self.counted.insert((account_id.clone(), to.clone()), counted);
        }
        Ok(())
    }

    fn one_more(&self, message: &Message, known: &Known, limit: FloodLimit) -> Result<Counted, SendRefused> {
        let so_far = self.counted.get(&(message.account_id.clone(), message.to.clone())).unwrap_or(&known.counted);
        so_far.one_more(message.at, limit).ok_or(SendRefused::DestinationFlooded { limit })
    }

    /// Both the account and who pays for it must be able to: else neither has spent anything.
    fn spend(
        &mut self,
        account: &AccountId,
        day: i64,
        price: Micros,
        spending: &Spending,
    ) -> Result<(), SpendLimitReached> {
        let own = self.with_this(account, day, price, spending.own)?;
        let payers = match &spending.payer {
            Some((payer, spent)) => Some((payer, self.with_this(payer, day, price, *spent)?)),
            None => None,
        };
        self.spent.insert((account.clone(), day), own);
        if let Some((payer, sum)) = payers {
            self.payers.insert(account.clone(), payer.clone());
            self.spent.insert((payer.clone(), day), sum);
        }
        Ok(())
    }

    /// What an account has spent with this.
    fn with_this(
        &mut self,
        account: &AccountId,
        day: i64,
        price: Micros,
        before: Spent,
    ) -> Result<Micros, SpendLimitReached> {
        let amount = self.spent.get(&(account.clone(), day)).copied().unwrap_or(before.amount);
        if let Some(limit) = self.guards.spend_limit(before.limit) {
            self.spend_limits.insert(account.clone(), limit);
        }
        self.guards.fits(Spent { amount, ..before }, price)?;
        Ok(amount + price)
    }
}

fn pair(message: &Message) -> Pair<'_> {
    let Message { account_id, number_id, to, at, .. } = message;
    Pair { account: account_id, number: number_id, participant: to, day: day_of(*at) }
}

fn heard(message: &Message) -> Heard<'_> {
    let participant = match message.direction {
        Direction::Outbound => &message.to,
        Direction::Inbound => &message.from,
    };
    Heard { number: &message.number_id, participant, direction: message.direction, at: message.at }
}
