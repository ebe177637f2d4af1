//! What must be true of an account's money and places whatever happened to it.

use offhook_domain::Micros;
use offhook_domain::Timestamp;
use offhook_domain::ledger::{Book, EntryKind, Posting};
use offhook_store::{StoreError, Tx, Window};

use super::{Client, TestApp};

impl Client {
    /// Credits the account.
    pub async fn credit(&self, dollars: i64) {
        self.credit_micros(dollars * 1_000_000).await;
    }

    pub async fn credit_micros(&self, micros: i64) {
        let (account, now) = (self.account.clone(), self.app.now());
        let amount = Micros(micros);
        let credit = Posting { kind: EntryKind::Credit, amount, reference: "test".to_owned(), at: now };
        let write = async move |tx: &mut Tx| tx.of(&account).post(&credit).await;
        self.app.store.write::<_, StoreError>(write).await.unwrap();
    }

    /// What the account can spend.
    pub async fn wallet(&self) -> String {
        self.book(Book::Wallet).await.to_string()
    }

    /// What is held for purchases under way.
    pub async fn held(&self) -> String {
        self.book(Book::Held).await.to_string()
    }

    async fn book(&self, book: Book) -> Micros {
        let account = self.account.clone();
        self.app
            .store
            .read::<_, StoreError>(async move |tx: &mut Tx| tx.of(&account).balance(book).await)
            .await
            .unwrap()
    }

    /// Whether every book is the sum of its lines, the four come to zero together, and the places taken are
    /// those of the numbers and of the purchases under way.
    pub async fn check_books(&self) {
        let account = self.account.clone();
        let read = async move |tx: &mut Tx| {
            let disagreeing = tx.disagreeing_books().await?;
            let open = tx.purchases_to_settle(Timestamp::from_micros(i64::MAX), 1000).await?;
            let open = open.iter().filter(|purchase| purchase.account_id == account).count();
            let mut scope = tx.of(&account);
            let mut sum = Micros::ZERO;
            for book in [Book::Funding, Book::Wallet, Book::Held, Book::Revenue] {
                sum = sum + scope.balance(book).await?;
            }
            let active = scope.active_numbers(Window { limit: 1, offset: 0 }).await?.total;
            let held = scope.numbers_held().await?;
            Ok::<_, StoreError>((disagreeing, sum, active + i64::try_from(open).unwrap(), held))
        };
        let (disagreeing, sum, places, held) = self.app.store.read(read).await.unwrap();
        assert_eq!(disagreeing, Vec::<String>::new(), "books that are not the sum of their lines");
        assert_eq!(sum, Micros::ZERO, "the four books together");
        assert_eq!(held, places, "places of the hold limit");
    }
}

impl TestApp {
    /// Whether every book is the sum of its lines.
    pub async fn books_agree(&self) {
        let read = async |tx: &mut Tx| tx.disagreeing_books().await;
        assert_eq!(self.app.store.read::<_, StoreError>(read).await.unwrap(), Vec::<String>::new());
    }

    /// Has the worker of numbers do all that is due now.
    pub async fn look_after_numbers(&self) {
        while offhook_server::jobs::numbers::round(&self.app).await.unwrap() > 0 {}
    }
}
