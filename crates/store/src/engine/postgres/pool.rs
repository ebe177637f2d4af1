//! The connections of a node: opened when they are needed, kept, given out one transaction at a time.
//!
//! Also who asks what became of a commit whose answer got lost. Never here: what a transaction does.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::errors::store_error;
use super::session::Session;
use crate::engine::Sql;
use crate::engine::value::Value;
use crate::error::StoreError;

/// For the whole of it, sign-on included, per host of the URL.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What the server ends by itself: the transaction of a node that is paused or gone, and the wait for such a one. And how
/// it plans: every statement is written for an index (a test EXPLAINs each), and a plan that is kept must not be one that
/// looked good while a table was small. What the URL's own options say comes after these and wins.
const SESSION_OPTIONS: &str = "-c idle_in_transaction_session_timeout=5s -c lock_timeout=5s \
    -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=3 -c tcp_keepalives_count=3 -c tcp_user_timeout=10s \
    -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off";
/// How long the fate of a commit is asked for whose answer got lost.
const RESOLVE: Duration = Duration::from_secs(10);
const RESOLVE_PAUSE: Duration = Duration::from_millis(100);

const FATE: Sql = Sql("SELECT pg_xact_status($1::TEXT::xid8)");

pub(super) fn configure(url: &str) -> Result<Config, StoreError> {
    let mut config: Config = url.parse().map_err(|e| StoreError::Unavailable(format!("DATABASE_URL: {e}")))?;
    config.connect_timeout(CONNECT_TIMEOUT).application_name("offhook");
    config.tcp_user_timeout(Duration::from_secs(10)).keepalives_idle(Duration::from_secs(10));
    config.keepalives_interval(Duration::from_secs(3)).keepalives_retries(3);
    let own = config.get_options().unwrap_or_default();
    let options = format!("{SESSION_OPTIONS} {own}");
    config.options(options.trim_end());
    let near = |host: &Host| match host {
        Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
        Host::Unix(_) => true,
    };
    if config.get_ssl_mode() == SslMode::Prefer && config.get_hosts().iter().all(near) {
        config.ssl_mode(SslMode::Disable);
    }
    Ok(config)
}

/// The node's connections; used on their one thread only.
pub(super) struct Pool {
    config: Config,
    idle: RefCell<Vec<Rc<Connection>>>,
}

impl Pool {
    pub fn new(config: Config) -> Self {
        Self { config, idle: RefCell::default() }
    }

    pub async fn take(&self) -> Result<Rc<Connection>, StoreError> {
        loop {
            let idle = self.idle.borrow_mut().pop();
            match idle {
                Some(connection) if !connection.client.is_closed() => return Ok(connection),
                Some(_) => {}
                None => return self.connect().await,
            }
        }
    }

    async fn connect(&self) -> Result<Rc<Connection>, StoreError> {
        let hosts = self.config.get_hosts().len().max(self.config.get_hostaddrs().len()).max(1);
        let limit = CONNECT_TIMEOUT * u32::try_from(hosts).unwrap_or(u32::MAX);
        let silent = |_| Err(StoreError::Unavailable("the server took the connection and fell silent".to_owned()));
        tokio::time::timeout(limit, self.sign_on()).await.unwrap_or_else(silent)
    }

    async fn sign_on(&self) -> Result<Rc<Connection>, StoreError> {
        if self.config.get_ssl_mode() == SslMode::Disable {
            let (client, connection) = self.config.connect(NoTls).await.map_err(store_error)?;
            Ok(Connection::start(client, connection))
        } else {
            let tls = tokio_postgres_rustls::MakeRustlsConnect::new(tls_config()?);
            let (client, connection) = self.config.connect(tls).await.map_err(store_error)?;
            Ok(Connection::start(client, connection))
        }
    }

    pub fn give_back(&self, session: Session) {
        if session.lost {
            // The server went away or restarted: its other connections are dead too, or soon.
            self.idle.borrow_mut().clear();
        } else if !session.connection.client.is_closed() {
            self.idle.borrow_mut().push(session.connection);
        }
    }

    /// What became of a transaction whose COMMIT was sent and never answered.
    pub async fn fate_of(&self, id: &str) -> Fate {
        let asked = async {
            loop {
                match self.ask_fate(id).await.as_deref() {
                    Ok("committed") => return Fate::Committed,
                    Ok("aborted") => return Fate::Aborted,
                    // Its server process has not noticed yet, or nobody can be asked.
                    Ok(_) | Err(_) => tokio::time::sleep(RESOLVE_PAUSE).await,
                }
            }
        };
        tokio::time::timeout(RESOLVE, asked).await.unwrap_or(Fate::Unknown)
    }

    async fn ask_fate(&self, id: &str) -> Result<String, StoreError> {
        let mut session = Session::new(self.connect().await?, false);
        let rows = session.query(FATE, vec![Value::Text(id.to_owned())]).await?;
        let status = rows.into_iter().next().map_or(Ok(None), |mut row| row.take::<Option<String>>())?;
        self.give_back(session);
        Ok(status.unwrap_or_default())
    }
}

fn tls_config() -> Result<rustls::ClientConfig, StoreError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| StoreError::Unavailable(format!("TLS: {e}")))?;
    let roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Committed,
    Aborted,
    Unknown,
}

pub(super) struct Connection {
    pub client: Client,
    statements: RefCell<HashMap<&'static str, Statement>>,
    /// The server ended it with a word of its own while nothing it had been sent was unanswered.
    pub dismissed: Rc<Cell<bool>>,
}

impl Connection {
    /// Drives the connection until it ends.
    fn start(client: Client, driver: impl Future<Output = Result<(), tokio_postgres::Error>> + 'static) -> Rc<Self> {
        let dismissed = Rc::new(Cell::new(false));
        let ended = dismissed.clone();
        tokio::task::spawn_local(async move {
            // An answer to what was sent would have gone to whoever sent it.
            ended.set(driver.await.is_err_and(|error| error.code().is_some()));
        });
        Rc::new(Self { client, statements: RefCell::default(), dismissed })
    }

    pub async fn prepared(&self, sql: Sql) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements.borrow().get(sql.0) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql.0).await?;
        self.statements.borrow_mut().insert(sql.0, statement.clone());
        Ok(statement)
    }
}
