//! `/v1/feedback`

use offhook_store::{StoreError, Tx};
use serde_json::json;

use crate::app::TestApp;

#[tokio::test]
async fn what_is_told_is_kept() {
    let app = TestApp::start().await;
    let wish = json!({"category": "bug", "note": "it rang twice", "request_id": "req_1", "url": "https://example.org",
        "tags": ["voice", "bell"]});

    let given = app.post("/v1/feedback").json(wish.clone()).once("k").await;
    let again = app.post("/v1/feedback").json(wish).once("k").await;
    assert_eq!((given.ok()["ok"].clone(), again.replayed(), again.ok()), (json!(true), true, given.ok()));
    let least = json!({"category": "praise", "note": "well", "request_id": null, "url": null, "tags": null});
    app.post("/v1/feedback").json(least).await.ok();

    let read = async |tx: &mut Tx| tx.latest_feedback(None, 10).await;
    let kept = app.app.store.read::<_, StoreError>(read).await.unwrap();
    let kept: Vec<_> = kept.into_iter().map(|(who, told)| (who, told.note, told.tags)).collect();
    let (us, tags) = (app.account.clone(), vec!["voice".to_owned(), "bell".to_owned()]);
    assert_eq!(kept, [(us.clone(), "well".to_owned(), vec![]), (us, "it rang twice".to_owned(), tags)]);
}

#[tokio::test]
async fn it_has_its_bounds() {
    let app = TestApp::start().await;
    assert_eq!(app.post("/v1/feedback").json(json!({})).await.bad_fields(), ["category", "note"]);
    let bad = json!({"category": 7, "note": "x".repeat(5001), "tags": "voice"});
    assert_eq!(app.post("/v1/feedback").json(bad).await.bad_fields(), ["category", "note", "tags"]);

    for _ in 0..60 {
        app.post("/v1/feedback").json(json!({"category": "noise", "note": "again"})).await.ok();
    }
    let refused = app.post("/v1/feedback").json(json!({"category": "noise", "note": "again"})).await;
    assert_eq!(refused.refused(429).code, "RATE_LIMIT_EXCEEDED");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
}

#[tokio::test]
async fn a_url_is_one_of_the_web() {
    let app = TestApp::start().await;
    let given = |url: &str| serde_json::json!({"category": "bug", "note": "It hangs.", "url": url});
    app.post("/v1/feedback").json(given("https://example.com/page")).await.ok();
    assert_eq!(app.post("/v1/feedback").json(given("javascript:alert(1)")).await.bad_fields(), ["url"]);
}
