//! What can be read in a URL, and every way to hide an address in one.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::super::address::{AddressClass as C, METADATA, special_use};
use super::*;

fn sandbox() -> EgressPolicy {
    EgressPolicy { allow_http_loopback: true, ..EgressPolicy::default() }
}

fn refusal(url: &str) -> UrlRefused {
    EgressPolicy::default().check(url).expect_err(url)
}

#[test]
fn ordinary_endpoints_pass() {
    let ordinary = [
        "https://example.com/hook",
        "https://example.com:8443/hook?key=a%20b#part",
        "https://xn--bcher-kva.example/",
        "https://bücher.example/",
        "https://example.com./hook",
        "https://my_service.example.com/",
        "https://93.184.216.34/hook",
        "https://[2606:4700::1111]:3000/",
        "HTTPS://EXAMPLE.COM/",
        // Looks like an address to some, and is a name below .com.
        "https://127.0.0.1.example.com/",
    ];
    for url in ordinary {
        EgressPolicy::default().check(url).expect(url);
        sandbox().check(url).expect(url);
    }
}

#[test]
fn addresses_in_every_spelling_are_recognised() {
    let spellings = [
        ("https://127.0.0.1/", C::Loopback),
        ("https://127.1/", C::Loopback),
        ("https://127.0.1/", C::Loopback),
        ("https://2130706433/", C::Loopback),
        ("https://0x7f000001/", C::Loopback),
        ("https://0x7f.1/", C::Loopback),
        ("https://0X7F.0x0.0.1/", C::Loopback),
        ("https://017700000001/", C::Loopback),
        ("https://0177.0.0.01/", C::Loopback),
        ("https://127.0.0.1./", C::Loopback),
        ("https://%31%32%37.0.0.1/", C::Loopback),
        ("https://１２７。０。０。１/", C::Loopback),
        ("https:127.0.0.1/", C::Loopback),
        ("https:\\\\127.0.0.1\\", C::Loopback),
        ("https:///127.0.0.1/", C::Loopback),
        ("https://0/", C::Unspecified),
        ("https://0.0.0.0:8080/", C::Unspecified),
        ("https://10.1/", C::Private),
        ("https://192.168.1.1/", C::Private),
        ("https://169.254.169.254/latest/meta-data/", C::CloudMetadata),
        ("https://2852039166/", C::CloudMetadata),
        ("https://0xa9fea9fe/", C::CloudMetadata),
        ("https://100.100.100.200/", C::CloudMetadata),
        ("https://[::]/", C::Unspecified),
        ("https://[::1]/", C::Loopback),
        ("https://[0:0:0:0:0:0:0:1]/", C::Loopback),
        ("https://[::ffff:127.0.0.1]/", C::Ipv4Mapped),
        ("https://[::ffff:7f00:1]/", C::Ipv4Mapped),
        ("https://[::127.0.0.1]/", C::Ipv4Compatible),
        ("https://[64:ff9b::169.254.169.254]/", C::Nat64),
        ("https://[64:ff9b:1::a00:1]/", C::Nat64),
        ("https://[2002:7f00:1::]/", C::SixToFour),
        ("https://[2001:0:7f00:1::]/", C::Teredo),
        ("https://[fd00:ec2::254]/", C::CloudMetadata),
        ("https://[fd00:ec2::0254]/", C::CloudMetadata),
        ("https://[fd12::1]/", C::Private),
        ("https://[fe80::1]/", C::LinkLocal),
        ("https://[fec0::1]/", C::SiteLocal),
        ("https://localhost/", C::Loopback),
        ("https://LOCALHOST/", C::Loopback),
        ("https://localhost./", C::Loopback),
        ("https://app.localhost/", C::Loopback),
        ("https://ｌｏｃａｌｈｏｓｔ/", C::Loopback),
    ];
    for (url, class) in spellings {
        assert_eq!(refusal(url), UrlRefused::Address(class), "{url}");
    }
}

#[test]
fn user_names_and_passwords_are_refused() {
    for url in ["https://example.com@127.0.0.1/", "https://me:pw@example.com/", "https://:pw@example.com/"] {
        assert_eq!(refusal(url), UrlRefused::UserInfo, "{url}");
    }
    // What looks like a user name, and where the client really goes.
    let tricks = [
        ("https://example.com\\@127.0.0.1/", "example.com"),
        ("https://example.com#@127.0.0.1/", "example.com"),
        ("https://example.com?@127.0.0.1/", "example.com"),
    ];
    for (url, host) in tricks {
        assert_eq!(EgressPolicy::default().check(url).unwrap().as_url().host_str(), Some(host), "{url}");
    }
}

#[test]
fn only_https_except_to_loopback_in_the_sandbox() {
    let plain = ["http://example.com/", "http://127.0.0.1/", "ftp://example.com/", "file:///etc/passwd", "gopher://x/"];
    for url in plain {
        assert_eq!(refusal(url), UrlRefused::NotHttps, "{url}");
    }
    for url in ["http://example.com/", "http://93.184.216.34/", "http://localhost.example.com/", "ws://localhost/"] {
        assert_eq!(sandbox().check(url), Err(UrlRefused::NotHttps), "{url}");
    }
    let loopback = ["//127.0.0.1:8080/hook", "//2130706433/", "//[::1]:3000/", "//localhost:3000/", "//app.localhost/"];
    for rest in loopback {
        sandbox().check(&format!("http:{rest}")).expect(rest);
        sandbox().check(&format!("https:{rest}")).expect(rest);
    }
    // The sandbox opens loopback, and no other way in.
    for url in ["http://10.0.0.1/", "https://169.254.169.254/", "http://0.0.0.0/", "http://[::ffff:127.0.0.1]/"] {
        assert!(matches!(sandbox().check(url), Err(UrlRefused::Address(_))), "{url}");
    }
}

#[test]
fn ports_of_other_services_are_refused() {
    assert!(KNOWN_SERVICES.is_sorted_by(|a, b| a < b));
    for port in [0, 22, 25, 53, 6379, 6667, 11211] {
        assert_eq!(refusal(&format!("https://example.com:{port}/")), UrlRefused::Port(port));
    }
    for port in [80, 443, 3000, 8000, 8080, 8443, 65535] {
        EgressPolicy::default().check(&format!("https://example.com:{port}/")).unwrap();
    }
    let only = EgressPolicy { allowed_ports: AllowedPorts::Only(vec![443]), ..EgressPolicy::default() };
    only.check("https://example.com/").unwrap();
    assert_eq!(only.check("https://example.com:8443/"), Err(UrlRefused::Port(8443)));
}

#[test]
fn the_operators_exceptions_hold_for_https_only() {
    let allowed = vec!["10.1.0.0/16".parse().unwrap(), "127.0.0.0/8".parse().unwrap()];
    let policy = EgressPolicy { allowed, ..EgressPolicy::default() };
    for url in ["https://10.1.2.3/", "https://[::ffff:10.1.2.3]/", "https://localhost/", "https://127.0.0.2/"] {
        policy.check(url).expect(url);
    }
    assert_eq!(policy.check("http://10.1.2.3/"), Err(UrlRefused::NotHttps));
    assert_eq!(policy.check("https://10.2.0.1/"), Err(UrlRefused::Address(C::Private)));
    assert_eq!(policy.check("https://[::1]/"), Err(UrlRefused::Address(C::Loopback)));
}

#[test]
fn no_exception_opens_cloud_metadata() {
    let everything = ["0.0.0.0/0", "::/0", "169.254.169.254/32", "fd00:ec2::254/128", "64:ff9b:1::/48"];
    let allowed = everything.map(|net| net.parse().unwrap()).to_vec();
    let policy = EgressPolicy { allowed, allow_http_loopback: true, ..EgressPolicy::default() };
    let metadata = METADATA.into_iter().map(|address| match address {
        IpAddr::V4(v4) => format!("https://{v4}/"),
        IpAddr::V6(v6) => format!("https://[{v6}]/"),
    });
    let disguised = [
        "https://[::ffff:169.254.169.254]/",
        "https://[::169.254.169.254]/",
        "https://[64:ff9b::169.254.169.254]/",
        "https://[64:ff9b:1:a9fe:a9:fe00::]/",
        "https://[2002:a9fe:a9fe::]/",
        "https://[2001:0:a9fe:a9fe::]/",
        "https://[2001:0:808:808:0:0:5601:5601]/",
    ];
    for url in metadata.chain(disguised.map(str::to_owned)) {
        assert!(matches!(policy.check(&url), Err(UrlRefused::Address(_))), "{url}");
    }
    policy.check("https://169.254.1.1/").unwrap();
    policy.check("https://[fd00::1]/").unwrap();
}

#[test]
fn a_translator_that_is_opened_leads_to_public_addresses_only() {
    let policy = |nets: &[&str]| EgressPolicy {
        allowed: nets.iter().map(|net| net.parse().unwrap()).collect(),
        ..EgressPolicy::default()
    };
    let translated = policy(&["64:ff9b::/96"]);
    translated.check("https://[64:ff9b::8.8.8.8]/").unwrap();
    assert_eq!(translated.check("https://[64:ff9b::10.1.2.3]/"), Err(UrlRefused::Address(C::Nat64)));
    policy(&["64:ff9b::/96", "10.1.0.0/16"]).check("https://[64:ff9b::10.1.2.3]/").unwrap();
    assert!(policy(&["10.1.0.0/16"]).check("https://[64:ff9b::10.1.2.3]/").is_err());
}

#[test]
fn what_is_not_a_url_is_refused_with_a_reason() {
    let long = format!("https://example.com/{}", "a".repeat(MAX_URL_BYTES));
    assert_eq!(refusal(&long), UrlRefused::TooLong);
    let cases = [
        ("", "the URL is not valid: it does not begin with https://"),
        ("example.com/hook", "the URL is not valid: it does not begin with https://"),
        ("https://", "the URL is not valid: it has no host"),
        ("https://example.com:99999/", "the URL is not valid: its port is not a number up to 65535"),
        ("https://[::1%25eth0]/", "the URL is not valid: its host is not a valid address"),
        ("https://1.2.3.4.5/", "the URL is not valid: its host is not a valid address"),
        ("https://exa mple.com/", "the URL is not valid: it contains spaces or control characters"),
        ("https://127.0.0.1\t/", "the URL is not valid: it contains spaces or control characters"),
        ("https://{metadata}/", "the URL is not valid: its host is not a valid name"),
        ("https://a..b/", "the URL is not valid: its host is not a valid name"),
        ("https://a.-b.example/", "the URL is not valid: its host is not a valid name"),
        ("https://example.com-/", "the URL is not valid: its host is not a valid name"),
        ("http://example.com/", "the URL must begin with https://"),
        ("https://a:b@example.com/", "the URL must not contain a user name or password"),
        ("https://example.com:22/", "port 22 is not allowed"),
        ("https://10.0.0.1/", "the host is a private address: only public addresses can be called"),
    ];
    for (url, message) in cases {
        assert_eq!(refusal(url).to_string(), message, "{url}");
    }
}

/// An IPv4 address that is not public.
fn special_v4() -> impl Strategy<Value = Ipv4Addr> {
    let in_block = |base: u32, length: u32| any::<u32>().prop_map(move |bits| base | bits >> length);
    prop_oneof![
        in_block(0x0000_0000, 8),
        in_block(0x0a00_0000, 8),
        in_block(0x6440_0000, 10),
        in_block(0x7f00_0000, 8),
        in_block(0xa9fe_0000, 16),
        in_block(0xac10_0000, 12),
        in_block(0xc0a8_0000, 16),
        in_block(0xc612_0000, 15),
        in_block(0xe000_0000, 4),
        in_block(0xf000_0000, 4),
    ]
    .prop_map(Ipv4Addr::from_bits)
}

fn number(value: u32, radix: u8) -> String {
    match radix {
        0 => value.to_string(),
        1 => format!("0{value:o}"),
        2 => format!("0x{value:x}"),
        _ => format!("0X{value:08X}"),
    }
}

/// An address in one of the spellings that resolvers and URL parsers have been known to take.
fn spelled(address: Ipv4Addr, form: u8, radix: [u8; 4]) -> String {
    let bits = address.to_bits();
    let [a, b, c, d] = address.octets();
    let [pa, pb, pc, pd] = [(a, 0), (b, 1), (c, 2), (d, 3)].map(|(part, i)| number(u32::from(part), radix[i]));
    match form {
        0 => number(bits, radix[0]),
        1 => format!("{pa}.{}", number(bits & 0x00ff_ffff, radix[1])),
        2 => format!("{pa}.{pb}.{}", number(bits & 0xffff, radix[2])),
        3 => format!("{pa}.{pb}.{pc}.{pd}"),
        4 => format!("{pa}.{pb}.{pc}.{pd}."),
        5 => address.to_string().bytes().map(|byte| format!("%{byte:02x}")).collect(),
        6 => address.to_string().replace('.', "。"),
        7 => format!("[::ffff:{address}]"),
        8 => format!("[{}]", address.to_ipv6_mapped()),
        9 => format!("[::{address}]"),
        10 => format!("[64:ff9b::{address}]"),
        11 => format!("[64:ff9b:1::{address}]"),
        12 => format!("[2002:{:x}:{:x}::1]", bits >> 16, bits & 0xffff),
        13 => format!("[2001:0:{:x}:{:x}::]", bits >> 16, bits & 0xffff),
        _ => format!("[::ffff:0:{address}]"),
    }
}

proptest! {
    #[test]
    fn no_special_address_passes_in_any_spelling(
        address in special_v4(), form in 0_u8..15, radix in any::<[u8; 4]>().prop_map(|r| r.map(|r| r % 4)),
    ) {
        let url = format!("https://{}/hook", spelled(address, form, radix));
        prop_assert!(EgressPolicy::default().check(&url).is_err(), "{url} for {address}");
    }

    #[test]
    fn in_the_sandbox_nothing_but_loopback_passes(
        address in special_v4(), form in 0_u8..15, radix in any::<[u8; 4]>().prop_map(|r| r.map(|r| r % 4)),
    ) {
        let url = format!("http://{}/hook", spelled(address, form, radix));
        prop_assert!(address.is_loopback() || sandbox().check(&url).is_err(), "{url} for {address}");
    }

    /// Whatever passes is called under the host that was judged: reqwest parses the text once more as a `Uri`.
    #[test]
    fn both_parsers_see_the_same_host(url in "https?://[a-z0-9.:@\\[\\]%_{}'\\\\/?#&~-]{1,24}") {
        if let Ok(guarded) = EgressPolicy::default().check(&url) {
            let uri: http::Uri = guarded.as_str().split('#').next().unwrap().parse().unwrap();
            prop_assert_eq!(uri.host(), guarded.as_url().host_str());
            prop_assert_eq!(uri.port_u16(), guarded.as_url().port());
        }
    }

    #[test]
    fn no_special_ipv6_address_passes(bits in any::<u128>()) {
        let address = Ipv6Addr::from_bits(bits);
        let passed = EgressPolicy::default().check(&format!("https://[{address}]/")).is_ok();
        prop_assert_eq!(passed, special_use(address.into()).is_none());
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}") {
        let _ = sandbox().check(&text);
        let _ = sandbox().check(&format!("https://{text}"));
    }
}
