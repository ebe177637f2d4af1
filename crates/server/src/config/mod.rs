//! The configuration. In: the embedded default file, the operator's file, the environment. Out: one typed `Config` that
//! was checked whole, or every key that is wrong. Never here: reading the process's environment anywhere but in
//! `from_process`, or using a value.
//!
//! The manual of the keys is `config.default.toml`, which is also where their defaults are.

mod errors;
mod layers;
mod reader;
mod sections;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use secrecy::SecretString;
use toml::Value;

pub use self::errors::{ConfigError, ConfigErrors, Origin};
use self::layers::{Layers, Setting};
use self::reader::Reader;
pub use self::sections::{
    Config, ContentTypes, Guards, Keys, Leases, Limits, LogFormat, Logs, Mail, Media, MediaPlace, Mode, Numbers,
    OptOut, OptOutReach, Prices, RateLimits, Registration, Retention, S3, Sending, Server, Shaping, SignUp, Storage,
    Telemetry, Verification, Voice, Webhooks,
};
pub use self::sections::{carriers, voice};
use crate::secret_key::{SecretKey, SecretKeyError};

/// The commented default file: the manual of every key.
pub const MANUAL: &str = layers::DEFAULT_FILE;

/// The keys of one carrier, likewise.
pub const MANUAL_OF_CARRIERS: &str = layers::CARRIER_FILE;

/// Which command the configuration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `serve` and the tools beside it: as configured.
    AsConfigured,
    /// `dev`: sandbox mode, whatever is configured.
    Dev,
}

/// Where the data is kept.
#[derive(Debug)]
pub enum Database {
    /// One file, one process.
    Sqlite(std::path::PathBuf),
    /// A server, any number of nodes. The URL holds a password.
    Postgres(SecretString),
}

impl Config {
    /// Loads what `serve` runs with; `env` looks up an environment variable.
    ///
    /// # Errors
    /// Every key with a bad value, every key that doesn't exist, and a file that can't be read.
    pub fn load(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        Self::read(Layers::collect(env), Purpose::AsConfigured)
    }

    /// Loads the configuration from this process's environment, and refuses `OFFHOOK__…` variables that set nothing.
    ///
    /// # Errors
    /// As for `load`.
    pub fn from_process(purpose: Purpose) -> Result<Self, ConfigErrors> {
        let mut layers = Layers::collect(&|name| std::env::var(name).ok());
        layers.refuse_unknown_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()));
        Self::read(layers, purpose)
    }

    fn read(mut layers: Layers, purpose: Purpose) -> Result<Self, ConfigErrors> {
        if purpose == Purpose::Dev {
            let setting = Setting { value: Value::Boolean(true), origin: Origin::Default };
            layers.settings.insert("mode.sandbox".to_owned(), setting);
        }
        let mut reader = Reader::new(layers);
        let config = Self::from_reader(&mut reader);
        ConfigErrors::check(reader.into_errors())?;
        Ok(config)
    }

    /// The base URL to show and to put into links, without a slash at the end; `bound` is where the server listens.
    pub fn public_url(&self, bound: SocketAddr) -> String {
        if let Some(url) = &self.server.public_url {
            return url.as_str().trim_end_matches('/').to_owned();
        }
        // "All interfaces" is no address that one can open.
        let host = match bound.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
            ip => ip,
        };
        format!("http://{}", SocketAddr::new(host, bound.port()))
    }

    /// The key that encrypts webhook secrets: the one given, else the key file's, made when missing.
    ///
    /// # Errors
    /// When the key file can't be used.
    pub fn secret_key(&self) -> Result<SecretKey, SecretKeyError> {
        match &self.keys.secret_key {
            Some(key) => Ok(key.clone()),
            None => SecretKey::from_file(&self.storage.data_dir.join("secret.key")),
        }
    }

    /// The prices in force: none in a sandbox that is free. The sign-up credit stays.
    pub fn prices(&self) -> Prices {
        if self.mode.sandbox && self.prices.sandbox_free {
            Prices {
                number_month_micros: 0,
                sms_segment_micros: 0,
                registration_micros: 0,
                registration_high_volume_micros: 0,
                webhook_minute_micros: 0,
                hosted_minute_micros: 0,
                call_least_micros: 0,
                recording_month_micros: 0,
                ..self.prices
            }
        } else {
            self.prices
        }
    }
}

impl Storage {
    /// PostgreSQL when a URL is configured, else the SQLite file in the data folder.
    pub fn database(&self) -> Database {
        match &self.database_url {
            Some(url) => Database::Postgres(url.clone()),
            None => Database::Sqlite(self.data_dir.join("offhook.db")),
        }
    }
}
