//! SIP trunks: how calls come from a telephone system that is not ours, and go there.
//!
//! In: what a customer or an operator says of one. Out: parsed addresses and choices. Never here: sockets, SIP messages, or
//! how a secret is kept.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use crate::ids::{AccountId, TrunkId};
use crate::time::Timestamp;
use crate::words::words;

/// Most trunks of one account.
pub const MAX_TRUNKS: i64 = 20;
/// Most addresses that one trunk sends calls to, and most networks that it takes them from.
pub const MAX_ADDRESSES: usize = 20;
/// Of an address for which nothing is said, as in Twilio's Elastic SIP Trunking.
pub const USUAL_PRIORITY: u16 = 10;
/// Likewise.
pub const USUAL_WEIGHT: u16 = 10;

/// A trunk of a customer's (contract, "SIP trunks"). *Termination* is calls from their telephone system to us, *origination*
/// calls from us to theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipTrunk {
    pub id: TrunkId,
    pub account_id: AccountId,
    pub name: String,
    pub transfers: Transfers,
    pub transfer_caller_id: TransferCallerId,
    pub origination: Vec<OriginationUri>,
    pub allowed_ips: Vec<AllowedIp>,
    pub login: SipLogin,
    pub created_at: Timestamp,
    /// Moves with every change, so that other nodes see that there was one.
    pub updated_at: Timestamp,
}

/// By what a telephone system proves that it is the customer's, and we that we are us when theirs asks. Its password is kept
/// sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct SipLogin {
    pub username: String,
    pub sealed_password: String,
    pub password_last4: String,
}

impl fmt::Debug for SipLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SipLogin").field("username", &self.username).finish_non_exhaustive()
    }
}

/// One place to which calls go. The lowest priority is tried first; of several with the same, each gets a share of the calls
/// by its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginationUri {
    pub sip_uri: SipAddress,
    pub name: Option<String>,
    pub priority: u16,
    pub weight: u16,
}

/// A network from which calls are taken without a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedIp {
    pub cidr: IpNet,
    pub name: Option<String>,
}

words! {
    /// Where a telephone system may have a call transferred to.
    Transfers {
        /// Anywhere, phone numbers too, which costs its owner.
        All = "all",
        /// To SIP addresses only.
        Sip = "sip",
        /// Nowhere.
        None = "none",
    }

    /// Whose number a transferred call shows.
    TransferCallerId {
        /// Of who is transferred.
        Transferee = "transferee",
        /// Of who transfers.
        Transferor = "transferor",
    }

    /// What SIP goes over.
    SipTransport { Udp = "udp", Tcp = "tcp", Tls = "tls" }

    /// Whether the sound is encrypted.
    MediaEncryption {
        Never = "never",
        /// Where the other side takes it.
        Offered = "offered",
        /// Or there is no call.
        Always = "always",
    }
}

/// Text that is no address to which a call can go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a SIP address such as sip:pbx.example.com:5060;transport=tcp")]
pub struct NotASipAddress;

/// A `sip:` or `sips:` address: perhaps a user, a host, perhaps a port and a transport (RFC 3261 §19.1.1). Without a password
/// and without headers: neither has a place in one that calls are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipAddress {
    text: String,
    host: String,
    port: Option<u16>,
    transport: Option<SipTransport>,
}

impl SipAddress {
    const LONGEST: usize = 255;

    /// # Errors
    /// [`NotASipAddress`].
    pub fn parse(text: &str) -> Result<Self, NotASipAddress> {
        if text.len() > Self::LONGEST || !text.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"?\\".contains(&b)) {
            return Err(NotASipAddress);
        }
        let (scheme, rest) = text.split_once(':').ok_or(NotASipAddress)?;
        let is_secure = scheme.eq_ignore_ascii_case("sips");
        if !is_secure && !scheme.eq_ignore_ascii_case("sip") {
            return Err(NotASipAddress);
        }
        // A `;` in a user is a part of it, and a `:` begins a password.
        let place = match rest.rsplit_once('@') {
            Some((user, place)) => Some(place).filter(|_| is_user(user)).ok_or(NotASipAddress)?,
            None => rest,
        };
        let (place, parameters) = place.split_once(';').unwrap_or((place, ""));
        let (host, port) = host_and_port(place).ok_or(NotASipAddress)?;
        let said = transport(parameters)?;
        let transport = match (is_secure, said) {
            (true, Some(SipTransport::Udp)) => return Err(NotASipAddress),
            (true, _) => Some(SipTransport::Tls),
            (false, said) => said,
        };
        Ok(Self { text: text.to_owned(), host, port, transport })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// A name, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where the host is an address and not a name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// What it says it is to be reached over.
    #[must_use]
    pub const fn transport(&self) -> Option<SipTransport> {
        self.transport
    }
}

fn is_user(user: &str) -> bool {
    let may_be = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()%&=+$,;?/".contains(&b);
    !user.is_empty() && user.bytes().all(may_be)
}

fn host_and_port(place: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (inside, behind) = rest.split_once(']')?;
            inside.parse::<Ipv6Addr>().ok()?;
            (inside, if behind.is_empty() { None } else { Some(behind.strip_prefix(':')?) })
        }
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        None => None,
        Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => Some(text.parse::<u16>().ok().filter(|n| *n > 0)?),
        Some(_) => return None,
    };
    (host.contains(':') || is_host(host)).then(|| (host.to_ascii_lowercase(), port))
}

/// An IPv4 address, or a name of the DNS. What is nearly an address is neither.
fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let last_begins_with_a_letter =
        host.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_alphabetic()));
    host.parse::<std::net::Ipv4Addr>().is_ok() || last_begins_with_a_letter && host.split('.').all(is_label)
}

fn transport(parameters: &str) -> Result<Option<SipTransport>, NotASipAddress> {
    let mut said = None;
    for parameter in parameters.split(';').filter(|text| !text.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name.eq_ignore_ascii_case("transport") {
            if said.is_some() {
                return Err(NotASipAddress);
            }
            said = Some(SipTransport::parse(&value.to_ascii_lowercase()).ok_or(NotASipAddress)?);
        } else if name.is_empty() {
            return Err(NotASipAddress);
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let one = SipAddress::parse("sip:proj_ab@Sip.Example.com:5080;transport=TLS").unwrap();
        assert_eq!((one.host(), one.port(), one.transport()), ("sip.example.com", Some(5080), Some(SipTransport::Tls)));
        assert_eq!(one.as_str(), "sip:proj_ab@Sip.Example.com:5080;transport=TLS", "kept as it was given");
        let bare = SipAddress::parse("sip:192.0.2.7").unwrap();
        assert_eq!((bare.address(), bare.port(), bare.transport()), (Some([192, 0, 2, 7].into()), None, None));
        let six = SipAddress::parse("sips:[2001:db8::1]:5061;lr").unwrap();
        assert_eq!((six.address(), six.port()), ("2001:db8::1".parse().ok(), Some(5061)));
        assert_eq!(six.transport(), Some(SipTransport::Tls));
        assert_eq!(SipAddress::parse("sip:1;phone-context=x@pbx.test").unwrap().host(), "pbx.test");
    }

    #[test]
    fn what_no_call_can_go_to_is_refused() {
        for text in [
            "",
            "sip:",
            "sip:@pbx.test",
            "pbx.test",
            "http://pbx.test",
            "tel:+14155550100",
            "sip:pbx.test:0",
            "sip:pbx.test:70000",
            "sip:pbx.test:5060x",
            "sip:pbx test",
            "sip:me:secret@pbx.test",
            "sip:pbx.test?Subject=x",
            "sip:[2001:db8::1",
            "sip:[nonsense]",
            "sip:300.1.1.1",
            "sip:1.2.3",
            "sip:-a.test",
            "sip:pbx.test;transport=smoke",
            "sip:pbx.test;transport=udp;transport=tcp",
            "sips:pbx.test;transport=udp",
            "<sip:pbx.test>",
            "sip:pbx.test\r\nVia: x",
        ] {
            assert_eq!(SipAddress::parse(text), Err(NotASipAddress), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_taken_holds_no_line_end_and_has_a_host(text in "(sips?:)?[ -~\r\n]{0,40}") {
            if let Ok(address) = SipAddress::parse(&text) {
                prop_assert!(!address.host().is_empty() && !address.as_str().contains(['\r', '\n', ' ', '<', '>']));
                prop_assert_eq!(SipAddress::parse(address.as_str()), Ok(address.clone()));
            }
        }
    }
}
