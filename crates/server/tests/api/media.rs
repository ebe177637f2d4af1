//! Files that go with messages: fetched once, kept, and served under links.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use offhook_carriers::Submission;
use offhook_carriers::twilio::{Settings, TwilioCarrier};
use offhook_domain::message::{Direction, SendOutcome};
use offhook_domain::{Id, MessageId};
use offhook_server::app::media;
use offhook_store::media::{MediaJob, StoredMedia};
use offhook_store::{StoreError, Tx};
use offhook_testkit::fake_carriers::FakeTwilio;
use offhook_testkit::webhook_receiver::{Mode, WebhookReceiver};
use serde_json::{Value, json};

use crate::app::{Answer, Sends, Setup, TestApp, id};

const OURS: &str = "+14155550100";
const ADA: &str = "+14152011234";
const BOB: &str = "+14152011235";
const PICTURE: &str = "GIF89a, a cat";
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A carrier that takes everything, and remembers it.
#[derive(Default)]
struct Taking(Mutex<Vec<Submission>>);

impl Sends for Taking {
    fn send(&self, submission: &Submission) -> SendOutcome {
        let mut taken = self.0.lock().unwrap();
        taken.push(submission.clone());
        SendOutcome::Accepted { carrier_message_id: format!("SM{}", taken.len()) }
    }
}

impl Taking {
    async fn wait_for(&self, count: usize) -> Vec<Submission> {
        until(&format!("{count} submissions"), || async {
            let taken = self.0.lock().unwrap().clone();
            (taken.len() >= count).then_some(taken)
        })
        .await
    }
}

fn setup() -> Setup {
    Setup::default()
        .setting("OFFHOOK__MEDIA__FETCH", true)
        .setting("OFFHOOK__MEDIA__RETRY_SECONDS", "1")
        .setting("OFFHOOK__MEDIA__TIMEOUT_SECONDS", 2)
        .setting("OFFHOOK__MEDIA__MAX_BYTES", 10_000)
        .setting("OFFHOOK__PRICES__SANDBOX_FREE", false)
}

/// An installation whose carrier takes everything, with a number and its workers.
async fn studio() -> (TestApp, Arc<Taking>) {
    studio_of(setup()).await
}

async fn studio_of(setup: Setup) -> (TestApp, Arc<Taking>) {
    let taking = Arc::new(Taking::default());
    let app = setup.sending(&taking).start().await.working();
    app.number(OURS).await;
    app.credit(10).await;
    (app, taking)
}

/// Who has the files: each path another one.
async fn source() -> WebhookReceiver {
    let source = WebhookReceiver::start().await;
    source.answer_each(|asked| match asked.uri.path() {
        "/cat.gif" => file("image/gif", PICTURE),
        "/unknown" => file("application/octet-stream", PICTURE),
        "/page.html" => file("text/html", "<script>alert(1)</script>"),
        "/empty.gif" => file("image/gif", ""),
        "/part.gif" => Mode::Answer { status: 206, content_type: "image/gif", body: "GIF8".into() },
        "/large.gif" => Mode::Huge(10_001),
        "/endless.gif" => Mode::StreamForever,
        "/slow.gif" => Mode::Drip(Duration::from_millis(100)),
        "/metadata.gif" => Mode::Redirect("http://169.254.169.254/latest/meta-data/".to_owned()),
        "/moved.gif" => Mode::Redirect("/cat.gif".to_owned()),
        "/circle.gif" => Mode::Redirect("/circle.gif".to_owned()),
        _ => Mode::status(404),
    });
    source
}

fn file(content_type: &'static str, body: &'static str) -> Mode {
    Mode::Answer { status: 200, content_type, body: body.into() }
}

fn at(source: &WebhookReceiver, path: &str) -> String {
    format!("http://{}{path}", source.address())
}

impl TestApp {
    async fn sends(&self, to: &str, body: &str, media_urls: &[String]) -> String {
        let message = json!({"from_number": OURS, "to_number": to, "body": body, "media_urls": media_urls});
        id(&self.post("/v1/messages").json(message).await.ok())
    }

    /// A file by its link, as somebody without a key has it.
    async fn open(&self, link: &str) -> Answer {
        self.stranger().get(&path(link)).await
    }

    async fn message(&self, message: &str) -> Value {
        let conversations = self.get("/v1/conversations").await.ok();
        for conversation in conversations["data"].as_array().unwrap() {
            let all = self.get(&format!("/v1/conversations/{}/messages", id(conversation))).await.ok();
            if let Some(found) = all["data"].as_array().unwrap().iter().find(|one| one["id"] == message) {
                return found.clone();
            }
        }
        panic!("no message {message}")
    }

    async fn ended(&self, message: &str) -> Value {
        until("the end of a message", || async {
            let found = self.message(message).await;
            (found["status"] != "queued").then_some(found)
        })
        .await
    }

    /// Objects in the folder.
    fn objects(&self) -> Vec<PathBuf> {
        let Ok(folders) = std::fs::read_dir(self.app.config.storage.data_dir.join("media")) else { return Vec::new() };
        let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().path()).collect()
    }
}

/// What of a link is asked of this server.
fn path(link: &str) -> String {
    let path = link.strip_prefix("http://127.0.0.1:8080").unwrap_or_else(|| panic!("{link} is no link of ours"));
    path.to_owned()
}

async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let found = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("{what} did not come"))
}

#[tokio::test]
async fn a_carrier_gets_a_link_of_ours_and_the_source_is_asked_once() {
    let (app, carrier) = studio().await;
    let source = source().await;
    let asked = [at(&source, "/cat.gif"), at(&source, "/moved.gif"), at(&source, "/unknown")];
    let message = app.sends(ADA, "Look", &asked).await;
    let links = carrier.wait_for(1).await.remove(0).media_urls;
    assert_eq!(links.len(), 3);
    for link in &links {
        let file = app.open(link).await;
        assert_eq!((file.status.as_u16(), file.text.as_str()), (200, PICTURE));
        assert_eq!(file.header("content-type"), "image/gif");
        assert_eq!(file.header("content-length"), PICTURE.len().to_string());
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        assert!(file.header("content-disposition").starts_with("inline; filename=\"med_"));
        assert!(file.headers.get("set-cookie").is_none());
    }
    let part = app.stranger().get(&path(&links[0])).header("range", "bytes=8-").await;
    assert_eq!((part.status.as_u16(), part.text.as_str()), (206, "a cat"));
    assert_eq!(part.header("content-range"), "bytes 8-12/13");
    let beyond = app.stranger().get(&path(&links[0])).header("range", "bytes=13-").await;
    assert_eq!(beyond.header("content-range"), "bytes */13");
    beyond.refused(416);
    // The customer sees what they sent.
    assert_eq!(app.message(&message).await["mediaUrls"], json!(asked));
    // A redirect is a request more.
    assert_eq!(source.received().len(), 4);
    assert!(source.received().iter().all(|asked| asked.header("authorization").is_empty()));
}

#[tokio::test]
async fn what_is_said_behind_a_picture_waits_for_it_and_nothing_else_does() {
    let (app, carrier) = studio().await;
    let source = source().await;
    source.delay(Duration::from_millis(700));
    app.sends(ADA, "one", &[]).await;
    app.sends(ADA, "two", &[at(&source, "/cat.gif")]).await;
    app.sends(ADA, "three", &[]).await;
    app.sends(ADA, "four", &[at(&source, "/cat.gif"), at(&source, "/unknown")]).await;
    app.sends(ADA, "five", &[]).await;
    app.sends(BOB, "elsewhere", &[]).await;
    let first = carrier.wait_for(2).await;
    let mut first: Vec<&str> = first[..2].iter().map(|one| one.body.as_str()).collect();
    first.sort_unstable();
    assert_eq!(first, ["elsewhere", "one"]);
    let bodies = |all: Vec<Submission>| -> Vec<String> {
        all.into_iter().filter(|one| one.to == ADA).map(|one| one.body).collect()
    };
    assert_eq!(bodies(carrier.wait_for(6).await), ["one", "two", "three", "four", "five"]);
    // The conversation is free again.
    app.sends(ADA, "six", &[]).await;
    assert_eq!(bodies(carrier.wait_for(7).await).last().unwrap(), "six");
}

#[tokio::test]
async fn a_file_that_can_not_be_had_ends_its_message_and_is_paid_back() {
    let (app, carrier) = studio().await;
    let source = source().await;
    let wallet = app.wallet().await;
    let bad = [
        (at(&source, "/large.gif"), "11751"),
        (at(&source, "/endless.gif"), "11751"),
        (at(&source, "/page.html"), "12300"),
        (at(&source, "/nothing.gif"), "11200"),
        (at(&source, "/empty.gif"), "11200"),
        (at(&source, "/part.gif"), "11200"),
        (at(&source, "/slow.gif"), "11200"),
        (at(&source, "/circle.gif"), "11200"),
        (at(&source, "/metadata.gif"), "21620"),
        ("http://169.254.169.254/latest/meta-data/".to_owned(), "21620"),
        ("https://10.0.0.1/cat.gif".to_owned(), "21620"),
    ];
    let mut sent = Vec::new();
    for (n, (url, code)) in bad.iter().enumerate() {
        let to = format!("+1415201{:04}", 2000 + n);
        sent.push((app.sends(&to, "Look", std::slice::from_ref(url)).await, url, *code));
    }
    for (message, url, code) in sent {
        let ended = app.ended(&message).await;
        assert_eq!((&ended["status"], &ended["errorCode"]), (&json!("failed"), &json!(code)), "{url}: {ended}");
        assert!(!ended["failureReason"].as_str().unwrap().contains("169.254"), "{ended}");
    }
    assert!(carrier.0.lock().unwrap().is_empty());
    assert_eq!(app.wallet().await, wallet);
    assert_eq!(app.objects(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_server_that_others_reach_fetches_nothing_from_its_own_machine() {
    let source = source().await;
    let own = source.address().port();
    for listen in ["0.0.0.0:8080".to_owned(), format!("127.0.0.1:{own}")] {
        let (app, _) = studio_of(setup().setting("OFFHOOK_LISTEN", &listen)).await;
        let ended = app.ended(&app.sends(ADA, "Look", &[at(&source, "/cat.gif")]).await).await;
        assert_eq!((&ended["status"], &ended["errorCode"]), (&json!("failed"), &json!("21620")), "{listen}: {ended}");
    }
    assert!(source.received().is_empty());
}

#[tokio::test]
async fn a_source_that_fails_once_is_asked_again() {
    let (app, carrier) = studio().await;
    let source = source().await;
    for mishap in [Mode::status(503), Mode::ResetMidway] {
        let before = source.received().len();
        source.once(mishap);
        let to = format!("+1415201{:04}", 3000 + before);
        app.sends(&to, "Look", &[at(&source, "/cat.gif")]).await;
        let taken = carrier.0.lock().unwrap().len();
        let link = carrier.wait_for(taken + 1).await.pop().unwrap().media_urls.remove(0);
        assert_eq!(app.open(&link).await.text, PICTURE);
        assert_eq!(source.received().len(), before + 2);
    }
}

#[tokio::test]
async fn a_picture_that_comes_in_is_told_of_at_once_and_its_link_waits_for_it() {
    let (app, _) = studio().await;
    let (source, customer) = (source().await, WebhookReceiver::start().await);
    app.post("/v1/webhooks").json(json!({"url": customer.url()})).await.ok();
    source.delay(Duration::from_millis(500));
    app.is_sent(ADA, OURS, "", &[&at(&source, "/cat.gif"), &at(&source, "/page.html")]).await;
    let told = customer.wait_for(1).await[0].json["data"].clone();
    let link = told["mediaUrl"].as_str().unwrap().to_owned();
    assert_eq!(told["mediaUrls"][0], json!(link));
    let file = app.open(&link).await;
    assert_eq!((file.status.as_u16(), file.text.as_str()), (200, PICTURE));
    // What is not known to be harmless is nothing that a browser shows.
    let page = app.open(told["mediaUrls"][1].as_str().unwrap()).await;
    assert_eq!(page.header("content-type"), "application/octet-stream");
    assert!(page.header("content-disposition").starts_with("attachment"));
    assert_eq!(source.received().len(), 2);

    let conversation = id(&app.get("/v1/conversations").await.ok()["data"][0]);
    let listed = app.get(&format!("/v1/conversations/{conversation}/messages")).await.ok();
    assert_eq!(listed["data"][0]["mediaUrls"], told["mediaUrls"]);
    let other = app.second_account().await;
    other.get(&format!("/v1/conversations/{conversation}/messages")).await.refused(404);
}

#[tokio::test]
async fn a_carrier_that_has_the_file_no_more_leaves_a_dead_link() {
    let (app, _) = studio().await;
    let source = source().await;
    app.is_sent(ADA, OURS, "Look", &[&at(&source, "/large.gif")]).await;
    let conversation = id(&app.get("/v1/conversations").await.ok()["data"][0]);
    let listed = app.get(&format!("/v1/conversations/{conversation}")).await.ok();
    let link = listed["messages"][0]["mediaUrl"].as_str().unwrap().to_owned();
    assert_eq!(app.open(&link).await.refused(404).code, "MEDIA_NOT_FOUND");
}

#[tokio::test]
async fn a_link_opens_what_it_is_for_until_it_expires() {
    let (app, _) = studio().await;
    let source = source().await;
    app.is_sent(ADA, OURS, "", &[&at(&source, "/cat.gif"), &at(&source, "/unknown")]).await;
    let message = app.get("/v1/conversations").await.ok()["data"][0].clone();
    let listed = app.get(&format!("/v1/conversations/{}", id(&message))).await.ok();
    let links = listed["messages"][0]["mediaUrls"].clone();
    let (one, other) = (path(links[0].as_str().unwrap()), path(links[1].as_str().unwrap()));
    assert_eq!(app.stranger().get(&one).await.text, PICTURE);
    let (bare, query) = one.split_once('?').unwrap();
    let other_path = other.split_once('?').unwrap().0;
    let last = if query.ends_with('0') { "1" } else { "0" };
    for wrong in [
        bare.to_owned(),
        format!("{bare}?"),
        format!("{other_path}?{query}"),
        format!("{bare}?{}{last}", &query[..query.len() - 1]),
        format!("{bare}?{}", query.replacen("expires=1", "expires=2", 1)),
        format!("{bare}?{query}&expires=9999999999"),
        format!("{bare}/?{query}"),
        format!("/media/..%2f?{query}"),
        format!("/media/med_?{query}"),
        format!("{}?{query}", bare.replace("med_", "%6ded_")),
    ] {
        let refused = app.stranger().get(&wrong).await;
        assert_eq!(refused.status.as_u16(), 404, "{wrong}");
    }
    app.later(DAY * 7);
    assert_eq!(app.stranger().get(&one).await.text, PICTURE);
    app.later(DAY);
    app.stranger().get(&one).await.refused(404);
    let listed = app.get(&format!("/v1/conversations/{}", id(&message))).await.ok();
    assert_eq!(app.open(listed["messages"][0]["mediaUrl"].as_str().unwrap()).await.text, PICTURE);
}

#[tokio::test]
async fn the_files_of_a_person_go_with_what_they_wrote() {
    let (app, carrier) = studio().await;
    let source = source().await;
    app.is_sent(ADA, OURS, "", &[&at(&source, "/cat.gif")]).await;
    app.is_sent(BOB, OURS, "", &[&at(&source, "/cat.gif")]).await;
    app.sends(ADA, "Look", &[at(&source, "/cat.gif")]).await;
    let link = carrier.wait_for(1).await.remove(0).media_urls.remove(0);
    until("the files", || async { (app.objects().len() == 3).then_some(()) }).await;
    until("the end of the message", || async {
        let erased = app.post("/v1/privacy/erase").json(json!({"phoneNumber": ADA})).await.ok();
        (erased["left"] == 0).then_some(())
    })
    .await;
    app.open(&link).await.refused(404);
    until("the files to go", || async { (app.objects().len() == 1).then_some(()) }).await;
}

#[tokio::test]
async fn what_is_past_its_time_goes_with_its_files() {
    let (app, _) = studio().await;
    let source = source().await;
    app.is_sent(ADA, OURS, "", &[&at(&source, "/cat.gif")]).await;
    until("the file", || async { (app.objects().len() == 1).then_some(()) }).await;
    app.patch("/v1/account").json(json!({"retentionDays": 1})).await.ok();
    app.later(DAY * 2);
    offhook_server::jobs::retention::round(&app.app).await.unwrap();
    until("the file to go", || async { app.objects().is_empty().then_some(()) }).await;
}

/// A node that was cut off between its claim and its commit, and comes back.
#[tokio::test]
async fn a_fetch_that_was_cut_off_is_done_again_and_leaves_nothing() {
    let taking = Arc::new(Taking::default());
    let app = setup().sending(&taking).start().await;
    app.number(OURS).await;
    app.credit(10).await;
    let source = source().await;
    app.sends(ADA, "Look", &[at(&source, "/cat.gif")]).await;
    let now = app.app.now();
    let lost: MediaJob = app
        .app
        .store
        .write::<_, StoreError>(async move |tx: &mut Tx| {
            let account = tx.accounts_with_media_due(now).await?.remove(0);
            let job = tx.media_due(&account, now, 1).await?.remove(0);
            assert!(tx.claim_media(&job, now).await?);
            assert!(!tx.claim_media(&job, now).await?, "only once");
            Ok(job)
        })
        .await
        .unwrap();
    assert_eq!((lost.direction, lost.attempts), (Direction::Outbound, 0));
    app.app.media.put(&lost.object(), "half a cat".into()).await.unwrap();

    let app = app.working();
    let link = taking.wait_for(1).await.remove(0).media_urls.remove(0);
    assert_eq!(app.open(&link).await.text, PICTURE);
    // It comes too late: what it has is of no use.
    let (late, removals) = (lost.clone(), media::removals(&app.app));
    let stored = StoredMedia { object: lost.object(), content_type: "image/gif".to_owned(), size: 10 };
    let is_stored = app
        .app
        .store
        .write::<_, StoreError>(async move |tx: &mut Tx| {
            tx.media_is_stored(&late, &stored, removals.now, removals.leftovers_due).await
        })
        .await
        .unwrap();
    assert!(!is_stored);
    app.later(media::claim(&app.app.config.media));
    until("what was left to go", || async { (app.objects().len() == 1).then_some(()) }).await;
    assert_eq!(app.open(&link).await.text, PICTURE);
}

#[tokio::test]
async fn an_operator_may_leave_files_where_they_are() {
    let (app, carrier) = studio_of(Setup::default()).await;
    app.sends(ADA, "Look", &["https://example.com/cat.gif".to_owned()]).await;
    assert_eq!(carrier.wait_for(1).await[0].media_urls, ["https://example.com/cat.gif"]);
}

#[tokio::test]
async fn a_message_whose_number_is_given_up_while_its_file_comes_is_not_sent() {
    let (app, carrier) = studio().await;
    let source = source().await;
    source.delay(Duration::from_millis(500));
    let number = app.get("/v1/numbers").await.ok()["data"][0].clone();
    let message = app.sends(ADA, "Look", &[at(&source, "/cat.gif")]).await;
    app.delete(&format!("/v1/numbers/{}", id(&number))).await.ok();
    assert_eq!(app.ended(&message).await["status"], "failed");
    source.wait_for(1).await;
    assert!(MessageId::parse(&message).is_ok() && carrier.0.lock().unwrap().is_empty());
}

const PUBLIC: &str = "https://phone.example.com/offhook";

fn twilio_at(base_url: &str) -> Arc<TwilioCarrier> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let settings = Settings {
        name: "main",
        account_sid: FakeTwilio::ACCOUNT.to_owned(),
        auth_token: FakeTwilio::TOKEN.into(),
        messaging_service_sid: None,
        base_url: base_url.parse().unwrap(),
        public_url: PUBLIC.to_owned(),
    };
    Arc::new(TwilioCarrier::new(settings).unwrap())
}

#[tokio::test]
async fn twilio_is_given_a_link_below_the_public_url() {
    let twilio = FakeTwilio::selling(&[OURS]).await;
    let setup = setup().setting("OFFHOOK__SERVER__PUBLIC_URL", PUBLIC).carrier(twilio_at(&twilio.url()));
    let app = setup.start().await.working();
    app.credit(10).await;
    app.post("/v1/numbers").json(json!({"areaCode": "415"})).await.ok();
    let source = source().await;
    app.sends(ADA, "Look", &[at(&source, "/cat.gif")]).await;
    let link = until("the text", || async { twilio.texts("MediaUrl").first().cloned() }).await.remove(0);
    // A proxy takes away what stands before our paths.
    let path = link.strip_prefix(PUBLIC).unwrap_or_else(|| panic!("{link}"));
    assert_eq!(app.stranger().get(path).await.text, PICTURE);
}

#[tokio::test]
async fn a_picture_at_twilio_is_fetched_with_its_login_which_nobody_else_gets() {
    let (twilio, store) = (WebhookReceiver::start().await, source().await);
    let elsewhere = at(&store, "/cat.gif");
    twilio.answer_each(move |asked| match asked.header("authorization") {
        "" => Mode::status(401),
        _ => Mode::Redirect(elsewhere.clone()),
    });
    let base = format!("http://{}", twilio.address());
    let setup = setup().setting("OFFHOOK__SERVER__PUBLIC_URL", PUBLIC).carrier(twilio_at(&base));
    let app = setup.start().await.working();
    app.number(OURS).await;
    let (first, second) = (format!("{base}/Media/ME1"), at(&store, "/cat.gif"));
    let form = [
        ("MessageSid", "SMinbound1"),
        ("From", ADA),
        ("To", OURS),
        ("Body", ""),
        ("NumMedia", "2"),
        ("MediaUrl0", first.as_str()),
        ("MediaUrl1", second.as_str()),
    ];
    for _ in 0..2 {
        let hook = FakeTwilio::hook(&format!("{PUBLIC}/hooks/twilio/main/message"), &form);
        let call = app.stranger().post(&hook.path).text(hook.body);
        let answer = hook.headers.iter().fold(call, |call, (name, value)| call.header(name, value)).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
    }
    let conversation = id(&app.get("/v1/conversations").await.ok()["data"][0]);
    let listed = app.get(&format!("/v1/conversations/{conversation}")).await.ok();
    assert_eq!(listed["messages"].as_array().unwrap().len(), 1);
    for link in listed["messages"][0]["mediaUrls"].as_array().unwrap() {
        let path = link.as_str().unwrap().strip_prefix(PUBLIC).unwrap();
        assert_eq!(app.stranger().get(path).await.text, PICTURE, "{:?} {:?}", twilio.received(), store.received());
    }
    let asked = twilio.received();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].header("authorization").starts_with("Basic "));
    assert_eq!(store.received().len(), 2);
    assert!(store.received().iter().all(|asked| asked.header("authorization").is_empty()));
}
