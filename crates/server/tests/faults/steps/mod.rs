//! The connection to PostgreSQL is cut at every message of a transaction, before the message is forwarded and after it,
//! COMMIT included; once the database is there again at once, and once it stays away until that is known.
//!
//! What is answered must be true, what is accepted must be done, once, and the money must add up.

mod requests;
mod work;

use std::future::Future;
use std::time::{Duration, Instant};

use offhook_store::Store;
use offhook_testkit::tcp_proxy::postgres::{FirstStatement, Place, PostgresWire, Seen, cut_transaction};
use offhook_testkit::tcp_proxy::{Cut, Cutting, TcpProxy};
use serde_json::json;

use crate::cast::Cast;
use crate::client::{Answer, Client, NoAnswer};
use crate::database::{Database, count};
use crate::from_environment;
use crate::ledger_of_deeds::Outcome;
use crate::process::Offhook;
use crate::reckoning;

const HANDSET: &str = "+14155559876";
const DONE_WITHIN: Duration = Duration::from_secs(30);
/// Few connections, so that the next transaction meets one that has its statements; and many numbers for little money.
const SETTINGS: &[(&str, &str)] = &[
    ("OFFHOOK__STORAGE__POSTGRES_CONNECTIONS", "2"),
    ("OFFHOOK__LIMITS__NUMBERS_PER_ACCOUNT", "100000"),
    ("OFFHOOK__PRICES__NUMBER_MONTH_MICROS", "1_000"),
];

/// A cut at one message.
#[derive(Debug, Clone, Copy)]
struct Step {
    place: Place,
    /// Whether the database stays away until the test has seen what that leads to.
    away: bool,
    /// Whether the answers to what went out before are lost, too.
    deaf: bool,
}

/// The steps of a transaction of so many messages. Each message has its turn, COMMIT (the last) with both sides, and once
/// with all the answers that are still to come; a campaign takes both sides of all, with both kinds of absence and of loss.
fn steps(messages: usize) -> Vec<Step> {
    let campaign = from_environment::<u32>("OFFHOOK_FAULT_ROUNDS").is_some_and(|rounds| rounds >= 20);
    let mut steps = Vec::new();
    for nth in 1..=messages {
        for (place, turn) in [(Place::Before(nth), 0), (Place::After(nth), 1)] {
            for (away, deaf) in [(false, false), (true, false), (false, true), (true, true)] {
                let due = (nth + turn) % 2 == 0 && away == (nth / 2 % 2 == 0) && !deaf;
                let at_commit = nth == messages && away == (turn == 1) && (!deaf || turn == 1);
                if campaign || due || at_commit {
                    steps.push(Step { place, away, deaf });
                }
            }
        }
    }
    steps
}

/// A server whose way to its database is a proxy, and a look past both.
struct Stage {
    database: Database,
    proxy: TcpProxy,
    offhook: Offhook,
    client: Client,
    cast: Cast,
    store: Store,
}

impl Stage {
    async fn set() -> Self {
        let database = Database::postgres().await;
        let proxy = TcpProxy::speaking::<PostgresWire>(database.server()).await;
        let url = database.url_at(proxy.address());
        let settings: Vec<_> = SETTINGS.iter().copied().chain([("DATABASE_URL", url.as_str())]).collect();
        let offhook = Offhook::start_node(&database, "offhook", &settings).await;
        let client = offhook.client();
        let cast = Cast::of_plain_numbers(&client, 1).await;
        let store = database.open().await;
        Self { database, proxy, offhook, client, cast, store }
    }

    fn number(&self) -> &str {
        &self.cast.numbers[0].digits
    }

    /// How many messages the transaction has that `act` leads to, on a connection that knows its statements.
    async fn measure<T>(&self, is_it: impl Recognise, act: impl AsyncFn(String) -> T) -> usize {
        let mut fewest = usize::MAX;
        for n in 0..5 {
            let seen = self.arm(Step { place: Place::Before(usize::MAX), away: false, deaf: false }, is_it.clone());
            act(format!("measured {n}.")).await;
            self.disarm().await;
            assert!(seen.messages() > 0, "no such transaction: does it begin with another statement now?");
            fewest = fewest.min(seen.messages());
        }
        fewest
    }

    /// Lets the first transaction that `is_it` be cut.
    fn arm(&self, step: Step, is_it: impl Recognise) -> Seen {
        let cutting = Cutting { how: Cut::Reset, kept_back: 0, answered: !step.deaf, away: step.away };
        let (judge, seen) = cut_transaction(is_it, step.place, cutting);
        self.proxy.judge(judge);
        seen
    }

    /// Lets the database be there, and waits until it is done with what it got over the connection that was cut.
    async fn disarm(&self) {
        self.proxy.pass_all();
        self.proxy.accept();
        self.proxy.wait_until_finished().await;
    }

    /// What is answered when the first transaction that `is_it` is cut.
    async fn cut(
        &self,
        step: Step,
        is_it: impl Recognise,
        ask: impl Future<Output = Result<Answer, NoAnswer>>,
    ) -> Outcome {
        let seen = self.arm(step, is_it);
        let answer = ask.await;
        self.disarm().await;
        assert!(seen.is_cut(), "the transaction did not come to {step:?}");
        outcome(&answer)
    }

    /// Sends a text, which the handset gets.
    async fn send(&self, body: &str, key: Option<&str>) -> Result<Answer, NoAnswer> {
        let message = json!({"from_number": self.number(), "to_number": HANDSET, "body": body});
        self.client.post_once("/v1/messages", &message, key).await
    }

    /// The handset sends a text.
    async fn text(&self, body: &str) -> Result<Answer, NoAnswer> {
        let message = json!({"from": HANDSET, "to": self.number(), "body": body});
        self.client.post("/sandbox/messages", &message).await
    }

    async fn messages(&self, body: &str) -> i64 {
        count(&self.store, "SELECT COUNT(*) FROM messages WHERE body = $1", body).await
    }

    /// Waits until a query with this parameter counts so much.
    async fn wait_for_count(&self, wanted: i64, sql: &'static str, parameter: &str) {
        let deadline = Instant::now() + DONE_WITHIN;
        while count(&self.store, sql, parameter).await != wanted {
            assert!(Instant::now() < deadline, "{sql} {parameter}\n{}", self.offhook.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends until the database is there again for the server, and waits until that is done. Its connection knows its
    /// statements then.
    async fn warm_up(&self, body: &str, key: Option<&str>) {
        let deadline = Instant::now() + DONE_WITHIN;
        while !self.send(&format!("before {body}"), key).await.is_ok_and(|answer| answer.is_success()) {
            assert!(Instant::now() < deadline, "the server does not find back\n{}", self.offhook.log());
        }
        self.wait_until_nothing_is_sent().await;
    }

    /// The sandbox's network keeps its texts in the same database: one that is on its way when that is cut off may end
    /// as doubtful.
    async fn wait_until_nothing_is_sent(&self) {
        self.wait_for_count(0, "SELECT COUNT(*) FROM send_jobs WHERE line <> $1", "").await;
    }

    /// Everything came to its end, once, and the money adds up.
    async fn end(self) {
        let Self { database, offhook, cast, store, .. } = self;
        database.let_time_pass().await;
        reckoning::settle(&mut [offhook], &database, &cast).await;
        let sql = "SELECT COUNT(*) FROM messages WHERE direction = 'outbound' AND status <> $1";
        assert_eq!(count(&store, sql, "delivered").await, 0, "a database that is cut off makes no message doubtful");
        let sql = "SELECT COUNT(*) FROM messages m WHERE direction = 'outbound' AND 1 <>
            (SELECT COUNT(*) FROM sandbox_messages s WHERE s.receiver = $1 AND s.body = m.body)";
        assert_eq!(count(&store, sql, HANDSET).await, 0, "every text arrived once");
        let mut arrived: Vec<_> =
            cast.customer.received().iter().map(|one| one.header("x-webhook-id").to_owned()).collect();
        let attempts = arrived.len();
        arrived.sort();
        arrived.dedup();
        assert_eq!(attempts, arrived.len(), "a database that is cut off repeats no event");
    }
}

/// Recognises a transaction by its first statement.
trait Recognise: Fn(&FirstStatement<'_>) -> bool + Clone + Send + 'static {}
impl<F: Fn(&FirstStatement<'_>) -> bool + Clone + Send + 'static> Recognise for F {}

/// What an answer says of a request that changes something.
fn outcome(answer: &Result<Answer, NoAnswer>) -> Outcome {
    match answer {
        Ok(answer) if answer.is_success() => Outcome::Done(answer.json["id"].as_str().unwrap_or_default().to_owned()),
        Ok(answer) if answer.says_nothing_happened() => Outcome::Refused,
        Ok(answer) if answer.status == 409 => Outcome::Open,
        other => panic!("neither done nor refused nor unknown: {other:?}"),
    }
}

/// Whether so many things may be there after an outcome.
fn check(outcome: &Outcome, there: i64, what: &str) {
    match outcome {
        Outcome::Done(_) => assert_eq!(there, 1, "{what}: answered as done"),
        Outcome::Refused => assert_eq!(there, 0, "{what}: answered that nothing happened"),
        Outcome::Open => assert!((0..=1).contains(&there), "{what}: there {there} times"),
    }
}

/// How often there was which outcome.
#[derive(Debug, Default)]
struct Tally {
    done: u32,
    refused: u32,
    open: u32,
}

impl Tally {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Done(_) => self.done += 1,
            Outcome::Refused => self.refused += 1,
            Outcome::Open => self.open += 1,
        }
    }
}
