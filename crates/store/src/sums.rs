//! Sums that many transactions add to, books and usage: put together while a transaction runs, written at its end.
//!
//! In: what [`crate::Scope`]'s `post` and `count_usage` add. Out: one statement for each sum, right before COMMIT and
//! always in one order, so that two transactions can't wait for each other on PostgreSQL, and nobody holds an account's
//! book for longer than a commit takes. Never here: what is added, and why.

use std::collections::BTreeMap;

use offhook_domain::ledger::Book;
use offhook_domain::usage::UsageDelta;
use offhook_domain::{AccountId, Timestamp};

use crate::engine::{Tx, params, statements};
use crate::error::StoreError;

statements! {
    ADD_TO_BOOK = "UPDATE books SET balance = balance + $1 WHERE account_id = $2 AND book = $3";
    TAKE_OFF_SPENDING = "UPDATE spend_days SET spent = CASE WHEN spent > $1 THEN spent - $1 ELSE 0 END
        WHERE account_id = $2 AND day = $3";
    ADD_TO_USAGE = "INSERT INTO usage_hours (account_id, hour, number_id, agent_key, shard, messages_in, messages_out, segments,
        webhooks, webhooks_succeeded, webhooks_failed, calls, call_seconds)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT (account_id, hour, number_id, agent_key, shard) DO UPDATE SET
        messages_in = usage_hours.messages_in + excluded.messages_in,
        messages_out = usage_hours.messages_out + excluded.messages_out,
        segments = usage_hours.segments + excluded.segments,
        webhooks = usage_hours.webhooks + excluded.webhooks,
        webhooks_succeeded = usage_hours.webhooks_succeeded + excluded.webhooks_succeeded,
        webhooks_failed = usage_hours.webhooks_failed + excluded.webhooks_failed,
        calls = usage_hours.calls + excluded.calls,
        call_seconds = usage_hours.call_seconds + excluded.call_seconds";
}

/// What a transaction will add.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// By account and day, before the books: who spends counts first and pays then.
    given_back: BTreeMap<(AccountId, i64), i64>,
    books: BTreeMap<(AccountId, Place), i64>,
    usage: BTreeMap<UsageRow, UsageDelta>,
}

/// A row of `usage_hours`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UsageRow {
    pub account: AccountId,
    pub hour: Timestamp,
    pub number_id: String,
    pub agent_key: String,
    pub shard: i64,
}

/// A book, by its place in the order in which all books are changed. Money that is spent leaves a wallet or a hold, and
/// has to be there: those come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place(u8);

impl Place {
    const ORDER: [Book; 4] = [Book::Wallet, Book::Held, Book::Revenue, Book::Funding];

    fn of(book: Book) -> Self {
        Self(match book {
            Book::Wallet => 0,
            Book::Held => 1,
            Book::Revenue => 2,
            Book::Funding => 3,
        })
    }

    fn book(self) -> Book {
        Self::ORDER[usize::from(self.0)]
    }
}

impl Sums {
    pub fn add_to_book(&mut self, account: &AccountId, book: Book, amount: i64) {
        let sum = self.books.entry((account.clone(), Place::of(book))).or_default();
        *sum = sum.saturating_add(amount);
    }

    pub fn take_off_spending(&mut self, account: &AccountId, day: i64, amount: i64) {
        let sum = self.given_back.entry((account.clone(), day)).or_default();
        *sum = sum.saturating_add(amount);
    }

    /// What will be added to a book.
    pub fn of_book(&self, account: &AccountId, book: Book) -> i64 {
        self.books.get(&(account.clone(), Place::of(book))).copied().unwrap_or(0)
    }

    pub fn add_to_usage(&mut self, row: UsageRow, delta: UsageDelta) {
        if delta == UsageDelta::default() {
            return;
        }
        let sum = self.usage.entry(row).or_default();
        sum.messages_in += delta.messages_in;
        sum.messages_out += delta.messages_out;
        sum.segments += delta.segments;
        sum.webhooks += delta.webhooks;
        sum.webhooks_succeeded += delta.webhooks_succeeded;
        sum.webhooks_failed += delta.webhooks_failed;
        sum.calls += delta.calls;
        sum.call_seconds += delta.call_seconds;
    }
}

impl Tx {
    /// Writes what has been put together. Books first: who spends holds his wallet already.
    pub(crate) async fn write_sums(&mut self) -> Result<(), StoreError> {
        let Sums { given_back, books, usage } = std::mem::take(&mut self.sums);
        for ((account, day), amount) in given_back {
            if amount != 0 {
                self.run(TAKE_OFF_SPENDING, params![amount, &account, day]).await?;
            }
        }
        for ((account, place), amount) in books {
            if amount != 0 {
                self.run(ADD_TO_BOOK, params![amount, &account, place.book().as_str()]).await?;
            }
        }
        for (row, delta) in usage {
            let values = params![
                &row.account,
                row.hour,
                row.number_id,
                row.agent_key,
                row.shard,
                delta.messages_in,
                delta.messages_out,
                delta.segments,
                delta.webhooks,
                delta.webhooks_succeeded,
                delta.webhooks_failed,
                delta.calls,
                delta.call_seconds
            ];
            self.run(ADD_TO_USAGE, values).await?;
        }
        Ok(())
    }
}
