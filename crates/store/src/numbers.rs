//! Numbers held by accounts.

use offhook_domain::number::{Number, NumberStatus};
use offhook_domain::{AccountId, AgentId, E164, NumberId, Timestamp};

use crate::engine::{Row, Tx, params, statements, statements_for_many};
use crate::error::StoreError;
use crate::scope::{Page, Scope, Window};

statements! {
    INSERT = "INSERT INTO numbers (id, account_id, phone_number, country, status, kind, agent_id, carrier, external_id,
        expires_at, purchased_at, renews_at, unpaid_since, released_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    ACTIVE = "SELECT id, account_id, phone_number, country, status, kind, agent_id, carrier, external_id, expires_at,
        purchased_at, renews_at, unpaid_since, released_at FROM numbers WHERE account_id = $1 AND status = 'active'
        ORDER BY id DESC LIMIT $2 OFFSET $3";
    COUNT_ACTIVE = "SELECT COUNT(*) FROM numbers WHERE account_id = $1 AND status = 'active'";
    UPDATE = "UPDATE numbers SET status = $1, agent_id = $2, external_id = $3, expires_at = $4, renews_at = $5,
        unpaid_since = $6, released_at = $7 WHERE account_id = $8 AND id = $9";
    LOCK = "UPDATE numbers SET status = status WHERE account_id = $1 AND id = $2";
    ATTACH = "UPDATE numbers SET agent_id = $1 WHERE account_id = $2 AND id = $3 AND status = 'active'";
    DETACH = "UPDATE numbers SET agent_id = NULL WHERE account_id = $1 AND id = $2 AND agent_id = $3";
    RELEASE = "UPDATE numbers SET status = 'released', released_at = $1, agent_id = NULL
        WHERE account_id = $2 AND id = $3 AND status = 'active'";
}

statements_for_many! {
    BY_PHONE = {
        one: "SELECT id, account_id, phone_number, country, status, kind, agent_id, carrier, external_id, expires_at,
            purchased_at, renews_at, unpaid_since, released_at FROM numbers WHERE phone_number = $1 AND status = 'active'",
        all: "SELECT e.n, n.id, n.account_id, n.phone_number, n.country, n.status, n.kind, n.agent_id, n.carrier, n.external_id,
            n.expires_at, n.purchased_at, n.renews_at, n.unpaid_since, n.released_at
            FROM unnest($1::TEXT[]) WITH ORDINALITY AS e (phone_number, n)
            JOIN numbers n ON n.phone_number = e.phone_number AND n.status = 'active'",
    };
    GET = {
        one: "SELECT id, account_id, phone_number, country, status, kind, agent_id, carrier, external_id, expires_at,
            purchased_at, renews_at, unpaid_since, released_at FROM numbers WHERE account_id = $1 AND id = $2",
        all: "SELECT e.n, n.id, n.account_id, n.phone_number, n.country, n.status, n.kind, n.agent_id, n.carrier, n.external_id,
            n.expires_at, n.purchased_at, n.renews_at, n.unpaid_since, n.released_at
            FROM unnest($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS e (account_id, id, n)
            JOIN numbers n ON n.account_id = e.account_id AND n.id = e.id",
    };
    OWN_BY_PHONE = {
        one: "SELECT id, account_id, phone_number, country, status, kind, agent_id, carrier, external_id, expires_at,
            purchased_at, renews_at, unpaid_since, released_at FROM numbers
            WHERE account_id = $1 AND phone_number = $2 ORDER BY status, id DESC LIMIT 1",
        all: "SELECT e.n, n.* FROM unnest($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS e (account_id, phone_number, n)
            CROSS JOIN LATERAL (SELECT o.id, o.account_id, o.phone_number, o.country, o.status, o.kind, o.agent_id, o.carrier, o.external_id,
                o.expires_at, o.purchased_at, o.renews_at, o.unpaid_since, o.released_at
                FROM numbers o WHERE o.account_id = e.account_id AND o.phone_number = e.phone_number
                ORDER BY o.status, o.id DESC LIMIT 1) n",
    };
    OF_AGENT = {
        one: "SELECT id, account_id, phone_number, country, status, kind, agent_id, carrier, external_id, expires_at,
            purchased_at, renews_at, unpaid_since, released_at FROM numbers WHERE agent_id = $1 AND account_id = $2 ORDER BY id",
        all: "SELECT e.n, n.id, n.account_id, n.phone_number, n.country, n.status, n.kind, n.agent_id, n.carrier, n.external_id,
            n.expires_at, n.purchased_at, n.renews_at, n.unpaid_since, n.released_at
            FROM unnest($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS e (agent_id, account_id, n)
            JOIN numbers n ON n.agent_id = e.agent_id AND n.account_id = e.account_id ORDER BY e.n, n.id",
    };
}

impl Scope<'_> {
    /// # Errors
    /// [`StoreError::Clash`] when the number is held already.
    pub async fn insert_number(&mut self, number: &Number) -> Result<(), StoreError> {
        let Number { id, phone_number, country, status, kind, agent_id, carrier, external_id, .. } = number;
        let values = params![
            id,
            self.account,
            phone_number,
            *country,
            status.as_str(),
            kind,
            agent_id.as_ref(),
            carrier,
            external_id.as_ref(),
            number.expires_at,
            number.purchased_at,
            number.renews_at,
            number.unpaid_since,
            number.released_at
        ];
        self.tx.run(INSERT, values).await
    }

    /// A number in any status.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn number(&mut self, id: &NumberId) -> Result<Option<Number>, StoreError> {
        self.tx.row(GET.one, params![self.account, id]).await?.map(read).transpose()
    }

    /// A number that nobody else changes before the commit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn number_to_change(&mut self, id: &NumberId) -> Result<Option<Number>, StoreError> {
        self.tx.run(LOCK, params![self.account, id]).await?;
        self.number(id).await
    }

    /// The account's number with these digits: the active one, else the one it held last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn number_by_phone(&mut self, phone: &E164) -> Result<Option<Number>, StoreError> {
        self.tx.row(OWN_BY_PHONE.one, params![self.account, phone]).await?.map(read).transpose()
    }

    /// Active numbers, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn active_numbers(&mut self, window: Window) -> Result<Page<Number>, StoreError> {
        let rows = self.tx.rows(ACTIVE, params![self.account, window.limit, window.offset]).await?;
        let items = rows.into_iter().map(read).collect::<Result<_, _>>()?;
        let total = self.tx.one(COUNT_ACTIVE, params![self.account]).await?.take()?;
        Ok(Page { items, total })
    }

    /// The numbers of an agent, the oldest first: the first is what it sends from.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn numbers_of_agent(&mut self, agent: &AgentId) -> Result<Vec<Number>, StoreError> {
        self.tx.rows(OF_AGENT.one, params![agent, self.account]).await?.into_iter().map(read).collect()
    }

    /// Keeps what may change about a number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn update_number(&mut self, number: &Number) -> Result<(), StoreError> {
        let values = params![
            number.status.as_str(),
            number.agent_id.as_ref(),
            number.external_id.as_ref(),
            number.expires_at,
            number.renews_at,
            number.unpaid_since,
            number.released_at,
            self.account,
            &number.id
        ];
        self.tx.run(UPDATE, values).await
    }

    /// Gives a number to an agent, away from any other; false when the number is not active.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn attach_number(&mut self, number: &NumberId, agent: &AgentId) -> Result<bool, StoreError> {
        Ok(self.tx.change(ATTACH, params![agent, self.account, number]).await? == 1)
    }

    /// Takes a number from an agent; false when the agent does not have it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn detach_number(&mut self, number: &NumberId, agent: &AgentId) -> Result<bool, StoreError> {
        Ok(self.tx.change(DETACH, params![self.account, number, agent]).await? == 1)
    }

    /// Marks a number released; false when it was released before. Two releases at once: one is true.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release_number(&mut self, number: &NumberId, at: Timestamp) -> Result<bool, StoreError> {
        Ok(self.tx.change(RELEASE, params![at, self.account, number]).await? == 1)
    }
}

/// Which of an account's numbers is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NumberSought {
    Id(NumberId),
    /// The active one with these digits, else the one that the account held last.
    Digits(E164),
    /// The active one that the agent has had longest.
    FirstOfAgent(AgentId),
}

impl Tx {
    /// Numbers of accounts; `None` where there is none. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn numbers_sought(
        &mut self,
        sought: &[(&AccountId, &NumberSought)],
    ) -> Result<Vec<Option<Number>>, StoreError> {
        let (mut by_id, mut by_digits, mut by_agent) = (Vec::new(), Vec::new(), Vec::new());
        let (mut ids, mut digits, mut agents) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (account, number)) in sought.iter().enumerate() {
            match number {
                NumberSought::Id(id) => {
                    by_id.push(place);
                    ids.push(params![*account, id]);
                }
                NumberSought::Digits(phone) => {
                    by_digits.push(place);
                    digits.push(params![*account, phone]);
                }
                NumberSought::FirstOfAgent(agent) => {
                    by_agent.push(place);
                    agents.push(params![agent, *account]);
                }
            }
        }
        let mut found: Vec<Option<Number>> = sought.iter().map(|_| None).collect();
        for (places, sql, each) in [(by_id, GET, ids), (by_digits, OWN_BY_PHONE, digits), (by_agent, OF_AGENT, agents)]
        {
            for (place, rows) in places.into_iter().zip(self.rows_each(sql, each).await?) {
                let numbers: Vec<Number> = rows.into_iter().map(read).collect::<Result<_, _>>()?;
                let wants_active = sql == OF_AGENT;
                found[place] = numbers.into_iter().find(|number| !wants_active || number.is_active());
            }
        }
        Ok(found)
    }

    /// As [`Tx::holder_of`], for several numbers. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn holders_of(&mut self, phones: &[&E164]) -> Result<Vec<Option<Number>>, StoreError> {
        let found = self.rows_each(BY_PHONE, phones.iter().map(|phone| params![*phone]).collect()).await?;
        found.into_iter().map(|rows| rows.into_iter().next().map(read).transpose()).collect()
    }

    /// Whose number this is, for what a carrier brings. Only active ones.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn holder_of(&mut self, phone: &E164) -> Result<Option<Number>, StoreError> {
        self.row(BY_PHONE.one, params![phone]).await?.map(read).transpose()
    }
}

pub(crate) fn read(mut row: Row) -> Result<Number, StoreError> {
    Ok(Number {
        id: row.take()?,
        account_id: row.take()?,
        phone_number: row.take()?,
        country: row.take()?,
        status: read_status(&row.take::<String>()?)?,
        kind: row.take()?,
        agent_id: row.take()?,
        carrier: row.take()?,
        external_id: row.take()?,
        expires_at: row.take()?,
        purchased_at: row.take()?,
        renews_at: row.take()?,
        unpaid_since: row.take()?,
        released_at: row.take()?,
    })
}

fn read_status(text: &str) -> Result<NumberStatus, StoreError> {
    match text {
        "active" => Ok(NumberStatus::Active),
        "released" => Ok(NumberStatus::Released),
        other => Err(StoreError::Corrupt(format!("number status {other}"))),
    }
}
