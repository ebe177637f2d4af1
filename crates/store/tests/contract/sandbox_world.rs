//! What the sandbox network remembers.

use std::time::Duration;

use offhook_domain::message::Direction;
use offhook_domain::{E164, Id, PurchaseId};
use offhook_store::sandbox_world::{Airborne, HandsetText};
use offhook_store::{Store, StoreError, Tx, Window};
use tokio::task::JoinSet;

use crate::fixtures::{NOON, now};

on_both_engines!(a_number_is_sold_to_one_buyer, async |store| {
    let mut buyers = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        buyers.spawn(async move {
            let reference = PurchaseId::generate(now());
            sell(&store, "+14155550100", &reference).await.then_some(reference)
        });
    }
    let [winner] = &buyers.join_all().await.into_iter().flatten().collect::<Vec<_>>()[..] else { panic!("one buyer") };
    assert!(sell(&store, "+14155550100", winner).await, "it was his before");
    assert!(!sell(&store, "+14155550101", winner).await, "one order is one number");
    assert_eq!(sold_under(&store, winner).await.as_deref(), Some("+14155550100"));
    assert_eq!(sold_under(&store, &PurchaseId::generate(now())).await, None);

    let number = phone("+14155550100");
    store.write(async move |tx: &mut Tx| tx.take_back_sandbox_number(&number, None).await).await.unwrap();
    assert_eq!(sold_under(&store, winner).await, None);
    assert!(sell(&store, "+14155550100", &PurchaseId::generate(now())).await);
});

on_both_engines!(what_is_sold_is_found_among_many, async |store| {
    let all: Vec<E164> = (100..200).map(|n| phone(&format!("+14155550{n}"))).collect();
    for n in [100, 120, 199] {
        sell(&store, &format!("+14155550{n}"), &PurchaseId::generate(now())).await;
    }
    let asked = all.clone();
    let read = async move |tx: &mut Tx| tx.sandbox_numbers_sold_among(&asked).await;
    let mut sold = store.read::<_, StoreError>(read).await.unwrap();
    sold.sort();
    assert_eq!(sold, [all[0].clone(), all[20].clone(), all[99].clone()]);
    let none = store.read::<_, StoreError>(async |tx: &mut Tx| tx.sandbox_numbers_sold_among(&[]).await).await;
    assert_eq!(none.unwrap(), []);
});

on_both_engines!(a_handset_holds_a_text_once, async |store| {
    let text = |n: u64, body: &str| HandsetText {
        id: format!("text {n}"),
        handset: "+14152010000".to_owned(),
        direction: Direction::Inbound,
        from: "+14155550100".to_owned(),
        to: "+14152010000".to_owned(),
        body: body.to_owned(),
        media_urls: if n == 1 { vec!["https://example.com/a.png".to_owned()] } else { Vec::new() },
        at: NOON.plus(Duration::from_secs(n)),
    };
    keep(&store, &[text(1, "one")]).await;
    keep(&store, &[text(1, "another"), text(2, "two"), text(2, "twice")]).await;
    let window = Window { limit: 1, offset: 1 };
    let read = async move |tx: &mut Tx| tx.handset_texts("+14152010000", window).await;
    let page = store.read::<_, StoreError>(read).await.unwrap();
    assert_eq!((page.total, page.items), (2, vec![text(1, "one")]));
});

on_both_engines!(what_is_in_the_air_arrives_in_order_and_once, async |store| {
    let thing = |n: u64| Airborne {
        id: format!("thing {n}"),
        due_at: NOON.plus(Duration::from_secs(10 - n)),
        payload: format!("payload {n}"),
    };
    let launch = async move |tx: &mut Tx| {
        tx.put_in_air(&[thing(1), thing(2)]).await?;
        tx.put_in_air(&[thing(2), thing(3), thing(3)]).await
    };
    store.write::<_, StoreError>(launch).await.unwrap();
    assert_eq!(due_by(&store, 8).await, [thing(3), thing(2)]);
    let landed = vec![thing(3).id, thing(2).id];
    store.write::<_, StoreError>(async move |tx: &mut Tx| tx.land(&landed).await).await.unwrap();
    assert_eq!(due_by(&store, 8).await, []);
    let next = store.read::<_, StoreError>(async |tx: &mut Tx| tx.next_air_due().await).await.unwrap();
    assert_eq!(next, Some(thing(1).due_at));
});

fn phone(text: &str) -> E164 {
    E164::parse(text).unwrap()
}

async fn sell(store: &Store, number: &str, reference: &PurchaseId) -> bool {
    let (number, reference, at) = (phone(number), reference.clone(), now());
    let sell = async move |tx: &mut Tx| tx.sell_sandbox_number(&number, &reference, at).await;
    store.write::<_, StoreError>(sell).await.unwrap()
}

async fn sold_under(store: &Store, reference: &PurchaseId) -> Option<String> {
    let reference = reference.clone();
    let read = async move |tx: &mut Tx| tx.sandbox_number_sold_under(&reference).await;
    store.read::<_, StoreError>(read).await.unwrap().map(|number| number.to_string())
}

async fn keep(store: &Store, texts: &[HandsetText]) {
    let texts = texts.to_vec();
    store.write::<_, StoreError>(async move |tx: &mut Tx| tx.keep_handset_texts(&texts).await).await.unwrap();
}

async fn due_by(store: &Store, seconds: u64) -> Vec<Airborne> {
    let at = NOON.plus(Duration::from_secs(seconds));
    store.read::<_, StoreError>(async move |tx: &mut Tx| tx.air_due(at, 10).await).await.unwrap()
}
