//! What NAT does to addresses, and how it is undone: `received` and `rport` (RFC 3261 §18.2, RFC 3581), and the public
//! address that stands in for a private one.

use std::net::{IpAddr, SocketAddr};

use crate::message::{Host, SipUri, Via};
use crate::{Flow, Transport};

/// Writes down in the topmost Via where a request really came from.
pub fn note_source(via: &mut Via, source: SocketAddr) {
    let wants_port = via.params.get("rport").is_some();
    if wants_port || via.host != Host::Ip(source.ip()) {
        via.params.set("received", Some(&source.ip().to_string()));
    }
    if wants_port {
        via.params.set("rport", Some(&source.port().to_string()));
    }
}

/// Where the response goes (§18.2.2): on a stream, back on it; in a datagram to where the request came from, at the port
/// that rport or Via names. `maddr` is not followed: it would let anybody aim our answers at a third party.
#[must_use]
pub fn response_flow(via: &Via, source: Flow) -> Flow {
    if source.transport.is_reliable() || via.params.get("rport").is_some() {
        return source;
    }
    let port = via.port.unwrap_or(source.transport.default_port());
    Flow { remote: SocketAddr::new(source.remote.ip(), port), ..source }
}

/// By which address we are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// The public address, where the socket's own is not reached from outside.
    pub public: Option<IpAddr>,
    /// The public port, where it is mapped.
    pub public_port: Option<u16>,
}

impl Advertised {
    /// As the sockets are bound.
    pub const PLAIN: Self = Self { public: None, public_port: None };

    /// What to say instead of a socket's own address. Peers in private networks see us without NAT, unless our public
    /// address is itself private (one NAT inside another).
    #[must_use]
    pub fn address(&self, local: SocketAddr, remote: IpAddr) -> SocketAddr {
        match self.public {
            Some(public) if !is_private(remote) || is_private(public) => {
                SocketAddr::new(public, self.public_port.unwrap_or(local.port()))
            }
            _ => local,
        }
    }

    /// Our Contact on a flow.
    #[must_use]
    pub fn contact(&self, user: Option<&str>, flow: Flow) -> SipUri {
        let address = self.address(flow.local, flow.remote.ip());
        let mut uri = SipUri::new(user, address.ip().into(), Some(address.port()));
        match flow.transport {
            Transport::Udp => {}
            Transport::Tcp => uri.params.push(("transport".to_owned(), Some("tcp".to_owned()))),
            Transport::Tls => uri.params.push(("transport".to_owned(), Some("tls".to_owned()))),
        }
        uri
    }
}

/// Whether an address is not reached from the Internet.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Whether an address that whoever is heard on a flow names may be sent to. Nobody outside directs us inside: not to a
/// private network from the Internet, not to this machine from another, and to no address that names no single one.
#[must_use]
pub fn may_follow(address: IpAddr, heard: Flow) -> bool {
    let (address, theirs) = (address.to_canonical(), heard.remote.ip().to_canonical());
    let broadcast = matches!(address, IpAddr::V4(ip) if ip.is_broadcast());
    let inside = (is_private(address) && !is_private(theirs)) || (address.is_loopback() && !theirs.is_loopback());
    !inside && !broadcast && !address.is_unspecified() && !address.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Params;

    fn flow(transport: Transport) -> Flow {
        let local = "10.0.0.5:5060".parse().unwrap();
        Flow { transport, local, remote: "198.51.100.7:40123".parse().unwrap() }
    }

    fn via(host: &str, port: Option<u16>, rport: bool) -> Via {
        let mut params = Params::default();
        params.set("branch", Some("z9hG4bKx"));
        if rport {
            params.set("rport", None);
        }
        Via { transport: "UDP".to_owned(), host: Host::parse(host).unwrap(), port, params }
    }

    #[test]
    fn nobody_outside_directs_us_inside() {
        let may = |address: &str, theirs: &str| {
            let heard =
                Flow { remote: std::net::SocketAddr::new(theirs.parse().unwrap(), 5060), ..flow(Transport::Tcp) };
            may_follow(address.parse().unwrap(), heard)
        };
        let internet = "198.51.100.7";
        assert!(may("203.0.113.9", internet) && may("2001:db8::9", internet));
        for inside in ["10.0.0.9", "127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254", "100.64.0.1", "::1", "fd00::1"] {
            assert!(!may(inside, internet), "{inside}");
        }
        for nowhere in ["0.0.0.0", "::", "255.255.255.255", "224.0.0.1", "ff02::1"] {
            assert!(!may(nowhere, internet) && !may(nowhere, "127.0.0.1"), "{nowhere}");
        }
        assert!(may("10.0.0.9", "192.168.1.7"), "networks of one house");
        assert!(!may("127.0.0.1", "192.168.1.7") && may("127.0.0.1", "127.0.0.1"));
    }

    #[test]
    fn the_source_is_noted_where_it_differs_or_is_asked_for() {
        let mut behind_nat = via("192.168.1.2", Some(5062), true);
        note_source(&mut behind_nat, flow(Transport::Udp).remote);
        assert_eq!(
            behind_nat.to_string(),
            "SIP/2.0/UDP 192.168.1.2:5062;branch=z9hG4bKx;rport=40123;received=198.51.100.7"
        );
        let mut plain = via("198.51.100.7", None, false);
        note_source(&mut plain, flow(Transport::Udp).remote);
        assert_eq!(plain.to_string(), "SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKx");
    }

    #[test]
    fn responses_find_the_way_back() {
        let to = |via: &Via, transport| response_flow(via, flow(transport)).remote.to_string();
        assert_eq!(to(&via("192.168.1.2", Some(5062), true), Transport::Udp), "198.51.100.7:40123");
        assert_eq!(to(&via("192.168.1.2", Some(5062), false), Transport::Udp), "198.51.100.7:5062");
        assert_eq!(to(&via("pbx.example.com", None, false), Transport::Udp), "198.51.100.7:5060");
        assert_eq!(to(&via("192.168.1.2", Some(5062), false), Transport::Tcp), "198.51.100.7:40123");
    }

    #[test]
    fn the_public_address_is_told_to_those_outside() {
        let advertised = Advertised { public: Some("203.0.113.9".parse().unwrap()), public_port: None };
        let local = "10.0.0.5:5060".parse().unwrap();
        assert_eq!(advertised.address(local, "198.51.100.7".parse().unwrap()).to_string(), "203.0.113.9:5060");
        assert_eq!(advertised.address(local, "10.0.0.9".parse().unwrap()), local);
        assert_eq!(
            advertised.contact(Some("+1555"), flow(Transport::Tls)).to_string(),
            "sip:+1555@203.0.113.9:5060;transport=tls"
        );
    }
}
