//! Numbers in stock, and drained carriers.

use offhook_domain::{Country, E164, Id, PurchaseId};
use offhook_store::inventory::{StockNumber, StockSearch};
use offhook_store::{Store, StoreError, Tx};

use crate::fixtures::now;

fn phone(text: &str) -> E164 {
    E164::parse(text).unwrap()
}

fn in_stock(phone_number: &str, carrier: &str, city: &str) -> StockNumber {
    StockNumber {
        phone_number: phone(phone_number),
        carrier: carrier.to_owned(),
        country: Country::US,
        city: Some(city.to_owned()),
        region: Some("CA".to_owned()),
        postal_code: None,
        rate_center: Some("SNFC CNTRL".to_owned()),
    }
}

async fn import(store: &Store, number: StockNumber) -> bool {
    store.write::<_, StoreError>(async move |tx: &mut Tx| tx.import_number(&number).await).await.unwrap()
}

async fn found(store: &Store, area_code: Option<&str>, city: Option<&str>) -> Vec<String> {
    let search = StockSearch {
        carrier: "smsc".to_owned(),
        country: Country::US,
        area_code: area_code.map(str::to_owned),
        city: city.map(str::to_owned),
        region: None,
        postal_code: None,
        limit: 10,
    };
    let found = store.read::<_, StoreError>(async move |tx: &mut Tx| tx.stock(&search).await).await.unwrap();
    found.into_iter().map(|one| one.phone_number.to_string()).collect()
}

async fn sell(store: &Store, number: &str, reference: &PurchaseId) -> bool {
    let (number, reference) = (phone(number), reference.clone());
    let sell = async move |tx: &mut Tx| tx.sell_stock("smsc", &number, &reference, now()).await;
    store.write::<_, StoreError>(sell).await.unwrap()
}

on_both_engines!(a_number_in_stock_is_found_sold_once_and_taken_back, async |store| {
    assert!(import(&store, in_stock("+14155550100", "smsc", "San Francisco")).await);
    assert!(import(&store, in_stock("+12125550100", "smsc", "New York")).await);
    assert!(!import(&store, in_stock("+12125550100", "other", "New York")).await, "it is the other's");
    assert_eq!(found(&store, None, None).await, ["+12125550100", "+14155550100"]);
    assert_eq!(found(&store, Some("415"), None).await, ["+14155550100"]);
    assert_eq!(found(&store, None, Some("new york")).await, ["+12125550100"]);

    let (first, second) = (PurchaseId::generate(now()), PurchaseId::generate(now()));
    assert!(sell(&store, "+14155550100", &first).await);
    assert!(sell(&store, "+14155550100", &first).await, "it was his before");
    assert!(!sell(&store, "+14155550100", &second).await);
    assert!(!sell(&store, "+14155550199", &second).await, "it is not in stock");
    assert!(import(&store, in_stock("+14155550100", "smsc", "Oakland")).await, "again, and it stays sold");
    assert_eq!(found(&store, Some("415"), None).await, [""; 0]);

    let asked = first.clone();
    let under = async move |tx: &mut Tx| tx.stock_sold_under("smsc", &asked).await;
    assert_eq!(store.read::<_, StoreError>(under).await.unwrap(), Some(phone("+14155550100")));
    let count = async |tx: &mut Tx| tx.count_stock("smsc").await;
    assert_eq!(store.read::<_, StoreError>(count).await.unwrap(), (2, 1));

    for (reference, back) in [(second, false), (first, true)] {
        let number = phone("+14155550100");
        let take = async move |tx: &mut Tx| tx.take_back_stock("smsc", &number, Some(&reference)).await;
        store.write::<_, StoreError>(take).await.unwrap();
        assert_eq!(!found(&store, Some("415"), None).await.is_empty(), back);
    }
});

on_both_engines!(a_carrier_is_drained_until_it_is_resumed, async |store| {
    let drained = async || store.read::<_, StoreError>(async |tx: &mut Tx| tx.is_drained("smsc").await).await.unwrap();
    assert!(!drained().await);
    for _ in 0..2 {
        let drain = async |tx: &mut Tx| tx.drain_carrier("smsc", now()).await;
        store.write::<_, StoreError>(drain).await.unwrap();
        assert!(drained().await);
    }
    store.write::<_, StoreError>(async |tx: &mut Tx| tx.resume_carrier("smsc").await).await.unwrap();
    assert!(!drained().await);
});
