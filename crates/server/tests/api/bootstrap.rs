//! The first start of an installation, and those after it.

use offhook_server::app::bootstrap;
use offhook_store::Engine;
use serde_json::json;

use crate::app::{Deed, FakeCarrier, Opened, Setup, id};

const KEY: &str = "sk_test_known_to_the_script";

#[tokio::test]
async fn a_first_start_in_the_sandbox_ends_with_an_agent_that_has_a_number() {
    let opened = Setup::default().sandbox().open().await;

    let started = bootstrap::run(&opened.app).await.unwrap();

    assert!(started.key_made);
    let key = started.api_key.unwrap();
    assert!(key.starts_with("sk_test_") && key.len() == 8 + 64, "{key}");
    let client = opened.client(&started.account, &key);
    let agents = client.get("/v1/agents").await.ok();
    assert_eq!(agents["total"], 1);
    let agent = &agents["data"][0];
    assert_eq!((&agent["name"], id(agent)), (&json!("First agent"), started.agent.unwrap().to_string()));
    assert_eq!(agent["numbers"][0]["phoneNumber"], "+14155550100");
    assert_eq!(started.phone_number.as_deref(), Some("+14155550100"));
    assert_eq!(client.wallet().await, "$5.00");
    client.check_books().await;
}

#[tokio::test]
async fn a_later_start_finds_what_there_is() {
    let opened = Setup::default().sandbox().open().await;
    let first = bootstrap::run(&opened.app).await.unwrap();
    let client = opened.client(&first.account, &first.api_key.unwrap());

    let second = bootstrap::run(&opened.next_process()).await.unwrap();

    assert_eq!((second.api_key, second.key_made), (None, false), "a key is shown once");
    assert_eq!((&second.account, &second.agent), (&first.account, &first.agent));
    assert_eq!(second.phone_number, first.phone_number);
    assert_eq!(client.wallet().await, "$5.00");

    // What was given up on purpose stays so.
    let number = id(&client.get("/v1/numbers").await.ok()["data"][0]);
    client.delete(&format!("/v1/numbers/{number}")).await.ok();
    client.delete(&format!("/v1/agents/{}", first.agent.unwrap())).await.ok();
    let third = bootstrap::run(&opened.next_process()).await.unwrap();
    assert_eq!((third.agent, third.phone_number), (None, None));
    assert_eq!(client.get("/v1/numbers").await.ok()["total"], 0);
    assert_eq!(client.get("/v1/agents").await.ok()["total"], 0);
}

#[tokio::test]
async fn a_configured_key_works_at_every_start_until_it_is_revoked() {
    let opened = Setup::default().setting("OFFHOOK_BOOTSTRAP_KEY", KEY).sandbox().open().await;
    for _ in 0..2 {
        let started = bootstrap::run(&opened.next_process()).await.unwrap();
        assert_eq!((started.api_key.as_deref(), started.key_made), (Some(KEY), false));
        assert_eq!(opened.client(&started.account, KEY).get("/v1/numbers").await.ok()["total"], 1);
    }
    let account = bootstrap::run(&opened.next_process()).await.unwrap().account;
    let revoke = async move |tx: &mut offhook_store::Tx| {
        let keys = tx.of(&account).keys().await?;
        let now = keys[0].created_at;
        tx.of(&account).revoke_key(&keys[0].id, now).await
    };
    assert!(opened.app.store.write::<_, offhook_store::StoreError>(revoke).await.unwrap());
    assert_eq!(bootstrap::run(&opened.next_process()).await.unwrap().api_key, None);
}

#[tokio::test]
async fn outside_of_the_sandbox_there_is_an_account_and_the_configured_key() {
    let live = || Setup::default().setting("OFFHOOK__MODE__SANDBOX", false);
    let opened = live().setting("OFFHOOK_BOOTSTRAP_KEY", "sk_live_known").open().await;
    let started = bootstrap::run(&opened.app).await.unwrap();
    assert_eq!((started.api_key.as_deref(), &started.agent), (Some("sk_live_known"), &None));
    let client = opened.client(&started.account, "sk_live_known");
    assert_eq!(client.get("/v1/agents").await.ok()["total"], 0);

    let opened = live().open().await;
    assert_eq!(bootstrap::run(&opened.app).await.unwrap().api_key, None);
}

#[tokio::test]
async fn a_first_start_that_was_cut_off_is_completed_by_the_next() {
    for deed in [Deed::Hang, Deed::SellAndHang] {
        let carrier = FakeCarrier::doing([deed]);
        // On PostgreSQL it would wait for the lease of the first, whom nobody knows to be gone.
        let opened = Setup::default().on(Engine::Sqlite).carrier(carrier.clone()).open().await;
        tokio::select! {
            started = bootstrap::run(&opened.app) => panic!("{started:?}"),
            () = carrier.keeps_waiting.notified() => {}
        }

        let started = bootstrap::run(&opened.next_process()).await.unwrap();

        assert_eq!(carrier.sold(), ["+14155550100"]);
        check(&opened, &started).await;
    }
}

/// One account with one good key, an agent and a number.
async fn check(opened: &Opened, started: &bootstrap::Started) {
    let client = opened.client(&started.account, started.api_key.as_deref().unwrap());
    let agents = client.get("/v1/agents").await.ok();
    assert_eq!((&agents["total"], agents["data"][0]["numbers"].as_array().unwrap().len()), (&json!(1), 1));
    let account = started.account.clone();
    let keys =
        opened.app.store.read::<_, offhook_store::StoreError>(async move |tx| tx.of(&account).keys().await).await;
    let good = keys.unwrap().iter().filter(|key| key.revoked_at.is_none()).count();
    assert_eq!(good, 1, "a key that nobody saw is not left behind");
    assert_eq!(client.wallet().await, "$5.00");
    client.check_books().await;
}
