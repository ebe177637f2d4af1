//! The ledger: append-only lines, each moving money between two books, and the books' sums beside them.

use offhook_domain::ledger::{Book, Posting};
use offhook_domain::{EntryId, Id, Micros};

use crate::engine::{params, statements};
use crate::error::StoreError;
use crate::scope::Scope;

statements! {
    INSERT_ENTRY = "INSERT INTO ledger_entries (id, account_id, kind, from_book, to_book, amount, reference, at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    TAKE = "UPDATE books SET balance = balance - $1 WHERE account_id = $2 AND book = $3";
    TAKE_COVERED = "UPDATE books SET balance = balance - $1 WHERE account_id = $2 AND book = $3 AND balance >= $4";
    PUT = "UPDATE books SET balance = balance + $1 WHERE account_id = $2 AND book = $3";
    BALANCE = "SELECT balance FROM books WHERE account_id = $1 AND book = $2";
    DISAGREEING_BOOKS = "SELECT b.account_id, b.book FROM books b WHERE b.balance <>
        COALESCE((SELECT CAST(SUM(e.amount) AS BIGINT) FROM ledger_entries e WHERE e.account_id = b.account_id AND e.to_book = b.book), 0) -
        COALESCE((SELECT CAST(SUM(e.amount) AS BIGINT) FROM ledger_entries e WHERE e.account_id = b.account_id AND e.from_book = b.book), 0)";
}

impl Scope<'_> {
    /// Posts a line whatever the balance is, such as a charge for a message that has already come in.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn post(&mut self, posting: &Posting) -> Result<(), StoreError> {
        if posting.amount.is_zero() {
            return Ok(());
        }
        let (from, to) = posting.kind.books();
        let mut halves = [(from, TAKE), (to, PUT)];
        // Always in one order: lines that go opposite ways between two books would wait for each other.
        halves.sort_by_key(|(book, _)| order(*book));
        for (book, change) in halves {
            self.tx.run(change, params![posting.amount, self.account, book.as_str()]).await?;
        }
        self.enter(posting).await
    }

    /// Posts a line only where the book it takes from covers it; false when not. Safe under concurrency. For kinds that
    /// take from the book that comes first in [`order`]: those that spend.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn post_covered(&mut self, posting: &Posting) -> Result<bool, StoreError> {
        if posting.amount.is_zero() {
            return Ok(true);
        }
        let (from, to) = posting.kind.books();
        let taken = params![posting.amount, self.account, from.as_str(), posting.amount];
        if self.tx.change(TAKE_COVERED, taken).await? == 0 {
            return Ok(false);
        }
        self.tx.run(PUT, params![posting.amount, self.account, to.as_str()]).await?;
        self.enter(posting).await?;
        Ok(true)
    }

    /// What the customer can spend.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn balance(&mut self, book: Book) -> Result<Micros, StoreError> {
        let row = self.tx.row(BALANCE, params![self.account, book.as_str()]).await?;
        row.map_or(Ok(Micros::ZERO), |mut row| row.take())
    }

    async fn enter(&mut self, posting: &Posting) -> Result<(), StoreError> {
        let (from, to) = posting.kind.books();
        let id = EntryId::generate(posting.at);
        let kind = posting.kind.as_str();
        let values = params![
            &id,
            self.account,
            kind,
            from.as_str(),
            to.as_str(),
            posting.amount,
            &posting.reference,
            posting.at
        ];
        self.tx.run(INSERT_ENTRY, values).await
    }
}

/// The order in which a transaction changes books, which is the order in which PostgreSQL locks them.
const fn order(book: Book) -> u8 {
    match book {
        Book::Wallet => 0,
        Book::Held => 1,
        Book::Revenue => 2,
        Book::Funding => 3,
    }
}

impl crate::engine::Tx {
    /// Books whose sum is not that of their lines: none, ever. For tests and the operator's check.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn disagreeing_books(&mut self) -> Result<Vec<String>, StoreError> {
        let rows = self.rows(DISAGREEING_BOOKS, []).await?;
        rows.into_iter().map(|mut row| Ok(format!("{} {}", row.take::<String>()?, row.take::<String>()?))).collect()
    }
}
