//! Events: every message that came in was told once, every status of a message that went out once and in order; each
//! was delivered, or given up after all its attempts.

use std::collections::{BTreeMap, BTreeSet};

use offhook_store::{Sql, Store, StoreError, Tx};
use serde_json::Value;

use super::{Books, fates, field};
use crate::cast::{Cast, Mood, is_moody};

/// One more than there are waits between them (`process.rs`).
const ATTEMPTS: i64 = 6;

const ALL: Sql = Sql("SELECT d.id, d.message_id, d.lane, d.event_type, d.status, d.attempts, e.body
    FROM deliveries d JOIN events e ON e.id = d.event_id ORDER BY d.at, d.id");

/// The log of deliveries, in the order of their events.
pub struct Log {
    deliveries: Vec<Delivery>,
}

struct Delivery {
    id: String,
    message: String,
    lane: String,
    kind: String,
    status: String,
    attempts: i64,
    body: Value,
}

impl Log {
    pub async fn read(store: &Store) -> Self {
        let read = async move |tx: &mut Tx| -> Result<Vec<Delivery>, StoreError> {
            let mut deliveries = Vec::new();
            for mut row in tx.rows(ALL, []).await? {
                deliveries.push(Delivery {
                    id: row.take()?,
                    message: row.take()?,
                    lane: row.take()?,
                    kind: row.take()?,
                    status: row.take()?,
                    attempts: row.take()?,
                    body: serde_json::from_str(&row.take::<String>()?).unwrap(),
                });
            }
            Ok(deliveries)
        };
        Self { deliveries: store.read(read).await.unwrap() }
    }

    /// Holds the log against the messages and against what the customer received.
    pub fn check(&self, books: &Books, cast: &Cast) {
        self.check_told_of(books);
        let arrivals = Arrivals::of(cast);
        for delivery in &self.deliveries {
            delivery.check_end(cast, &arrivals);
        }
        let logged: BTreeSet<&str> = self.deliveries.iter().map(|delivery| delivery.id.as_str()).collect();
        let unknown: Vec<_> = arrivals.by_id.keys().filter(|id| !logged.contains(id.as_str())).collect();
        assert!(unknown.is_empty(), "events that the log knows nothing of: {unknown:?}");
        self.check_order(&arrivals);
    }

    pub fn summary(&self, cast: &Cast) -> String {
        let failed = self.deliveries.iter().filter(|delivery| delivery.status == "failed").count();
        let received = cast.customer.received().len();
        format!("{} events in {received} attempts, {failed} given up", self.deliveries.len())
    }

    /// Each message has the events that its end calls for, and there are no others.
    fn check_told_of(&self, books: &Books) {
        let mut by_message: BTreeMap<&str, Vec<&Delivery>> = BTreeMap::new();
        for delivery in &self.deliveries {
            by_message.entry(&delivery.message).or_default().push(delivery);
        }
        for message in books.all() {
            let told = by_message.remove(field(&message["id"])).unwrap_or_default();
            if message["direction"] == "inbound" {
                assert_eq!(told.len(), 1, "an event for: {message}");
                assert_eq!(
                    (told[0].kind.as_str(), field(&told[0].body["data"]["message"])),
                    ("agent.message", field(&message["body"]))
                );
                continue;
            }
            let mut status = "queued";
            for delivery in told {
                assert_eq!(delivery.kind, "message.status");
                let next = field(&delivery.body["data"]["status"]);
                assert!(fates::may_follow(status, next), "told {next} behind {status}: {message}");
                status = next;
            }
            assert_eq!(status, field(&message["status"]), "the last that was told of: {message}");
        }
        assert!(by_message.is_empty(), "told of messages that are not there: {:?}", by_message.keys());
    }

    /// From a server that is well, texts arrive in the order of their conversation, and statuses in that of the message.
    fn check_order(&self, arrivals: &Arrivals) {
        let mut last: BTreeMap<(&str, &str), (usize, &str)> = BTreeMap::new();
        for delivery in &self.deliveries {
            let Some(place) = arrivals.steady.get(&delivery.id) else { continue };
            let of = if delivery.kind == "agent.message" { "" } else { &delivery.message };
            if let Some((before, id)) = last.insert((&delivery.lane, of), (*place, &delivery.id)) {
                assert!(before < *place, "{}: {} came before {id}", delivery.lane, delivery.id);
            }
        }
    }
}

impl Delivery {
    /// It arrived as it is, signed, and ended as the customer's answers say.
    fn check_end(&self, cast: &Cast, arrivals: &Arrivals) {
        let came = arrivals.by_id.get(&self.id).map(Vec::as_slice).unwrap_or_default();
        assert!(!came.is_empty(), "logged as {}, but it never came: {}", self.status, self.id);
        let digits = if self.kind == "agent.message" { "to" } else { "from" };
        let number = cast.numbers.iter().find(|number| self.body["data"][digits] == number.digits.as_str());
        let hook = number.map(|number| number.hook.as_str()).unwrap_or_default();
        assert!(came.iter().all(|one| one.hook == hook), "it came to another's webhook: {}", self.body);
        assert!(came.iter().all(|one| one.body == self.body), "{} changed", self.id);
        let doomed = is_moody(hook) && Mood::of(&self.id) == Mood::FailsAlways;
        assert_eq!(self.status, if doomed { "failed" } else { "success" }, "{}", self.id);
        assert!(came.len() as i64 >= self.attempts, "{}: {} attempts logged", self.id, self.attempts);
        assert!(!doomed || self.attempts == ATTEMPTS, "{}: given up after {}", self.id, self.attempts);
    }
}

/// What the customer received.
struct Arrivals {
    by_id: BTreeMap<String, Vec<Arrival>>,
    /// The place of each event's first arrival among all, at the server that is well.
    steady: BTreeMap<String, usize>,
}

struct Arrival {
    body: Value,
    hook: String,
}

impl Arrivals {
    fn of(cast: &Cast) -> Self {
        let mut arrivals = Self { by_id: BTreeMap::new(), steady: BTreeMap::new() };
        for (place, received) in cast.customer.received().into_iter().enumerate() {
            let (id, hook) = (received.header("x-webhook-id").to_owned(), received.uri.path().to_owned());
            received.verify(cast.customer.secret(&hook)).unwrap_or_else(|error| panic!("{error}: {received}"));
            if !is_moody(&hook) {
                arrivals.steady.entry(id.clone()).or_insert(place);
            }
            arrivals.by_id.entry(id).or_default().push(Arrival { body: received.json, hook });
        }
        arrivals
    }
}
