//! Numbers: held by one account at a time, kept for ever.

use offhook_domain::number::{Number, NumberStatus};
use offhook_domain::{AccountId, E164, NumberId};
use offhook_store::{Page, Store, StoreError, Tx, Window};
use tokio::task::JoinSet;

use crate::fixtures::{NOON, account, agent, now, number, stored_number};

const ALL: Window = Window { limit: 100, offset: 0 };

on_both_engines!(a_number_comes_back_as_it_went_in, async |store| {
    let account = account(&store).await;
    let mut wanted = number(&account, "+14155550100");
    wanted.external_id = Some("customer-7".to_owned());
    wanted.expires_at = Some(NOON);
    let made = wanted.clone();
    store.write(async move |tx: &mut Tx| tx.of(&made.account_id).insert_number(&made).await).await.unwrap();
    let found = get(&store, &account, &wanted.id).await.expect("it is there");
    assert_eq!(format!("{found:?}"), format!("{wanted:?}"));

    wanted.external_id = None;
    wanted.expires_at = None;
    wanted.unpaid_since = Some(NOON);
    let changed = wanted.clone();
    store.write(async move |tx: &mut Tx| tx.of(&changed.account_id).update_number(&changed).await).await.unwrap();
    let found = get(&store, &account, &wanted.id).await.expect("it is there");
    assert_eq!(format!("{found:?}"), format!("{wanted:?}"));
});

on_both_engines!(a_number_is_held_once, async |store| {
    let (ada, bob) = (account(&store).await, account(&store).await);
    let held = stored_number(&store, &ada, "+14155550100").await;
    let again = number(&bob, "+14155550100");
    let insert = async move |tx: &mut Tx| tx.of(&again.account_id).insert_number(&again).await;
    assert!(matches!(store.write(insert.clone()).await, Err(StoreError::Clash(_))));
    assert!(release(&store, &ada, &held.id).await);
    store.write(insert).await.unwrap();
    assert_eq!(holder(&store, "+14155550100").await, Some(bob));
});

on_both_engines!(active_numbers_are_listed_newest_first, async |store| {
    let account = account(&store).await;
    let mut expected = Vec::new();
    for n in 0..5 {
        expected.insert(0, stored_number(&store, &account, &format!("+1415555010{n}")).await.id);
    }
    assert!(release(&store, &account, &expected.remove(2)).await);
    let page = active(&store, &account, ALL).await;
    assert_eq!((ids(&page), page.total), (expected.clone(), 4));
    let page = active(&store, &account, Window { limit: 2, offset: 1 }).await;
    assert_eq!((ids(&page), page.total), (expected[1..3].to_vec(), 4));
    let page = active(&store, &account, Window { limit: 2, offset: 4 }).await;
    assert_eq!((ids(&page), page.total), (Vec::new(), 4));
});

on_both_engines!(a_released_number_stays_without_its_agent, async |store| {
    let account = account(&store).await;
    let agent = agent(&store, &account, "Booking desk").await.id;
    let number = stored_number(&store, &account, "+14155550100").await;
    assert!(attach(&store, &account, &number.id, &agent).await);
    assert!(release(&store, &account, &number.id).await);
    assert!(!release(&store, &account, &number.id).await, "once is enough");
    let found = get(&store, &account, &number.id).await.expect("it is kept");
    assert_eq!((found.status, found.agent_id), (NumberStatus::Released, None));
    assert!(found.released_at.is_some());
    assert!(!attach(&store, &account, &number.id, &agent).await, "nobody answers it any more");
    assert_eq!(holder(&store, "+14155550100").await, None);
});

on_both_engines!(of_concurrent_releases_one_counts, async |store| {
    let account = account(&store).await;
    let number = stored_number(&store, &account, "+14155550100").await;
    let mut releases = JoinSet::new();
    for _ in 0..20 {
        let (store, account, number) = (store.clone(), account.clone(), number.id.clone());
        releases.spawn(async move { release(&store, &account, &number).await });
    }
    assert_eq!(releases.join_all().await.into_iter().filter(|released| *released).count(), 1);
});

on_both_engines!(the_account_finds_its_number_by_digits_the_active_one_first, async |store| {
    let account = account(&store).await;
    let first = stored_number(&store, &account, "+14155550100").await.id;
    assert!(release(&store, &account, &first).await);
    assert_eq!(by_phone(&store, &account, "+14155550100").await, Some(first.clone()));
    let second = stored_number(&store, &account, "+14155550100").await.id;
    assert_eq!(by_phone(&store, &account, "+14155550100").await, Some(second.clone()));
    assert!(release(&store, &account, &second).await);
    assert_eq!(by_phone(&store, &account, "+14155550100").await, Some(second), "the one it held last");
    assert_eq!(by_phone(&store, &account, "+14155550199").await, None);
});

on_both_engines!(a_number_has_one_agent, async |store| {
    let account = account(&store).await;
    let (ann, ben) = (agent(&store, &account, "Ann").await.id, agent(&store, &account, "Ben").await.id);
    let first = stored_number(&store, &account, "+14155550100").await.id;
    let second = stored_number(&store, &account, "+14155550101").await.id;
    for number in [&second, &first] {
        assert!(attach(&store, &account, number, &ann).await);
    }
    assert_eq!(of_agent(&store, &account, &ann).await, [first.clone(), second.clone()], "the oldest first");
    assert!(attach(&store, &account, &first, &ben).await, "attaching moves it");
    assert_eq!(of_agent(&store, &account, &ann).await, [second]);
    assert!(!detach(&store, &account, &first, &ann).await, "it is not hers any more");
    assert!(detach(&store, &account, &first, &ben).await);
    assert_eq!(of_agent(&store, &account, &ben).await, []);
});

on_both_engines!(another_accounts_numbers_are_out_of_reach, async |store| {
    let (ada, bob) = (account(&store).await, account(&store).await);
    let bobs_agent = agent(&store, &bob, "Bob's").await.id;
    let adas = stored_number(&store, &ada, "+14155550100").await;
    assert!(get(&store, &bob, &adas.id).await.is_none());
    assert_eq!(by_phone(&store, &bob, "+14155550100").await, None);
    assert_eq!(active(&store, &bob, ALL).await.total, 0);
    assert!(!attach(&store, &bob, &adas.id, &bobs_agent).await);
    assert!(!release(&store, &bob, &adas.id).await);
    let mut forged = adas.clone();
    forged.status = NumberStatus::Released;
    let meddling = bob.clone();
    store.write(async move |tx: &mut Tx| tx.of(&meddling).update_number(&forged).await).await.unwrap();
    assert_eq!(holder(&store, "+14155550100").await, Some(ada));
});

fn ids(page: &Page<Number>) -> Vec<NumberId> {
    page.items.iter().map(|number| number.id.clone()).collect()
}

async fn get(store: &Store, account: &AccountId, id: &NumberId) -> Option<Number> {
    let (account, id) = (account.clone(), id.clone());
    store.read(async move |tx: &mut Tx| tx.of(&account).number(&id).await).await.unwrap()
}

async fn by_phone(store: &Store, account: &AccountId, phone: &str) -> Option<NumberId> {
    let (account, phone) = (account.clone(), E164::parse(phone).unwrap());
    let found = store.read(async move |tx: &mut Tx| tx.of(&account).number_by_phone(&phone).await).await.unwrap();
    found.map(|number| number.id)
}

async fn holder(store: &Store, phone: &str) -> Option<AccountId> {
    let phone = E164::parse(phone).unwrap();
    let found = store.read(async move |tx: &mut Tx| tx.holder_of(&phone).await).await.unwrap();
    found.map(|number| number.account_id)
}

async fn active(store: &Store, account: &AccountId, window: Window) -> Page<Number> {
    let account = account.clone();
    store.read(async move |tx: &mut Tx| tx.of(&account).active_numbers(window).await).await.unwrap()
}

async fn of_agent(store: &Store, account: &AccountId, agent: &offhook_domain::AgentId) -> Vec<NumberId> {
    let (account, agent) = (account.clone(), agent.clone());
    let found = store.read(async move |tx: &mut Tx| tx.of(&account).numbers_of_agent(&agent).await).await.unwrap();
    found.into_iter().map(|number| number.id).collect()
}

async fn attach(store: &Store, account: &AccountId, number: &NumberId, agent: &offhook_domain::AgentId) -> bool {
    let (account, number, agent) = (account.clone(), number.clone(), agent.clone());
    store.write(async move |tx: &mut Tx| tx.of(&account).attach_number(&number, &agent).await).await.unwrap()
}

async fn detach(store: &Store, account: &AccountId, number: &NumberId, agent: &offhook_domain::AgentId) -> bool {
    let (account, number, agent) = (account.clone(), number.clone(), agent.clone());
    store.write(async move |tx: &mut Tx| tx.of(&account).detach_number(&number, &agent).await).await.unwrap()
}

async fn release(store: &Store, account: &AccountId, number: &NumberId) -> bool {
    let (account, number) = (account.clone(), number.clone());
    store.write(async move |tx: &mut Tx| tx.of(&account).release_number(&number, now()).await).await.unwrap()
}
