//! Who may come by himself, and how he is found again: sign-up, its mail, and codes by text. In: the reader. Out: checked
//! sections.

use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};

use super::Reader;

/// `[sign_up]`
#[derive(Debug)]
pub struct SignUp {
    /// Whether there is a sign-up here.
    pub enabled: bool,
    /// Codes for one address.
    pub per_address_per_hour: u32,
    /// Codes asked for from one network address.
    pub per_ip_per_hour: u32,
    /// Codes in all.
    pub per_hour: u32,
}

impl SignUp {
    pub(in crate::config) fn read(reader: &mut Reader, sandbox: bool, mail: &Mail) -> Self {
        let rule = "must be \"always\", \"sandbox\" or \"never\"";
        let enabled = reader.required("sign_up.enabled", rule, |text| match text {
            "always" => Some(true),
            "sandbox" => Some(sandbox),
            "never" => Some(false),
            _ => None,
        });
        let enabled = enabled.unwrap_or_default();
        if enabled && !sandbox && mail.smtp_url.is_none() {
            reader.refuse::<()>("mail.smtp_url", "must be set where sign_up.enabled is \"always\"", None);
        }
        Self {
            enabled,
            per_address_per_hour: reader.integer("sign_up.per_address_per_hour", 1..=1_000_000),
            per_ip_per_hour: reader.integer("sign_up.per_ip_per_hour", 1..=1_000_000),
            per_hour: reader.integer("sign_up.per_hour", 1..=1_000_000),
        }
    }
}

/// `[mail]`
#[derive(Debug)]
pub struct Mail {
    /// The server that takes our mail. The URL may hold a password.
    pub smtp_url: Option<SecretString>,
    /// Who writes.
    pub from: String,
}

impl Mail {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        let rule = "must be smtp://user:password@host:port?tls=required, or smtps://…";
        let smtp_url = reader.secret("mail.smtp_url", rule, |text| {
            AsyncSmtpTransport::<Tokio1Executor>::from_url(text.expose_secret()).is_ok().then_some(text)
        });
        let rule = "must be an address, such as \"Offhook <phone@example.com>\"";
        let from = reader.required("mail.from", rule, |text| text.parse::<Mailbox>().ok().map(|_| text.to_owned()));
        Self { smtp_url, from: from.unwrap_or_default() }
    }
}

/// `[verification]`
#[derive(Debug)]
pub struct Verification {
    /// Codes for one phone number, whoever has them sent.
    pub per_destination_per_hour: u32,
    /// Codes of one account.
    pub per_account_per_hour: u32,
}

impl Verification {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        Self {
            per_destination_per_hour: reader.integer("verification.per_destination_per_hour", 1..=1_000_000),
            per_account_per_hour: reader.integer("verification.per_account_per_hour", 1..=1_000_000),
        }
    }
}
