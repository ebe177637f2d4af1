//! Numbers that the operator brought along, and carriers from which nothing more is bought.

use std::sync::Arc;

use offhook_carriers::WithInventory;
use offhook_domain::{Country, E164, SystemClock};
use offhook_server::app::StoredInventory;
use offhook_server::app::carriers::Placed;
use offhook_server::app::operator::{self, CarrierState, OperatorCommand, OperatorReport, StockRow};
use offhook_server::control;
use offhook_server::lifecycle::Lifecycle;
use serde_json::json;

use crate::app::{ScriptedCarrier, Setup, TestApp, id};

const STOCK: [&str; 2] = ["+14155550100", "+14155550101"];

/// An installation whose carrier sells nothing itself.
async fn start() -> TestApp {
    Setup::default().with_stock("smsc").start().await
}

fn rows(numbers: &[&str]) -> Vec<StockRow> {
    let row = |number: &&str| StockRow {
        number: E164::parse(number).unwrap(),
        country: "US".to_owned(),
        city: Some("San Francisco".to_owned()),
        region: Some("CA".to_owned()),
        postal_code: Some("94105".to_owned()),
        rate_center: Some("SNFC CNTRL".to_owned()),
    };
    numbers.iter().map(row).collect()
}

async fn ask(app: &TestApp, command: OperatorCommand) -> OperatorReport {
    operator::run(&app.app.store, &SystemClock::default(), command).await
}

async fn import(app: &TestApp, carrier: &str, numbers: &[&str]) -> OperatorReport {
    ask(app, OperatorCommand::ImportNumbers { carrier: carrier.to_owned(), numbers: rows(numbers) }).await
}

async fn state(app: &TestApp, carrier: &str) -> CarrierState {
    match ask(app, OperatorCommand::CarrierStates { carriers: vec![carrier.to_owned()] }).await {
        OperatorReport::States { mut states } => states.remove(0),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn imported_numbers_are_found_bought_and_released_like_others() {
    let app = start().await;
    assert_eq!(app.get("/v1/numbers/available").await.ok()["data"], json!([]));
    assert_eq!(import(&app, "smsc", &STOCK).await, OperatorReport::Imported { imported: 2, elsewhere: vec![] });
    let elsewhere = vec![E164::parse(STOCK[1]).unwrap()];
    assert_eq!(import(&app, "other", &STOCK[1..]).await, OperatorReport::Imported { imported: 0, elsewhere });
    let found = app.get("/v1/numbers/available?areaCode=415&city=san%20francisco&state=ca&zip=94105").await.ok();
    assert_eq!(found["data"].as_array().unwrap().len(), 2);
    assert_eq!(found["data"][0]["rateCenter"], "SNFC CNTRL");
    assert_eq!(app.get("/v1/numbers/available?areaCode=212").await.ok()["data"], json!([]));

    let number = app.post("/v1/numbers").json(json!({"areaCode": "415"})).await.ok();
    let stocked = CarrierState { drained: false, numbers: 2, sold: 1, health: None, links: None };
    assert_eq!(state(&app, "smsc").await, stocked);
    app.post("/v1/numbers").json(json!({})).await.ok();
    assert!(!app.post("/v1/numbers").json(json!({})).await.status.is_success(), "none is left");

    let app = app.working();
    app.delete(&format!("/v1/numbers/{}", id(&number))).await.ok();
    let back = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        while state(&app, "smsc").await.sold != 1 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    assert!(back.await.is_ok(), "it is not back in stock");
}

#[tokio::test]
async fn this_very_number_is_bought_from_whoever_has_it() {
    let setup = Setup::default().placed(|store, clock| {
        let stock = Arc::new(StoredInventory::new(store, clock));
        let placed = |name| Placed::anywhere(Arc::new(WithInventory::new(ScriptedCarrier::named(name), stock.clone())));
        vec![placed("first"), placed("second"), placed("third")]
    });
    let app = setup.start().await;
    import(&app, "first", &STOCK[..1]).await;
    import(&app, "third", &STOCK[1..]).await;
    let number = app.post("/v1/numbers").json(json!({"phoneNumber": STOCK[1]})).await.ok();
    assert_eq!(number["phoneNumber"], STOCK[1]);
    assert_eq!((state(&app, "first").await.sold, state(&app, "third").await.sold), (0, 1));
    let nobodys = app.post("/v1/numbers").json(json!({"phoneNumber": "+14155550109"})).await;
    assert!(!nobodys.status.is_success());
    app.check_books().await;
    let again = app.post("/v1/numbers").json(json!({"phoneNumber": STOCK[1]})).await;
    assert!(!again.status.is_success(), "it is held here");

    // It is its carrier's from then on, who takes it back.
    let app = app.working();
    app.delete(&format!("/v1/numbers/{}", id(&number))).await.ok();
    let back = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        while state(&app, "third").await.sold != 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    assert!(back.await.is_ok(), "it is not back in stock");
}

#[tokio::test]
async fn nothing_is_bought_from_a_drained_carrier() {
    let app = start().await;
    import(&app, "smsc", &STOCK).await;
    let drain = |drained| OperatorCommand::DrainCarrier { carrier: "smsc".to_owned(), drained };
    // Through the running server, as the command line does it.
    let life = Lifecycle::new(std::time::Duration::from_secs(3));
    control::start(&app.app, &life);
    let data = &app.app.config.storage.data_dir;
    assert_eq!(control::ask::<OperatorReport>(data, &drain(true)).await.unwrap(), OperatorReport::Done);
    life.stop();
    assert!(state(&app, "smsc").await.drained);
    assert_eq!(app.post("/v1/numbers").json(json!({})).await.status.as_u16(), 400);
    assert_eq!(ask(&app, drain(false)).await, OperatorReport::Done);
    app.post("/v1/numbers").json(json!({})).await.ok();
}

#[tokio::test]
async fn a_number_is_bought_from_the_first_carrier_for_its_country() {
    let setup = Setup::default().placed(|store, clock| {
        let stock = Arc::new(StoredInventory::new(store, clock));
        let placed = |name, countries| {
            let link = ScriptedCarrier::named(name);
            Placed { countries, ..Placed::anywhere(Arc::new(WithInventory::new(link, stock.clone()))) }
        };
        vec![placed("canada", vec![Country::CA]), placed("anywhere", Vec::new())]
    });
    let app = setup.start().await;
    import(&app, "anywhere", &STOCK[..1]).await;
    import(&app, "canada", &STOCK[1..]).await;
    let number = app.post("/v1/numbers").json(json!({})).await.ok();
    assert_eq!(number["phoneNumber"], STOCK[0]);
    assert_eq!((state(&app, "anywhere").await.sold, state(&app, "canada").await.sold), (1, 0));
}
