//! An account at Twilio.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use ring::hmac;
use serde_json::{Value, json};

use super::{Asked, Door, Network, SignedHook, Turn};
use crate::published_api::PublishedApi;

/// A server that looks like `api.twilio.com`.
pub struct FakeTwilio {
    door: Door<Twilio>,
}

struct Twilio {
    /// What can be bought.
    stock: Vec<String>,
    held: Vec<Held>,
    /// The forms of the texts it took.
    texts: Vec<Vec<(String, String)>>,
    count: u32,
}

/// A number of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub sid: String,
    pub phone_number: String,
    pub friendly_name: String,
    pub sms_url: String,
}

impl FakeTwilio {
    pub const ACCOUNT: &'static str = "AC0123456789abcdef0123456789abcdef";
    pub const TOKEN: &'static str = "0123456789abcdef0123456789abcdef";

    /// With these numbers to sell.
    pub async fn selling(numbers: &[&str]) -> Self {
        let stock = numbers.iter().map(|number| (*number).to_owned()).collect();
        let twilio = Twilio { stock, held: Vec::new(), texts: Vec::new(), count: 0 };
        Self { door: Door::open(twilio, PublishedApi::twilio()).await }
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.door.address)
    }

    /// What becomes of the next requests that would change something.
    pub fn next(&self, turns: impl IntoIterator<Item = Turn>) {
        self.door.next(turns);
    }

    /// A refusal as Twilio words it.
    #[must_use]
    pub fn refusal(status: u16, code: u32, message: &str) -> Turn {
        let more = format!("https://www.twilio.com/docs/errors/{code}");
        let body = json!({"code": code, "message": message, "more_info": more, "status": status});
        Turn::Answer { status, retry_after: None, body }
    }

    /// The numbers of the account.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        self.door.network().held.clone()
    }

    /// Has a number that was not bought by us.
    pub fn hold(&self, phone_number: &str, friendly_name: &str, sms_url: &str) {
        let mut network = self.door.network();
        let sid = network.sid("PN");
        let (phone_number, sms_url) = (phone_number.to_owned(), sms_url.to_owned());
        network.held.push(Held { sid, phone_number, friendly_name: friendly_name.to_owned(), sms_url });
    }

    /// The texts it took: the values of a field of each.
    #[must_use]
    pub fn texts(&self, field: &str) -> Vec<Vec<String>> {
        let values = |form: &Vec<(String, String)>| {
            form.iter().filter(|(name, _)| name == field).map(|(_, value)| value.clone()).collect()
        };
        self.door.network().texts.iter().map(values).collect()
    }

    /// A form as Twilio posts it to `url`, with its signature.
    #[must_use]
    pub fn hook(url: &str, form: &[(&str, &str)]) -> SignedHook {
        Self::hook_signed_with(Self::TOKEN, url, form)
    }

    /// Likewise, of another account's.
    #[must_use]
    pub fn hook_signed_with(token: &str, url: &str, form: &[(&str, &str)]) -> SignedHook {
        // What comes behind # is for Twilio.
        let url = url.split('#').next().unwrap_or(url);
        let mut sorted = form.to_vec();
        sorted.sort_unstable();
        let signed = sorted.iter().fold(url.to_owned(), |text, (name, value)| text + name + value);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.as_bytes());
        let signature = STANDARD.encode(hmac::sign(&key, signed.as_bytes()));
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let kind = "application/x-www-form-urlencoded; charset=UTF-8".to_owned();
        let headers = vec![("content-type", kind), ("x-twilio-signature", signature)];
        let path = url.find("/hooks/").map_or(url, |at| &url[at..]).to_owned();
        SignedHook { path, headers, body }
    }
}

impl Network for Twilio {
    fn admits(&self, headers: &HeaderMap) -> bool {
        let login = format!("Basic {}", STANDARD.encode(format!("{}:{}", FakeTwilio::ACCOUNT, FakeTwilio::TOKEN)));
        headers.get(header::AUTHORIZATION).is_some_and(|given| given.as_bytes() == login.as_bytes())
    }

    fn stranger(&self) -> Value {
        json!({"code": 20003, "message": "Authenticate", "status": 401})
    }

    fn answer(&mut self, asked: &Asked) -> (u16, Value) {
        let root = format!("/2010-04-01/Accounts/{}", FakeTwilio::ACCOUNT);
        let Some(path) = asked.path.strip_prefix(&root) else { return not_found() };
        match (asked.method.as_str(), path) {
            ("GET", ".json") => (200, json!({"sid": FakeTwilio::ACCOUNT, "status": "active"})),
            ("GET", "/AvailablePhoneNumbers/US/Local.json") => (200, self.offers(asked)),
            ("GET", _) if path.starts_with("/AvailablePhoneNumbers/") => not_found(),
            ("GET", "/IncomingPhoneNumbers.json") => (200, self.list(asked)),
            ("POST", "/IncomingPhoneNumbers.json") => self.sell(asked),
            ("POST", "/Messages.json") => self.take(asked),
            (method, _) => {
                match path.strip_prefix("/IncomingPhoneNumbers/").and_then(|rest| rest.strip_suffix(".json")) {
                    Some(sid) if method == "DELETE" => self.take_back(sid),
                    Some(sid) if method == "POST" => self.update(sid, asked),
                    _ => not_found(),
                }
            }
        }
    }
}

impl Twilio {
    fn sid(&mut self, prefix: &str) -> String {
        self.count += 1;
        format!("{prefix}{:032x}", self.count)
    }

    fn offers(&self, asked: &Asked) -> Value {
        let code = asked.query("AreaCode");
        let fits = |number: &&String| code.as_ref().is_none_or(|code| number[2..5] == *code);
        let offer = |number: &String| {
            json!({"phone_number": number, "friendly_name": number, "locality": "San Francisco", "region": "CA",
                "rate_center": "SNFC CNTRL", "postal_code": "94105", "iso_country": "US"})
        };
        json!({"available_phone_numbers": self.stock.iter().filter(fits).map(offer).collect::<Vec<_>>()})
    }

    fn list(&self, asked: &Asked) -> Value {
        let (name, number) = (asked.query("FriendlyName"), asked.query("PhoneNumber"));
        let fits = |held: &&Held| {
            name.as_ref().is_none_or(|name| held.friendly_name == *name)
                // Twilio takes it for a part of the number.
                && number.as_ref().is_none_or(|number| held.phone_number.contains(number.trim_start_matches('+')))
        };
        json!({"incoming_phone_numbers": self.held.iter().filter(fits).map(show).collect::<Vec<_>>()})
    }

    fn sell(&mut self, asked: &Asked) -> (u16, Value) {
        let wanted = field(asked, "PhoneNumber").unwrap_or_default();
        let Some(at) = self.stock.iter().position(|number| *number == wanted) else {
            return (400, json!({"code": 21422, "message": "the number is not available", "status": 400}));
        };
        let phone_number = self.stock.remove(at);
        let (friendly_name, sms_url) = (field(asked, "FriendlyName"), field(asked, "SmsUrl"));
        let held = Held {
            sid: self.sid("PN"),
            phone_number,
            friendly_name: friendly_name.unwrap_or_default(),
            sms_url: sms_url.unwrap_or_default(),
        };
        let shown = show(&held);
        self.held.push(held);
        (201, shown)
    }

    fn update(&mut self, sid: &str, asked: &Asked) -> (u16, Value) {
        let Some(held) = self.held.iter_mut().find(|held| held.sid == sid) else { return not_found() };
        if let Some(url) = field(asked, "SmsUrl") {
            held.sms_url = url;
        }
        (200, show(held))
    }

    fn take_back(&mut self, sid: &str) -> (u16, Value) {
        let Some(at) = self.held.iter().position(|held| held.sid == sid) else { return not_found() };
        let back = self.held.remove(at);
        self.stock.push(back.phone_number);
        (204, Value::Null)
    }

    fn take(&mut self, asked: &Asked) -> (u16, Value) {
        self.texts.push(url::form_urlencoded::parse(&asked.body).into_owned().collect());
        (201, json!({"sid": self.sid("SM"), "status": "queued", "error_code": null}))
    }
}

fn show(held: &Held) -> Value {
    let Held { sid, phone_number, friendly_name, sms_url } = held;
    json!({"sid": sid, "phone_number": phone_number, "friendly_name": friendly_name, "sms_url": sms_url})
}

fn field(asked: &Asked, name: &str) -> Option<String> {
    url::form_urlencoded::parse(&asked.body).find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

fn not_found() -> (u16, Value) {
    (404, json!({"code": 20404, "message": "the requested resource was not found", "status": 404}))
}
