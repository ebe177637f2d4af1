//! `[carriers.<name>]`: the ways to the telephone network. In: the reader. Out: checked carriers, the first to ask first.
//! Never here: connecting them (`startup/`).
//!
//! The manual of the keys is `config.carrier.toml`.

use std::time::Duration;

use ipnet::IpNet;
use offhook_domain::Country;
use offhook_domain::routing::Terms;
use offhook_domain::sip_trunk::{
    MediaEncryption, OriginationUri, SipAddress, SipTransport, USUAL_PRIORITY, USUAL_WEIGHT,
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::Reader;
use super::process::web_url;

/// One carrier of the operator's.
#[derive(Debug)]
pub struct Carrier {
    /// The operator's name for it.
    pub name: String,
    /// Where numbers are bought from it; none: everywhere.
    pub countries: Vec<Country>,
    /// Which messages may go by it, and when it is asked.
    pub terms: Terms,
    /// What it speaks.
    pub link: Link,
}

/// How a carrier is reached.
#[derive(Debug)]
pub enum Link {
    Twilio(Twilio),
    Telnyx(Telnyx),
    Smpp(Smpp),
    Sip(Sip),
}

impl Link {
    /// As the operator writes it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Twilio(_) => "twilio",
            Self::Telnyx(_) => "telnyx",
            Self::Smpp(_) => "smpp",
            Self::Sip(_) => "sip",
        }
    }
}

/// `kind = "twilio"`
#[derive(Debug)]
pub struct Twilio {
    pub account_sid: String,
    pub auth_token: SecretString,
    pub messaging_service_sid: Option<String>,
    pub base_url: Url,
}

/// `kind = "telnyx"`
#[derive(Debug)]
pub struct Telnyx {
    pub api_key: SecretString,
    /// Ed25519.
    pub public_key: [u8; 32],
    pub messaging_profile_id: String,
    pub base_url: Url,
}

/// `kind = "smpp"`
#[derive(Debug)]
pub struct Smpp {
    /// host:port
    pub address: String,
    pub tls: bool,
    pub system_id: String,
    pub password: SecretString,
    pub system_type: String,
    pub bind: SmppBind,
    pub binds: usize,
    pub window: usize,
    pub alphabet: SmppAlphabet,
    pub concatenation: SmppConcatenation,
    pub receipt_ids: SmppReceiptIds,
    /// What stands before national numbers.
    pub country_code: Option<String>,
    /// Whether numbers are written with a +.
    pub plus: bool,
    /// 0: the SMSC's own.
    pub validity_seconds: u32,
}

/// `kind = "sip"`
#[derive(Debug)]
pub struct Sip {
    /// Where calls go out.
    pub targets: Vec<OriginationUri>,
    /// Who we say we are.
    pub login: Option<(String, SecretString)>,
    /// Who they must say they are, where their address is not enough.
    pub inbound_login: Option<(String, SecretString)>,
    /// Where calls come from.
    pub networks: Vec<IpNet>,
    /// None: as each target says.
    pub transport: Option<SipTransport>,
    /// None: as `[voice.media]` says.
    pub srtp: Option<MediaEncryption>,
    pub registration: Option<SipRegistration>,
}

/// Calls come to where we say that we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipRegistration {
    pub registrar: SipAddress,
    pub expires: Duration,
}

/// Which connections an SMSC wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmppBind {
    Transceiver,
    Pair,
}

/// An SMSC's default alphabet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmppAlphabet {
    Gsm7,
    Gsm7Packed,
    Latin1,
}

/// How long texts are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmppConcatenation {
    Udh,
    Sar,
    Payload,
}

/// How receipts spell the ids of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmppReceiptIds {
    Same,
    Hex,
    Decimal,
}

/// All of them, in the order in which they are asked. `has_public_url`: whether it is known how the world reaches us.
pub(in crate::config) fn read(reader: &mut Reader, has_public_url: bool, sandbox: bool) -> Vec<Carrier> {
    let names = reader.carriers();
    let mut all: Vec<Carrier> = names.into_iter().filter_map(|name| one(reader, name)).collect();
    let called_back = all.iter().find(|carrier| !matches!(carrier.link, Link::Smpp(_) | Link::Sip(_)));
    if let Some(carrier) = called_back
        && !has_public_url
        && !sandbox
    {
        let rule = format!("must be set: carriers.{} calls it when a text comes in", carrier.name);
        reader.refuse::<()>("server.public_url", &rule, None);
    }
    all.sort_by(|a, b| (a.terms.priority, &a.name).cmp(&(b.terms.priority, &b.name)));
    all
}

fn one(reader: &mut Reader, name: String) -> Option<Carrier> {
    let key = |key: &str| format!("carriers.{name}.{key}");
    if !is_name(&name) || name == offhook_carriers::SANDBOX {
        let rule = "needs another name: 1 to 30 small letters, digits and _, with a letter first, and not \"sandbox\"";
        reader.refuse::<()>(&format!("carriers.{name}"), rule, None);
    }
    let priority = reader.integer(&key("priority"), 0..=1_000_000);
    let rule = "must be a list of countries like \"US\"";
    let countries = reader.each(&key("countries"), rule, |text| Country::parse(text).ok());
    let destinations = reader.each(&key("destinations"), rule, |text| Country::parse(text).ok());
    let segment_cost = reader.micros(&key("segment_cost_micros"));
    let others = reader.carriers();
    let carries_for = reader.each(&key("carries_for"), "must be a list of names of your other carriers", |text| {
        (text != name && others.iter().any(|other| other == text)).then(|| text.to_owned())
    });
    let kind = "must be \"twilio\", \"telnyx\", \"smpp\" or \"sip\"";
    let kind = reader.required(&key("kind"), kind, |text| {
        matches!(text, "twilio" | "telnyx" | "smpp" | "sip").then(|| text.to_owned())
    })?;
    let terms = Terms { priority, destinations, segment_cost, carries_for, calls_only: kind == "sip" };
    let link = match kind.as_str() {
        "twilio" => twilio(reader, &name).map(Link::Twilio),
        "telnyx" => telnyx(reader, &name).map(Link::Telnyx),
        "sip" => sip(reader, &name).map(Link::Sip),
        _ => smpp(reader, &name).map(Link::Smpp),
    }?;
    Some(Carrier { name, countries, terms, link })
}

/// Everything is read before anything is missed, so that every bad key is named.
fn twilio(reader: &mut Reader, name: &str) -> Option<Twilio> {
    let key = |key: &str| format!("carriers.{name}.{key}");
    let sid = |prefix: &'static str| move |text: &str| is_sid(text, prefix).then(|| text.to_owned());
    let account_sid = reader.required(&key("account_sid"), "must be AC and 32 hex digits", sid("AC"));
    let auth_token = reader.referenced(&key("auth_token"));
    let service = "must be MG and 32 hex digits, or \"\"";
    let messaging_service_sid = reader.optional(&key("messaging_service_sid"), service, sid("MG"));
    let base_url = base_url(reader, &key("base_url"));
    Some(Twilio { account_sid: account_sid?, auth_token: auth_token?, messaging_service_sid, base_url: base_url? })
}

fn telnyx(reader: &mut Reader, name: &str) -> Option<Telnyx> {
    let key = |key: &str| format!("carriers.{name}.{key}");
    let api_key = reader.referenced(&key("api_key"));
    let rule = "must be the account's public key, 32 bytes as base64";
    let public_key = reader.required(&key("public_key"), rule, |text| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.decode(text).ok()?.try_into().ok()
    });
    let rule = "must be the id of a messaging profile (a UUID)";
    let profile = reader.required(&key("messaging_profile_id"), rule, |text| is_uuid(text).then(|| text.to_owned()));
    let base_url = base_url(reader, &key("base_url"));
    Some(Telnyx { api_key: api_key?, public_key: public_key?, messaging_profile_id: profile?, base_url: base_url? })
}

fn smpp(reader: &mut Reader, name: &str) -> Option<Smpp> {
    let key = |key: &str| format!("carriers.{name}.{key}");
    let short = |limit: usize| move |text: &str| (text.len() <= limit && text.is_ascii()).then(|| text.to_owned());
    let address = reader.required(&key("address"), "must be host:port", |text| {
        let (host, port) = text.rsplit_once(':')?;
        (!host.is_empty() && port.parse::<u16>().is_ok()).then(|| text.to_owned())
    });
    let tls = reader.boolean(&key("tls"));
    let system_id = reader.required(&key("system_id"), "must be 1 to 15 ASCII characters", |text| {
        short(15)(text).filter(|text| !text.is_empty())
    });
    // SMPP has room for no more; cut short, it would be another one.
    let password = reader.referenced(&key("password")).and_then(|password| {
        let fits = password.expose_secret().len() <= 8 && password.expose_secret().is_ascii();
        if fits { Some(password) } else { reader.refuse(&key("password"), "must be at most 8 ASCII characters", None) }
    });
    let system_type = reader.required(&key("system_type"), "must be at most 12 ASCII characters", short(12));
    let bind = reader.required(&key("bind"), "must be \"transceiver\" or \"pair\"", |text| match text {
        "transceiver" => Some(SmppBind::Transceiver),
        "pair" => Some(SmppBind::Pair),
        _ => None,
    });
    let binds = reader.count(&key("binds"), 1..=100);
    let window = reader.count(&key("window"), 1..=10_000);
    let alphabets = "must be \"gsm7\", \"gsm7_packed\" or \"latin1\"";
    let alphabet = reader.required(&key("alphabet"), alphabets, |text| match text {
        "gsm7" => Some(SmppAlphabet::Gsm7),
        "gsm7_packed" => Some(SmppAlphabet::Gsm7Packed),
        "latin1" => Some(SmppAlphabet::Latin1),
        _ => None,
    });
    let concatenation =
        reader.required(&key("concatenation"), "must be \"udh\", \"sar\" or \"payload\"", |text| match text {
            "udh" => Some(SmppConcatenation::Udh),
            "sar" => Some(SmppConcatenation::Sar),
            "payload" => Some(SmppConcatenation::Payload),
            _ => None,
        });
    let receipt_ids =
        reader.required(&key("receipt_ids"), "must be \"same\", \"hex\" or \"decimal\"", |text| match text {
            "same" => Some(SmppReceiptIds::Same),
            "hex" => Some(SmppReceiptIds::Hex),
            "decimal" => Some(SmppReceiptIds::Decimal),
            _ => None,
        });
    let country_code = reader.optional(&key("country_code"), "must be 1 to 3 digits, or \"\"", |text| {
        ((1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.to_owned())
    });
    let plus = reader.boolean(&key("plus"));
    let validity_seconds = reader.integer(&key("validity_seconds"), 0..=604_800);
    Some(Smpp {
        address: address?,
        tls,
        system_id: system_id?,
        password: password?,
        system_type: system_type?,
        bind: bind?,
        binds,
        window,
        alphabet: alphabet?,
        concatenation: concatenation?,
        receipt_ids: receipt_ids?,
        country_code,
        plus,
        validity_seconds,
    })
}

fn sip(reader: &mut Reader, name: &str) -> Option<Sip> {
    let key = |key: &str| format!("carriers.{name}.{key}");
    let targets = reader.each(
        &key("targets"),
        "must be a list of SIP addresses, each with its priority and its weight behind it if you like, such as \
         \"sip:sbc.example.com;transport=tcp 10 50\"",
        target,
    );
    let login = sip_login(reader, name, "username", "password");
    let inbound_login = sip_login(reader, name, "inbound_username", "inbound_password");
    let networks = reader.networks(&key("networks"));
    let transport =
        reader.optional(&key("transport"), "must be \"udp\", \"tcp\", \"tls\" or \"\"", SipTransport::parse);
    let srtp_rule = "must be \"never\", \"offered\", \"always\" or \"\"";
    let srtp = reader.optional(&key("srtp"), srtp_rule, MediaEncryption::parse);
    let rule = "must be a SIP address such as \"sip:sip.example.com\", or \"\"";
    let registrar = reader.optional(&key("registrar"), rule, |text| SipAddress::parse(text).ok());
    let expires = reader.seconds(&key("register_seconds"), 60..=86_400);
    if registrar.is_some() && login.is_none() {
        reader.refuse::<()>(&key("username"), "must be set: a registrar is named", None);
    }
    if targets.is_empty() && networks.is_empty() && inbound_login.is_none() && registrar.is_none() {
        let rule = "must name where calls go, or networks, inbound_username or registrar whence they come";
        reader.refuse::<()>(&key("targets"), rule, None);
    }
    let registration = registrar.map(|registrar| SipRegistration { registrar, expires });
    Some(Sip { targets, login, inbound_login, networks, transport, srtp, registration })
}

/// An address, and behind it perhaps its priority and its weight.
fn target(text: &str) -> Option<OriginationUri> {
    let mut words = text.split(' ');
    let sip_uri = SipAddress::parse(words.next()?).ok()?;
    let mut number = |usual: u16| words.next().map_or(Some(usual), |word| word.parse().ok());
    let (priority, weight) = (number(USUAL_PRIORITY)?, number(USUAL_WEIGHT)?);
    words.next().is_none().then_some(OriginationUri { sip_uri, name: None, priority, weight })
}

fn sip_login(reader: &mut Reader, name: &str, who: &str, proof: &str) -> Option<(String, SecretString)> {
    let key = |key: &str| format!("carriers.{name}.{key}");
    let rule = "must be 1 to 100 visible ASCII characters without quotes, or \"\"";
    let username = reader.optional(&key(who), rule, |text| {
        let legal = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
        ((1..=100).contains(&text.len()) && text.bytes().all(legal)).then(|| text.to_owned())
    });
    let password = reader.referenced_or_none(&key(proof));
    if username.is_some() != password.is_some() {
        reader.refuse::<()>(&key(proof), &format!("must be set with {who}, or neither"), None);
    }
    username.zip(password)
}

/// https, but to this machine: an API key must not travel in the clear.
fn base_url(reader: &mut Reader, key: &str) -> Option<Url> {
    let rule = "must be an https URL without a query (http to a loopback address only)";
    reader.required(key, rule, |text| {
        web_url(text).filter(|url| {
            let here = match url.host() {
                Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
                Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
                Some(url::Host::Domain(name)) => name == "localhost",
                None => false,
            };
            (url.scheme() == "https" || here) && url.query().is_none() && url.fragment().is_none()
        })
    })
}

fn is_name(text: &str) -> bool {
    let tail = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=30).contains(&text.len()) && text.as_bytes()[0].is_ascii_lowercase() && text.bytes().all(tail)
}

fn is_sid(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_uuid(text: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    text.len() == 36
        && text.bytes().enumerate().all(|(n, b)| if dashes.contains(&n) { b == b'-' } else { b.is_ascii_hexdigit() })
}
