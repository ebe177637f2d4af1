//! Numbers at Twilio: found, bought under our reference, pointed at us, given back.

use http::{Method, StatusCode};
use offhook_domain::{E164, Id, PurchaseId};
use serde_json::Value;

use super::{TwilioCarrier, errors};
use crate::rest::{Ask, Body, NoReply, text};
use crate::{AvailableNumber, BuyError, CarrierError, Finding, NumberOrder, NumberSearch};

/// Pages of our numbers that a check looks through, of 1000 each.
const PAGES: usize = 100;

/// Local numbers; where a country has none of them, mobile ones.
pub(super) async fn search(twilio: &TwilioCarrier, query: &NumberSearch) -> Result<Vec<AvailableNumber>, CarrierError> {
    let local = search_kind(twilio, query, "Local").await?;
    if local.is_empty() && query.area_code.is_none() && query.postal_code.is_none() {
        return search_kind(twilio, query, "Mobile").await;
    }
    Ok(local)
}

async fn search_kind(
    twilio: &TwilioCarrier,
    query: &NumberSearch,
    kind: &str,
) -> Result<Vec<AvailableNumber>, CarrierError> {
    let limit = query.limit.clamp(1, 1000).to_string();
    let mut wish = vec![("SmsEnabled", "true"), ("PageSize", limit.as_str())];
    wish.extend(query.area_code.as_deref().map(|code| ("AreaCode", code)));
    wish.extend(query.city.as_deref().map(|city| ("InLocality", city)));
    wish.extend(query.region.as_deref().map(|region| ("InRegion", region)));
    wish.extend(query.postal_code.as_deref().map(|code| ("InPostalCode", code)));
    let path = twilio.path(&format!("/AvailablePhoneNumbers/{}/{kind}.json", query.country));
    let reply = twilio.api.get(&path, &wish).await.map_err(CarrierError)?;
    match reply.status {
        StatusCode::OK => {}
        // A country in which it sells none of these.
        StatusCode::NOT_FOUND if reply.body.get("code").is_some() => return Ok(Vec::new()),
        _ => return Err(CarrierError(errors::words(&reply))),
    }
    let offers = reply.body.get("available_phone_numbers").and_then(Value::as_array);
    let offers = offers.ok_or_else(|| CarrierError("the carrier's answer could not be read".to_owned()))?;
    Ok(offers.iter().filter_map(offer).take(query.limit).collect())
}

fn offer(one: &Value) -> Option<AvailableNumber> {
    let phone_number = E164::parse(text(one, "phone_number")?).ok()?;
    let word = |key| text(one, key).map(str::to_owned);
    let area_code = phone_number.area_code().map(str::to_owned);
    let (city, region, rate_center) = (word("locality"), word("region"), word("rate_center"));
    Some(AvailableNumber { phone_number, city, region, rate_center, area_code })
}

/// Its name at Twilio is our reference, by which it is found again.
pub(super) async fn buy(twilio: &TwilioCarrier, order: &NumberOrder) -> Result<(), BuyError> {
    let mut form = vec![("PhoneNumber", order.phone_number.to_string()), ("FriendlyName", order.reference.to_string())];
    form.extend(urls(twilio));
    let path = twilio.path("/IncomingPhoneNumbers.json");
    let ask = Ask { method: Method::POST, path: &path, query: &[], body: Body::Form(form), until: None };
    match twilio.api.ask(ask).await {
        Ok(reply) if reply.status.is_success() => Ok(()),
        Ok(reply) => Err(errors::of_purchase(&reply)),
        Err(NoReply::NotSent(why)) => Err(BuyError::NotBought(why)),
        Err(NoReply::Lost(why)) => Err(BuyError::Unknown(why)),
    }
}

fn urls(twilio: &TwilioCarrier) -> [(&'static str, String); 4] {
    let post = || "POST".to_owned();
    [
        ("SmsUrl", twilio.inbound_url()),
        ("SmsMethod", post()),
        // Once more, when all else has failed.
        ("SmsFallbackUrl", twilio.inbound_url()),
        ("SmsFallbackMethod", post()),
    ]
}

pub(super) async fn find_order(twilio: &TwilioCarrier, reference: &PurchaseId) -> Result<Option<E164>, CarrierError> {
    let name = reference.as_str();
    let held = held(twilio, &[("FriendlyName", name)]).await?;
    Ok(held.iter().filter(|one| text(one, "friendly_name") == Some(name)).find_map(phone_number))
}

pub(super) async fn release(
    twilio: &TwilioCarrier,
    number: &E164,
    reference: Option<&PurchaseId>,
) -> Result<(), CarrierError> {
    // Twilio takes part of a number for a pattern.
    let held = held(twilio, &[("PhoneNumber", number.as_str())]).await?;
    let ours = |one: &&Value| {
        phone_number(one).as_ref() == Some(number)
            && reference.is_none_or(|reference| text(one, "friendly_name") == Some(reference.as_str()))
    };
    let Some(sid) = held.iter().find(ours).and_then(|one| text(one, "sid")) else { return Ok(()) };
    let path = twilio.path(&format!("/IncomingPhoneNumbers/{sid}.json"));
    let ask = Ask { method: Method::DELETE, path: &path, query: &[], body: Body::None, until: None };
    let reply = twilio.api.ask(ask).await.map_err(|error| CarrierError(error.into_words()))?;
    match reply.status {
        status if status.is_success() => Ok(()),
        StatusCode::NOT_FOUND => Ok(()),
        _ => Err(CarrierError(errors::words(&reply))),
    }
}

/// Whether the numbers bought here bring us their texts; with `repair` they do afterwards.
pub(super) async fn check(twilio: &TwilioCarrier, repair: bool) -> Result<Finding, CarrierError> {
    let (mut all, mut astray, page_size) = (0, 0, "1000");
    for page in 0..PAGES {
        let page = page.to_string();
        let held = held(twilio, &[("PageSize", page_size), ("Page", &page)]).await?;
        let last = held.len() < 1000;
        let ours = held.iter().filter(|one| text(one, "friendly_name").is_some_and(|n| PurchaseId::parse(n).is_ok()));
        for one in ours {
            all += 1;
            if text(one, "sms_url") != Some(twilio.inbound_url().as_str()) {
                if repair {
                    point_here(twilio, one).await?;
                }
                astray += 1;
            }
        }
        if last {
            break;
        }
    }
    let url = twilio.inbound_url();
    Ok(match (astray, repair) {
        (0, _) => Finding::Good(format!("{all} numbers bring their texts to {url}")),
        (_, true) => Finding::Good(format!("{astray} of {all} numbers brought their texts elsewhere; now to {url}")),
        _ => Finding::Bad(format!(
            "{astray} of {all} numbers don't bring their texts to {url}: `--repair` has them do so"
        )),
    })
}

async fn point_here(twilio: &TwilioCarrier, one: &Value) -> Result<(), CarrierError> {
    let Some(sid) = text(one, "sid") else { return Ok(()) };
    let path = twilio.path(&format!("/IncomingPhoneNumbers/{sid}.json"));
    let body = Body::Form(urls(twilio).to_vec());
    let ask = Ask { method: Method::POST, path: &path, query: &[], body, until: None };
    let reply = twilio.api.ask(ask).await.map_err(|error| CarrierError(error.into_words()))?;
    if reply.status.is_success() { Ok(()) } else { Err(CarrierError(errors::words(&reply))) }
}

async fn held(twilio: &TwilioCarrier, which: &[(&str, &str)]) -> Result<Vec<Value>, CarrierError> {
    let reply = twilio.api.get(&twilio.path("/IncomingPhoneNumbers.json"), which).await.map_err(CarrierError)?;
    if !reply.status.is_success() {
        return Err(CarrierError(errors::words(&reply)));
    }
    let held = reply.body.get("incoming_phone_numbers").and_then(Value::as_array).cloned();
    held.ok_or_else(|| CarrierError("the carrier's answer could not be read".to_owned()))
}

fn phone_number(one: &Value) -> Option<E164> {
    E164::parse(text(one, "phone_number")?).ok()
}
