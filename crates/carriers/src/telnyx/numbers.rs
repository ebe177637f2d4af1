//! Numbers at Telnyx: found, ordered under our reference and with our messaging profile, given back.

use std::time::Duration;

use http::{Method, StatusCode};
use offhook_domain::{E164, Id, PurchaseId};
use serde_json::{Value, json};

use super::{TelnyxCarrier, errors};
use crate::rest::{Ask, Body, NoReply, text};
use crate::{AvailableNumber, BuyError, CarrierError, NumberOrder, NumberSearch};

/// An order that is not done by then is left to the reconciler.
const LOOKS: usize = 8;
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

pub(super) async fn search(telnyx: &TelnyxCarrier, query: &NumberSearch) -> Result<Vec<AvailableNumber>, CarrierError> {
    let limit = query.limit.clamp(1, 250).to_string();
    let mut wish = vec![
        ("filter[country_code]", query.country.as_str()),
        ("filter[features][]", "sms"),
        ("filter[limit]", limit.as_str()),
    ];
    wish.extend(query.area_code.as_deref().map(|code| ("filter[national_destination_code]", code)));
    wish.extend(query.city.as_deref().map(|city| ("filter[locality]", city)));
    wish.extend(query.region.as_deref().map(|region| ("filter[administrative_area]", region)));
    let reply = telnyx.api.get("/available_phone_numbers", &wish).await.map_err(CarrierError)?;
    if !reply.status.is_success() {
        return Err(CarrierError(errors::words(&reply)));
    }
    Ok(list(&reply.body)?.iter().filter_map(offer).take(query.limit).collect())
}

fn offer(one: &Value) -> Option<AvailableNumber> {
    let phone_number = E164::parse(text(one, "phone_number")?).ok()?;
    let regions = one.get("region_information").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let named = |kind: &str| {
        let region = regions.iter().find(|region| text(region, "region_type") == Some(kind))?;
        text(region, "region_name").map(str::to_owned)
    };
    let area_code = phone_number.area_code().map(str::to_owned);
    let (city, region, rate_center) = (named("location"), named("state"), named("rate_center"));
    Some(AvailableNumber { phone_number, city, region, rate_center, area_code })
}

pub(super) async fn buy(telnyx: &TelnyxCarrier, order: &NumberOrder) -> Result<(), BuyError> {
    let wish = json!({
        "phone_numbers": [{"phone_number": order.phone_number}],
        "messaging_profile_id": telnyx.settings.messaging_profile_id,
        "customer_reference": order.reference.as_str(),
    });
    let ask = Ask { method: Method::POST, path: "/number_orders", query: &[], body: Body::Json(wish), until: None };
    let reply = match telnyx.api.ask(ask).await {
        Ok(reply) if reply.status.is_success() => reply,
        Ok(reply) => return Err(errors::of_purchase(&reply)),
        Err(NoReply::NotSent(why)) => return Err(BuyError::NotBought(why)),
        Err(NoReply::Lost(why)) => return Err(BuyError::Unknown(why)),
    };
    let mut placed = reply.body;
    for look in 0..=LOOKS {
        match text(&placed["data"], "status") {
            Some("success") => return Ok(()),
            Some("failure") => return Err(BuyError::Taken),
            _ => {}
        }
        let Some(id) = text(&placed["data"], "id") else { break };
        if look < LOOKS {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        let path = format!("/number_orders/{id}");
        if let Ok(reply) = telnyx.api.get(&path, &[]).await
            && reply.status.is_success()
        {
            placed = reply.body;
        }
    }
    Err(BuyError::Unknown("the order is still being carried out".to_owned()))
}

/// What an order was for, once it is carried out. One that is still being carried out is no answer.
pub(super) async fn find_order(telnyx: &TelnyxCarrier, reference: &PurchaseId) -> Result<Option<E164>, CarrierError> {
    let wish = [("filter[customer_reference]", reference.as_str())];
    let reply = telnyx.api.get("/number_orders", &wish).await.map_err(CarrierError)?;
    if !reply.status.is_success() {
        return Err(CarrierError(errors::words(&reply)));
    }
    let orders = list(&reply.body)?;
    let ours: Vec<&Value> =
        orders.iter().filter(|order| text(order, "customer_reference") == Some(reference.as_str())).collect();
    if let Some(done) = ours.iter().find(|order| text(order, "status") == Some("success")) {
        return number_of(telnyx, done).await.map(Some);
    }
    if ours.iter().any(|order| text(order, "status") != Some("failure")) {
        return Err(CarrierError("the order is still being carried out".to_owned()));
    }
    Ok(None)
}

/// Lists of orders may leave their numbers out.
async fn number_of(telnyx: &TelnyxCarrier, order: &Value) -> Result<E164, CarrierError> {
    if let Some(number) = first_number(order) {
        return Ok(number);
    }
    let unreadable = || CarrierError("an order does not tell its number".to_owned());
    let path = format!("/number_orders/{}", text(order, "id").ok_or_else(unreadable)?);
    let reply = telnyx.api.get(&path, &[]).await.map_err(CarrierError)?;
    first_number(&reply.body["data"]).ok_or_else(unreadable)
}

fn first_number(order: &Value) -> Option<E164> {
    let numbers = order.get("phone_numbers")?.as_array()?;
    let number = numbers.iter().find(|number| text(number, "status") != Some("failure"))?;
    E164::parse(text(number, "phone_number")?).ok()
}

pub(super) async fn release(
    telnyx: &TelnyxCarrier,
    number: &E164,
    reference: Option<&PurchaseId>,
) -> Result<(), CarrierError> {
    let wish = [("filter[phone_number]", number.as_str())];
    let reply = telnyx.api.get("/phone_numbers", &wish).await.map_err(CarrierError)?;
    if !reply.status.is_success() {
        return Err(CarrierError(errors::words(&reply)));
    }
    let held = list(&reply.body)?;
    let same =
        |one: &&Value| text(one, "phone_number").and_then(|text| E164::parse(text).ok()).as_ref() == Some(number);
    let Some(one) = held.iter().find(same) else { return Ok(()) };
    if let Some(reference) = reference {
        let known = text(one, "customer_reference");
        // A number that does not bear the reference of its order is known by the order.
        let ours = match known {
            Some(known) => known == reference.as_str(),
            None => find_order(telnyx, reference).await?.as_ref() == Some(number),
        };
        if !ours {
            return Ok(());
        }
    }
    let Some(id) = text(one, "id") else { return Err(CarrierError("a number has no id".to_owned())) };
    let path = format!("/phone_numbers/{id}");
    let ask = Ask { method: Method::DELETE, path: &path, query: &[], body: Body::None, until: None };
    let reply = telnyx.api.ask(ask).await.map_err(|error| CarrierError(error.into_words()))?;
    match reply.status {
        status if status.is_success() => Ok(()),
        StatusCode::NOT_FOUND => Ok(()),
        _ => Err(CarrierError(errors::words(&reply))),
    }
}

fn list(body: &Value) -> Result<&Vec<Value>, CarrierError> {
    let list = body.get("data").and_then(Value::as_array);
    list.ok_or_else(|| CarrierError("the carrier's answer could not be read".to_owned()))
}
