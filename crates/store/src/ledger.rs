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
        one: "INSERT INTO ledger_entries (id, account_id, kind, from_book, to_book, amount, reference, at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        all: "INSERT INTO ledger_entries (id, account_id, kind, from_book, to_book, amount, reference, at)
            SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::BIGINT[], $7::TEXT[],
                $8::BIGINT[])",
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

    /// As [`Scope::post_all_covered`], for one line.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn post_covered(&mut self, posting: &Posting) -> Result<bool, StoreError> {
        self.post_all_covered(posting.kind, std::slice::from_ref(posting)).await
    }

    /// Posts lines of one kind only where the book they take from covers them all; false when not. Safe under
    /// concurrency. Call it last: nobody else can change that book until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn post_all_covered(&mut self, kind: EntryKind, postings: &[Posting]) -> Result<bool, StoreError> {
        let amount = postings.iter().fold(0_i64, |sum, posting| sum.saturating_add(posting.amount.0));
        if amount == 0 {
            return Ok(true);
        }
        let (from, to) = kind.books();
        let needed = amount.saturating_sub(self.tx.sums.of_book(self.account, from));
        let taken = params![amount, self.account, from.as_str(), needed];
        if self.tx.change(TAKE_COVERED, taken).await? == 0 {
            return Ok(false);
        }
        self.tx.sums.add_to_book(self.account, to, amount);
        self.enter(postings).await?;
        Ok(true)
    }

    /// What a book holds, such as the wallet: what the customer can spend.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn balance(&mut self, book: Book) -> Result<Micros, StoreError> {
        let row = self.tx.row(BALANCE, params![self.account, book.as_str()]).await?;
        let stored: Micros = row.map_or(Ok(Micros::ZERO), |mut row| row.take())?;
        Ok(stored + Micros(self.tx.sums.of_book(self.account, book)))
    }

    async fn enter(&mut self, postings: &[Posting]) -> Result<(), StoreError> {
        let account = self.account;
        let each = postings.iter().filter_map(|posting| entry(account, posting)).collect();
        self.tx.run_each(INSERT_ENTRY, each).await
    }
}

/// A line as it is written, unless it moves nothing.
fn entry(account: &AccountId, posting: &Posting) -> Option<[Value; 8]> {
    if posting.amount.is_zero() {
        return None;
    }
    let (from, to) = posting.kind.books();
    let (id, kind) = (EntryId::generate(posting.at), posting.kind.as_str());
    let (amount, reference) = (posting.amount, &posting.reference);
    Some(params![&id, account, kind, from.as_str(), to.as_str(), amount, reference, posting.at])
}

impl Tx {
    /// As [`Scope::post`], for lines of several accounts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn post_all(&mut self, postings: &[(&AccountId, Posting)]) -> Result<(), StoreError> {
        for (account, posting) in postings {
            let (from, to) = posting.kind.books();
            self.sums.add_to_book(account, from, -posting.amount.0);
            self.sums.add_to_book(account, to, posting.amount.0);
        }
        let each = postings.iter().filter_map(|(account, posting)| entry(account, posting)).collect();
        self.run_each(INSERT_ENTRY, each).await
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
