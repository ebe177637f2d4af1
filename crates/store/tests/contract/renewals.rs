//! Numbers whose time has come.

use std::time::Duration;

use offhook_domain::number::Number;
use offhook_domain::{Micros, Timestamp};
use offhook_store::{Store, StoreError, Tx};

use crate::fixtures::{account, credit, now, stored_number};

const DAY: Duration = Duration::from_secs(24 * 3600);
const PRICE: i64 = 3_000_000;

on_both_engines!(a_number_is_due_when_its_period_ends, async |store| {
    let number = stored_number(&store, &account(&store).await, "+14155550100").await;
    assert_eq!(to_renew(&store, number.renews_at.minus(DAY)).await.len(), 0);
    assert_eq!(to_renew(&store, number.renews_at).await.len(), 1);

    let next = number.renews_at.plus(30 * DAY);
    assert!(prolong(&store, &number, next).await);
    assert!(!prolong(&store, &number, next).await, "another node has charged it");
    assert_eq!(to_renew(&store, number.renews_at).await.len(), 0);
    assert_eq!(to_renew(&store, next).await.len(), 1);
});

on_both_engines!(an_unpaid_number_waits_for_money_or_its_end, async |store| {
    let account = account(&store).await;
    let number = stored_number(&store, &account, "+14155550100").await;
    let since = number.renews_at;
    let unpaid = number.clone();
    let owe = async move |tx: &mut Tx| {
        let mut scope = tx.of(&unpaid.account_id);
        assert!(scope.prolong_number(&unpaid, unpaid.renews_at.plus(DAY)).await?);
        scope.number_is_unpaid(&unpaid, since).await
    };
    store.write(owe).await.unwrap();

    assert_eq!(to_renew(&store, since).await.len(), 0, "it is known to be unpaid");
    assert_eq!(payable(&store).await.len(), 0);
    credit(&store, &account, PRICE - 1).await;
    assert_eq!(payable(&store).await.len(), 0);
    credit(&store, &account, 1).await;
    let [kept] = &payable(&store).await[..] else { panic!("one payable number") };
    assert_eq!((kept.renews_at, kept.unpaid_since), (number.renews_at, Some(since)));

    assert!(!must_end(&store, &number, since.minus(DAY), now()).await);
    assert_eq!(unpaid_since(&store, since.minus(DAY)).await.len(), 0);
    assert_eq!(unpaid_since(&store, since).await.len(), 1);
    assert!(must_end(&store, &number, since, now()).await);
    assert!(prolong(&store, kept, since.plus(30 * DAY)).await);
    assert!(!must_end(&store, &number, since, now()).await, "it was paid for");
});

on_both_engines!(a_number_with_an_end_is_due_then, async |store| {
    let account = account(&store).await;
    stored_number(&store, &account, "+14155550101").await;
    let mut number = stored_number(&store, &account, "+14155550100").await;
    let end = number.purchased_at.plus(DAY);
    number.expires_at = Some(end);
    let ending = number.clone();
    store.write(async move |tx: &mut Tx| tx.of(&ending.account_id).update_number(&ending).await).await.unwrap();
    assert_eq!(expired(&store, end.minus(DAY / 2)).await.len(), 0);
    assert_eq!(expired(&store, end).await.len(), 1);
    assert!(must_end(&store, &number, end.minus(60 * DAY), end).await);

    let (released, at) = (number.clone(), now());
    let release = async move |tx: &mut Tx| tx.of(&released.account_id).release_number(&released.id, at).await;
    assert!(store.write(release).await.unwrap());
    assert_eq!(expired(&store, end).await.len(), 0);
    assert!(!must_end(&store, &number, end.minus(60 * DAY), end).await);
});

async fn to_renew(store: &Store, at: Timestamp) -> Vec<Number> {
    store.read::<_, StoreError>(async move |tx: &mut Tx| tx.numbers_to_renew(at, 10).await).await.unwrap()
}

async fn payable(store: &Store) -> Vec<Number> {
    store.read::<_, StoreError>(async |tx: &mut Tx| tx.numbers_payable(Micros(PRICE), 10).await).await.unwrap()
}

async fn unpaid_since(store: &Store, since: Timestamp) -> Vec<Number> {
    store.read::<_, StoreError>(async move |tx: &mut Tx| tx.numbers_unpaid_since(since, 10).await).await.unwrap()
}

async fn expired(store: &Store, at: Timestamp) -> Vec<Number> {
    store.read::<_, StoreError>(async move |tx: &mut Tx| tx.numbers_expired(at, 10).await).await.unwrap()
}

async fn prolong(store: &Store, number: &Number, until: Timestamp) -> bool {
    let number = number.clone();
    let prolong = async move |tx: &mut Tx| tx.of(&number.account_id).prolong_number(&number, until).await;
    store.write(prolong).await.unwrap()
}

async fn must_end(store: &Store, number: &Number, unpaid_since: Timestamp, at: Timestamp) -> bool {
    let number = number.clone();
    let ask = async move |tx: &mut Tx| tx.of(&number.account_id).number_must_end(&number, unpaid_since, at).await;
    store.write(ask).await.unwrap()
}
