//! What this process needs to run: where it listens, what it keeps, its keys, what it tells of itself. In: the reader.
//! Out: checked sections. Never here: what the business decides (`business.rs`).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::filter::{LevelFilter, Targets};
use url::Url;

use super::{Reader, name};
use crate::secret_key::SecretKey;

/// `[server]`
#[derive(Debug)]
pub struct Server {
    /// Where the API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How the world reaches this server; `Config::public_url` has the fallback.
    pub public_url: Option<Url>,
    /// Networks of the proxies whose word on who is asking is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Connections of clients at a time.
    pub connections: usize,
    /// How long a client may take for the head of a request, or leave its connection unused.
    pub idle_timeout: Duration,
    /// Longest time for one request.
    pub request_timeout: Duration,
    /// Largest request body.
    pub body_limit_bytes: usize,
    /// Time for what is under way when the process is stopped.
    pub drain: Duration,
}

impl Server {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        let listen = reader.required("server.listen", "must be an address with a port, like 127.0.0.1:8080", |text| {
            // The one name that needs no resolver; others could mean another interface tomorrow.
            text.replace("localhost:", "127.0.0.1:").parse().ok()
        });
        Self {
            listen: listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
            public_url: reader.optional("server.public_url", "must be an http or https URL without a query", |text| {
                web_url(text).filter(|url| url.query().is_none() && url.fragment().is_none())
            }),
            trusted_proxies: reader.networks("server.trusted_proxies"),
            connections: reader.count("server.connections", 1..=1_000_000),
            idle_timeout: reader.seconds("server.idle_timeout_seconds", 1..=3600),
            request_timeout: reader.seconds("server.request_timeout_seconds", 1..=3600),
            body_limit_bytes: reader.count("server.body_limit_bytes", 1024..=104_857_600),
            drain: reader.seconds("server.drain_seconds", 0..=3600),
        }
    }
}

/// `[storage]`
#[derive(Debug)]
pub struct Storage {
    /// Folder of everything that is kept in files.
    pub data_dir: PathBuf,
    /// PostgreSQL's URL; `Storage::database` chooses.
    pub database_url: Option<SecretString>,
    /// Size of the connection pool.
    pub postgres_connections: usize,
    /// Reader threads.
    pub sqlite_readers: usize,
}

impl Storage {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        let folder = reader
            .required("storage.data_dir", "must name a folder", |text| (!text.is_empty()).then(|| PathBuf::from(text)));
        Self {
            data_dir: folder.unwrap_or_default(),
            database_url: reader.secret(
                "storage.database_url",
                "must be a postgres:// URL, or absent for SQLite",
                |text| {
                    let url = Url::parse(text.expose_secret()).ok()?;
                    matches!(url.scheme(), "postgres" | "postgresql").then_some(text)
                },
            ),
            postgres_connections: reader.count("storage.postgres_connections", 2..=1000),
            sqlite_readers: reader.count("storage.sqlite_readers", 1..=64),
        }
    }
}

/// `[keys]`
#[derive(Debug)]
pub struct Keys {
    /// An API key to create at the first start.
    pub bootstrap_key: Option<SecretString>,
    /// Encrypts webhook secrets; `Config::secret_key` has the fallback.
    pub secret_key: Option<SecretKey>,
}

impl Keys {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        Self {
            bootstrap_key: reader.secret(
                "keys.bootstrap_key",
                "must be 8 to 255 visible ASCII characters without spaces",
                |text| {
                    let key = text.expose_secret();
                    ((8..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())).then_some(text)
                },
            ),
            secret_key: reader.secret(
                "keys.secret_key",
                "must be 32 bytes as base64 or hex, as from `openssl rand -hex 32`",
                |text| SecretKey::parse(text.expose_secret()),
            ),
        }
    }
}

/// `[logs]`
#[derive(Debug)]
pub struct Logs {
    /// For people or for machines.
    pub format: LogFormat,
    /// Which events are logged.
    pub level: Targets,
    /// Whether personal data is shown as it is.
    pub show_personal_data: bool,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One readable line.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

impl Logs {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        let levels =
            "must be error, warn, info, debug, trace or off, or a list like \"info,offhook_server::jobs=debug\"";
        let format = reader.required("logs.format", "must be \"text\" or \"json\"", |text| match text {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        });
        Self {
            format: format.unwrap_or_default(),
            level: reader.required("logs.level", levels, log_levels).unwrap_or_default(),
            show_personal_data: reader.boolean("logs.show_personal_data"),
        }
    }
}

/// `[telemetry]`
#[derive(Debug)]
pub struct Telemetry {
    /// The collector's base URL.
    pub otlp_endpoint: Option<Url>,
    /// This server's name there.
    pub service_name: String,
}

impl Telemetry {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        Self {
            otlp_endpoint: reader.optional("telemetry.otlp_endpoint", "must be an http or https URL", web_url),
            service_name: name(reader, "telemetry.service_name"),
        }
    }
}

pub(super) fn web_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Stricter than `Targets`' own parser, which takes "warning" for the name of a module and then logs nothing.
fn log_levels(text: &str) -> Option<Targets> {
    let level = |name: &str| name.trim().parse::<LevelFilter>().ok().filter(|_| !name.trim().is_empty());
    text.split(',').try_fold(Targets::new(), |targets, part| match part.split_once('=') {
        Some((module, name)) => Some(targets.with_target(module.trim(), level(name)?)),
        None => Some(targets.with_default(level(part)?)),
    })
}
