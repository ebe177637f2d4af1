//! Which URLs may be called at all, and which addresses may be connected to.
//!
//! Enters: a URL as text, or an address somebody resolved. Leaves: a [`GuardedUrl`], or the rule that it breaks.
//! Never here: I/O. A host name is judged by its addresses, in [`super::resolve`], when it is connected to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

use super::address::{AddressClass, METADATA, carried, special_use};

/// Longer than any real endpoint, short enough to keep and to show.
const MAX_URL_BYTES: usize = 2048;

/// What the operator lets this server call. The default permits https to public addresses, and nothing else.
#[derive(Debug, Clone, Default)]
pub struct EgressPolicy {
    /// Sandbox mode: http and https to loopback, where a developer's server runs. Only for hosts that say so (an
    /// address, or a `localhost` name): any other name that leads to loopback is an attack in every mode.
    pub allow_http_loopback: bool,
    /// The operator's exceptions: networks that may be called with https though they are not public. They open what they
    /// name and no more: never cloud metadata, nor what is private behind a translator whose addresses they name.
    pub allowed: Vec<IpNet>,
    pub allowed_ports: AllowedPorts,
    /// Certificate authorities trusted besides the machine's: hosts in `allowed` rarely have public certificates.
    pub extra_roots: Vec<reqwest::Certificate>,
}

/// Which ports may be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AllowedPorts {
    /// All but those where a well-known service listens that is not HTTP, as in browsers.
    #[default]
    AllButKnownServices,
    Only(Vec<u16>),
}

/// A URL that passed [`EgressPolicy::check`], in the spelling in which it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardedUrl(Url);

/// The rule that a URL breaks, in words for whoever wrote the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefused {
    #[error("the URL is longer than {MAX_URL_BYTES} bytes")]
    TooLong,
    #[error("the URL is not valid: {0}")]
    Invalid(&'static str),
    #[error("the URL must begin with https://")]
    NotHttps,
    #[error("the URL must not contain a user name or password")]
    UserInfo,
    #[error("port {0} is not allowed")]
    Port(u16),
    #[error("the host is {0}: only public addresses can be called")]
    Address(AddressClass),
    /// The class stays out of the text: it would tell a stranger about names inside the operator's network.
    #[error("the host name resolves to an address that is not public")]
    ResolvesTo(AddressClass),
}

/// How an address was come by: whether its URL admits that it is loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamedBy {
    /// Written in the URL, or meant by a `localhost` name.
    Itself,
    HostName,
}

/// Whether a network has nothing but addresses that no exception opens, so that naming it would be in vain.
#[must_use]
pub fn is_never_opened(net: &IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len() && METADATA.contains(&net.addr().to_canonical())
}

impl EgressPolicy {
    /// What any installation could permit: for telling a malformed URL from one that is not permitted here.
    #[must_use]
    pub fn most_lenient() -> Self {
        let everything = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let allowed = everything.into_iter().filter_map(|address| IpNet::new(address, 0).ok()).collect();
        Self { allow_http_loopback: true, allowed, ..Self::default() }
    }

    /// Judges a URL by what can be read in it.
    ///
    /// # Errors
    /// [`UrlRefused`], which names the rule broken.
    pub fn check(&self, url: &str) -> Result<GuardedUrl, UrlRefused> {
        if url.len() > MAX_URL_BYTES {
            return Err(UrlRefused::TooLong);
        }
        // The parser would drop these silently, and what is stored should be what was meant.
        if url.chars().any(|c| c.is_control() || c == ' ') {
            return Err(UrlRefused::Invalid("it contains spaces or control characters"));
        }
        let parsed = Url::parse(url).map_err(|error| UrlRefused::Invalid(describe(error)))?;
        self.check_parsed(&parsed)?;
        Ok(GuardedUrl(parsed))
    }

    /// The same for a parsed URL: `Url` has brought hosts in every spelling of an address into one form.
    pub(super) fn check_parsed(&self, url: &Url) -> Result<(), UrlRefused> {
        let plain = match url.scheme() {
            "https" => false,
            "http" if self.allow_http_loopback => true,
            _ => return Err(UrlRefused::NotHttps),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlRefused::UserInfo);
        }
        let loopback = match url.host() {
            Some(Host::Ipv4(address)) => self.check_literal(address.into())?,
            Some(Host::Ipv6(address)) => self.check_literal(address.into())?,
            Some(Host::Domain(name)) => self.check_name(name)?,
            None => return Err(UrlRefused::Invalid("it has no host")),
        };
        if plain && !loopback {
            return Err(UrlRefused::NotHttps);
        }
        self.check_port(url.port_or_known_default().unwrap_or(0))
    }

    /// Whether `address` may be connected to.
    pub(super) fn permits(&self, address: IpAddr, named_by: NamedBy) -> Result<(), AddressClass> {
        match special_use(address) {
            None => Ok(()),
            Some(AddressClass::Loopback) if self.allow_http_loopback && named_by == NamedBy::Itself => Ok(()),
            Some(_) if self.allowed.iter().any(|net| self.is_opened_by(net, address)) => Ok(()),
            Some(class) => Err(class),
        }
    }

    /// Whether an exception covers an address: the address itself, and each that it leads to where it is translated.
    fn is_opened_by(&self, net: &IpNet, address: IpAddr) -> bool {
        // A mapped address leads to the IPv4 address within, so that is what an exception must cover.
        let address = address.to_canonical();
        if METADATA.contains(&address) || !net.contains(&address) {
            return false;
        }
        let within = match address {
            IpAddr::V4(_) => Vec::new(),
            IpAddr::V6(v6) => carried(v6, net.prefix_len()),
        };
        within.into_iter().all(|v4| self.permits(v4.into(), NamedBy::HostName).is_ok())
    }

    /// Answers whether the address is loopback.
    fn check_literal(&self, address: IpAddr) -> Result<bool, UrlRefused> {
        self.permits(address, NamedBy::Itself).map_err(UrlRefused::Address)?;
        Ok(address.is_loopback())
    }

    /// Answers whether the name means loopback.
    fn check_name(&self, name: &str) -> Result<bool, UrlRefused> {
        if !is_host_name(name) {
            return Err(UrlRefused::Invalid("its host is not a valid name"));
        }
        if !is_localhost(name) {
            return Ok(false);
        }
        if LOCALHOST.iter().any(|address| self.permits(*address, NamedBy::Itself).is_ok()) {
            return Ok(true);
        }
        Err(UrlRefused::Address(AddressClass::Loopback))
    }

    fn check_port(&self, port: u16) -> Result<(), UrlRefused> {
        let allowed = match &self.allowed_ports {
            AllowedPorts::AllButKnownServices => KNOWN_SERVICES.binary_search(&port).is_err(),
            AllowedPorts::Only(ports) => ports.contains(&port),
        };
        if allowed { Ok(()) } else { Err(UrlRefused::Port(port)) }
    }
}

/// What every `localhost` name means (RFC 6761), whatever a name server says.
pub(super) const LOCALHOST: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Whether `name` is `localhost` or below it.
pub(super) fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit_once('.').map_or(name, |(_, last)| last);
    last.eq_ignore_ascii_case("localhost")
}

/// Letters, digits, hyphens and underscores in labels of a legal length, hyphens only within: what a certificate can be
/// for. `Url` lets more through, and what a resolver or another parser would make of `{` or `'` is not worth finding out.
fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| {
        matches!(label.len(), 1..=63) && label.bytes().all(legal) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn describe(error: url::ParseError) -> &'static str {
    use url::ParseError as E;
    match error {
        E::RelativeUrlWithoutBase => "it does not begin with https://",
        E::EmptyHost => "it has no host",
        E::InvalidPort => "its port is not a number up to 65535",
        E::InvalidIpv4Address | E::InvalidIpv6Address => "its host is not a valid address",
        _ => "its host is not a valid name",
    }
}

/// Port 0 and the "bad ports" of the Fetch standard; sorted. Beside them what the standard leaves out and speaks a
/// protocol that can be abused through a request's text: databases, caches and queues.
const KNOWN_SERVICES: [u16; 93] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1433, 1521, 1719, 1720, 1723, 2049, 2375, 3306,
    3389, 3659, 4045, 4190, 5060, 5061, 5432, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 9042, 10080,
    11211, 27017,
];

impl GuardedUrl {
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it leads to this machine itself, as sandbox mode permits.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
            Some(Host::Domain(name)) => is_localhost(name),
            None => false,
        }
    }

    /// The port that is called.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.0.port_or_known_default()
    }

    pub(super) fn as_url(&self) -> &Url {
        &self.0
    }

    pub(super) fn into_url(self) -> Url {
        self.0
    }
}

impl fmt::Display for GuardedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
