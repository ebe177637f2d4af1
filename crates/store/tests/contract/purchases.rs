//! Purchases and releases under way: every step is one taker's.

use std::time::Duration;

use offhook_domain::purchase::{Purchase, PurchaseState};
use offhook_domain::{AccountId, Country, E164, Id, Micros, NumberId, PurchaseId, Timestamp};
use offhook_store::carrier_releases::CarrierRelease;
use offhook_store::{Store, StoreError, Tx};
use tokio::task::JoinSet;

use crate::fixtures::{account, now, number};

const MINUTE: Duration = Duration::from_secs(60);
const PHONE: &str = "+14155550100";

on_both_engines!(a_purchase_comes_back_as_it_went_in, async |store| {
    let purchase = reserved(&store, &account(&store).await).await;
    assert_eq!(to_settle(&store, purchase.created_at).await.len(), 0, "it is its buyer's");
    let due = to_settle(&store, purchase.settle_after).await;
    assert_eq!(format!("{due:?}"), format!("{:?}", [purchase]));
});

on_both_engines!(a_purchase_ends_once, async |store| {
    let account = account(&store).await;
    for _ in 0..5 {
        let purchase = reserved(&store, &account).await;
        let mut ends = JoinSet::new();
        for n in 0..8 {
            let (store, purchase) = (store.clone(), purchase.clone());
            ends.spawn(async move {
                if n % 2 == 0 { keep(&store, &purchase).await } else { undo(&store, &purchase).await }
            });
        }
        assert_eq!(ends.join_all().await.into_iter().filter(|ended| *ended).count(), 1);
        assert!(!keep(&store, &purchase).await && !undo(&store, &purchase).await);
        let (state, number) = outcome(&store, &purchase).await.unwrap();
        assert_eq!(state == PurchaseState::Stored, number.is_some());
        assert!(!state.is_open());
        assert_eq!(to_settle(&store, purchase.settle_after).await.len(), 0);
    }
});

on_both_engines!(a_number_is_being_bought_while_its_purchase_is_open, async |store| {
    let purchase = reserved(&store, &account(&store).await).await;
    let asked = |store: Store| async move {
        let phone = E164::parse(PHONE).unwrap();
        store.read::<_, StoreError>(async move |tx: &mut Tx| tx.is_being_bought(&phone).await).await.unwrap()
    };
    assert!(asked(store.clone()).await);
    assert!(repoint(&store, &purchase, "+14155550101").await);
    assert!(!asked(store.clone()).await);
    assert!(repoint(&store, &purchase, PHONE).await && asked(store.clone()).await);
    assert!(undo(&store, &purchase).await);
    assert!(!asked(store).await);
});

on_both_engines!(an_open_purchase_is_claimed_by_one, async |store| {
    let purchase = reserved(&store, &account(&store).await).await;
    let mut claims = JoinSet::new();
    for _ in 0..8 {
        let (store, purchase) = (store.clone(), purchase.clone());
        claims.spawn(async move { claim(&store, &purchase).await });
    }
    assert_eq!(claims.join_all().await.into_iter().filter(|claimed| *claimed).count(), 1);
    assert_eq!(to_settle(&store, purchase.settle_after).await.len(), 0, "for the time of the claim");
    assert_eq!(to_settle(&store, purchase.settle_after.plus(MINUTE)).await.len(), 1);
});

on_both_engines!(only_a_reserved_purchase_tries_another_number, async |store| {
    let purchase = reserved(&store, &account(&store).await).await;
    assert!(repoint(&store, &purchase, "+14155550101").await);
    let (account, id, at) = (purchase.account_id.clone(), purchase.id.clone(), now());
    store.write(async move |tx: &mut Tx| tx.of(&account).unconfirm_purchase(&id, at).await).await.unwrap();
    assert!(!repoint(&store, &purchase, "+14155550102").await);
    let due = to_settle(&store, at).await;
    assert_eq!((due[0].state, due[0].phone_number.as_str()), (PurchaseState::Unconfirmed, "+14155550101"));
});

on_both_engines!(purchases_of_the_dead_are_adopted_and_no_others, async |store| {
    let (mine, theirs) = (account(&store).await, account(&store).await);
    let old = reserved(&store, &mine).await;
    reserved(&store, &theirs).await;
    let restarted = now();
    reserved(&store, &mine).await;
    let at = now();
    let ours = mine.clone();
    store.write(async move |tx: &mut Tx| tx.of(&ours).adopt_own_purchases(at, restarted).await).await.unwrap();
    let adopted: Vec<_> = to_settle(&store, at).await.into_iter().map(|purchase| purchase.id).collect();
    assert_eq!(adopted, [old.id]);
    store.write(async move |tx: &mut Tx| tx.adopt_purchases(at, restarted).await).await.unwrap();
    assert_eq!(to_settle(&store, at).await.len(), 2);
});

on_both_engines!(another_accounts_purchase_is_out_of_reach, async |store| {
    let purchase = reserved(&store, &account(&store).await).await;
    let stranger = Purchase { account_id: account(&store).await, ..purchase.clone() };
    assert!(!keep(&store, &stranger).await && !undo(&store, &stranger).await);
    assert!(!repoint(&store, &stranger, "+14155550101").await);
    assert!(outcome(&store, &stranger).await.is_none());
});

on_both_engines!(a_number_given_up_is_known_until_the_carrier_has_it, async |store| {
    let number = number(&account(&store).await, PHONE);
    let (given, at) = (number.clone(), now());
    let give = async move |tx: &mut Tx| tx.give_back(&given.id, "sandbox", &given.phone_number, None, at).await;
    store.write(give.clone()).await.unwrap();
    store.write(give).await.unwrap();
    assert!(is_to_be_given_back(&store).await);

    let [release] = &releases_due(&store, at).await[..] else { panic!("one release") };
    assert_eq!((&release.number_id, release.carrier.as_str(), release.attempts), (&number.id, "sandbox", 0));
    assert!(claim_release(&store, release).await);
    assert!(!claim_release(&store, release).await, "another node has it");
    assert_eq!(releases_due(&store, at).await.len(), 0);
    assert_eq!(releases_due(&store, at.plus(MINUTE)).await[0].attempts, 1);

    store.write(async move |tx: &mut Tx| tx.given_back(&number.id).await).await.unwrap();
    assert!(!is_to_be_given_back(&store).await);
});

async fn reserved(store: &Store, account: &AccountId) -> Purchase {
    let at = now();
    let purchase = Purchase {
        id: PurchaseId::generate(at),
        account_id: account.clone(),
        state: PurchaseState::Reserved,
        carrier: "sandbox".to_owned(),
        phone_number: E164::parse(PHONE).unwrap(),
        country: Country::US,
        kind: "sms".to_owned(),
        agent_id: None,
        external_id: Some("table-7".to_owned()),
        expires_at: None,
        price: Micros(3_000_000),
        once_key: Some("a key".to_owned()),
        settle_after: at.plus(MINUTE),
        created_at: at,
    };
    let made = purchase.clone();
    store.write(async move |tx: &mut Tx| tx.of(&made.account_id).insert_purchase(&made).await).await.unwrap();
    purchase
}

async fn keep(store: &Store, purchase: &Purchase) -> bool {
    let (account, id, number) = (purchase.account_id.clone(), purchase.id.clone(), NumberId::generate(now()));
    store.write(async move |tx: &mut Tx| tx.of(&account).store_purchase(&id, &number).await).await.unwrap()
}

async fn undo(store: &Store, purchase: &Purchase) -> bool {
    let (account, id) = (purchase.account_id.clone(), purchase.id.clone());
    store.write(async move |tx: &mut Tx| tx.of(&account).undo_purchase(&id).await).await.unwrap()
}

async fn repoint(store: &Store, purchase: &Purchase, phone: &str) -> bool {
    let (account, id, phone) = (purchase.account_id.clone(), purchase.id.clone(), E164::parse(phone).unwrap());
    store.write(async move |tx: &mut Tx| tx.of(&account).repoint_purchase(&id, "sandbox", &phone).await).await.unwrap()
}

async fn claim(store: &Store, purchase: &Purchase) -> bool {
    let purchase = purchase.clone();
    let until = purchase.settle_after.plus(MINUTE);
    store.write(async move |tx: &mut Tx| tx.claim_purchase(&purchase, until).await).await.unwrap()
}

async fn outcome(store: &Store, purchase: &Purchase) -> Option<(PurchaseState, Option<NumberId>)> {
    let (account, id) = (purchase.account_id.clone(), purchase.id.clone());
    store.read(async move |tx: &mut Tx| tx.of(&account).purchase_outcome(&id).await).await.unwrap()
}

async fn to_settle(store: &Store, at: Timestamp) -> Vec<Purchase> {
    store.read::<_, StoreError>(async move |tx: &mut Tx| tx.purchases_to_settle(at, 10).await).await.unwrap()
}

async fn releases_due(store: &Store, at: Timestamp) -> Vec<CarrierRelease> {
    store.read::<_, StoreError>(async move |tx: &mut Tx| tx.carrier_releases_due(at, 10).await).await.unwrap()
}

async fn claim_release(store: &Store, release: &CarrierRelease) -> bool {
    let (release, until) = (release.clone(), release.due_at.plus(MINUTE));
    store.write(async move |tx: &mut Tx| tx.claim_carrier_release(&release, until).await).await.unwrap()
}

async fn is_to_be_given_back(store: &Store) -> bool {
    let phone = E164::parse(PHONE).unwrap();
    store.read(async move |tx: &mut Tx| tx.is_to_be_given_back(&phone).await).await.unwrap()
}
