//! Which addresses are not the public internet, and what they are instead.
//!
//! Enters: an IP address. Leaves: its [`AddressClass`], or none for a public one.
//! Never here: exceptions and modes (that is [`super::policy`]), names, I/O.
//!
//! The lists follow the IANA special-purpose registries. They are kept here rather than taken from `std`, whose
//! `is_global` is unstable and does not look inside the forms that carry an IPv4 address in an IPv6 one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Why an address is not public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressClass {
    Unspecified,
    ThisNetwork,
    Loopback,
    Private,
    CarrierGradeNat,
    LinkLocal,
    CloudMetadata,
    ProtocolAssignment,
    Documentation,
    Benchmarking,
    Multicast,
    Broadcast,
    Reserved,
    Ipv4Mapped,
    Ipv4Compatible,
    Nat64,
    SixToFour,
    Teredo,
    SiteLocal,
}

/// The class that keeps `address` from being public; `None` for a public address.
pub(super) fn special_use(address: IpAddr) -> Option<AddressClass> {
    if METADATA.contains(&address) {
        return Some(AddressClass::CloudMetadata);
    }
    match address {
        IpAddr::V4(v4) => V4.iter().find(|(net, _)| net.contains(&v4)).map(|(_, class)| *class),
        IpAddr::V6(v6) => match V6.iter().find(|(net, _)| net.contains(&v6)) {
            Some((_, class)) => Some(*class),
            // Only this block is handed out as public unicast; what IANA opens next can be added then.
            None if PUBLIC_V6.contains(&v6) => None,
            None => Some(AddressClass::Reserved),
        },
    }
}

/// IPv4 addresses that an address leads to where the network translates or tunnels: those that some forms carry within.
/// `prefix` is the length of the network that the operator named for it.
pub(super) fn carried(address: Ipv6Addr, prefix: u8) -> Vec<Ipv4Addr> {
    let bits = address.to_bits();
    let at = |shift: u32| Ipv4Addr::from_bits((bits >> shift) as u32);
    match special_use(address.into()) {
        Some(AddressClass::Ipv4Mapped | AddressClass::Ipv4Compatible) => vec![at(0)],
        Some(AddressClass::SixToFour) => vec![at(80)],
        // The server's, and the client's turned over.
        Some(AddressClass::Teredo) => vec![at(64), Ipv4Addr::from_bits(!at(0).to_bits())],
        Some(AddressClass::Nat64) => translated(address, prefix),
        _ => Vec::new(),
    }
}

/// Where a NAT64 has the IPv4 address (RFC 6052, section 2.2), its own network's length says; where that is not known, it
/// may be in any place. Bits 64 to 71 are left out.
fn translated(address: Ipv6Addr, prefix: u8) -> Vec<Ipv4Addr> {
    let bits = address.to_bits();
    let low = |shift: u32, length: u32| (bits >> shift) as u32 & (u32::MAX >> (32 - length));
    let behind_48 = Ipv4Addr::from_bits(low(64, 16) << 16 | low(40, 16));
    let behind_56 = Ipv4Addr::from_bits(low(64, 8) << 24 | low(32, 24));
    let behind_64 = Ipv4Addr::from_bits(low(24, 32));
    let behind_96 = Ipv4Addr::from_bits(low(0, 32));
    match prefix {
        _ if WELL_KNOWN_NAT64.contains(&address) => vec![behind_96],
        48 => vec![behind_48],
        56 => vec![behind_56],
        64 => vec![behind_64],
        96 => vec![behind_96],
        _ => vec![behind_48, behind_56, behind_64, behind_96],
    }
}

/// Where clouds and their containers keep what a machine may know of itself, credentials among it. No exception of the
/// operator's reaches these, whatever network it names.
pub(super) const METADATA: [IpAddr; 15] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), // Alibaba
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),   // Azure: an ordinary address that only its hosts see
    IpAddr::V4(Ipv4Addr::new(169, 254, 0, 23)),    // Tencent
    IpAddr::V4(Ipv4Addr::new(169, 254, 42, 42)),   // Scaleway
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), // nearly everybody
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 253)), // AWS, its name server
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),   // AWS, containers
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),  // AWS, pods
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),     // Oracle
    host([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]),   // AWS
    host([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253]),
    host([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23]),
    host([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]),    // Google
    host([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42]),     // Scaleway
    host([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe]), // OpenStack
];

/// The first match counts, so a more precise class stands above the block that contains it.
const V4: [(Ipv4Net, AddressClass); 17] = [
    (v4([0, 0, 0, 0], 32), AddressClass::Unspecified),
    (v4([0, 0, 0, 0], 8), AddressClass::ThisNetwork),
    (v4([10, 0, 0, 0], 8), AddressClass::Private),
    (v4([100, 64, 0, 0], 10), AddressClass::CarrierGradeNat),
    (v4([127, 0, 0, 0], 8), AddressClass::Loopback),
    (v4([169, 254, 0, 0], 16), AddressClass::LinkLocal),
    (v4([172, 16, 0, 0], 12), AddressClass::Private),
    (v4([192, 0, 0, 0], 24), AddressClass::ProtocolAssignment),
    (v4([192, 0, 2, 0], 24), AddressClass::Documentation),
    (v4([192, 88, 99, 0], 24), AddressClass::SixToFour),
    (v4([192, 168, 0, 0], 16), AddressClass::Private),
    (v4([198, 18, 0, 0], 15), AddressClass::Benchmarking),
    (v4([198, 51, 100, 0], 24), AddressClass::Documentation),
    (v4([203, 0, 113, 0], 24), AddressClass::Documentation),
    (v4([224, 0, 0, 0], 4), AddressClass::Multicast),
    (v4([255, 255, 255, 255], 32), AddressClass::Broadcast),
    (v4([240, 0, 0, 0], 4), AddressClass::Reserved),
];

/// Forms that carry an IPv4 address are refused whole, even around a public one: nobody needs them to be reached,
/// and where they lead depends on the network we happen to run in.
const V6: [(Ipv6Net, AddressClass); 17] = [
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), AddressClass::Unspecified),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), AddressClass::Loopback),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), AddressClass::Ipv4Compatible),
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), AddressClass::Ipv4Mapped),
    (v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), AddressClass::Ipv4Mapped), // "translated", RFC 2765
    (WELL_KNOWN_NAT64, AddressClass::Nat64),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), AddressClass::Nat64),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), AddressClass::Teredo),
    (v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48), AddressClass::Benchmarking),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), AddressClass::ProtocolAssignment),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), AddressClass::Documentation),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), AddressClass::SixToFour),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), AddressClass::Documentation),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), AddressClass::Private),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), AddressClass::LinkLocal),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), AddressClass::SiteLocal),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), AddressClass::Multicast),
];

const WELL_KNOWN_NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);
const PUBLIC_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

const fn v4(octets: [u8; 4], length: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn host(groups: [u16; 8]) -> IpAddr {
    let [a, b, c, d, e, f, g, h] = groups;
    IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h))
}

const fn v6(groups: [u16; 8], length: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = groups;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length)
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "the unspecified address",
            Self::ThisNetwork => "an address of \"this network\"",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::CarrierGradeNat => "a carrier-grade NAT address",
            Self::LinkLocal => "a link-local address",
            Self::CloudMetadata => "a cloud metadata address",
            Self::ProtocolAssignment => "an address reserved for protocols",
            Self::Documentation => "a documentation address",
            Self::Benchmarking => "a benchmarking address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
            Self::Reserved => "a reserved address",
            Self::Ipv4Mapped => "an IPv4 address mapped into IPv6",
            Self::Ipv4Compatible => "an IPv4-compatible IPv6 address",
            Self::Nat64 => "a NAT64 address",
            Self::SixToFour => "a 6to4 address",
            Self::Teredo => "a Teredo address",
            Self::SiteLocal => "a site-local address",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{AddressClass as C, carried, special_use};

    #[test]
    fn every_special_block_is_known_at_both_ends() {
        let table = [
            ("0.0.0.0", C::Unspecified),
            ("0.0.0.1", C::ThisNetwork),
            ("0.255.255.255", C::ThisNetwork),
            ("10.0.0.0", C::Private),
            ("10.255.255.255", C::Private),
            ("100.64.0.0", C::CarrierGradeNat),
            ("100.127.255.255", C::CarrierGradeNat),
            ("100.100.100.200", C::CloudMetadata),
            ("127.0.0.1", C::Loopback),
            ("127.255.255.255", C::Loopback),
            ("168.63.129.16", C::CloudMetadata),
            ("169.254.0.0", C::LinkLocal),
            ("169.254.169.254", C::CloudMetadata),
            ("169.254.255.255", C::LinkLocal),
            ("172.16.0.0", C::Private),
            ("172.31.255.255", C::Private),
            ("169.254.170.2", C::CloudMetadata),
            ("192.0.0.191", C::ProtocolAssignment),
            ("192.0.0.192", C::CloudMetadata),
            ("192.0.2.1", C::Documentation),
            ("192.88.99.1", C::SixToFour),
            ("192.168.0.0", C::Private),
            ("192.168.255.255", C::Private),
            ("198.18.0.0", C::Benchmarking),
            ("198.19.255.255", C::Benchmarking),
            ("198.51.100.7", C::Documentation),
            ("203.0.113.7", C::Documentation),
            ("224.0.0.1", C::Multicast),
            ("239.255.255.255", C::Multicast),
            ("240.0.0.0", C::Reserved),
            ("255.255.255.254", C::Reserved),
            ("255.255.255.255", C::Broadcast),
            ("::", C::Unspecified),
            ("::1", C::Loopback),
            ("::2", C::Ipv4Compatible),
            ("::127.0.0.1", C::Ipv4Compatible),
            ("::ffff:0.0.0.0", C::Ipv4Mapped),
            ("::ffff:8.8.8.8", C::Ipv4Mapped),
            ("::ffff:0:127.0.0.1", C::Ipv4Mapped),
            ("64:ff9b::10.0.0.1", C::Nat64),
            ("64:ff9b::8.8.8.8", C::Nat64),
            ("64:ff9b:1:ffff:ffff:ffff:ffff:ffff", C::Nat64),
            ("100::1", C::Reserved),
            ("2001::1", C::Teredo),
            ("2001:0:ffff::", C::Teredo),
            ("2001:2::1", C::Benchmarking),
            ("2001:10::1", C::ProtocolAssignment),
            ("2001:1ff:ffff::", C::ProtocolAssignment),
            ("2001:db8::1", C::Documentation),
            ("2002:7f00:1::", C::SixToFour),
            ("2002:808:808::1", C::SixToFour),
            ("3fff:fff::1", C::Documentation),
            ("5f00::1", C::Reserved),
            ("fc00::1", C::Private),
            ("fd00:ec2::254", C::CloudMetadata),
            ("fd00:ec2::255", C::Private),
            ("fdff:ffff::1", C::Private),
            ("fe80::1", C::LinkLocal),
            ("fe80::a9fe:a9fe", C::CloudMetadata),
            ("febf::1", C::LinkLocal),
            ("fec0::1", C::SiteLocal),
            ("feff::1", C::SiteLocal),
            ("ff02::1", C::Multicast),
        ];
        for (text, class) in table {
            assert_eq!(special_use(text.parse().unwrap()), Some(class), "{text}");
        }
    }

    #[test]
    fn forms_that_carry_an_ipv4_address_are_looked_into() {
        let table: [(&str, u8, &[&str]); 11] = [
            ("::ffff:10.0.0.1", 96, &["10.0.0.1"]),
            ("::ffff:0:10.0.0.1", 96, &["10.0.0.1"]),
            ("::10.0.0.1", 96, &["10.0.0.1"]),
            ("2002:a00:1::", 16, &["10.0.0.1"]),
            ("2001:0:a00:1:0:0:f5ff:fffd", 32, &["10.0.0.1", "10.0.0.2"]),
            ("64:ff9b::169.254.169.254", 96, &["169.254.169.254"]),
            // RFC 6052, section 2.4, with 192.0.2.33.
            ("64:ff9b:1:c000:2:2100::", 48, &["192.0.2.33"]),
            ("64:ff9b:1:aac0:0:221::", 56, &["192.0.2.33"]),
            ("64:ff9b:1:aaaa:c0:2:2100::", 64, &["192.0.2.33"]),
            ("64:ff9b:1:aaaa:bbbb:0:192.0.2.33", 96, &["192.0.2.33"]),
            ("fd00::10.0.0.1", 8, &[]),
        ];
        for (text, prefix, within) in table {
            let within: Vec<std::net::Ipv4Addr> = within.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(carried(text.parse().unwrap(), prefix), within, "{text}");
        }
    }

    #[test]
    fn their_neighbours_are_public() {
        let public = [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.101.0",
            "203.0.114.0",
            "223.255.255.255",
            "2000::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2001:db9::1",
            "2003::1",
            "2606:4700::1111",
            "3ffe::1",
            "3fff:1000::1",
        ];
        for text in public {
            assert_eq!(special_use(text.parse().unwrap()), None, "{text}");
        }
    }
}
