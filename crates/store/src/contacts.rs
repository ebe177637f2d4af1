//! Contacts: the account's address book.

use offhook_domain::ContactId;
use offhook_domain::contact::Contact;

use crate::engine::{Row, params, statements};
use crate::error::StoreError;
use crate::scope::{Page, Scope, Window};

/// What [`read`] reads.
macro_rules! select_contacts {
    () => {
        "SELECT id, phone_number, name, email, notes, created_at, updated_at FROM contacts"
    };
}
pub(crate) use select_contacts;

statements! {
    INSERT = "INSERT INTO contacts (id, account_id, phone_number, name, email, notes, searchable, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
    GET = concat!(select_contacts!(), " WHERE account_id = $1 AND id = $2");
    LIST = concat!(select_contacts!(), " WHERE account_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3");
    COUNT = "SELECT COUNT(*) FROM contacts WHERE account_id = $1";
    FIND = concat!(select_contacts!(), "
        WHERE account_id = $1 AND searchable LIKE $2 ESCAPE '!' ORDER BY id DESC LIMIT $3 OFFSET $4");
    COUNT_FOUND = "SELECT COUNT(*) FROM contacts WHERE account_id = $1 AND searchable LIKE $2 ESCAPE '!'";
    LOCK = "UPDATE contacts SET updated_at = updated_at WHERE account_id = $1 AND id = $2";
    UPDATE = "UPDATE contacts SET phone_number = $1, name = $2, email = $3, notes = $4, searchable = $5, updated_at = $6
        WHERE account_id = $7 AND id = $8 AND NOT EXISTS (SELECT 1 FROM contacts AS other
            WHERE other.account_id = $7 AND other.phone_number = $1 AND other.id <> $8)";
    DELETE = "DELETE FROM contacts WHERE account_id = $1 AND id = $2";
}

impl Scope<'_> {
    /// Adds a contact; false when there is one with its number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_contact(&mut self, contact: &Contact) -> Result<bool, StoreError> {
        let Contact { id, phone_number, name, email, notes, created_at, updated_at } = contact;
        let (email, notes) = (email.as_ref(), notes.as_ref());
        let searchable = searchable(contact);
        let values = params![id, self.account, phone_number, name, email, notes, searchable, *created_at, *updated_at];
        Ok(self.tx.change(INSERT, values).await? == 1)
    }

    /// # Errors
    /// [`StoreError`].
    pub async fn contact(&mut self, id: &ContactId) -> Result<Option<Contact>, StoreError> {
        self.tx.row(GET, params![self.account, id]).await?.map(read).transpose()
    }

    /// A contact that this transaction is about to change: whoever else is about to, waits.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn contact_to_change(&mut self, id: &ContactId) -> Result<Option<Contact>, StoreError> {
        self.tx.run(LOCK, params![self.account, id]).await?;
        self.contact(id).await
    }

    /// The newest first; with `search`, those whose name or number has that in it, in capitals or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn contacts(&mut self, search: Option<&str>, window: Window) -> Result<Page<Contact>, StoreError> {
        let Window { limit, offset } = window;
        let (rows, total) = match search {
            None => {
                let rows = self.tx.rows(LIST, params![self.account, limit, offset]).await?;
                (rows, self.tx.one(COUNT, params![self.account]).await?.take()?)
            }
            Some(text) => {
                let pattern = pattern(text);
                let rows = self.tx.rows(FIND, params![self.account, &pattern, limit, offset]).await?;
                (rows, self.tx.one(COUNT_FOUND, params![self.account, &pattern]).await?.take()?)
            }
        };
        Ok(Page { items: rows.into_iter().map(read).collect::<Result<_, _>>()?, total })
    }

    /// Keeps a changed contact; false when another one has its number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn update_contact(&mut self, contact: &Contact) -> Result<bool, StoreError> {
        let Contact { id, phone_number, name, email, notes, updated_at, .. } = contact;
        let (email, notes) = (email.as_ref(), notes.as_ref());
        let values = params![phone_number, name, email, notes, searchable(contact), *updated_at, self.account, id];
        Ok(self.tx.change(UPDATE, values).await? == 1)
    }

    /// Whether there was such a contact.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_contact(&mut self, id: &ContactId) -> Result<bool, StoreError> {
        Ok(self.tx.change(DELETE, params![self.account, id]).await? == 1)
    }
}

/// What a search looks into. Lower-cased here: the engines know different letters.
fn searchable(contact: &Contact) -> String {
    format!("{}\n{}", contact.name.to_lowercase(), contact.phone_number)
}

/// What contains a text, whatever the case of its letters; to be used with `ESCAPE '!'`.
pub(crate) fn pattern(search: &str) -> String {
    let mut pattern = String::from("%");
    for c in search.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// # Errors
/// [`StoreError::Corrupt`] for a row that is none.
pub(crate) fn read(mut row: Row) -> Result<Contact, StoreError> {
    Ok(Contact {
        id: row.take()?,
        phone_number: row.take()?,
        name: row.take()?,
        email: row.take()?,
        notes: row.take()?,
        created_at: row.take()?,
        updated_at: row.take()?,
    })
}
