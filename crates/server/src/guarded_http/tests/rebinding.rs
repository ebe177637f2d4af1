//! Names that lead inside, by every road.

use offhook_testkit::webhook_receiver::WebhookReceiver;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;

/// Stands for the public address in these tests, as there is no other that can be connected to.
const PUBLIC: &str = "127.0.0.2";

fn policy() -> EgressPolicy {
    EgressPolicy { allowed: vec![format!("{PUBLIC}/32").parse().unwrap()], ..EgressPolicy::default() }
}

/// Accepts on every local address, closes at once, and tells which address was called.
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

async fn post(answers: &[&[&str]], port: u16, times: usize) -> Vec<FetchFailed> {
    let client = GuardedClient::with_lookup(policy(), Answers::new(answers)).unwrap();
    let mut failures = Vec::new();
    for _ in 0..times {
        let request = request(&client, &format!("https://hooks.example.test:{port}/"));
        failures.push(client.post(request).await.unwrap_err());
    }
    failures
}

fn refused(class: AddressClass) -> FetchFailed {
    FetchFailed::Refused(UrlRefused::ResolvesTo(class))
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_judged_each_time() {
    let (port, mut calls) = listen_everywhere().await;
    let failures = post(&[&[PUBLIC], &["127.0.0.1"], &["::ffff:127.0.0.1"], &["10.0.0.1"]], port, 4).await;
    // The listener hangs up on the first, which is how we know that it was called.
    assert!(matches!(failures[0], FetchFailed::Connect(_) | FetchFailed::Reset), "{:?}", failures[0]);
    assert_eq!(failures[1], refused(AddressClass::Loopback));
    assert_eq!(failures[2], refused(AddressClass::Ipv4Mapped));
    assert_eq!(failures[3], refused(AddressClass::Private));
    assert_eq!(calls.recv().await, Some(PUBLIC.parse().unwrap()));
    assert!(calls.try_recv().is_err(), "an address that was refused was called");
}

#[tokio::test]
async fn of_several_addresses_only_permitted_ones_are_called() {
    let (port, mut calls) = listen_everywhere().await;
    post(&[&["127.0.0.1", "169.254.169.254", PUBLIC, "::1"]], port, 2).await;
    for _ in 0..2 {
        assert_eq!(calls.recv().await, Some(PUBLIC.parse().unwrap()));
    }
    assert!(calls.try_recv().is_err());
}

#[tokio::test]
async fn the_sandbox_opens_loopback_to_localhost_only() {
    let receiver = WebhookReceiver::start().await;
    let port = receiver.address().port();
    let everything_inside = Answers::new(&[&["127.0.0.1"]]);
    let policy = EgressPolicy { allow_http_loopback: true, ..EgressPolicy::default() };
    let client = GuardedClient::with_lookup(policy, everything_inside).unwrap();
    let renamed = client.post(request(&client, &format!("https://hooks.example.test:{port}/"))).await;
    assert_eq!(renamed.unwrap_err(), refused(AddressClass::Loopback));
    for host in ["localhost", "app.localhost", "localhost.", "127.0.0.1", "2130706433", "0x7f.1"] {
        let answer = client.post(request(&client, &format!("http://{host}:{port}/"))).await;
        assert_eq!(answer.unwrap().status, 200, "{host}");
    }
    receiver.wait_for(6).await;
}

#[tokio::test]
async fn localhost_is_never_looked_up() {
    let receiver = WebhookReceiver::start().await;
    let policy = EgressPolicy { allow_http_loopback: true, ..EgressPolicy::default() };
    let client = GuardedClient::with_lookup(policy, Answers::new(&[&["192.0.2.1"]])).unwrap();
    let url = format!("http://localhost:{}/", receiver.address().port());
    assert_eq!(client.post(request(&client, &url)).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_url_approved_elsewhere_is_judged_again() {
    let receiver = WebhookReceiver::start().await;
    let strict = GuardedClient::new(EgressPolicy::default()).unwrap();
    let from_elsewhere = request(&sandbox(), &receiver.url());
    assert_eq!(strict.post(from_elsewhere).await.unwrap_err(), FetchFailed::Refused(UrlRefused::NotHttps));
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn a_name_without_an_answer_is_a_dns_failure() {
    assert_eq!(post(&[&[]], 443, 1).await, [FetchFailed::Dns]);
    // The real resolver, and a name that cannot exist (RFC 6761).
    let client = GuardedClient::new(EgressPolicy::default()).unwrap();
    let failed = client.post(request(&client, "https://hooks.invalid/")).await.unwrap_err();
    assert_eq!(failed, FetchFailed::Dns);
}

#[tokio::test(start_paused = true)]
async fn a_dead_name_server_is_given_up_on() {
    struct Dead;
    impl Lookup for Dead {
        fn lookup(&self, _host: String) -> BoxFuture<'_, Result<Vec<IpAddr>, LookupFailed>> {
            std::future::pending().boxed()
        }
    }
    let client = GuardedClient::with_lookup(EgressPolicy::default(), Arc::new(Dead)).unwrap();
    let mut patient = request(&client, "https://example.com/");
    patient.timeout = Duration::from_secs(60);
    assert_eq!(client.post(patient).await.unwrap_err(), FetchFailed::Dns);
}

#[tokio::test]
async fn the_systems_resolver_shares_answers() {
    let system = SystemLookup::default();
    let (one, two) = tokio::join!(system.lookup("localhost".to_owned()), system.lookup("localhost".to_owned()));
    assert!(one.as_ref().unwrap().iter().all(IpAddr::is_loopback));
    assert_eq!(one, two);
    // Nothing is remembered: the next connection gets a new answer.
    assert_eq!(system.lookup("localhost".to_owned()).await, two);
}

/// The whole road of a real webhook: a name, an address, a certificate for that name, an answer.
#[tokio::test]
async fn https_to_a_name_works_and_certificates_count() {
    let receiver = WebhookReceiver::start().await;
    let port = tls_in_front_of(receiver.address()).await;
    let root = reqwest::Certificate::from_pem(include_bytes!("../test_certificates/ca.pem")).unwrap();
    let trusting = EgressPolicy { extra_roots: vec![root], ..policy() };
    let client = GuardedClient::with_lookup(trusting, Answers::new(&[&["10.0.0.1", PUBLIC]])).unwrap();

    let good = client.post(request(&client, &format!("https://hooks.example.test:{port}/hook"))).await.unwrap();
    assert_eq!(good.status, 200);
    assert_eq!(receiver.wait_for(1).await[0].header("host"), format!("hooks.example.test:{port}"));

    let other_name = client.post(request(&client, &format!("https://other.example.test:{port}/"))).await;
    assert!(matches!(other_name.unwrap_err(), FetchFailed::Tls(_)));
    let distrusting = GuardedClient::with_lookup(policy(), Answers::new(&[&[PUBLIC]])).unwrap();
    let unknown_root = distrusting.post(request(&distrusting, &format!("https://hooks.example.test:{port}/"))).await;
    assert!(matches!(unknown_root.unwrap_err(), FetchFailed::Tls(_)));
    assert_eq!(receiver.received().len(), 1);
}

/// Ends TLS with a certificate for hooks.example.test, made for these tests and worth nothing elsewhere.
async fn tls_in_front_of(target: std::net::SocketAddr) -> u16 {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("../test_certificates/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../test_certificates/server.key")).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((PUBLIC, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut inner = tokio::net::TcpStream::connect(target).await.unwrap();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut inner).await });
            }
        }
    });
    port
}
