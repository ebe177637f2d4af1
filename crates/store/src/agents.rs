//! Agents.

use offhook_domain::agent::Agent;
use offhook_domain::{AccountId, AgentId, Id};

use crate::engine::{Row, Tx, params, statements, statements_for_many};
use crate::error::StoreError;
use crate::scope::{Page, Scope, Window};

statements! {
    INSERT = "INSERT INTO agents (id, account_id, name, profile, created_at) VALUES ($1, $2, $3, $4, $5)";
    LIST = "SELECT id, account_id, name, profile, created_at FROM agents WHERE account_id = $1
        ORDER BY id DESC LIMIT $2 OFFSET $3";
    COUNT = "SELECT COUNT(*) FROM agents WHERE account_id = $1";
    LOCK = "UPDATE agents SET name = name WHERE account_id = $1 AND id = $2";
    UPDATE = "UPDATE agents SET name = $1, profile = $2 WHERE account_id = $3 AND id = $4";
    DELETE = "DELETE FROM agents WHERE account_id = $1 AND id = $2";
    LEAVE_NUMBERS = "UPDATE numbers SET agent_id = NULL WHERE account_id = $1 AND agent_id = $2";
    LEAVE_CONVERSATIONS = "UPDATE conversations SET agent_id = NULL WHERE account_id = $1 AND agent_id = $2";
    LEAVE_CALLS = "UPDATE calls SET agent_id = NULL WHERE account_id = $1 AND agent_id = $2";
    DELETE_WEBHOOK = "DELETE FROM webhooks WHERE account_id = $1 AND agent_key = $2";
}

statements_for_many! {
    GET = {
        one: "SELECT id, account_id, name, profile, created_at FROM agents WHERE account_id = $1 AND id = $2",
        all: "SELECT e.n, a.id, a.account_id, a.name, a.profile, a.created_at
            FROM unnest($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS e (account_id, id, n)
            JOIN agents a ON a.account_id = e.account_id AND a.id = e.id",
    };
}

impl Tx {
    /// Agents by account and id; `None` where there is none. In order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn agents_by_id(&mut self, ids: &[(&AccountId, &AgentId)]) -> Result<Vec<Option<Agent>>, StoreError> {
        let each = ids.iter().map(|(account, id)| params![*account, *id]).collect();
        let found = self.rows_each(GET, each).await?;
        found.into_iter().map(|rows| rows.into_iter().next().map(read).transpose()).collect()
    }
}

impl Scope<'_> {
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_agent(&mut self, agent: &Agent) -> Result<(), StoreError> {
        let profile = profile_text(agent)?;
        self.tx.run(INSERT, params![&agent.id, self.account, &agent.name, profile, agent.created_at]).await
    }

    /// # Errors
    /// [`StoreError`].
    pub async fn agent(&mut self, id: &AgentId) -> Result<Option<Agent>, StoreError> {
        self.tx.row(GET.one, params![self.account, id]).await?.map(read).transpose()
    }

    /// An agent that this transaction is about to change, hand a number to or delete: whoever else is about to,
    /// waits.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn agent_to_change(&mut self, id: &AgentId) -> Result<Option<Agent>, StoreError> {
        self.tx.run(LOCK, params![self.account, id]).await?;
        self.agent(id).await
    }

    /// The newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn agents(&mut self, window: Window) -> Result<Page<Agent>, StoreError> {
        let rows = self.tx.rows(LIST, params![self.account, window.limit, window.offset]).await?;
        let items = rows.into_iter().map(read).collect::<Result<_, _>>()?;
        let total = self.tx.one(COUNT, params![self.account]).await?.take()?;
        Ok(Page { items, total })
    }

    /// Keeps a changed name and profile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn update_agent(&mut self, agent: &Agent) -> Result<(), StoreError> {
        let profile = profile_text(agent)?;
        self.tx.run(UPDATE, params![&agent.name, profile, self.account, &agent.id]).await
    }

    /// Deletes an agent and its webhook; its numbers, conversations and calls stay, without it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_agent(&mut self, id: &AgentId) -> Result<(), StoreError> {
        for clear in [LEAVE_NUMBERS, LEAVE_CONVERSATIONS, LEAVE_CALLS, DELETE_WEBHOOK, DELETE] {
            self.tx.run(clear, params![self.account, id]).await?;
        }
        Ok(())
    }
}

fn profile_text(agent: &Agent) -> Result<String, StoreError> {
    serde_json::to_string(&agent.profile).map_err(|e| StoreError::Corrupt(format!("{}: {e}", agent.id.as_str())))
}

fn read(mut row: Row) -> Result<Agent, StoreError> {
    let (id, account_id, name) = (row.take()?, row.take()?, row.take()?);
    let profile: String = row.take()?;
    let profile = serde_json::from_str(&profile).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    Ok(Agent { id, account_id, name, profile, created_at: row.take()? })
}
