//! Accounts, their keys, their hold limit, and the installation's settings.

use offhook_domain::ledger::Book;
use offhook_domain::{AccountId, ApiKeyId, Id, KeyScopes, Micros};
use offhook_store::accounts::StoredKey;
use offhook_store::{Store, StoreError, Tx};
use tokio::task::JoinSet;

use crate::fixtures::{NOON, account, now, value};

on_both_engines!(a_fresh_account_has_nothing, async |store| {
    let account = account(&store).await;
    let look = async move |tx: &mut Tx| {
        let mut scope = tx.of(&account);
        assert_eq!(scope.numbers_held().await?, 0);
        for book in [Book::Funding, Book::Wallet, Book::Held, Book::Revenue] {
            assert_eq!(scope.balance(book).await?, Micros::ZERO);
        }
        assert!(scope.keys().await?.is_empty());
        Ok::<_, StoreError>(())
    };
    store.read(look).await.unwrap();
});

on_both_engines!(an_account_opens_once, async |store| {
    let account = account(&store).await;
    let again = async move |tx: &mut Tx| tx.create_account(&account, "Again", NOON).await;
    assert!(matches!(store.write(again).await, Err(StoreError::Clash(_))));
});

on_both_engines!(the_first_account_is_the_oldest, async |store| {
    let first = async |tx: &mut Tx| tx.first_account().await;
    assert_eq!(store.read(first).await.unwrap(), None);
    let oldest = account(&store).await;
    account(&store).await;
    assert_eq!(store.read(first).await.unwrap(), Some(oldest));
});

on_both_engines!(a_key_is_known_by_its_hash_until_it_is_revoked, async |store| {
    let account = account(&store).await;
    let key = add_key(&store, &account, "hash one").await;
    let owner = owner(&store, "hash one").await.expect("the key is good");
    assert_eq!((&owner.key, &owner.account), (&key, &account));
    assert_eq!(self::owner(&store, "hash two").await, None);

    assert!(revoke(&store, &account, &key).await);
    assert_eq!(self::owner(&store, "hash one").await, None);
    assert!(!revoke(&store, &account, &key).await, "once is enough");

    let listed = account.clone();
    let keys = store.read(async move |tx: &mut Tx| tx.of(&listed).keys().await).await.unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].id, key);
    assert_eq!(keys[0].hint, "sk_test_…abcd");
    assert!(keys[0].revoked_at.is_some());
});

on_both_engines!(a_key_that_is_there_stays_as_it_is, async |store| {
    let (first, second) = (account(&store).await, account(&store).await);
    let key = add_key(&store, &first, "the same hash").await;
    add_key(&store, &second, "the same hash").await;
    assert_eq!(owner(&store, "the same hash").await.map(|owner| owner.key), Some(key));
});

on_both_engines!(another_accounts_keys_are_out_of_reach, async |store| {
    let (ada, bob) = (account(&store).await, account(&store).await);
    let key = add_key(&store, &ada, "hash").await;
    assert!(!revoke(&store, &bob, &key).await);
    assert!(owner(&store, "hash").await.is_some());
    let keys = store.read(async move |tx: &mut Tx| tx.of(&bob).keys().await).await.unwrap();
    assert!(keys.is_empty());
});

on_both_engines!(the_hold_limit_holds_under_concurrent_buys, async |store| {
    let (account, other) = (account(&store).await, account(&store).await);
    let mut buyers = JoinSet::new();
    for _ in 0..100 {
        let (store, account) = (store.clone(), account.clone());
        buyers.spawn(async move { store.write(async move |tx: &mut Tx| tx.of(&account).hold_number(10).await).await });
    }
    let held = buyers.join_all().await.into_iter().filter(|held| *held.as_ref().unwrap()).count();
    assert_eq!(held, 10);
    assert_eq!((numbers_held(&store, &account).await, numbers_held(&store, &other).await), (10, 0));

    let dropping = account.clone();
    store.write(async move |tx: &mut Tx| tx.of(&dropping).drop_number().await).await.unwrap();
    assert_eq!(numbers_held(&store, &account).await, 9);
    assert!(store.write(async move |tx: &mut Tx| tx.of(&account).hold_number(10).await).await.unwrap());
});

on_both_engines!(a_setting_keeps_its_first_value, async |store| {
    for text in ["first", "second"] {
        store.write(async move |tx: &mut Tx| tx.set_if_absent("secret", text).await).await.unwrap();
    }
    assert_eq!(value(&store, "secret").await.as_deref(), Some("first"));
    assert_eq!(value(&store, "other").await, None);
});

async fn add_key(store: &Store, account: &AccountId, hash: &'static str) -> ApiKeyId {
    let id = ApiKeyId::generate(now());
    let (account, key) = (account.clone(), id.clone());
    let add = async move |tx: &mut Tx| {
        let (hint, name) = ("sk_test_…abcd".to_owned(), "laptop".to_owned());
        let key = StoredKey {
            id: key.clone(),
            hint,
            name,
            scopes: KeyScopes::ALL,
            created_at: NOON,
            revoked_at: None,
            last_used: None,
        };
        tx.of(&account).add_key(&key, hash).await
    };
    store.write(add).await.unwrap();
    id
}

async fn owner(store: &Store, hash: &'static str) -> Option<offhook_store::accounts::KeyOwner> {
    store.read(async move |tx: &mut Tx| tx.key_owner(hash).await).await.unwrap()
}

async fn revoke(store: &Store, account: &AccountId, key: &ApiKeyId) -> bool {
    let (account, key) = (account.clone(), key.clone());
    store.write(async move |tx: &mut Tx| tx.of(&account).revoke_key(&key, now()).await).await.unwrap()
}

async fn numbers_held(store: &Store, account: &AccountId) -> i64 {
    let account = account.clone();
    store.read(async move |tx: &mut Tx| tx.of(&account).numbers_held().await).await.unwrap()
}
