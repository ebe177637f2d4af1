//! From a configuration to a running installation: the store opened and migrated, the carriers connected.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use offhook_carriers::{Carrier, SandboxCarrier};
use offhook_domain::{Clock, SystemClock};
use offhook_store::{OpenSqliteError, Store, StoreError, Tx};
use secrecy::ExposeSecret;

use crate::app::{App, Carriers, Parts, Sealer, StoredWorld, Wakes, hex};
use crate::config::{Config, Database};
use crate::guarded_http::{ClientUnbuildable, EgressPolicy, GuardedClient};
use crate::http::auth::key_cache;
use crate::open_files::Shares;
use crate::secret_key::{SecretKey, SecretKeyError};

/// Why the installation can't start. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    #[error("the data folder {path} can't be made: {source}")]
    DataFolder { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Sqlite(#[from] OpenSqliteError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    SecretKey(#[from] SecretKeyError),
    #[error(
        "this database was set up with another secret key: give every node the same OFFHOOK_SECRET_KEY \
         (or the same secret.key file in its data folder)"
    )]
    OtherSecretKey,
    #[error(transparent)]
    Http(#[from] ClientUnbuildable),
}

/// Opens and migrates the store that `config` names.
///
/// # Errors
/// [`StartupError`].
pub async fn open_store(config: &Config) -> Result<Store, StartupError> {
    let folder = &config.storage.data_dir;
    // For its owner only, where it is made here: texts are in it in the clear.
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| StartupError::DataFolder { path: folder.clone(), source })?;
    let store = match config.storage.database() {
        Database::Sqlite(path) => Store::open_sqlite(&path, config.storage.sqlite_readers)?,
        Database::Postgres(url) => {
            Store::open_postgres(url.expose_secret(), config.storage.postgres_connections).await?
        }
    };
    let steps = offhook_store::migrate(&store).await?;
    if steps > 0 {
        tracing::info!(steps, "the database schema was brought up to date");
    }
    Ok(store)
}

/// Opens everything.
///
/// # Errors
/// [`StartupError`].
pub async fn open(config: Config) -> Result<App, StartupError> {
    // Only the first provider of a process counts; a test may have installed it.
    drop(rustls::crypto::ring::default_provider().install_default());
    let store = open_store(&config).await?;
    let secret_key = config.secret_key()?;
    check_secret_key(&store, &secret_key).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let wakes = Wakes::default();
    let carriers = carriers(&config, &store, &clock, &wakes);
    let policy = EgressPolicy {
        allow_http_loopback: config.mode.sandbox,
        allowed: config.webhooks.allowed_networks.clone(),
        ..EgressPolicy::default()
    };
    let guard = GuardedClient::new(policy)?;
    guard.keep_at_most(Shares::of(&config).kept);
    let started_at = clock.now();
    Ok(App::new(Parts {
        sealer: Sealer::new(secret_key.bytes()),
        guard,
        keys: key_cache(),
        node: format!("{}-{}", std::process::id(), hex(&rand::random::<[u8; 6]>())),
        config,
        store,
        clock,
        carriers,
        wakes,
        started_at,
    }))
}

fn carriers(config: &Config, store: &Store, clock: &Arc<dyn Clock>, wakes: &Wakes) -> Carriers {
    let mut all: Vec<Arc<dyn Carrier>> = Vec::new();
    if config.mode.sandbox {
        let world = Arc::new(StoredWorld::new(store.clone(), clock.clone(), wakes.air.clone()));
        all.push(Arc::new(SandboxCarrier::new(world, clock.clone())));
    }
    Carriers::new(all)
}

/// Refuses a node whose key would not open what the others sealed.
async fn check_secret_key(store: &Store, key: &SecretKey) -> Result<(), StartupError> {
    let fingerprint = key.fingerprint();
    let ours = fingerprint.clone();
    let known = store
        .write::<_, StoreError>(async move |tx: &mut Tx| {
            tx.set_if_absent("secret_key_fingerprint", &ours).await?;
            tx.setting("secret_key_fingerprint").await
        })
        .await?;
    if known.as_deref() == Some(fingerprint.as_str()) { Ok(()) } else { Err(StartupError::OtherSecretKey) }
}
