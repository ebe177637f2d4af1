//! The card a number shows.

use offhook_domain::number::ContactCard;
use offhook_domain::{E164, NumberId};

use crate::engine::{Row, Tx, params, statements};
use crate::error::StoreError;
use crate::scope::Scope;

statements! {
    GET = "SELECT first_name, last_name, display_name, avatar_url FROM contact_cards
        WHERE account_id = $1 AND number_id = $2";
    SHOWN = "SELECT n.phone_number, c.first_name, c.last_name, c.display_name, c.avatar_url FROM contact_cards c
        JOIN numbers n ON n.id = c.number_id WHERE c.number_id = $1 AND n.status = 'active'";
    PUT = "INSERT INTO contact_cards (number_id, account_id, first_name, last_name, display_name, avatar_url)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (number_id) DO UPDATE SET first_name = excluded.first_name, last_name = excluded.last_name,
            display_name = excluded.display_name, avatar_url = excluded.avatar_url
        WHERE contact_cards.account_id = excluded.account_id";
    DELETE = "DELETE FROM contact_cards WHERE account_id = $1 AND number_id = $2";
}

impl Scope<'_> {
    /// # Errors
    /// [`StoreError`].
    pub async fn contact_card(&mut self, number: &NumberId) -> Result<Option<ContactCard>, StoreError> {
        self.tx.row(GET, params![self.account, number]).await?.map(read).transpose()
    }

    /// Keeps a card in place of the one before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_contact_card(&mut self, number: &NumberId, card: &ContactCard) -> Result<(), StoreError> {
        let ContactCard { first_name, last_name, display_name, avatar_url } = card;
        let (first, last) = (first_name.as_ref(), last_name.as_ref());
        let values = params![number, self.account, first, last, display_name.as_ref(), avatar_url.as_ref()];
        self.tx.run(PUT, values).await
    }

    /// # Errors
    /// [`StoreError`].
    pub async fn delete_contact_card(&mut self, number: &NumberId) -> Result<(), StoreError> {
        self.tx.run(DELETE, params![self.account, number]).await
    }
}

impl Tx {
    /// The card of a number that is held, whoever holds it, and the number itself: for somebody whom its holder gave a link.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn shown_contact_card(&mut self, number: &NumberId) -> Result<Option<(E164, ContactCard)>, StoreError> {
        let Some(mut row) = self.row(SHOWN, params![number]).await? else { return Ok(None) };
        Ok(Some((row.take()?, read(row)?)))
    }
}

fn read(mut row: Row) -> Result<ContactCard, StoreError> {
    let (first_name, last_name) = (row.take()?, row.take()?);
    Ok(ContactCard { first_name, last_name, display_name: row.take()?, avatar_url: row.take()? })
}
