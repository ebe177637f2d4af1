//! How one SMPP carrier is reached, and how it wants things.

use std::sync::Arc;
use std::time::Duration;

use offhook_smpp::{Bind, Coding, Mode, SessionSettings};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// The settings of one SMPP carrier.
#[derive(Clone)]
pub struct SmppSettings {
    /// The name kept with numbers and messages.
    pub name: &'static str,
    pub host: String,
    pub port: u16,
    pub tls: Option<SmppTls>,
    pub system_id: String,
    pub password: String,
    pub system_type: String,
    pub address_range: String,
    pub bind: BindAs,
    /// Connections, or pairs of them, at the same time; at least one.
    pub connections: usize,
    /// Submissions without an answer on one connection.
    pub window: usize,
    /// How long the peer's answers may take.
    pub response_timeout: Duration,
    /// After how much silence the peer is asked whether it is there.
    pub enquire_every: Duration,
    /// How long a message waits for its turn, until it is told not taken.
    pub patience: Duration,
    /// For how long there may be no connection before messages are told not taken at once, for another carrier to try.
    pub unbound_patience: Duration,
    /// The longest wait between two attempts to connect.
    pub reconnect_at_most: Duration,
    /// What `data_coding` 0 means there: [`Coding::Gsm7`], [`Coding::Gsm7Packed`] or [`Coding::Latin1`].
    pub default_coding: Coding,
    /// Whether texts that fit in Latin-1 and not in the default alphabet go as Latin-1 (`data_coding` 3).
    pub latin1: bool,
    pub concatenation: Concatenation,
    /// Whether delivery receipts are asked for.
    pub receipts: bool,
    pub validity: Option<Duration>,
    pub message_ids: MessageIds,
    pub service_type: String,
    /// Of phone numbers, with `+` before the digits or without.
    pub numbers: NumberFormat,
    /// Type of number and numbering plan of short codes.
    pub short_codes: (u8, u8),
    /// What stands before a national number to make it international, such as `1`.
    pub country_code: Option<String>,
    /// How long a text waits for its missing parts.
    pub parts_expire: Duration,
}

/// Which connections there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindAs {
    Transceiver,
    /// A transmitter and a receiver.
    Pair,
}

/// How texts that are too long for one message go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concatenation {
    /// In parts with a user data header.
    Udh,
    /// In parts with `sar_` parameters.
    Sar,
    /// In one piece, in `message_payload`.
    Payload,
}

/// How ids are written in answers and in receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageIds {
    /// In the same way.
    Same,
    HexInAnswers,
    HexInReceipts,
}

/// How phone numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberFormat {
    pub ton: u8,
    pub npi: u8,
    pub plus: bool,
}

/// TLS to the peer.
#[derive(Clone)]
pub struct SmppTls {
    pub config: Arc<ClientConfig>,
    /// The name in the peer's certificate, where it is not the host's.
    pub server_name: Option<String>,
}

impl SmppTls {
    /// TLS that trusts the certificate authorities everybody does, and those in `extra_roots` (DER).
    ///
    /// # Errors
    /// One of `extra_roots` is no certificate.
    pub fn trusting(extra_roots: Vec<CertificateDer<'static>>) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        for root in extra_roots {
            roots.add(root)?;
        }
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { config: Arc::new(config), server_name: None })
    }
}

impl SmppSettings {
    /// What most carriers want.
    #[must_use]
    pub fn new(name: &'static str, host: &str, port: u16, system_id: &str, password: &str) -> Self {
        Self {
            name,
            host: host.to_owned(),
            port,
            tls: None,
            system_id: system_id.to_owned(),
            password: password.to_owned(),
            system_type: String::new(),
            address_range: String::new(),
            bind: BindAs::Transceiver,
            connections: 1,
            window: 32,
            response_timeout: Duration::from_secs(10),
            enquire_every: Duration::from_secs(30),
            patience: Duration::from_secs(10),
            unbound_patience: Duration::from_secs(1),
            reconnect_at_most: Duration::from_secs(30),
            default_coding: Coding::Gsm7,
            latin1: false,
            concatenation: Concatenation::Udh,
            receipts: true,
            validity: None,
            message_ids: MessageIds::Same,
            service_type: String::new(),
            numbers: NumberFormat { ton: 1, npi: 1, plus: false },
            short_codes: (3, 0),
            country_code: None,
            parts_expire: Duration::from_secs(3_600),
        }
    }

    /// The modes of the connections to keep.
    pub(super) fn modes(&self) -> Vec<Mode> {
        let of_one: &[Mode] = match self.bind {
            BindAs::Transceiver => &[Mode::Transceiver],
            BindAs::Pair => &[Mode::Transmitter, Mode::Receiver],
        };
        of_one.repeat(self.connections.max(1))
    }

    pub(super) fn session(&self, mode: Mode) -> SessionSettings {
        let bind = Bind {
            mode,
            system_id: self.system_id.clone(),
            password: self.password.clone(),
            system_type: self.system_type.clone(),
            interface_version: 0x34,
            address_range: self.address_range.clone(),
        };
        SessionSettings {
            bind,
            window: self.window.max(1),
            response_timeout: self.response_timeout,
            enquire_every: self.enquire_every,
            most_arrived: MOST_ARRIVED,
        }
    }
}

/// Things that one connection brought and that are not kept yet.
const MOST_ARRIVED: usize = 1_000;

impl std::fmt::Debug for SmppSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, host, port, bind, connections, window, .. } = self;
        let mut shown = f.debug_struct("SmppSettings");
        shown.field("name", name).field("host", host).field("port", port).field("tls", &self.tls.is_some());
        shown.field("bind", bind).field("connections", connections).field("window", window).finish_non_exhaustive()
    }
}
