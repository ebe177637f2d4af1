//! Registrations with the US carriers.

use std::time::Duration;

use offhook_domain::campaign::{CampaignClass, CampaignStatus, Decision, RegistrationType};
use offhook_domain::{AccountId, CampaignId, Micros, Timestamp};

use crate::engine::{Row, Tx, params, statements, statements_for_many};
use crate::error::StoreError;
use crate::scope::Scope;

/// How often an account may hand something in, and in what time (contract, "Account").
const TRIES: i64 = 5;
const TRIES_IN: Duration = Duration::from_secs(3600);

/// What [`read`] reads.
macro_rules! select_campaigns {
    () => {
        "SELECT id, account_id, submitted_by, registration_type, class, status, reason, sealed_form, fee, carrier, ask_at,
        submitted_at, decided_at FROM campaigns"
    };
}

statements! {
    INSERT = "INSERT INTO campaigns (id, account_id, submitted_by, registration_type, class, status, sealed_form, fee, carrier,
        ask_at, submitted_at) VALUES ($1, $2, $3, $4, $5, 'pending', $6, $7, $8, $9, $10)";
    RESUBMIT = "UPDATE campaigns SET registration_type = $1, class = $2, status = 'pending', reason = NULL, sealed_form = $3,
        fee = fee + $4, carrier = $5, ask_at = $6, submitted_at = $7, decided_at = NULL
        WHERE submitted_by = $8 AND id = $9 AND status = 'rejected'";
    AMEND = "UPDATE campaigns SET sealed_form = $1 WHERE submitted_by = $2 AND id = $3 AND status IN ('pending', 'approved')";
    APPROVE = "UPDATE campaigns SET status = 'approved', class = $1, reason = NULL, ask_at = NULL, decided_at = $2
        WHERE id = $3 AND status = 'pending'";
    REJECT = "UPDATE campaigns SET status = 'rejected', reason = $1, ask_at = NULL, decided_at = $2
        WHERE id = $3 AND status = 'pending'";
    ASK_AT = "UPDATE campaigns SET ask_at = $1 WHERE id = $2 AND status = 'pending'";
    LATEST_SUBMITTED = concat!(select_campaigns!(), " WHERE submitted_by = $1 ORDER BY id DESC LIMIT 1");
    OF_ACCOUNT = concat!(select_campaigns!(), " WHERE account_id = $1");
    BY_ID = concat!(select_campaigns!(), " WHERE id = $1");
    TO_ASK = concat!(select_campaigns!(), "
        WHERE ask_at IS NOT NULL AND ask_at <= $1 ORDER BY ask_at LIMIT $2");
    IN_STATUS = concat!(select_campaigns!(), " WHERE status = $1 ORDER BY id LIMIT $2");
    // Whatever waits for the end of the day may go sooner under another class.
    LET_GO = "DELETE FROM line_holds WHERE line IN (SELECT id FROM numbers WHERE account_id = $1)";
    TRY = "INSERT INTO registration_tries (account_id, since, tries) VALUES ($1, $2, 1)
        ON CONFLICT (account_id) DO UPDATE SET
            tries = CASE WHEN registration_tries.since <= $3 THEN 1 ELSE registration_tries.tries + 1 END,
            since = CASE WHEN registration_tries.since <= $3 THEN excluded.since ELSE registration_tries.since END
        WHERE registration_tries.since <= $3 OR registration_tries.tries < $4";
    TRIES_SINCE = "SELECT since FROM registration_tries WHERE account_id = $1";
}

statements_for_many! {
    STANDING = {
        one: "SELECT id, class, status FROM campaigns WHERE account_id = $1",
        all: "SELECT e.n, c.id, c.class, c.status FROM unnest($1::TEXT[]) WITH ORDINALITY AS e (account_id, n)
            JOIN campaigns c ON c.account_id = e.account_id",
    };
}

/// A registration as it is kept.
#[derive(Debug, Clone)]
pub struct Campaign {
    pub id: CampaignId,
    /// Whose numbers it is for.
    pub account_id: AccountId,
    /// Who handed it in: the same, or its master.
    pub submitted_by: AccountId,
    pub registration_type: RegistrationType,
    pub class: CampaignClass,
    pub status: CampaignStatus,
    /// Why it was rejected.
    pub reason: Option<String>,
    pub sealed_form: String,
    /// All that was paid for it.
    pub fee: Micros,
    /// Who decides on it.
    pub carrier: String,
    /// When the carrier is asked; `None` where an operator decides.
    pub ask_at: Option<Timestamp>,
    pub submitted_at: Timestamp,
    pub decided_at: Option<Timestamp>,
}

/// How an account stands with the US carriers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub id: CampaignId,
    pub class: CampaignClass,
    pub status: CampaignStatus,
}

impl Scope<'_> {
    /// Keeps a fresh registration that this account hands in.
    ///
    /// # Errors
    /// [`StoreError::Clash`] where there is one for the same account.
    pub async fn insert_campaign(&mut self, campaign: &Campaign) -> Result<(), StoreError> {
        let Campaign { id, account_id, registration_type, class, sealed_form, fee, carrier, .. } = campaign;
        let values = params![
            id,
            account_id,
            self.account,
            registration_type.as_str(),
            class.as_str(),
            sealed_form,
            *fee,
            carrier,
            campaign.ask_at,
            campaign.submitted_at
        ];
        self.tx.run(INSERT, values).await
    }

    /// Hands a rejected registration in again, with a fee on top; false where it is not rejected (any more).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn resubmit_campaign(&mut self, campaign: &Campaign, fee: Micros) -> Result<bool, StoreError> {
        let values = params![
            campaign.registration_type.as_str(),
            campaign.class.as_str(),
            &campaign.sealed_form,
            fee,
            &campaign.carrier,
            campaign.ask_at,
            campaign.submitted_at,
            self.account,
            &campaign.id
        ];
        Ok(self.tx.change(RESUBMIT, values).await? == 1)
    }

    /// Changes the form of a registration that is approved or being looked at; false where it is neither.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn amend_campaign(&mut self, id: &CampaignId, sealed_form: &str) -> Result<bool, StoreError> {
        Ok(self.tx.change(AMEND, params![sealed_form, self.account, id]).await? == 1)
    }

    /// The registration that this account handed in last, else the one that its master handed in for it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn campaign(&mut self) -> Result<Option<Campaign>, StoreError> {
        match self.tx.row(LATEST_SUBMITTED, params![self.account]).await? {
            Some(row) => read(row).map(Some),
            None => self.own_campaign().await,
        }
    }

    /// The registration for this account's own numbers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn own_campaign(&mut self) -> Result<Option<Campaign>, StoreError> {
        self.tx.row(OF_ACCOUNT, params![self.account]).await?.map(read).transpose()
    }

    /// How this account stands with the US carriers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn standing(&mut self) -> Result<Option<Standing>, StoreError> {
        self.tx.row(STANDING.one, params![self.account]).await?.map(read_standing).transpose()
    }

    /// Counts a try to hand something in; where there were too many in the last hour, when the next one is free.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn try_registration(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        if self.tx.change(TRY, params![self.account, now, now.minus(TRIES_IN), TRIES]).await? == 1 {
            return Ok(None);
        }
        let mut row = self.tx.one(TRIES_SINCE, params![self.account]).await?;
        let since: Timestamp = row.take()?;
        Ok(Some(since.plus(TRIES_IN)))
    }
}

impl Tx {
    /// How accounts stand with the US carriers; `None` where they are not registered. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn standings(&mut self, accounts: &[&AccountId]) -> Result<Vec<Option<Standing>>, StoreError> {
        let found = self.rows_each(STANDING, accounts.iter().map(|account| params![*account]).collect()).await?;
        found.into_iter().map(|rows| rows.into_iter().next().map(read_standing).transpose()).collect()
    }

    /// A registration of any account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn campaign_by_id(&mut self, id: &CampaignId) -> Result<Option<Campaign>, StoreError> {
        self.row(BY_ID, params![id]).await?.map(read).transpose()
    }

    /// Registrations of all accounts in a status, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn campaigns_in(&mut self, status: CampaignStatus, limit: i64) -> Result<Vec<Campaign>, StoreError> {
        self.rows(IN_STATUS, params![status.as_str(), limit]).await?.into_iter().map(read).collect()
    }

    /// Registrations on which a carrier is to be asked now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn campaigns_to_ask(&mut self, now: Timestamp, limit: i64) -> Result<Vec<Campaign>, StoreError> {
        self.rows(TO_ASK, params![now, limit]).await?.into_iter().map(read).collect()
    }

    /// Has the carrier asked later, or, with `None`, leaves the decision to an operator.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ask_on_campaign(&mut self, id: &CampaignId, at: Option<Timestamp>) -> Result<(), StoreError> {
        self.run(ASK_AT, params![at, id]).await
    }

    /// Decides on a registration; false where it is not pending (any more).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn decide_campaign(
        &mut self,
        campaign: &Campaign,
        decision: &Decision,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let decided = match decision {
            Decision::Approved(class) => self.change(APPROVE, params![class.as_str(), at, &campaign.id]).await?,
            Decision::Rejected(reason) => self.change(REJECT, params![reason.as_str(), at, &campaign.id]).await?,
        };
        self.run(LET_GO, params![&campaign.account_id]).await?;
        Ok(decided == 1)
    }
}

fn read(mut row: Row) -> Result<Campaign, StoreError> {
    Ok(Campaign {
        id: row.take()?,
        account_id: row.take()?,
        submitted_by: row.take()?,
        registration_type: read_type(&row.take::<String>()?)?,
        class: read_class(&row.take::<String>()?)?,
        status: read_status(&row.take::<String>()?)?,
        reason: row.take()?,
        sealed_form: row.take()?,
        fee: row.take()?,
        carrier: row.take()?,
        ask_at: row.take()?,
        submitted_at: row.take()?,
        decided_at: row.take()?,
    })
}

fn read_standing(mut row: Row) -> Result<Standing, StoreError> {
    let (id, class, status) = (row.take()?, row.take::<String>()?, row.take::<String>()?);
    Ok(Standing { id, class: read_class(&class)?, status: read_status(&status)? })
}

fn read_type(text: &str) -> Result<RegistrationType, StoreError> {
    RegistrationType::parse(text).ok_or_else(|| StoreError::Corrupt(format!("registration type {text}")))
}

fn read_status(text: &str) -> Result<CampaignStatus, StoreError> {
    CampaignStatus::parse(text).ok_or_else(|| StoreError::Corrupt(format!("campaign status {text}")))
}

/// # Errors
/// [`StoreError::Corrupt`] for a word that is no class.
pub(crate) fn read_class(text: &str) -> Result<CampaignClass, StoreError> {
    CampaignClass::parse(text).ok_or_else(|| StoreError::Corrupt(format!("campaign class {text}")))
}
