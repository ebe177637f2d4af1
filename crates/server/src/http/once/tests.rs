//! Changes whose commit was not answered, which no database can be made to do on cue.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::post;
use http_body_util::BodyExt;
use offhook_domain::{ApiKeyId, Id, KeyScopes, SystemClock};
use offhook_store::Store;
use tower::ServiceExt;

use super::*;
use crate::app::{Carriers, Parts, Wakes};
use crate::config::Config;
use crate::guarded_http::{EgressPolicy, GuardedClient};
use crate::http::auth::key_cache;

#[tokio::test]
async fn an_unknown_commit_is_looked_up_and_never_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (app, caller) = open(folder.path()).await;
    let committed = answer(&app, &caller, "/committed").await;
    assert_eq!(committed, (200, r#"{"made":1}"#.to_owned(), true));
    for _ in 0..2 {
        let (status, body, was_replayed) = answer(&app, &caller, "/lost").await;
        assert_eq!((status, was_replayed), (500, false), "{body}");
        assert!(body.contains("INTERNAL_ERROR"), "{body}");
    }
    // The key is free for the change that succeeds.
    assert_eq!(look(&app, &caller, "/lost").await, Claim::Fresh);
    let Claim::Reused = look(&app, &caller, "/committed").await else { panic!("the key is kept") };
}

async fn answer(app: &App, caller: &Caller, path: &str) -> (u16, String, bool) {
    let (doors, owner) = (app.clone(), caller.clone());
    let committed = move |once: Once| {
        let (app, caller) = (doors.clone(), owner.clone());
        async move {
            once.write(&app, &caller, async |_: &mut Tx| Reply::ok(&serde_json::json!({"made": 1}))).await?;
            // As it is when the answer to the commit was lost.
            if let Some(key) = &once.key {
                key.settled.store(false, Ordering::Relaxed);
            }
            Err::<Response, ApiError>(StoreError::Unknown("cut".to_owned()).into())
        }
    };
    let lost = async || Err::<Response, ApiError>(StoreError::Unknown("cut".to_owned()).into());
    let router: Router = Router::new()
        .route("/committed", post(committed))
        .route("/lost", post(lost))
        .layer(from_fn_with_state(app.clone(), remember));
    let mut request = Request::post(path).header(HEADER, path).body(Body::empty()).unwrap();
    request.extensions_mut().insert(caller.clone());
    let response = router.oneshot(request).await.unwrap();
    let (status, replayed) = (response.status().as_u16(), response.headers().contains_key(REPLAYED));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap(), replayed)
}

async fn look(app: &App, caller: &Caller, key: &'static str) -> Claim {
    let (account, now) = (caller.account.clone(), app.now());
    let look = async move |tx: &mut Tx| tx.of(&account).look_once(key, "another", now).await;
    app.store.read::<_, StoreError>(look).await.unwrap()
}

async fn open(folder: &std::path::Path) -> (App, Caller) {
    let data = folder.to_str().unwrap().to_owned();
    let config = Config::load(&|name| match name {
        "OFFHOOK_DATA" => Some(data.clone()),
        "OFFHOOK_SECRET_KEY" => Some("07".repeat(32)),
        _ => None,
    })
    .unwrap();
    let store = Store::open_sqlite(&folder.join("offhook.db"), 1).unwrap();
    offhook_store::migrate(&store).await.unwrap();
    let clock = Arc::new(SystemClock::default());
    let app = App::new(Parts {
        sealer: Sealer::new(&[7; 32]),
        config,
        store,
        keys: key_cache(),
        guard: GuardedClient::new(EgressPolicy::default()).unwrap(),
        carriers: Carriers::default(),
        wakes: Wakes::default(),
        node: "test".to_owned(),
        started_at: offhook_domain::Clock::now(&*clock),
        clock,
    });
    let (account, now) = (AccountId::generate(app.now()), app.now());
    let opened = account.clone();
    let make = async move |tx: &mut Tx| tx.create_account(&opened, "test", now).await;
    app.store.write::<_, StoreError>(make).await.unwrap();
    let key = ApiKeyId::generate(now);
    (
        app,
        Caller { payer: account.clone(), owner: account.clone(), account, key, scopes: KeyScopes::ALL, address: None },
    )
}
