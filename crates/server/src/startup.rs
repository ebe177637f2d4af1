//! From a configuration to a running installation: the store opened and migrated, the carriers connected.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use offhook_carriers::sip::SipCarrier;
use offhook_carriers::smpp::{
    BindAs, Coding, Concatenation, MessageIds, NumberFormat, SmppCarrier, SmppSettings, SmppTls,
};
use offhook_carriers::telnyx::{self, TelnyxCarrier};
use offhook_carriers::twilio::{self, TwilioCarrier};
use offhook_carriers::{Carrier, SandboxCarrier, WithInventory, intern};
use offhook_domain::{Clock, SystemClock};
use offhook_store::{OpenSqliteError, Store, StoreError, Tx};
use secrecy::ExposeSecret;

use crate::app::carriers::Placed;
use crate::app::{App, Carriers, Parts, Sealer, StoredInventory, StoredSmppMemory, StoredWorld, Wakes, hex};
use crate::config::carriers::{
    Carrier as CarrierConfig, Link, Smpp, SmppAlphabet, SmppBind, SmppConcatenation, SmppReceiptIds, Telnyx, Twilio,
};
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
    #[error(transparent)]
    Carrier(#[from] offhook_carriers::ClientUnbuildable),
    #[error("TLS to an SMPP carrier can't be set up: {0}")]
    SmppTls(#[from] rustls::Error),
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
    let carriers = carriers(&config, &store, &clock, &wakes)?;
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

fn carriers(config: &Config, store: &Store, clock: &Arc<dyn Clock>, wakes: &Wakes) -> Result<Carriers, StartupError> {
    if config.mode.sandbox {
        let world = Arc::new(StoredWorld::new(store.clone(), clock.clone(), wakes.air.clone()));
        return Ok(Carriers::new(vec![Arc::new(SandboxCarrier::new(world, clock.clone()))]));
    }
    let each = config.carriers.iter().map(|carrier| {
        let connected = connect(config, carrier, store, clock)?;
        Ok(Placed { carrier: connected, countries: carrier.countries.clone(), terms: carrier.terms.clone() })
    });
    each.collect::<Result<_, _>>().map(Carriers::placed)
}

/// A carrier as it is configured. Nothing is asked of it yet.
fn connect(
    config: &Config,
    carrier: &CarrierConfig,
    store: &Store,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Carrier>, StartupError> {
    match &carrier.link {
        Link::Twilio(link) => Ok(connect_twilio(config, &carrier.name, link)?),
        Link::Telnyx(link) => Ok(connect_telnyx(config, &carrier.name, link)?),
        Link::Smpp(link) => {
            let memory = Arc::new(StoredSmppMemory::new(store.clone()));
            let link = SmppCarrier::new(smpp_settings(&carrier.name, link)?, memory, clock.clone());
            // It sells no numbers: they are the operator's own.
            Ok(Arc::new(WithInventory::new(link, Arc::new(StoredInventory::new(store.clone(), clock.clone())))))
        }
        Link::Sip(_) => {
            let link = Arc::new(SipCarrier::new(intern(&carrier.name)));
            Ok(Arc::new(WithInventory::new(link, Arc::new(StoredInventory::new(store.clone(), clock.clone())))))
        }
    }
}

/// An account at Twilio, as it is configured.
///
/// # Errors
/// There are no root certificates on this machine.
pub fn connect_twilio(
    config: &Config,
    name: &str,
    link: &Twilio,
) -> Result<Arc<dyn Carrier>, offhook_carriers::ClientUnbuildable> {
    Ok(Arc::new(TwilioCarrier::new(twilio::Settings {
        name: intern(name),
        account_sid: link.account_sid.clone(),
        auth_token: link.auth_token.clone(),
        messaging_service_sid: link.messaging_service_sid.clone(),
        base_url: link.base_url.clone(),
        public_url: config.public_url(config.server.listen),
    })?))
}

/// An account at Telnyx, as it is configured.
///
/// # Errors
/// There are no root certificates on this machine.
pub fn connect_telnyx(
    config: &Config,
    name: &str,
    link: &Telnyx,
) -> Result<Arc<dyn Carrier>, offhook_carriers::ClientUnbuildable> {
    Ok(Arc::new(TelnyxCarrier::new(telnyx::Settings {
        name: intern(name),
        api_key: link.api_key.clone(),
        public_key: link.public_key,
        messaging_profile_id: link.messaging_profile_id.clone(),
        base_url: link.base_url.clone(),
        public_url: config.public_url(config.server.listen),
    })?))
}

/// A message centre, as it is configured.
///
/// # Errors
/// TLS can't be set up.
pub fn smpp_settings(name: &str, link: &Smpp) -> Result<SmppSettings, StartupError> {
    let name = intern(name);
    let (host, port) = link.address.rsplit_once(':').unwrap_or((&link.address, ""));
    let (host, port) = (host.trim_matches(['[', ']']), port.parse().unwrap_or_default());
    let usual = SmppSettings::new(name, host, port, &link.system_id, link.password.expose_secret());
    Ok(SmppSettings {
        tls: if link.tls { Some(SmppTls::trusting(Vec::new())?) } else { None },
        system_type: link.system_type.clone(),
        bind: match link.bind {
            SmppBind::Transceiver => BindAs::Transceiver,
            SmppBind::Pair => BindAs::Pair,
        },
        connections: link.binds,
        window: link.window,
        default_coding: match link.alphabet {
            SmppAlphabet::Gsm7 => Coding::Gsm7,
            SmppAlphabet::Gsm7Packed => Coding::Gsm7Packed,
            SmppAlphabet::Latin1 => Coding::Latin1,
        },
        concatenation: match link.concatenation {
            SmppConcatenation::Udh => Concatenation::Udh,
            SmppConcatenation::Sar => Concatenation::Sar,
            SmppConcatenation::Payload => Concatenation::Payload,
        },
        message_ids: match link.receipt_ids {
            SmppReceiptIds::Same => MessageIds::Same,
            SmppReceiptIds::Hex => MessageIds::HexInReceipts,
            SmppReceiptIds::Decimal => MessageIds::HexInAnswers,
        },
        validity: (link.validity_seconds > 0).then(|| Duration::from_secs(link.validity_seconds.into())),
        country_code: link.country_code.clone(),
        numbers: NumberFormat { plus: link.plus, ..usual.numbers },
        ..usual
    })
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
