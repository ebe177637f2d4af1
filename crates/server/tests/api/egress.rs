//! Where customers can have us call: only what is public, whatever they write, whatever their name servers say, and whenever
//! it turns bad. Told through the API, with a name server in the customer's hands.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use offhook_server::config::Config;
use offhook_server::guarded_http::{EgressPolicy, GuardedClient, Lookup, LookupFailed};
use offhook_server::startup;
use offhook_testkit::webhook_receiver::WebhookReceiver;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::app::{Setup, TestApp, id};

/// Stands for the public address in these tests, as there is no other that can be connected to.
const PUBLIC: &str = "127.0.0.2";

/// A name server whose answers the customer chooses: each look-up takes the next, and the last one stays. A chain of
/// CNAMEs is one look-up to us, and what stands at its end is what counts.
#[derive(Default)]
struct NameServer {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl NameServer {
    fn says(&self, answers: &[&[&str]]) {
        let parse = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
        *self.answers.lock().unwrap() = answers.iter().rev().map(parse).collect();
    }

    /// Names that were looked up so far.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Lookup for NameServer {
    fn lookup(&self, host: String) -> BoxFuture<'_, Result<Vec<IpAddr>, LookupFailed>> {
        self.asked.lock().unwrap().push(host);
        let mut left = self.answers.lock().unwrap();
        let answer = if left.len() > 1 { left.pop() } else { left.last().cloned() };
        async move { Ok(answer.unwrap_or_default()) }.boxed()
    }
}

/// An installation that calls public addresses, with the customer's name server.
async fn installation() -> (TestApp, Arc<NameServer>) {
    let names = Arc::new(NameServer::default());
    let policy = EgressPolicy { allowed: vec![format!("{PUBLIC}/32").parse().unwrap()], ..EgressPolicy::default() };
    let guard = GuardedClient::with_lookup(policy, names.clone()).unwrap();
    (Setup::default().sandbox().guard(guard).start().await, names)
}

/// Accepts on every local address, closes at once, and tells which address was called.
#[expect(clippy::disallowed_methods, reason = "it ends with the test")]
async fn listen_everywhere() -> (u16, mpsc::UnboundedReceiver<IpAddr>) {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (called, calls) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if called.send(stream.local_addr().unwrap().ip()).is_err() {
                return;
            }
        }
    });
    (port, calls)
}

/// The log's only delivery, once it satisfies `condition`.
async fn delivery_when(app: &TestApp, condition: impl Fn(&Value) -> bool) -> Value {
    let looking = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let log = app.get("/v1/webhooks/deliveries").await.ok();
            if log["total"] == 1 && condition(&log["items"][0]) {
                return log["items"][0].clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    looking.await.expect("the delivery comes that far")
}

const INSIDE: &str = "refused: the host name resolves to an address that is not public";

#[tokio::test]
async fn a_webhook_to_a_place_inside_is_refused_when_it_is_set() {
    let (app, names) = installation().await;
    let agent = id(&app.post("/v1/agents").json(json!({"name": "Desk"})).await.ok());
    let own = format!("/v1/agents/{agent}/webhook");
    // What is written, and what the refusal says of it.
    let bad = [
        ("http://example.com/", "must begin with https://"),
        ("http://127.0.0.1/", "must begin with https://"),
        ("ftp://example.com/", "must begin with https://"),
        ("gopher://127.0.0.1:6379/_FLUSHALL", "must begin with https://"),
        ("file:///etc/passwd", "must begin with https://"),
        ("example.com/hook", "does not begin with https://"),
        ("//example.com/hook", "does not begin with https://"),
        ("https://", "it has no host"),
        ("https://127.0.0.1/", "a loopback address"),
        ("https://127.1/", "a loopback address"),
        ("https://2130706433/", "a loopback address"),
        ("https://0x7f000001/", "a loopback address"),
        ("https://017700000001/", "a loopback address"),
        ("https://0177.0.0.0x1/", "a loopback address"),
        ("https://%31%32%37.0.0.1/", "a loopback address"),
        ("https://１２７.０.０.１/", "a loopback address"),
        ("https://127。0。0。1/", "a loopback address"),
        ("https:\\\\127.0.0.1\\", "a loopback address"),
        ("https:127.0.0.1/", "a loopback address"),
        ("https://[::1]/", "a loopback address"),
        ("https://localhost/", "a loopback address"),
        ("https://LocalHost./", "a loopback address"),
        ("https://app.localhost/", "a loopback address"),
        ("https://0/", "the unspecified address"),
        ("https://0.0.0.0/", "the unspecified address"),
        ("https://0.1.2.3/", "\"this network\""),
        ("https://10.0.0.1/", "a private address"),
        ("https://172.16.0.1/", "a private address"),
        ("https://192.168.0.1/", "a private address"),
        ("https://[fd12:3456::1]/", "a private address"),
        ("https://100.64.0.1/", "carrier-grade NAT"),
        ("https://169.254.1.1/", "a link-local address"),
        ("https://[fe80::1]/", "a link-local address"),
        ("https://[fe80::1%25eth0]/", "not a valid address"),
        ("https://[fe80::1%eth0]/", "not a valid address"),
        ("https://[fec0::1]/", "a site-local address"),
        ("https://169.254.169.254/latest/meta-data/", "cloud metadata"),
        ("https://0xa9fea9fe/", "cloud metadata"),
        ("https://169.254.170.2/v2/credentials", "cloud metadata"),
        ("https://100.100.100.200/", "cloud metadata"),
        ("https://[fd00:ec2::254]/", "cloud metadata"),
        ("https://[::ffff:127.0.0.1]/", "mapped into IPv6"),
        ("https://[::ffff:a9fe:a9fe]/", "mapped into IPv6"),
        ("https://[::127.0.0.1]/", "an IPv4-compatible"),
        ("https://[64:ff9b::10.0.0.1]/", "a NAT64 address"),
        ("https://[64:ff9b:1::10.0.0.1]/", "a NAT64 address"),
        ("https://[2002:7f00:1::]/", "a 6to4 address"),
        ("https://[2001:0:7f00:1::]/", "a Teredo address"),
        ("https://255.255.255.255/", "the broadcast address"),
        ("https://224.0.0.1/", "a multicast address"),
        ("https://[ff02::1]/", "a multicast address"),
        ("https://240.0.0.1/", "a reserved address"),
        ("https://198.18.0.1/", "a benchmarking address"),
        ("https://192.0.2.1/", "a documentation address"),
        ("https://198.51.100.1/", "a documentation address"),
        ("https://203.0.113.1/", "a documentation address"),
        ("https://[2001:db8::1]/", "a documentation address"),
        ("https://user@example.com/", "user name or password"),
        ("https://user:secret@example.com/", "user name or password"),
        ("https://example.com@127.0.0.1/", "user name or password"),
        ("https://127.0.0.1#@example.com/", "a loopback address"),
        ("https://127.0.0.1?@example.com/", "a loopback address"),
        ("https://127.0.0.1\\@example.com/", "a loopback address"),
        ("https://example.com\t/", "spaces or control characters"),
        ("https://exam\nple.com/", "spaces or control characters"),
        (" https://example.com/", "spaces or control characters"),
        ("https://example.com:22/", "port 22 is not allowed"),
        ("https://example.com:25/", "port 25 is not allowed"),
        ("https://example.com:5432/", "port 5432 is not allowed"),
        ("https://example.com:6379/", "port 6379 is not allowed"),
        ("https://example.com:0/", "port 0 is not allowed"),
        ("https://example.com:65536/", "not a number up to 65535"),
    ];
    for (url, why) in bad {
        for path in ["/v1/webhooks", &own] {
            let refused = app.post(path).json(json!({"url": url})).await.refused(422);
            assert_eq!(refused.bad_fields, ["url"], "{url}");
            assert!(
                refused.message.starts_with("url: ") && refused.message.contains(why),
                "{url}: {}",
                refused.message
            );
        }
    }
    assert_eq!((app.get("/v1/webhooks").await.ok(), app.get(&own).await.ok()), (Value::Null, Value::Null));
    assert_eq!(names.asked(), Vec::<String>::new(), "nothing is looked up for a URL that is refused");
    // Whom they pretended to be.
    for url in [
        "https://example.com/",
        "https://example.com:8443/hook?x=@127.0.0.1#@127.0.0.1",
        "https://127.0.0.1.example.com/",
    ] {
        app.post("/v1/webhooks").json(json!({"url": url})).await.ok();
    }
}

#[tokio::test]
async fn a_name_that_turns_bad_later_is_refused_then_and_never_called() {
    let (app, names) = installation().await;
    let (port, mut calls) = listen_everywhere().await;
    let number = app.post("/v1/numbers").await.ok()["phoneNumber"].as_str().unwrap().to_owned();
    names.says(&[&[PUBLIC], &["127.0.0.1"]]);
    app.post("/v1/webhooks").json(json!({"url": format!("https://hooks.example.test:{port}/")})).await.ok();
    let app = app.working();

    app.post("/sandbox/messages").json(json!({"from": "+14152011234", "to": number, "body": "Hi"})).await.ok();
    // The listener hangs up, so the first attempt fails as well: it was made.
    let first = delivery_when(&app, |delivery| delivery["attemptCount"] == 1).await;
    assert_ne!(first["errorMessage"], INSIDE);
    assert_eq!(calls.recv().await, Some(PUBLIC.parse().unwrap()));

    app.later(Duration::from_secs(6));
    let second = delivery_when(&app, |delivery| delivery["attemptCount"] == 2).await;
    assert_eq!((&second["status"], &second["errorMessage"]), (&json!("pending"), &json!(INSIDE)));
    for attempt in 3..=6 {
        app.later(Duration::from_secs(3 * 3600));
        delivery_when(&app, |delivery| delivery["attemptCount"] == attempt).await;
    }
    let last = delivery_when(&app, |delivery| delivery["status"] == "failed").await;
    assert_eq!((&last["errorMessage"], &last["httpStatus"]), (&json!(INSIDE), &Value::Null));
    assert!(calls.try_recv().is_err(), "an address that is not public was called");
    assert_eq!(names.asked(), vec!["hooks.example.test"; 6], "each attempt looks for itself");
}

#[tokio::test]
async fn whatever_a_name_server_says_only_public_addresses_are_called() {
    let (app, names) = installation().await;
    let (port, mut calls) = listen_everywhere().await;
    let test = async |host: &str, answer: &[&str]| {
        names.says(&[answer]);
        app.post("/v1/webhooks").json(json!({"url": format!("https://{host}:{port}/")})).await.ok();
        app.post("/v1/webhooks/test").await.ok()
    };
    let inside: [&[&str]; 20] = [
        &["127.0.0.1"],
        &["127.0.0.3"],
        &["10.0.0.1"],
        &["192.168.1.1"],
        &["100.64.0.1"],
        &["169.254.169.254"],
        &["169.254.170.2"],
        &["100.100.100.200"],
        &["0.0.0.0"],
        &["255.255.255.255"],
        &["224.0.0.1"],
        &["198.18.0.1"],
        &["192.0.2.1"],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["64:ff9b::7f00:1"],
        &["fd00:ec2::254"],
        &["fe80::1"],
        &["ff02::1"],
        &["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254"],
    ];
    for answer in inside {
        for host in ["hooks.example.test", "metadata.google.internal", "localhost.example.test"] {
            let result = test(host, answer).await;
            assert_eq!((&result["success"], &result["error"]), (&json!(false), &json!(INSIDE)), "{host} {answer:?}");
        }
    }
    assert!(calls.try_recv().is_err(), "an address that is not public was called");
    // Of a mixed answer what is public is called, and nothing else is tried.
    let mixed = test("hooks.example.test", &["127.0.0.1", "10.0.0.1", PUBLIC, "::1"]).await;
    assert_ne!(mixed["error"], INSIDE);
    assert_eq!(calls.recv().await, Some(PUBLIC.parse().unwrap()));
    assert!(calls.try_recv().is_err());
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let (app, customer, inside) =
        (TestApp::start().await, WebhookReceiver::start().await, WebhookReceiver::start().await);
    for to in [inside.url(), "http://169.254.169.254/latest/meta-data/".to_owned()] {
        customer.redirect(&to);
        app.post("/v1/webhooks").json(json!({"url": customer.url()})).await.ok();
        let result = app.post("/v1/webhooks/test").await.ok();
        assert_eq!(result["error"], "the endpoint answered 307, and redirects are not followed");
    }
    assert_eq!((customer.received().len(), inside.received().len()), (2, 0));
}

/// From the configuration to the client that calls.
#[tokio::test]
async fn an_operators_exception_opens_what_it_names_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("OFFHOOK_DATA", folder.path().to_str().unwrap()),
        ("OFFHOOK_SECRET_KEY", &"07".repeat(32)),
        ("OFFHOOK__WEBHOOKS__ALLOWED_NETWORKS", "10.1.0.0/16,169.254.0.0/16,fd00::/8"),
    ];
    let setting = |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let app = startup::open(Config::load(&setting).unwrap()).await.unwrap();
    let opened = [
        "https://10.1.2.3/",
        "https://[::ffff:10.1.2.3]/",
        "https://169.254.1.1/",
        "https://[fd00::1]/",
        "https://example.com/",
    ];
    for url in opened {
        app.guard.check(url).expect(url);
    }
    let closed = [
        "http://10.1.2.3/",
        "https://10.2.0.1/",
        "https://[64:ff9b::10.1.2.3]/",
        "https://169.254.169.254/",
        "https://[::ffff:169.254.169.254]/",
        "https://[fd00:ec2::254]/",
        "https://127.0.0.1/",
        "http://127.0.0.1/",
        "https://10.1.2.3:6379/",
    ];
    for url in closed {
        app.guard.check(url).expect_err(url);
    }
}
