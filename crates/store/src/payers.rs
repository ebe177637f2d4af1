//! Who pays for whom: a sub-account's master, everybody else for himself.
//!
//! In: accounts. Out: the accounts whose books their money moves in. Never here: what is paid.
//!
//! An account has the same payer for good, and its id names no other account anywhere. So what was once found is
//! remembered by the process, and the message path asks nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::{LazyLock, PoisonError, RwLock};

use offhook_domain::AccountId;

use crate::engine::{Tx, params, statements_for_many};
use crate::error::StoreError;

statements_for_many! {
    PAYER = {
        one: "SELECT COALESCE(parent_id, id) FROM accounts WHERE id = $1",
        all: "SELECT e.n, COALESCE(a.parent_id, a.id) FROM unnest($1::TEXT[]) WITH ORDINALITY AS e (account_id, n)
            JOIN accounts a ON a.id = e.account_id",
    };
}

/// At this many it begins anew: memory is bounded.
const MOST_KNOWN: usize = 100_000;

static KNOWN: LazyLock<RwLock<HashMap<AccountId, AccountId>>> = LazyLock::new(RwLock::default);

/// The payers of some accounts.
#[derive(Debug, Default)]
pub struct Payers(HashMap<AccountId, AccountId>);

impl Payers {
    /// Who pays for `account`.
    #[must_use]
    pub fn of<'a>(&'a self, account: &'a AccountId) -> &'a AccountId {
        self.0.get(account).unwrap_or(account)
    }
}

impl Tx {
    /// Who pays for each of these accounts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn payers_of(&mut self, accounts: impl IntoIterator<Item = &AccountId>) -> Result<Payers, StoreError> {
        let accounts: BTreeSet<&AccountId> = accounts.into_iter().collect();
        let mut payers = HashMap::with_capacity(accounts.len());
        let mut unknown = Vec::new();
        {
            let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
            for account in accounts {
                match known.get(account) {
                    Some(payer) => drop(payers.insert(account.clone(), payer.clone())),
                    None => unknown.push(account),
                }
            }
        }
        if unknown.is_empty() {
            return Ok(Payers(payers));
        }
        let asked = unknown.iter().map(|account| params![*account]).collect();
        let found = self.rows_each(PAYER, asked).await?;
        let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() + unknown.len() > MOST_KNOWN {
            known.clear();
        }
        for (account, rows) in unknown.into_iter().zip(found) {
            if let Some(mut row) = rows.into_iter().next() {
                let payer: AccountId = row.take()?;
                known.insert(account.clone(), payer.clone());
                payers.insert(account.clone(), payer);
            }
        }
        Ok(Payers(payers))
    }
}
