//! An account at Telnyx.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use super::{Asked, Door, Network, SignedHook, Turn};
use crate::published_api::PublishedApi;

/// A server that looks like `api.telnyx.com`.
pub struct FakeTelnyx {
    door: Door<Telnyx>,
}

struct Telnyx {
    stock: Vec<String>,
    /// id, number, reference.
    held: Vec<(String, String, String)>,
    orders: Vec<Value>,
    /// How often an order is still being carried out when it is asked after.
    pending: u32,
    texts: Vec<Value>,
    webhook_url: String,
    count: u32,
}

impl FakeTelnyx {
    pub const KEY: &'static str = "KEY0123456789ABCDEF";
    pub const PROFILE: &'static str = "16fd2706-8baf-433b-82eb-8c7fada847da";

    /// With these numbers to sell.
    pub async fn selling(numbers: &[&str]) -> Self {
        let stock = numbers.iter().map(|number| (*number).to_owned()).collect();
        let telnyx = Telnyx {
            stock,
            held: Vec::new(),
            orders: Vec::new(),
            pending: 0,
            texts: Vec::new(),
            webhook_url: String::new(),
            count: 0,
        };
        Self { door: Door::open(telnyx, PublishedApi::telnyx()).await }
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v2", self.door.address)
    }

    /// What becomes of the next requests that would change something.
    pub fn next(&self, turns: impl IntoIterator<Item = Turn>) {
        self.door.next(turns);
    }

    /// Orders are still being carried out the next times they are asked after.
    pub fn take_long(&self, times: u32) {
        self.door.network().pending = times;
    }

    /// A refusal as Telnyx words it.
    #[must_use]
    pub fn refusal(status: u16, code: &str, title: &str) -> Turn {
        let body = json!({"errors": [{"code": code, "title": title, "detail": title}]});
        Turn::Answer { status, retry_after: None, body }
    }

    /// The numbers of the account, with the references they were ordered under.
    #[must_use]
    pub fn held(&self) -> Vec<(String, String)> {
        self.door.network().held.iter().map(|(_, number, reference)| (number.clone(), reference.clone())).collect()
    }

    /// The texts it took.
    #[must_use]
    pub fn texts(&self) -> Vec<Value> {
        self.door.network().texts.clone()
    }

    /// Where its profile posts what comes in.
    #[must_use]
    pub fn webhook_url(&self) -> String {
        self.door.network().webhook_url.clone()
    }

    /// What hooks are proved with.
    #[must_use]
    pub fn public_key() -> [u8; 32] {
        pair(7).public_key().as_ref().try_into().unwrap_or_default()
    }

    /// An event as Telnyx posts it to a path, signed at this time.
    #[must_use]
    pub fn hook(path: &str, at: i64, event: &str, payload: &Value) -> SignedHook {
        let event = json!({"data": {"event_type": event, "record_type": "event", "payload": payload}});
        Self::signed(7, path, at, &event.to_string())
    }

    /// Likewise, by somebody else.
    #[must_use]
    pub fn forged_hook(path: &str, at: i64, event: &str, payload: &Value) -> SignedHook {
        let event = json!({"data": {"event_type": event, "record_type": "event", "payload": payload}});
        Self::signed(8, path, at, &event.to_string())
    }

    fn signed(seed: u8, path: &str, at: i64, body: &str) -> SignedHook {
        let signature = STANDARD.encode(pair(seed).sign(format!("{at}|{body}").as_bytes()));
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("telnyx-timestamp", at.to_string()),
            ("telnyx-signature-ed25519", signature),
        ];
        SignedHook { path: path.to_owned(), headers, body: body.to_owned() }
    }
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("any 32 bytes are a seed")
}

impl Network for Telnyx {
    fn admits(&self, headers: &HeaderMap) -> bool {
        let key = format!("Bearer {}", FakeTelnyx::KEY);
        headers.get(header::AUTHORIZATION).is_some_and(|given| given.as_bytes() == key.as_bytes())
    }

    fn stranger(&self) -> Value {
        json!({"errors": [{"code": "10009", "title": "Authentication failed"}]})
    }

    fn answer(&mut self, asked: &Asked) -> (u16, Value) {
        let path = asked.path.trim_start_matches("/v2");
        match (asked.method.as_str(), path) {
            ("GET", "/available_phone_numbers") => (200, self.offers(asked)),
            ("GET", "/number_orders") => (200, self.orders(asked)),
            ("POST", "/number_orders") => self.order(asked),
            ("GET", "/phone_numbers") => (200, self.list(asked)),
            ("POST", "/messages") => self.take(asked),
            (method, _) => match (method, path.rsplit_once('/')) {
                ("GET", Some(("/number_orders", id))) => self.look(id),
                ("DELETE", Some(("/phone_numbers", id))) => self.take_back(id),
                ("GET" | "PATCH", Some(("/messaging_profiles", FakeTelnyx::PROFILE))) => self.profile(asked),
                _ => not_found(),
            },
        }
    }
}

impl Telnyx {
    fn id(&mut self) -> String {
        self.count += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.count)
    }

    fn offers(&self, asked: &Asked) -> Value {
        let code = asked.query("filter[national_destination_code]");
        let fits = |number: &&String| code.as_ref().is_none_or(|code| number[2..5] == *code);
        let offer = |number: &String| {
            json!({"phone_number": number, "record_type": "available_phone_number", "region_information": [
                {"region_type": "country_code", "region_name": "US"},
                {"region_type": "rate_center", "region_name": "SNFC CNTRL"},
                {"region_type": "state", "region_name": "CA"}]})
        };
        json!({"data": self.stock.iter().filter(fits).map(offer).collect::<Vec<_>>()})
    }

    fn order(&mut self, asked: &Asked) -> (u16, Value) {
        let wish: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let wanted = wish["phone_numbers"][0]["phone_number"].as_str().unwrap_or_default().to_owned();
        let reference = wish["customer_reference"].as_str().unwrap_or_default().to_owned();
        let Some(at) = self.stock.iter().position(|number| *number == wanted) else {
            return (422, json!({"errors": [{"code": "85000", "title": "the number is not available"}]}));
        };
        let number = self.stock.remove(at);
        let id = self.id();
        let order = json!({"id": id, "status": "success", "customer_reference": reference,
            "phone_numbers": [{"phone_number": number, "status": "success"}]});
        self.orders.push(order.clone());
        let number_id = self.id();
        self.held.push((number_id, number, reference));
        (200, json!({"data": self.as_it_stands(order)}))
    }

    /// An order that takes long is told as one that is not done.
    fn as_it_stands(&mut self, mut order: Value) -> Value {
        if self.pending > 0 {
            self.pending -= 1;
            order["status"] = json!("pending");
        }
        order
    }

    fn look(&mut self, id: &str) -> (u16, Value) {
        let Some(order) = self.orders.iter().find(|order| order["id"] == id).cloned() else { return not_found() };
        (200, json!({"data": self.as_it_stands(order)}))
    }

    /// As the published API has it, lists of orders leave the numbers out.
    fn orders(&mut self, asked: &Asked) -> Value {
        let reference = asked.query("filter[customer_reference]");
        let fits = |order: &&Value| reference.as_deref().is_none_or(|known| order["customer_reference"] == known);
        let found: Vec<Value> = self.orders.iter().filter(fits).cloned().collect();
        let shown = found.into_iter().map(|order| {
            let mut order = self.as_it_stands(order);
            if let Some(fields) = order.as_object_mut() {
                fields.remove("phone_numbers");
            }
            order
        });
        let shown: Vec<Value> = shown.collect();
        json!({"data": shown})
    }

    fn list(&self, asked: &Asked) -> Value {
        let number = asked.query("filter[phone_number]");
        let fits = |held: &&(String, String, String)| number.as_ref().is_none_or(|number| held.1 == *number);
        let show = |(id, number, reference): &(String, String, String)| json!({"id": id, "phone_number": number, "customer_reference": reference, "status": "active"});
        json!({"data": self.held.iter().filter(fits).map(show).collect::<Vec<_>>()})
    }

    fn take_back(&mut self, id: &str) -> (u16, Value) {
        let Some(at) = self.held.iter().position(|held| held.0 == id) else { return not_found() };
        let (_, number, _) = self.held.remove(at);
        self.stock.push(number);
        (200, json!({"data": {"id": id}}))
    }

    fn take(&mut self, asked: &Asked) -> (u16, Value) {
        let text: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let to = text["to"].clone();
        self.texts.push(text);
        (
            200,
            json!({"data": {"id": self.id(), "record_type": "message", "to": [{"phone_number": to, "status": "queued"}]}}),
        )
    }

    fn profile(&mut self, asked: &Asked) -> (u16, Value) {
        if asked.changes() {
            let wish: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
            self.webhook_url = wish["webhook_url"].as_str().unwrap_or_default().to_owned();
        }
        let url = &self.webhook_url;
        (200, json!({"data": {"id": FakeTelnyx::PROFILE, "webhook_url": url, "webhook_api_version": "2"}}))
    }
}

fn not_found() -> (u16, Value) {
    (404, json!({"errors": [{"code": "10005", "title": "Resource not found"}]}))
}
