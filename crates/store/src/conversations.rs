//! Conversations as their owner reads them, and what a customer may change about one. What messages do to them is in
//! `message_flow`.

use offhook_domain::conversation::Conversation;
use offhook_domain::{AgentId, ConversationId};

use crate::engine::{Row, params, statements};
use crate::error::StoreError;
use crate::scope::{Page, Scope, Window};

/// What [`read`] reads. A message that crosses with the end of its agent may name it once more: an agent shows only while
/// it is there.
macro_rules! select_conversations {
    () => {
        concat!(
            "SELECT c.id, c.account_id, c.number_id, c.phone_number, a.id, c.participant, c.channel, c.group_name,
            c.metadata, c.last_message_at, c.last_message_preview, c.message_count, c.created_at, n.status, n.carrier,
            n.country, ",
            $crate::opt_outs::is_opted_out!("c.number_id", "c.account_id", "c.participant"),
            " FROM conversations c JOIN numbers n ON n.id = c.number_id LEFT JOIN agents a ON a.id = c.agent_id"
        )
    };
}
pub(crate) use select_conversations;

statements! {
    GET = concat!(select_conversations!(), " WHERE c.account_id = $1 AND c.id = $2");
    LIST = concat!(select_conversations!(), "
        WHERE c.account_id = $1 ORDER BY c.last_message_at DESC, c.id DESC LIMIT $2 OFFSET $3");
    COUNT = "SELECT COUNT(*) FROM conversations WHERE account_id = $1";
    OF_AGENT = concat!(select_conversations!(), "
        WHERE c.agent_id = $1 AND c.account_id = $2 ORDER BY c.last_message_at DESC, c.id DESC LIMIT $3 OFFSET $4");
    COUNT_OF_AGENT = "SELECT COUNT(*) FROM conversations WHERE agent_id = $1 AND account_id = $2";
    SET_METADATA = "UPDATE conversations SET metadata = $1 WHERE account_id = $2 AND id = $3";
    SET_GROUP_NAME = "UPDATE conversations SET group_name = $1 WHERE account_id = $2 AND id = $3";
}

impl Scope<'_> {
    /// # Errors
    /// [`StoreError`].
    pub async fn conversation(&mut self, id: &ConversationId) -> Result<Option<Conversation>, StoreError> {
        self.tx.row(GET, params![self.account, id]).await?.map(read).transpose()
    }

    /// The one spoken in last is first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn conversations(&mut self, window: Window) -> Result<Page<Conversation>, StoreError> {
        let rows = self.tx.rows(LIST, params![self.account, window.limit, window.offset]).await?;
        let items = rows.into_iter().map(read).collect::<Result<_, _>>()?;
        let total = self.tx.one(COUNT, params![self.account]).await?.take()?;
        Ok(Page { items, total })
    }

    /// An agent's, in the same order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn conversations_of_agent(
        &mut self,
        agent: &AgentId,
        window: Window,
    ) -> Result<Page<Conversation>, StoreError> {
        let rows = self.tx.rows(OF_AGENT, params![agent, self.account, window.limit, window.offset]).await?;
        let items = rows.into_iter().map(read).collect::<Result<_, _>>()?;
        let total = self.tx.one(COUNT_OF_AGENT, params![agent, self.account]).await?.take()?;
        Ok(Page { items, total })
    }

    /// Replaces the customer's own JSON object.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_metadata(
        &mut self,
        id: &ConversationId,
        metadata: Option<&serde_json::Value>,
    ) -> Result<(), StoreError> {
        self.tx.run(SET_METADATA, params![metadata, self.account, id]).await
    }

    /// # Errors
    /// [`StoreError`].
    pub async fn set_group_name(&mut self, id: &ConversationId, name: Option<&str>) -> Result<(), StoreError> {
        self.tx.run(SET_GROUP_NAME, params![name, self.account, id]).await
    }
}

/// # Errors
/// [`StoreError::Corrupt`] for a row that is none.
pub(crate) fn read(mut row: Row) -> Result<Conversation, StoreError> {
    Ok(Conversation {
        id: row.take()?,
        account_id: row.take()?,
        number_id: row.take()?,
        phone_number: row.take()?,
        agent_id: row.take()?,
        participant: row.take()?,
        channel: row.take()?,
        group_name: row.take()?,
        metadata: row.take()?,
        last_message_at: row.take()?,
        last_message_preview: row.take()?,
        message_count: row.take()?,
        created_at: row.take()?,
        number_active: row.take::<String>()? == "active",
        number_carrier: row.take()?,
        number_country: row.take()?,
        opted_out: row.take::<i64>()? != 0,
    })
}
