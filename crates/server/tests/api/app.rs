//! What every API test starts with: an installation on a database of its own, accounts, and requests that read like the story.
//!
//! ```ignore
//! let app = TestApp::start().await;
//! let agent = app.post("/v1/agents").json(json!({"name": "Desk"})).await.ok();
//! let other = app.second_account().await;
//! other.get(&format!("/v1/agents/{}", id(&agent))).await.refused(404);
//! ```

mod books;
mod client;
mod database;
mod fake_carrier;
mod held_row;
mod scripted_carrier;
mod sends_only;
mod shape;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use offhook_carriers::smpp::{SmppCarrier, SmppSettings};
use offhook_carriers::{Carrier, Inbound, InboundMessage, SandboxCarrier, WithInventory};
use offhook_domain::number::{Number, NumberStatus};
use offhook_domain::{
    AccountId, AgentId, ApiKeyId, Clock, Country, E164, Id, KeyScopes, MessageId, NumberId, PurchaseId, Timestamp,
};
use offhook_server::app::carriers::Placed;
use offhook_server::app::{
    App, Carriers, Parts, Sealer, StoredInventory, StoredSmppMemory, StoredWorld, Wakes, hash_api_key, receiving,
};
use offhook_server::config::Config;
use offhook_server::guarded_http::{EgressPolicy, GuardedClient};
use offhook_server::http::auth::key_cache;
use offhook_server::http::router;
use offhook_server::lifecycle::Lifecycle;
use offhook_server::serve;
use offhook_store::accounts::StoredKey;
use offhook_store::{Engine, Store, StoreError, Tx};
use offhook_testkit::clock::ManualClock;
use tokio::sync::Notify;

pub use client::{Answer, Call, Client, id};
use database::Database;
pub use fake_carrier::{Deed, FakeCarrier};
use held_row::HeldRow;
pub use scripted_carrier::{ScriptedCarrier, Turn};
pub use sends_only::Sends;
use sends_only::SendsOnly;
pub use shape::shape;

/// A running installation with one account. Requests made on it are that account's.
pub struct TestApp {
    pub app: App,
    /// The OpenAPI document of its router.
    pub document: utoipa::openapi::OpenApi,
    opened: Opened,
    router: Router,
    client: Client,
    /// Where there are workers: their life, which ends with the test.
    life: Option<Lifecycle>,
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if let Some(life) = &self.life {
            life.stop();
        }
    }
}

impl TestApp {
    /// In sandbox mode, without a carrier.
    pub async fn start() -> Self {
        Setup::default().start().await
    }

    /// In sandbox mode with the sandbox carrier, and with the workers that send and bring messages.
    pub async fn with_sandbox() -> Self {
        Setup::default().sandbox().start().await.working()
    }

    /// With the workers from now on.
    pub fn working(mut self) -> Self {
        let life = Lifecycle::new(Duration::from_secs(10));
        serve::start_workers(&self.app, &life);
        self.life = Some(life);
        self
    }

    /// Another tenant, who must see nothing of the first.
    pub async fn second_account(&self) -> Client {
        open_account(&self.app, &self.router, "second").await
    }

    /// The first account's requests, to be kept.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The requests of somebody with this key.
    pub fn with_key(&self, account: &AccountId, key: &str) -> Client {
        Client::new(self.app.clone(), self.router.clone(), account.clone(), Some(key.to_owned()))
    }

    /// Leaves its database to the next one, where it is not in a temporary folder: for a test that takes many.
    pub async fn forget(self) {
        self.opened.database.empty().await;
    }

    /// Somebody without a key.
    pub fn stranger(&self) -> Client {
        Client::new(self.app.clone(), self.router.clone(), self.client.account.clone(), None)
    }

    /// Has the sandbox network know a number as sold, so that texts for it come here.
    pub async fn sell_in_sandbox(&self, phone_number: &str) {
        let (number, now) = (E164::parse(phone_number).unwrap(), self.app.now());
        let reference = PurchaseId::generate(now);
        self.app
            .store
            .write::<_, StoreError>(async move |tx: &mut Tx| tx.sell_sandbox_number(&number, &reference, now).await)
            .await
            .unwrap();
    }

    /// Another process on the same store, begun now.
    pub fn next_process(&self) -> App {
        self.opened.next_process()
    }

    /// The first account's requests at another process on the same store.
    pub fn on_another_node(&self) -> Client {
        let app = self.next_process();
        let router = router(app.clone()).0;
        self.client.at(app, router)
    }

    /// Has a carrier bring a text, as if from another network.
    pub async fn is_texted(&self, from: &str, to: &str, body: &str) {
        self.is_sent(from, to, body, &[]).await;
    }

    /// Has a carrier bring a text with media.
    pub async fn is_sent(&self, from: &str, to: &str, body: &str, media_urls: &[&str]) {
        let message = InboundMessage {
            carrier: "sandbox",
            carrier_message_id: MessageId::generate(self.app.now()).to_string(),
            from: from.to_owned(),
            to: E164::parse(to).unwrap(),
            body: body.to_owned(),
            media_urls: media_urls.iter().map(|url| (*url).to_owned()).collect(),
        };
        receiving::receive(&self.app, vec![Inbound::Message(message)]).await.unwrap();
    }

    /// Holds the row of a conversation, as an operator's transaction would. On SQLite nobody can, and it holds nothing.
    pub async fn hold_conversation_with(&self, participant: &str) -> HeldRow {
        HeldRow::of_conversation(&self.opened.database, participant).await
    }

    /// Lets time pass.
    pub fn later(&self, span: Duration) {
        self.opened.clock.advance(span);
    }
}

/// How an installation differs from the usual one.
#[derive(Default)]
pub struct Setup {
    settings: Vec<(&'static str, String)>,
    carriers: Option<MakeCarriers>,
    clock: ManualClock,
    engine: Option<Engine>,
    guard: Option<GuardedClient>,
}

type MakeCarriers = Box<dyn FnOnce(&Surroundings) -> Carriers>;

/// What a carrier may stand on.
struct Surroundings {
    store: Store,
    clock: Arc<dyn Clock>,
    air: Arc<Notify>,
}

impl Setup {
    /// A setting by its environment variable, such as `OFFHOOK__LIMITS__NUMBERS_PER_ACCOUNT`.
    pub fn setting(mut self, name: &'static str, value: impl ToString) -> Self {
        self.settings.push((name, value.to_string()));
        self
    }

    /// With this carrier and no other.
    pub fn carrier(self, carrier: Arc<dyn Carrier>) -> Self {
        self.carriers(move |_| Carriers::new(vec![carrier]))
    }

    /// With a carrier that only sends, and no other.
    pub fn sending(self, sends: &Arc<impl Sends>) -> Self {
        self.carrier(Arc::new(SendsOnly(sends.clone())))
    }

    /// With these carriers and no other.
    pub fn carriers_of(self, all: Vec<Arc<dyn Carrier>>) -> Self {
        self.carriers(move |_| Carriers::new(all))
    }

    /// With the sandbox carrier.
    pub fn sandbox(self) -> Self {
        self.carriers(|Surroundings { store, clock, air }| {
            let world = Arc::new(StoredWorld::new(store.clone(), clock.clone(), air.clone()));
            Carriers::new(vec![Arc::new(SandboxCarrier::new(world, clock.clone()))])
        })
    }

    /// With a carrier of this name that takes every text, and whose numbers are the operator's.
    pub fn with_stock(self, name: &'static str) -> Self {
        self.placed(move |store, clock| {
            let stock = Arc::new(StoredInventory::new(store, clock));
            let carrier = Arc::new(WithInventory::new(ScriptedCarrier::named(name), stock));
            vec![Placed::anywhere(carrier)]
        })
    }

    /// With these carriers, each for its countries.
    pub fn placed(self, make: impl FnOnce(Store, Arc<dyn Clock>) -> Vec<Placed> + 'static) -> Self {
        self.carriers(|Surroundings { store, clock, .. }| Carriers::placed(make(store.clone(), clock.clone())))
    }

    /// With an SMPP carrier.
    pub fn smpp(self, settings: SmppSettings) -> Self {
        self.carriers(|Surroundings { store, clock, .. }| {
            let memory = Arc::new(StoredSmppMemory::new(store.clone()));
            Carriers::new(vec![SmppCarrier::new(settings, memory, clock.clone())])
        })
    }

    /// With a clock that stands but for what the test lets pass.
    pub fn standing_clock(mut self, start: Timestamp) -> Self {
        self.clock = ManualClock::standing_at(start);
        self
    }

    /// On this engine, and not on the one that the suite is run on.
    pub fn on(mut self, engine: Engine) -> Self {
        self.engine = Some(engine);
        self
    }

    /// With this client for what customers name, and not with the one of a sandbox.
    pub fn guard(mut self, guard: GuardedClient) -> Self {
        self.guard = Some(guard);
        self
    }

    fn carriers(mut self, carriers: impl FnOnce(&Surroundings) -> Carriers + 'static) -> Self {
        self.carriers = Some(Box::new(carriers));
        self
    }

    /// Opens it as it is before its first start: without an account.
    pub async fn open(self) -> Opened {
        let database = Database::make(self.engine.unwrap_or_else(database::engine_of_suite)).await;
        let config = sandbox_config(&database, self.settings.clone());
        let store = database.open().await;
        offhook_store::migrate(&store).await.unwrap();
        let clock = Arc::new(self.clock);
        let wakes = Wakes::default();
        let around = Surroundings { store: store.clone(), clock: clock.clone(), air: wakes.air.clone() };
        let carriers = self.carriers.map(|carriers| carriers(&around)).unwrap_or_default();
        let app = App::new(Parts {
            sealer: Sealer::new(config.secret_key().unwrap().bytes()),
            config,
            store,
            clock: clock.clone(),
            keys: key_cache(),
            guard: self.guard.unwrap_or_else(sandbox_guard),
            carriers,
            wakes,
            node: "test".to_owned(),
            started_at: clock.now(),
        });
        Opened { app, clock, settings: self.settings, database }
    }

    /// Starts it with one account, without workers.
    pub async fn start(self) -> TestApp {
        let opened = self.open().await;
        let (router, document) = router(opened.app.clone());
        let client = open_account(&opened.app, &router, "first").await;
        TestApp { app: opened.app.clone(), opened, document, router, client, life: None }
    }
}

/// An installation that nobody uses yet.
pub struct Opened {
    pub app: App,
    pub clock: Arc<ManualClock>,
    settings: Vec<(&'static str, String)>,
    database: Database,
}

impl Opened {
    /// Another process on the same store, begun now.
    pub fn next_process(&self) -> App {
        App::new(Parts {
            config: sandbox_config(&self.database, self.settings.clone()),
            store: self.app.store.clone(),
            clock: self.clock.clone(),
            sealer: self.app.sealer.clone(),
            keys: key_cache(),
            guard: self.app.guard.clone(),
            carriers: self.app.carriers.clone(),
            wakes: Wakes::default(),
            node: "next".to_owned(),
            started_at: self.clock.now(),
        })
    }

    /// The requests of somebody with this key.
    pub fn client(&self, account: &AccountId, key: &str) -> Client {
        Client::new(self.app.clone(), router(self.app.clone()).0, account.clone(), Some(key.to_owned()))
    }
}

/// The first account's requests.
impl std::ops::Deref for TestApp {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Client {
    /// Holds a number without buying it.
    pub async fn number(&self, phone_number: &str) -> NumberId {
        self.held_number(phone_number, None).await
    }

    /// Holds a number without buying it, attached to an agent.
    pub async fn number_of(&self, agent: &str, phone_number: &str) -> NumberId {
        self.held_number(phone_number, Some(AgentId::parse(agent).unwrap())).await
    }

    /// Gives a number up without telling the carrier.
    pub async fn release(&self, number: &NumberId) {
        let (account, number, now) = (self.account.clone(), number.clone(), self.app.now());
        let released = self
            .app
            .store
            .write::<_, StoreError>(async move |tx: &mut Tx| tx.of(&account).release_number(&number, now).await)
            .await
            .unwrap();
        assert!(released, "the number was released before");
    }

    async fn held_number(&self, phone_number: &str, agent_id: Option<AgentId>) -> NumberId {
        let now = self.app.now();
        let number = Number {
            id: NumberId::generate(now),
            account_id: self.account.clone(),
            phone_number: E164::parse(phone_number).unwrap(),
            country: Country::US,
            status: NumberStatus::Active,
            kind: "sms".to_owned(),
            agent_id,
            carrier: "sandbox".to_owned(),
            external_id: None,
            expires_at: None,
            purchased_at: now,
            renews_at: now.plus(Duration::from_secs(30 * 24 * 3600)),
            unpaid_since: None,
            released_at: None,
        };
        let id = number.id.clone();
        let store = &self.app.store;
        store
            .write::<_, StoreError>(async move |tx: &mut Tx| tx.of(&number.account_id).insert_number(&number).await)
            .await
            .unwrap();
        id
    }
}

fn sandbox_guard() -> GuardedClient {
    GuardedClient::new(EgressPolicy { allow_http_loopback: true, ..EgressPolicy::default() }).unwrap()
}

async fn open_account(app: &App, router: &Router, name: &'static str) -> Client {
    let now = app.now();
    let account = AccountId::generate(now);
    let secret = format!("sk_test_{}", account.as_str());
    let key = StoredKey {
        id: ApiKeyId::generate(now),
        hint: "sk_test_…".to_owned(),
        name: name.to_owned(),
        scopes: KeyScopes::ALL,
        created_at: now,
        revoked_at: None,
        last_used: None,
    };
    let (hash, opened) = (hash_api_key(&secret), account.clone());
    app.store
        .write::<_, StoreError>(async move |tx: &mut Tx| {
            tx.create_account(&opened, name, now).await?;
            tx.of(&opened).add_key(&key, &hash).await
        })
        .await
        .unwrap();
    Client::new(app.clone(), router.clone(), account, Some(secret))
}

fn sandbox_config(database: &Database, mut settings: Vec<(&'static str, String)>) -> Config {
    settings.extend(database.settings());
    settings.push(("OFFHOOK_SECRET_KEY", "07".repeat(32)));
    settings.push(("OFFHOOK__MODE__SANDBOX", "true".to_owned()));
    // Where files are fetched, a test says so: the addresses of the others are nobody's.
    settings.push(("OFFHOOK__MEDIA__FETCH", "false".to_owned()));
    Config::load(&|name| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())).unwrap()
}
