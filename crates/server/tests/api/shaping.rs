//! Messages that wait for their turn: as fast as the campaign may and no faster, in order, whoever sends them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use offhook_carriers::Submission;
use offhook_domain::Timestamp;
use offhook_domain::message::{Failure, SendOutcome};
use offhook_server::app::registration::{self, CampaignCommand, CampaignReport};
use offhook_server::lifecycle::{Lifecycle, Stopped};
use offhook_server::serve;
use offhook_store::Engine;
use serde_json::{Value, json};

use crate::app::{Sends, Setup, TestApp};
use crate::registration::form;

/// Slots are kept exactly; when a message leaves is up to a busy machine.
const JITTER: Duration = Duration::from_millis(60);

/// Takes every message and notes when.
#[derive(Default)]
struct Recorder {
    taken: Mutex<Vec<Taken>>,
    /// So many it does not take, first.
    busy: Mutex<usize>,
}

#[derive(Debug, Clone)]
struct Taken {
    at: Instant,
    from: String,
    to: String,
    body: String,
}

impl Recorder {
    fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    async fn until(&self, count: usize) -> Vec<Taken> {
        let all = tokio::time::timeout(Duration::from_secs(30), async {
            while self.taken().len() < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        all.await.unwrap_or_else(|_| panic!("{} of {count} went", self.taken().len()));
        self.taken()
    }
}

impl Sends for Recorder {
    fn send(&self, submission: &Submission) -> SendOutcome {
        let mut busy = self.busy.lock().unwrap();
        if *busy > 0 {
            *busy -= 1;
            return SendOutcome::NotTaken(Failure::new("30002", "busy"));
        }
        let mut taken = self.taken.lock().unwrap();
        taken.push(Taken {
            at: Instant::now(),
            from: submission.from.to_string(),
            to: submission.to.clone(),
            body: submission.body.clone(),
        });
        SendOutcome::Accepted { carrier_message_id: format!("at-carrier-{}", submission.message_id) }
    }
}

/// An account whose campaign is approved as of a class, and the carrier.
async fn campaign(setup: Setup, registration_type: &str, class: &str) -> (TestApp, Arc<Recorder>) {
    let carrier = Arc::new(Recorder::default());
    let app = setup.sending(&carrier).start().await;
    app.post("/v1/register").json(form(registration_type)).await.ok();
    let run = async |command| registration::run(&app.app.store, &*app.app.clock, command).await;
    let CampaignReport::Listed { campaigns } = run(CampaignCommand::List { all: false }).await else { panic!() };
    let (id, class) = (campaigns[0].id.clone(), Some(class.to_owned()));
    assert!(matches!(run(CampaignCommand::Approve { id, class }).await, CampaignReport::Decided { .. }));
    (app, carrier)
}

async fn send(app: &TestApp, from: &str, to: usize, body: impl ToString) -> Value {
    let to = format!("+1415201{to:04}");
    app.post("/v1/messages").json(json!({"from_number": from, "to_number": to, "body": body.to_string()})).await.ok()
}

/// Never more in any time than the rate allows, but for the jitter; and not much slower than it.
#[track_caller]
fn check_rate(taken: &[Taken], per_second: f64) {
    let mut at: Vec<Instant> = taken.iter().map(|one| one.at).collect();
    at.sort();
    for (n, first) in at.iter().enumerate() {
        for (count, last) in at[n..].iter().enumerate().skip(1) {
            let allowed = (last.duration_since(*first) + JITTER).as_secs_f64() * per_second;
            assert!(count as f64 <= allowed.max(1.0), "{count} in {:?}", last.duration_since(*first));
        }
    }
    let all = (at.len() - 1) as f64 / per_second;
    let took = at[at.len() - 1].duration_since(at[0]).as_secs_f64();
    assert!(took <= all * 1.25 + 0.5, "{took} s for what goes in {all}");
}

/// Each conversation's in the order they were asked for in.
#[track_caller]
fn check_order(taken: &[Taken]) {
    let mut last: HashMap<(String, String), usize> = HashMap::new();
    for one in taken {
        let body: usize = one.body.parse().unwrap();
        let before = last.insert((one.from.clone(), one.to.clone()), body);
        assert!(before.is_none_or(|before| before < body), "{} after {before:?}", one.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_sends_as_fast_as_it_may_from_all_its_numbers_together() {
    let (app, carrier) = campaign(Setup::default(), "high_volume", "highest_trust").await;
    let numbers = ["+14155550100", "+14155550101", "+14155550102"];
    for number in numbers {
        app.number(number).await;
    }
    for n in 0..300 {
        send(&app, numbers[n % 3], n % 100, n).await;
    }
    let app = app.working();
    let taken = carrier.until(300).await;
    check_rate(&taken, 225.0);
    check_order(&taken);
    // While there is enough to send from each, they have it in turn.
    for number in numbers {
        let of_one = taken[..150].iter().filter(|one| one.from == number).count();
        assert!((25..=75).contains(&of_one), "{of_one} of {number}");
    }
    drop(app);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_a_campaign_exactly() {
    let (app, carrier) = campaign(Setup::default().on(Engine::Postgres), "high_volume", "high_trust").await;
    let numbers: Vec<String> = (0..8).map(|n| format!("+1415555010{n}")).collect();
    for number in &numbers {
        app.number(number).await;
    }
    for n in 0..240 {
        send(&app, &numbers[n % 8], n % 120, n).await;
    }
    let (app, other) = (app.working(), Lifecycle::new(Duration::from_secs(10)));
    let next = app.next_process();
    serve::start_workers(&next, &other);
    let taken = carrier.until(240).await;
    other.stop();
    check_rate(&taken, 120.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_backlog_of_one_conversation_holds_up_no_other() {
    let (app, carrier) = campaign(Setup::default(), "high_volume", "standard_trust").await;
    app.number("+14155550100").await;
    for n in 0..40 {
        send(&app, "+14155550100", 1, n).await;
    }
    for to in 2..6 {
        send(&app, "+14155550100", to, "one").await;
    }
    let app = app.working();
    let taken = carrier.until(10).await;
    let others = taken[..10].iter().filter(|one| one.body == "one").count();
    assert_eq!(others, 4, "{taken:?}");
    check_rate(&taken, 12.0);
    drop(app);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_alone_goes_as_fast_as_commits_allow() {
    let (app, carrier) = campaign(Setup::default(), "high_volume", "highest_trust").await;
    app.number("+14155550100").await;
    for n in 0..60 {
        send(&app, "+14155550100", 1, n).await;
    }
    let app = app.working();
    let taken = carrier.until(60).await;
    let took = taken[59].at.duration_since(taken[0].at);
    // Some twenty a second are asked for; a quiet machine has far more.
    assert!(took < Duration::from_secs(4), "{took:?}");
    check_order(&taken);
    drop(app);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_day_has_no_room_for_waits_for_the_carriers_midnight_and_says_so() {
    let start = Timestamp::parse("2026-07-01T12:00:00Z").unwrap();
    let setup = Setup::default().standing_clock(start).setting("OFFHOOK__SHAPING__NUMBER_SEGMENTS_PER_DAY", 3);
    let (app, carrier) = campaign(setup, "high_volume", "highest_trust").await;
    let number = app.number("+14155550100").await;
    for n in 0..5 {
        send(&app, "+14155550100", n, n).await;
    }
    let app = app.working();
    carrier.until(3).await;
    let path = format!("/v1/numbers/{number}/messages");
    let statuses = async || -> Vec<(Value, bool)> {
        let list = app.get(&path).await.ok();
        let all = list["data"].as_array().unwrap().iter();
        all.map(|one| (one["status"].clone(), one["estimatedSendAt"].is_string())).collect()
    };
    let told = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let told = statuses().await;
            if told.iter().filter(|(status, _)| status == "sent").count() == 3 {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let told = told.await.unwrap();
    assert_eq!(told.iter().filter(|(status, waits)| status == "queued" && *waits).count(), 2, "{told:?}");
    // The day of the carriers ends at seven in the morning, UTC.
    app.later(Duration::from_secs(19 * 3600 + 60));
    carrier.until(5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_waited_long_for_its_turn_is_tried_again_all_the_same() {
    let (app, carrier) = campaign(Setup::default(), "high_volume", "highest_trust").await;
    app.number("+14155550100").await;
    *carrier.busy.lock().unwrap() = 1;
    for n in 0..3 {
        send(&app, "+14155550100", 1, n).await;
    }
    app.later(Duration::from_secs(10 * 3600));
    let _app = app.working();
    let bodies: Vec<String> = carrier.until(3).await.into_iter().map(|one| one.body).collect();
    assert_eq!(bodies, ["0", "1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_has_a_limit_of_its_own_without_a_campaign() {
    let carrier = Arc::new(Recorder::default());
    let app =
        Setup::default().sending(&carrier).setting("OFFHOOK__SHAPING__NUMBER_MESSAGES_PER_SECOND", 40).start().await;
    app.number("+14155550100").await;
    for n in 0..40 {
        send(&app, "+14155550100", n, n).await;
    }
    let _app = app.working();
    check_rate(&carrier.until(40).await, 40.0);
}

/// Where numbers may send unregistered, a rejected campaign limits nothing and an approved one does: the worker of the line
/// changes under what waits.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_while_a_campaign_is_approved_keeps_its_order() {
    let carrier = Arc::new(Recorder::default());
    let app = Setup::default().sending(&carrier).start().await;
    app.number("+14155550100").await;
    let run = async |command| registration::run(&app.app.store, &*app.app.clock, command).await;
    app.post("/v1/register").json(form("high_volume")).await.ok();
    let CampaignReport::Listed { campaigns } = run(CampaignCommand::List { all: false }).await else { panic!() };
    let id = campaigns[0].id.clone();
    let reject = CampaignCommand::Reject { id: id.clone(), reason: "The samples don't name the brand.".to_owned() };
    assert!(matches!(run(reject).await, CampaignReport::Decided { .. }));
    for n in 0..40 {
        assert_eq!(send(&app, "+14155550100", n % 2, n).await["estimated_send_at"], Value::Null);
    }
    let life = Lifecycle::new(Duration::from_secs(10));
    serve::start_workers(&app.app, &life);

    app.patch("/v1/register").json(json!({"city": "Oakland"})).await.ok();
    let approve = CampaignCommand::Approve { id, class: Some("highest_trust".to_owned()) };
    assert!(matches!(run(approve).await, CampaignReport::Decided { .. }));
    for n in 40..80 {
        assert!(send(&app, "+14155550100", n % 2, n).await["estimated_send_at"].is_string());
    }

    let taken = carrier.until(80).await;
    for receiver in ["+14152010000", "+14152010001"] {
        let bodies = taken.iter().filter(|one| one.to == receiver).map(|one| one.body.parse::<usize>().unwrap());
        assert!(bodies.is_sorted_by(|before, next| before < next), "{taken:?}");
    }
    life.stop();
    assert_eq!(life.run_until_stopped().await, Stopped::Drained);
}
