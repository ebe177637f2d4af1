//! Any text at all: it is refused, or it leads to a public address, or to a name whose addresses are judged when it is
//! called. There is no fourth way.

use std::sync::LazyLock;

use proptest::prelude::*;
use tokio::runtime::Runtime;
use url::Host;

use super::super::address::special_use;
use super::*;

/// A name server that sends everybody home, and knows who asked.
#[derive(Default)]
struct Home(Mutex<Vec<String>>);

impl Lookup for Home {
    fn lookup(&self, host: String) -> BoxFuture<'_, Result<Vec<IpAddr>, LookupFailed>> {
        self.0.lock().unwrap().push(host);
        async { Ok(vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()]) }.boxed()
    }
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static NAMES: LazyLock<Arc<Home>> = LazyLock::new(Arc::default);
static CLIENT: LazyLock<GuardedClient> =
    LazyLock::new(|| GuardedClient::with_lookup(EgressPolicy::default(), NAMES.clone()).unwrap());

/// Pieces that parsers have disagreed about, put together anyhow.
fn any_url() -> impl Strategy<Value = String> {
    let scheme = prop_oneof![
        6 => Just("https://".to_owned()),
        2 => prop::sample::select(vec!["HTTPS://", "https:", "https:/", "https:///", "https:\\\\", "\thttps://"])
            .prop_map(str::to_owned),
        1 => "[a-z+.]{0,8}:/{0,3}",
    ];
    let user = prop_oneof![4 => Just(String::new()), 1 => "[a-z%:@\\\\#?.0-9]{0,8}@", 1 => "(127\\.0\\.0\\.1|a)[\\\\/#?%&;]{1,2}@?"];
    let host = prop_oneof![
        3 => "[a-z0-9_-]{1,8}(\\.[a-z0-9_-]{1,8}){0,3}\\.?",
        2 => "(0[xX]?)?[0-9a-f]{1,9}(\\.(0[xX]?)?[0-9a-f]{0,4}){0,4}",
        2 => "\\[[0-9a-f:.]{0,20}(%[a-z0-9]{1,4})?\\]",
        2 => "(%[0-9a-f]{2}|[0-9.a-z]){1,16}",
        2 => "[０-９ａ-ｚ。．①②⑩Ａ]{1,12}",
        1 => "(localhost|metadata|xn--[a-z0-9]{1,6}|[а-я]{1,6}|ß|İ)(\\.[a-z]{2,5})?",
        1 => "\\PC{0,12}",
    ];
    let port = prop_oneof![4 => Just(String::new()), 1 => ":[0-9]{0,6}", 1 => ":[\\PC]{0,4}"];
    let tail = prop_oneof![2 => Just("/hook".to_owned()), 1 => "[/?#\\\\@:a-z.0-9]{0,16}", 1 => "\\PC{0,8}"];
    (scheme, user, host, port, tail)
        .prop_map(|(scheme, user, host, port, tail)| [scheme, user, host, port, tail].concat())
}

proptest! {
    #[test]
    fn whatever_passes_is_judged_by_its_address(url in any_url()) {
        let Ok(guarded) = CLIENT.check(&url) else { return Ok(()) };
        match guarded.as_url().host() {
            Some(Host::Ipv4(address)) => prop_assert_eq!(special_use(address.into()), None, "{}", url),
            Some(Host::Ipv6(address)) => prop_assert_eq!(special_use(address.into()), None, "{}", url),
            Some(Host::Domain(name)) => {
                let failed = RUNTIME.block_on(CLIENT.post(request(&CLIENT, &url))).unwrap_err();
                let refused = FetchFailed::Refused(UrlRefused::ResolvesTo(AddressClass::Loopback));
                prop_assert_eq!(failed, refused, "{}", url);
                let asked = std::mem::take(&mut *NAMES.0.lock().unwrap());
                prop_assert_eq!(asked, [name.to_owned()], "{}", url);
            }
            None => prop_assert!(false, "{} has no host", url),
        }
    }
}
