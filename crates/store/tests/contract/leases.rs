//! Leases: one holder at a time, and a former holder knows that it is former.

use std::time::Duration;

use offhook_store::engine::IntoValue;
use offhook_store::{Sql, Store, Tx};
use tokio::task::JoinSet;

use crate::fixtures::one;

const LASTING: Duration = Duration::from_secs(8);

on_both_engines!(a_lease_is_one_owners_until_it_ends, async |store| {
    assert_eq!(acquire(&store, "line", "ada").await, Some(1));
    assert_eq!(acquire(&store, "line", "bob").await, None);
    assert_eq!(acquire(&store, "line", "ada").await, None, "a second worker of one owner is another one");
    assert_eq!(acquire(&store, "another line", "bob").await, Some(1));
    assert_eq!(held_by_others(&store, "ada").await, ["another line"]);
    let_pass(&store, 9).await;
    assert_eq!(held_by_others(&store, "ada").await, [""; 0]);
    assert_eq!(acquire(&store, "line", "bob").await, Some(2), "each change of hands is an epoch");
});

on_both_engines!(a_lease_can_be_held_longer, async |store| {
    assert_eq!(acquire(&store, "line", "ada").await, Some(1));
    let_pass(&store, 5).await;
    assert!(renew(&store, "line", "ada", 1).await);
    let_pass(&store, 5).await;
    assert_eq!(acquire(&store, "line", "bob").await, None);
    assert!(!renew(&store, "line", "bob", 1).await, "not its own");
    assert!(!renew(&store, "line", "ada", 2).await, "not its epoch");
});

on_both_engines!(a_lost_lease_is_lost_for_good, async |store| {
    assert_eq!(acquire(&store, "line", "ada").await, Some(1));
    let_pass(&store, 9).await;
    assert!(!renew(&store, "line", "ada", 1).await, "over, though nobody took it");
    assert_eq!(acquire(&store, "line", "bob").await, Some(2));
    assert!(!renew(&store, "line", "ada", 1).await);
    let_pass(&store, 9).await;
    assert_eq!(acquire(&store, "line", "ada").await, Some(3));
    assert!(!renew(&store, "line", "ada", 1).await, "of an epoch that is over");
});

on_both_engines!(a_lease_that_was_let_go_is_free_at_once, async |store| {
    assert_eq!(acquire(&store, "line", "ada").await, Some(1));
    release(&store, "line", "bob", 1).await;
    assert_eq!(acquire(&store, "line", "bob").await, None, "only its holder lets it go");
    release(&store, "line", "ada", 1).await;
    assert_eq!(acquire(&store, "line", "bob").await, Some(2));
    release(&store, "line", "ada", 1).await;
    assert_eq!(acquire(&store, "line", "carol").await, None, "the former holder lets nothing go");
});

on_both_engines!(of_many_one_gets_it, async |store| {
    for round in 0..5 {
        let mut workers = JoinSet::new();
        for n in 0..40 {
            let store = store.clone();
            workers.spawn(async move {
                let acquire = async move |tx: &mut Tx| tx.acquire_lease("line", &format!("worker {n}"), LASTING).await;
                store.write(acquire).await.unwrap()
            });
        }
        let epochs: Vec<i64> = workers.join_all().await.into_iter().flatten().collect();
        assert_eq!(epochs, [round + 1]);
        let_pass(&store, 9).await;
    }
});

on_both_engines!(a_lease_ends_by_the_databases_clock, async |store| {
    let left = Sql("SELECT until - now FROM leases, database_clock");
    acquire(&store, "line", "ada").await;
    let micros: i64 = one(&store, left).await;
    assert!((1..=8_000_000).contains(&micros), "{micros}");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(one::<i64>(&store, left).await < micros);
});

/// All leases end so many seconds earlier.
async fn let_pass(store: &Store, seconds: i64) {
    const AGE: Sql = Sql("UPDATE leases SET until = until - $1 WHERE until > 0");
    let age = async move |tx: &mut Tx| tx.change(AGE, [(seconds * 1_000_000).into_value()]).await;
    store.write(age).await.unwrap();
}

async fn acquire(store: &Store, resource: &'static str, owner: &'static str) -> Option<i64> {
    store.write(async move |tx: &mut Tx| tx.acquire_lease(resource, owner, LASTING).await).await.unwrap()
}

async fn renew(store: &Store, resource: &'static str, owner: &'static str, epoch: i64) -> bool {
    store.write(async move |tx: &mut Tx| tx.renew_lease(resource, owner, epoch, LASTING).await).await.unwrap()
}

async fn release(store: &Store, resource: &'static str, owner: &'static str, epoch: i64) {
    store.write(async move |tx: &mut Tx| tx.release_lease(resource, owner, epoch).await).await.unwrap();
}

async fn held_by_others(store: &Store, owner: &'static str) -> Vec<String> {
    store.read(async move |tx: &mut Tx| tx.leases_of_others(owner).await).await.unwrap()
}
