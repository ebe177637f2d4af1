//! Two nodes on one PostgreSQL database, under load. Both do their share; one dies, stands still or is cut off from the
//! database, and the other takes its work over; it comes back, and does nothing that is not its any more.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use offhook_store::Store;
use offhook_testkit::tcp_proxy::TcpProxy;
use serde_json::{Value, json};

use crate::cast::{Cast, text};
use crate::database::{Database, count};
use crate::from_environment;
use crate::ledger_of_deeds::{Deeds, Outcome, Pair, Text};
use crate::load::{Load, Manners};
use crate::process::Offhook;
use crate::reckoning::{Lateness, reckon};

/// A node that does not answer is not waited for longer.
const PATIENCE: Duration = Duration::from_secs(3);
/// From the fault on until the other node has every line,
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(15);
/// and until it has done something of what is asked for since in every conversation.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(45);
const SHARED_WITHIN: Duration = Duration::from_secs(60);
/// Texts that the two have been asked for, and have answered, before one of them fails.
const DEEDS: usize = 150;
/// As long as PostgreSQL leaves a transaction idle.
const LEASES: &str = "5";
const REQUEST_TIMEOUT: &str = "8";

const SENT: &str = "offhook_carrier_outcomes_total{carrier=\"sandbox\",outcome=\"accepted\"}";
const DELIVERED: &str = "offhook_webhook_deliveries_total{outcome=\"success\"}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_is_replaced_by_the_other() {
    let mut nodes = Nodes::start().await;
    for _ in 0..rounds() {
        nodes.share_work().await;
        nodes.two.kill().await;
        nodes.wait_until_taken_over().await;
        nodes.two.restart().await;
        nodes.second = nodes.two.pid();
    }
    nodes.share_work().await;
    nodes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_past_its_leases_does_no_harm_when_it_wakes() {
    let mut nodes = Nodes::start().await;
    for _ in 0..rounds() {
        nodes.share_work().await;
        nodes.two.pause();
        nodes.wait_until_taken_over().await;
        nodes.two.resume();
    }
    nodes.share_work().await;
    nodes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_from_the_database_says_so_and_comes_back() {
    let mut nodes = Nodes::start().await;
    for round in 0..rounds() {
        nodes.share_work().await;
        nodes.proxy.stall();
        let body = format!("into the silence {round}");
        tokio::join!(nodes.ask_in_vain(&body), nodes.wait_until_taken_over());
        nodes.proxy.flow();
        nodes.check_by_key(&body).await;
    }
    nodes.share_work().await;
    nodes.end().await;
}

fn rounds() -> usize {
    from_environment("OFFHOOK_FAULT_ROUNDS").map_or(1, |rounds: usize| rounds.div_ceil(10))
}

/// Two nodes, the second behind a proxy, and who keeps them busy.
struct Nodes {
    database: Database,
    proxy: TcpProxy,
    one: Offhook,
    two: Offhook,
    /// The second node's process, by which its leases are known.
    second: u32,
    cast: Cast,
    deeds: Deeds,
    load: Option<Load>,
    store: Store,
}

impl Nodes {
    async fn start() -> Self {
        let database = Database::postgres().await;
        let proxy = TcpProxy::start(database.server()).await;
        let url = database.url_at(proxy.address());
        let settings = [
            ("OFFHOOK__LEASES__SECONDS", LEASES),
            ("OFFHOOK__SERVER__REQUEST_TIMEOUT_SECONDS", REQUEST_TIMEOUT),
            ("DATABASE_URL", &url),
        ];
        let one = Offhook::start_node(&database, "one", &settings[..2]).await;
        let two = Offhook::start_node(&database, "two", &settings).await;
        let cast = Cast::of_two_nodes(&one.client()).await;
        let store = database.open().await;
        let second = two.pid();
        Self { database, proxy, one, two, second, cast, deeds: Deeds::default(), load: None, store }
    }

    /// Both are at work, and have been for a while.
    async fn share_work(&mut self) {
        let (deadline, done) = (Instant::now() + SHARED_WITHIN, self.deeds.count_done());
        loop {
            self.rest().await;
            self.start_load();
            if tokio::time::timeout(SHARED_WITHIN / 4, self.wait_until_shared()).await.is_ok() {
                break;
            }
            // A line stays with its node while there is work on it: the other may have been faster at all of them.
            assert!(Instant::now() < deadline, "one node does it all");
        }
        while self.deeds.count_done() < done + DEEDS {
            assert!(Instant::now() < deadline, "{} deeds in all that time", self.deeds.count_done() - done);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops the load, and waits until no line is worked on.
    async fn rest(&mut self) {
        const HELD: &str = "SELECT COUNT(*) FROM leases WHERE until > 0 AND resource LIKE $1";
        self.stop_load().await;
        for lines in ["send:%", "deliver:%"] {
            let deadline = Instant::now() + SHARED_WITHIN;
            while count(&self.store, HELD, lines).await > 0 {
                assert!(Instant::now() < deadline, "{lines} find no rest\n{}", self.one.log());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    fn start_load(&mut self) {
        let doors = [&self.one, &self.two].map(|node| node.client().with_patience(PATIENCE)).to_vec();
        self.load = Some(Load::start(doors, &self.cast, &self.deeds, Manners::Anything));
    }

    async fn stop_load(&mut self) {
        if let Some(load) = self.load.take() {
            load.stop().await;
        }
    }

    /// Waits until each node has sent and delivered more than so far.
    async fn wait_until_shared(&self) {
        for (client, metric) in [(&self.one, SENT), (&self.one, DELIVERED), (&self.two, SENT), (&self.two, DELIVERED)]
            .map(|(node, metric)| (node.client(), metric))
        {
            let before = client.metric(metric).await.unwrap();
            while client.metric(metric).await.unwrap() <= before {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Waits until the first node has every line that the second had, and something that was accepted from now on has
    /// been done in every conversation: a text of ours delivered, and one to us told.
    async fn wait_until_taken_over(&self) {
        const LEFT: &str = "SELECT COUNT(*) FROM leases WHERE until > 0 AND owner LIKE $1";
        const SENT: &str = "SELECT COUNT(*) FROM messages WHERE body = $1 AND status = 'delivered'";
        const TOLD: &str = "SELECT COUNT(*) FROM messages m JOIN deliveries d ON d.message_id = m.id
            WHERE m.body = $1 AND d.status = 'success'";
        let began = Instant::now();
        let (sent, texted) = (lengths(&self.deeds.all_sent()), lengths(&self.deeds.all_texted()));
        while count(&self.store, LEFT, &format!("{}-%", self.second)).await > 0 {
            assert!(began.elapsed() < TAKEN_OVER_WITHIN, "lines are left\n{}", self.one.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let taken_over = began.elapsed();
        for conversation in &self.cast.conversations {
            let pair = &conversation.pair;
            self.wait_for_one(began, SENT, pair, || since(&self.deeds.all_sent(), &sent, pair)).await;
            if conversation.both_ways {
                self.wait_for_one(began, TOLD, pair, || since(&self.deeds.all_texted(), &texted, pair)).await;
            }
        }
        println!("taken over after {taken_over:?}, caught up after {:?}", began.elapsed());
    }

    /// Waits until a query counts one for one of these texts.
    async fn wait_for_one(&self, began: Instant, sql: &'static str, pair: &Pair, bodies: impl Fn() -> Vec<String>) {
        loop {
            for body in bodies() {
                if count(&self.store, sql, &body).await == 1 {
                    return;
                }
            }
            assert!(began.elapsed() < CAUGHT_UP_WITHIN, "nothing of {pair:?} is done: {sql}\n{}", self.one.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The second node can't do what it is asked, says so, and lives.
    async fn ask_in_vain(&self, body: &str) {
        let client = self.two.client();
        let message = self.message(body);
        let (answer, ready) =
            tokio::join!(client.post_once("/v1/messages", &message, Some(body)), client.get("/readyz"));
        let answer = answer.unwrap();
        assert!(answer.status == 409 || answer.says_nothing_happened(), "{} {}", answer.status, answer.json);
        assert_eq!(ready.unwrap().status, 503);
        assert_eq!(client.get("/healthz").await.unwrap().status, 200);
    }

    /// What was asked in vain is there once when it is asked for under its key.
    async fn check_by_key(&self, body: &str) {
        let asked = self.one.client().post_once("/v1/messages", &self.message(body), Some(body)).await;
        let id = text(&asked.unwrap().ok()["id"]);
        assert_eq!(count(&self.store, "SELECT COUNT(*) FROM messages WHERE id = $1", &id).await, 1);
        assert_eq!(count(&self.store, "SELECT COUNT(*) FROM messages WHERE body = $1", body).await, 1);
    }

    fn message(&self, body: &str) -> Value {
        json!({"from_number": self.cast.numbers[0].digits, "to_number": "+14155559876", "body": body})
    }

    async fn end(mut self) {
        self.stop_load().await;
        let Self { database, mut one, mut two, cast, deeds, .. } = self;
        one.check_runs();
        two.check_runs();
        database.let_time_pass().await;
        reckon(&mut [one, two], &database, &cast, &deeds, Lateness::Possible).await;
    }
}

fn lengths(texts: &BTreeMap<Pair, Vec<Text>>) -> BTreeMap<Pair, usize> {
    texts.iter().map(|(pair, texts)| (pair.clone(), texts.len())).collect()
}

/// The first texts of a pair that were answered with success since it had so many.
fn since(texts: &BTreeMap<Pair, Vec<Text>>, before: &BTreeMap<Pair, usize>, pair: &Pair) -> Vec<String> {
    let texts = texts.get(pair).map(Vec::as_slice).unwrap_or_default();
    let known = before.get(pair).copied().unwrap_or(0);
    let done = texts.iter().skip(known).filter(|text| matches!(text.outcome, Outcome::Done(_)));
    done.take(5).map(|text| text.body.clone()).collect()
}
