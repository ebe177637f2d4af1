//! The ledger: append-only lines, each moving money between two books, and the books' sums beside them.

use offhook_domain::ledger::{Book, EntryKind, Posting};
use offhook_domain::{AccountId, EntryId, Id, Micros};

use crate::engine::{Tx, Value, params, statements, statements_for_many};
use crate::error::StoreError;
use crate::scope::Scope;

statements! {
    TAKE_COVERED = "UPDATE books SET balance = balance - $1 WHERE account_id = $2 AND book = $3 AND balance >= $4";
    BALANCE = "SELECT balance FROM books WHERE account_id = $1 AND book = $2";
    DISAGREEING_BOOKS = "SELECT b.account_id, b.book FROM books b WHERE b.balance <>
        COALESCE((SELECT CAST(SUM(e.amount) AS BIGINT) FROM ledger_entries e WHERE e.account_id = b.account_id AND e.to_book = b.book), 0) -
        COALESCE((SELECT CAST(SUM(e.amount) AS BIGINT) FROM ledger_entries e WHERE e.account_id = b.account_id AND e.from_book = b.book), 0)";
}

statements_for_many! {
    INSERT_ENTRY = {
        one: "INSERT INTO ledger_entries (id, account_id, kind, from_book, to_book, amount, reference, at,
                on_behalf_of) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        all: "INSERT INTO ledger_entries (id, account_id, kind, from_book, to_book, amount, reference, at,
                on_behalf_of) SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::BIGINT[], $7::TEXT[],
                $8::BIGINT[], $9::TEXT[])",
    };
}

impl Scope<'_> {
    /// Posts a line whatever the balance is, such as a charge for a message that has already come in. The books change
    /// at the end of the transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn post(&mut self, posting: &Posting) -> Result<(), StoreError> {
        self.tx.post_all(&[(self.account, posting.clone())]).await
    }

    /// As [`Tx::post_all_covered`], for one line.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn post_covered(&mut self, posting: &Posting) -> Result<bool, StoreError> {
        let payers = self.tx.payers_of([self.account]).await?;
        self.tx.post_all_covered(payers.of(self.account), posting.kind, &[(self.account, posting.clone())]).await
    }

    /// What a book holds, such as the wallet: what the customer can spend. A sub-account's are its payer's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn balance(&mut self, book: Book) -> Result<Micros, StoreError> {
        let payers = self.tx.payers_of([self.account]).await?;
        let payer = payers.of(self.account);
        let row = self.tx.row(BALANCE, params![payer, book.as_str()]).await?;
        let stored: Micros = row.map_or(Ok(Micros::ZERO), |mut row| row.take())?;
        Ok(stored + Micros(self.tx.sums.of_book(payer, book)))
    }
}

/// A line as it is written, unless it moves nothing.
fn entry(payer: &AccountId, account: &AccountId, posting: &Posting) -> Option<[Value; 9]> {
    if posting.amount.is_zero() {
        return None;
    }
    let (from, to) = posting.kind.books();
    let (id, kind) = (EntryId::generate(posting.at), posting.kind.as_str());
    let (amount, reference) = (posting.amount, &posting.reference);
    let on_behalf_of = (account != payer).then_some(account);
    Some(params![&id, payer, kind, from.as_str(), to.as_str(), amount, reference, posting.at, on_behalf_of])
}

impl Tx {
    /// As [`Scope::post`], for lines of several accounts. They are entered in the books of who pays for each.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn post_all(&mut self, postings: &[(&AccountId, Posting)]) -> Result<(), StoreError> {
        let postings: Vec<_> = postings.iter().filter(|(_, posting)| !posting.amount.is_zero()).collect();
        if postings.is_empty() {
            return Ok(());
        }
        let payers = self.payers_of(postings.iter().map(|(account, _)| *account)).await?;
        for (account, posting) in &postings {
            let (from, to) = posting.kind.books();
            self.sums.add_to_book(payers.of(account), from, -posting.amount.0);
            self.sums.add_to_book(payers.of(account), to, posting.amount.0);
        }
        let entries = postings.iter().filter_map(|(account, posting)| entry(payers.of(account), account, posting));
        self.run_each(INSERT_ENTRY, entries.collect()).await
    }

    /// Posts lines of one kind, of accounts that one pays for, only where his book that they take from covers them all;
    /// false when not. Safe under concurrency. Call it last: nobody else can change that book until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn post_all_covered(
        &mut self,
        payer: &AccountId,
        kind: EntryKind,
        postings: &[(&AccountId, Posting)],
    ) -> Result<bool, StoreError> {
        let amount = postings.iter().fold(0_i64, |sum, (_, posting)| sum.saturating_add(posting.amount.0));
        if amount == 0 {
            return Ok(true);
        }
        let (from, to) = kind.books();
        let needed = amount.saturating_sub(self.sums.of_book(payer, from));
        if self.change(TAKE_COVERED, params![amount, payer, from.as_str(), needed]).await? == 0 {
            return Ok(false);
        }
        self.sums.add_to_book(payer, to, amount);
        let entries = postings.iter().filter_map(|(account, posting)| entry(payer, account, posting));
        self.run_each(INSERT_ENTRY, entries.collect()).await?;
        Ok(true)
    }

    /// Books whose sum is not that of their lines: none, ever. For tests and the operator's check.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn disagreeing_books(&mut self) -> Result<Vec<String>, StoreError> {
        let rows = self.rows(DISAGREEING_BOOKS, []).await?;
        rows.into_iter().map(|mut row| Ok(format!("{} {}", row.take::<String>()?, row.take::<String>()?))).collect()
    }
}
