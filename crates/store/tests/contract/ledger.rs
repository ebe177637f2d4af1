//! Money: moved between books, never made or lost, never spent twice.

use offhook_domain::ledger::{Book, EntryKind};
use offhook_domain::{AccountId, Micros};
use offhook_store::{Sql, Store, StoreError, Tx};
use tokio::task::JoinSet;

use crate::fixtures::{account, credit, one, posting};

const ENTRIES: Sql = Sql("SELECT COUNT(*) FROM ledger_entries");

on_both_engines!(a_line_moves_its_amount_from_book_to_book, async |store| {
    let account = account(&store).await;
    credit(&store, &account, 5_000_000).await;
    assert_eq!(books(&store, &account).await, [-5_000_000, 5_000_000, 0, 0]);
    assert!(post_covered(&store, &account, EntryKind::NumberHold, 3_000_000).await);
    assert_eq!(books(&store, &account).await, [-5_000_000, 2_000_000, 3_000_000, 0]);
    post(&store, &account, EntryKind::NumberBought, 3_000_000).await;
    post(&store, &account, EntryKind::MessageOut, 20_000).await;
    post(&store, &account, EntryKind::MessageRefund, 20_000).await;
    assert_eq!(books(&store, &account).await, [-5_000_000, 2_000_000, 0, 3_000_000]);
    assert_eq!(one::<i64>(&store, ENTRIES).await, 5);
    assert_eq!(disagreeing(&store).await, [""; 0]);
});

on_both_engines!(what_is_not_covered_is_not_taken, async |store| {
    let account = account(&store).await;
    credit(&store, &account, 20_000).await;
    assert!(!post_covered(&store, &account, EntryKind::MessageOut, 20_001).await);
    assert_eq!(books(&store, &account).await, [-20_000, 20_000, 0, 0]);
    assert!(post_covered(&store, &account, EntryKind::MessageOut, 20_000).await, "to the last micro-dollar");
    assert!(!post_covered(&store, &account, EntryKind::MessageOut, 1).await);
    post(&store, &account, EntryKind::MessageIn, 20_000).await;
    assert_eq!(books(&store, &account).await, [-20_000, -20_000, 0, 40_000], "what has come in is charged anyway");
    assert_eq!(disagreeing(&store).await, [""; 0]);
});

on_both_engines!(nothing_costs_nothing, async |store| {
    let account = account(&store).await;
    assert!(post_covered(&store, &account, EntryKind::MessageOut, 0).await);
    post(&store, &account, EntryKind::MessageIn, 0).await;
    assert_eq!(one::<i64>(&store, ENTRIES).await, 0);
});

on_both_engines!(money_cannot_be_spent_twice, async |store| {
    let account = account(&store).await;
    credit(&store, &account, 30 * 20_000 + 19_999).await;
    let mut spenders = JoinSet::new();
    for _ in 0..100 {
        let (store, account) = (store.clone(), account.clone());
        spenders.spawn(async move { post_covered(&store, &account, EntryKind::MessageOut, 20_000).await });
    }
    assert_eq!(spenders.join_all().await.into_iter().filter(|covered| *covered).count(), 30);
    assert_eq!(books(&store, &account).await, [-619_999, 19_999, 0, 600_000]);
    assert_eq!(disagreeing(&store).await, [""; 0]);
});

// Lines that go opposite ways between two books must not wait for each other.
on_both_engines!(all_kinds_at_once_add_up, async |store| {
    let account = account(&store).await;
    let mut posters = JoinSet::new();
    for n in 0..400 {
        let (store, account) = (store.clone(), account.clone());
        let kind =
            [EntryKind::MessageOut, EntryKind::MessageRefund, EntryKind::NumberHold, EntryKind::NumberHoldReturned]
                [n % 4];
        posters.spawn(async move { post(&store, &account, kind, 7).await });
    }
    posters.join_all().await;
    assert_eq!(books(&store, &account).await, [0; 4]);
    assert_eq!(one::<i64>(&store, ENTRIES).await, 400);
    assert_eq!(disagreeing(&store).await, [""; 0]);
});

on_both_engines!(accounts_have_their_own_books, async |store| {
    let (ada, bob) = (account(&store).await, account(&store).await);
    credit(&store, &ada, 1_000_000).await;
    assert!(!post_covered(&store, &bob, EntryKind::MessageOut, 1).await);
    assert_eq!(books(&store, &bob).await, [0; 4]);
});

on_both_engines!(a_book_that_disagrees_is_found, async |store| {
    let account = account(&store).await;
    credit(&store, &account, 1_000_000).await;
    let tamper = Sql("UPDATE books SET balance = balance + 1 WHERE book = 'wallet'");
    store.write(async move |tx: &mut Tx| tx.change(tamper, []).await).await.unwrap();
    assert_eq!(disagreeing(&store).await, [format!("{account} wallet")]);
});

async fn post(store: &Store, account: &AccountId, kind: EntryKind, amount: i64) {
    let account = account.clone();
    store.write(async move |tx: &mut Tx| tx.of(&account).post(&posting(kind, amount)).await).await.unwrap();
}

async fn post_covered(store: &Store, account: &AccountId, kind: EntryKind, amount: i64) -> bool {
    let account = account.clone();
    store.write(async move |tx: &mut Tx| tx.of(&account).post_covered(&posting(kind, amount)).await).await.unwrap()
}

/// Funding, wallet, held, revenue.
async fn books(store: &Store, account: &AccountId) -> [i64; 4] {
    let account = account.clone();
    let look = async move |tx: &mut Tx| {
        let mut balances = [0; 4];
        for (balance, book) in balances.iter_mut().zip([Book::Funding, Book::Wallet, Book::Held, Book::Revenue]) {
            let Micros(micros) = tx.of(&account).balance(book).await?;
            *balance = micros;
        }
        Ok::<_, StoreError>(balances)
    };
    store.read(look).await.unwrap()
}

async fn disagreeing(store: &Store) -> Vec<String> {
    store.read(async |tx: &mut Tx| tx.disagreeing_books().await).await.unwrap()
}
