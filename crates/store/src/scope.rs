//! Tenancy by construction: whatever belongs to an account is reached through a [`Scope`], and every
//! statement of a scope carries the account's id. Another tenant's row is never found.

use offhook_domain::AccountId;

use crate::engine::Tx;

/// A transaction narrowed to one account.
pub struct Scope<'t> {
    pub(crate) tx: &'t mut Tx,
    pub(crate) account: &'t AccountId,
}

impl Tx {
    /// Narrows to what belongs to `account`.
    pub fn of<'t>(&'t mut self, account: &'t AccountId) -> Scope<'t> {
        Scope { tx: self, account }
    }
}

impl Scope<'_> {
    #[must_use]
    pub fn account(&self) -> &AccountId {
        self.account
    }
}

/// Part of a list that is paged by offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub limit: i64,
    pub offset: i64,
}

/// One page and how many there are in all.
#[derive(Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub total: i64,
}
