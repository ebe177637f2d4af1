//! Leases: one holder at a time, and a former holder knows that it is former.

use std::time::Duration;

use offhook_domain::Timestamp;
use offhook_store::{Store, Tx};
use tokio::task::JoinSet;

use crate::fixtures::NOON;

fn at(seconds: u64) -> Timestamp {
    NOON.plus(Duration::from_secs(seconds))
}

on_both_engines!(a_lease_is_one_owners_until_it_ends, async |store| {
    assert_eq!(acquire(&store, "line", "ada", at(0), at(8)).await, Some(1));
    assert_eq!(acquire(&store, "line", "bob", at(1), at(9)).await, None);
    assert_eq!(acquire(&store, "line", "ada", at(1), at(9)).await, None, "a second worker of one owner is another one");
    assert_eq!(acquire(&store, "another line", "bob", at(1), at(9)).await, Some(1));
    assert_eq!(acquire(&store, "line", "bob", at(9), at(17)).await, Some(2), "each change of hands is an epoch");
});

on_both_engines!(a_lease_can_be_held_longer, async |store| {
    assert_eq!(acquire(&store, "line", "ada", at(0), at(8)).await, Some(1));
    assert!(renew(&store, "line", "ada", 1, at(5), at(13)).await);
    assert_eq!(acquire(&store, "line", "bob", at(9), at(17)).await, None);
    assert!(!renew(&store, "line", "bob", 1, at(9), at(17)).await, "not its own");
    assert!(!renew(&store, "line", "ada", 2, at(9), at(17)).await, "not its epoch");
});

on_both_engines!(a_lost_lease_is_lost_for_good, async |store| {
    assert_eq!(acquire(&store, "line", "ada", at(0), at(8)).await, Some(1));
    assert!(!renew(&store, "line", "ada", 1, at(9), at(17)).await, "over, though nobody took it");
    assert_eq!(acquire(&store, "line", "bob", at(9), at(17)).await, Some(2));
    assert!(!renew(&store, "line", "ada", 1, at(10), at(18)).await);
    assert_eq!(acquire(&store, "line", "ada", at(18), at(26)).await, Some(3));
    assert!(!renew(&store, "line", "ada", 1, at(19), at(27)).await, "of an epoch that is over");
});

on_both_engines!(a_lease_that_was_let_go_is_free_at_once, async |store| {
    assert_eq!(acquire(&store, "line", "ada", at(0), at(8)).await, Some(1));
    release(&store, "line", "bob", 1).await;
    assert_eq!(acquire(&store, "line", "bob", at(1), at(9)).await, None, "only its holder lets it go");
    release(&store, "line", "ada", 1).await;
    assert_eq!(acquire(&store, "line", "bob", at(1), at(9)).await, Some(2));
    release(&store, "line", "ada", 1).await;
    assert_eq!(acquire(&store, "line", "carol", at(2), at(10)).await, None, "the former holder lets nothing go");
});

on_both_engines!(of_many_one_gets_it, async |store| {
    for round in 0..5 {
        let mut workers = JoinSet::new();
        for n in 0..40 {
            let store = store.clone();
            workers.spawn(async move {
                let acquire = async move |tx: &mut Tx| {
                    tx.acquire_lease("line", &format!("worker {n}"), at(round * 10), at(round * 10 + 8)).await
                };
                store.write(acquire).await.unwrap()
            });
        }
        let epochs: Vec<i64> = workers.join_all().await.into_iter().flatten().collect();
        assert_eq!(epochs, [i64::try_from(round).unwrap() + 1]);
    }
});

async fn acquire(
    store: &Store,
    resource: &'static str,
    owner: &'static str,
    now: Timestamp,
    until: Timestamp,
) -> Option<i64> {
    store.write(async move |tx: &mut Tx| tx.acquire_lease(resource, owner, now, until).await).await.unwrap()
}

async fn renew(
    store: &Store,
    resource: &'static str,
    owner: &'static str,
    epoch: i64,
    now: Timestamp,
    until: Timestamp,
) -> bool {
    store.write(async move |tx: &mut Tx| tx.renew_lease(resource, owner, epoch, now, until).await).await.unwrap()
}

async fn release(store: &Store, resource: &'static str, owner: &'static str, epoch: i64) {
    store.write(async move |tx: &mut Tx| tx.release_lease(resource, owner, epoch).await).await.unwrap();
}
