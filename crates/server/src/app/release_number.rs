//! Giving a number up: asked for by the API, or because its time or its money ran out.

use offhook_domain::Timestamp;
use offhook_domain::number::Number;
use offhook_store::{StoreError, Tx};

/// Releases a number within a transaction: its place of the limit is free, and the carrier gets it back behind
/// the commit (ring `wakes.numbers` then). False when it was released before.
///
/// # Errors
/// [`StoreError`].
pub async fn release_number(tx: &mut Tx, number: &Number, now: Timestamp) -> Result<bool, StoreError> {
    let mut scope = tx.of(&number.account_id);
    if !scope.release_number(&number.id, now).await? {
        return Ok(false);
    }
    scope.drop_number().await?;
    tx.give_back(&number.id, &number.carrier, &number.phone_number, now).await?;
    Ok(true)
}
