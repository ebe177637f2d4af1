//! `Idempotency-Key`: a request takes effect once.

use std::time::Duration;

use offhook_domain::{AccountId, Timestamp};
use offhook_store::idempotency::{Claim, KEPT};
use offhook_store::{Store, StoreError, Tx};
use tokio::task::JoinSet;

use crate::fixtures::{NOON, Refusal, account, kept, put};

on_both_engines!(the_first_outcome_is_kept_for_the_same_request, async |store| {
    let account = account(&store).await;
    assert_eq!(claim(&store, &account, "key", "request", NOON).await, Claim::Fresh);
    assert_eq!(claim(&store, &account, "key", "request", NOON).await, Claim::InProgress);
    finish(&store, &account, "key", 201, Some("{}")).await;
    let done = Claim::Done { status: 201, body: Some("{}".to_owned()) };
    assert_eq!(claim(&store, &account, "key", "request", NOON).await, done);
    assert_eq!(claim(&store, &account, "key", "another request", NOON).await, Claim::Reused);
    assert_eq!(claim(&store, &account, "another key", "request", NOON).await, Claim::Fresh);
    finish(&store, &account, "another key", 204, None).await;
    let done = Claim::Done { status: 204, body: None };
    assert_eq!(claim(&store, &account, "another key", "request", NOON).await, done);
});

on_both_engines!(accounts_have_their_own_keys, async |store| {
    let (ada, bob) = (account(&store).await, account(&store).await);
    assert_eq!(claim(&store, &ada, "key", "Ada's", NOON).await, Claim::Fresh);
    assert_eq!(claim(&store, &bob, "key", "Bob's", NOON).await, Claim::Fresh);
    finish(&store, &bob, "key", 200, None).await;
    assert_eq!(claim(&store, &ada, "key", "Ada's", NOON).await, Claim::InProgress);
});

on_both_engines!(a_key_is_free_again_when_its_request_came_to_nothing, async |store| {
    let account = account(&store).await;
    assert_eq!(claim(&store, &account, "key", "request", NOON).await, Claim::Fresh);
    let scope = account.clone();
    store.write(async move |tx: &mut Tx| tx.of(&scope).forget_once("key", NOON).await).await.unwrap();
    assert_eq!(claim(&store, &account, "key", "another request", NOON).await, Claim::Fresh);
});

on_both_engines!(a_refused_request_leaves_its_key_free, async |store| {
    let account = account(&store).await;
    let scope = account.clone();
    let refused = async move |tx: &mut Tx| -> Result<(), Refusal> {
        assert_eq!(tx.of(&scope).claim_once("key", "request", NOON).await?, Claim::Fresh);
        Err(Refusal::Refused)
    };
    store.write(refused).await.unwrap_err();
    assert_eq!(claim(&store, &account, "key", "request", NOON).await, Claim::Fresh);
});

on_both_engines!(a_key_is_free_again_after_a_day, async |store| {
    let account = account(&store).await;
    claim(&store, &account, "key", "request", NOON).await;
    finish(&store, &account, "key", 200, None).await;
    let (just, past) = (NOON.plus(KEPT), NOON.plus(KEPT + Duration::from_secs(1)));
    assert_eq!(claim(&store, &account, "key", "request", just).await, Claim::Done { status: 200, body: None });
    assert_eq!(claim(&store, &account, "key", "another request", past).await, Claim::Fresh);
    assert_eq!(claim(&store, &account, "key", "another request", past).await, Claim::InProgress);
});

on_both_engines!(who_comes_back_after_a_day_leaves_the_key_to_its_new_request, async |store| {
    let account = account(&store).await;
    claim(&store, &account, "key", "request", NOON).await;
    let next_day = NOON.plus(KEPT + Duration::from_secs(1));
    assert_eq!(claim(&store, &account, "key", "another request", next_day).await, Claim::Fresh);
    finish(&store, &account, "key", 200, None).await;
    let scope = account.clone();
    store.write(async move |tx: &mut Tx| tx.of(&scope).forget_once("key", NOON).await).await.unwrap();
    assert_eq!(claim(&store, &account, "key", "another request", next_day).await, Claim::InProgress);
});

on_both_engines!(pruning_drops_what_is_past_its_time_and_nothing_else, async |store| {
    let account = account(&store).await;
    let later = NOON.plus(Duration::from_secs(3600));
    claim(&store, &account, "old", "request", NOON).await;
    claim(&store, &account, "young", "request", later).await;
    let now = NOON.plus(KEPT + Duration::from_secs(1));
    assert_eq!(store.write(async move |tx: &mut Tx| tx.prune_idempotency(now).await).await.unwrap(), 1);
    assert_eq!(claim(&store, &account, "young", "request", now).await, Claim::InProgress);
    assert_eq!(claim(&store, &account, "old", "request", now).await, Claim::Fresh);
});

on_both_engines!(of_concurrent_duplicates_one_takes_effect, async |store| {
    let account = account(&store).await;
    let mut requests = JoinSet::new();
    for n in 0..50 {
        let (store, account) = (store.clone(), account.clone());
        requests.spawn(async move {
            let request = async move |tx: &mut Tx| -> Result<Claim, StoreError> {
                let claim = tx.of(&account).claim_once("key", "request", NOON).await?;
                if claim == Claim::Fresh {
                    put(tx, &format!("effect {n}"), "1").await?;
                    tx.of(&account).finish_once("key", NOON, 200, Some("the answer")).await?;
                }
                Ok(claim)
            };
            store.write(request).await.unwrap()
        });
    }
    let claims = requests.join_all().await;
    let done = Claim::Done { status: 200, body: Some("the answer".to_owned()) };
    assert_eq!(claims.iter().filter(|claim| **claim == Claim::Fresh).count(), 1);
    assert_eq!(claims.iter().filter(|claim| **claim == done).count(), 49);
    assert_eq!(kept(&store).await.len(), 1);
});

async fn claim(
    store: &Store,
    account: &AccountId,
    key: &'static str,
    fingerprint: &'static str,
    at: Timestamp,
) -> Claim {
    let account = account.clone();
    store.write(async move |tx: &mut Tx| tx.of(&account).claim_once(key, fingerprint, at).await).await.unwrap()
}

async fn finish(store: &Store, account: &AccountId, key: &'static str, status: i64, body: Option<&'static str>) {
    let account = account.clone();
    store.write(async move |tx: &mut Tx| tx.of(&account).finish_once(key, NOON, status, body).await).await.unwrap();
}
