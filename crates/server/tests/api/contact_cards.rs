//! A number's contact card on its way to a phone: shared by MMS, fetched by its link

use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{Client, ScriptedCarrier, Setup, TestApp};

const OURS: &str = "+14155550100";
const HANDSET: &str = "+14152011234";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Where the card of the number is shared. The number has a card.
async fn with_card(app: &TestApp) -> String {
    let card = format!("/v1/numbers/{}/contact-card", app.number(OURS).await);
    let names = json!({"firstName": "Ada", "lastName": "Desk", "avatarUrl": "https://media.example/ada.png"});
    app.put(&card).json(names).await.ok();
    format!("{card}/share")
}

async fn share(client: &Client, path: &str) -> Value {
    client.post(path).json(json!({"to": HANDSET})).await.ok()
}

/// The link of a message, as somebody asks this server for it.
fn link(message: &Value) -> String {
    let url = message["media_urls"][0].as_str().unwrap();
    url.strip_prefix("https://phone.example.com").unwrap().to_owned()
}

async fn public() -> TestApp {
    public_setup().sandbox().start().await
}

fn public_setup() -> Setup {
    Setup::default().setting("OFFHOOK__SERVER__PUBLIC_URL", "https://phone.example.com")
}

#[tokio::test]
async fn a_card_goes_out_as_a_message_whose_link_is_its_file() {
    let app = public().await;
    let path = with_card(&app).await;

    let shared = share(&app, &path).await;

    assert_eq!((&shared["status"], &shared["channel"]), (&json!("queued"), &json!("mms")));
    assert_eq!((&shared["from_number"], &shared["to_number"]), (&json!(OURS), &json!(HANDSET)));
    let kept = app.get(&format!("/v1/conversations/{}", shared["conversation_id"].as_str().unwrap())).await.ok();
    assert_eq!(kept["messages"][0]["mediaUrls"], shared["media_urls"]);
    assert_eq!(kept["messages"][0]["body"], "");
    let file = app.stranger().get(&link(&shared)).await;
    assert_eq!((file.status.as_u16(), file.header("content-type")), (200, "text/vcard; charset=utf-8".to_owned()));
    let lines = [
        "BEGIN:VCARD",
        "VERSION:3.0",
        "N:Desk;Ada;;;",
        "FN:Ada Desk",
        "TEL;TYPE=CELL,VOICE,PREF:+14155550100",
        "PHOTO;VALUE=uri:https://media.example/ada.png",
        "END:VCARD",
        "",
    ];
    assert_eq!(file.text, lines.join("\r\n"));
}

#[tokio::test]
async fn a_link_is_good_for_a_week_and_for_one_card() {
    let app = public().await;
    let link = link(&share(&app, &with_card(&app).await).await);
    let other = app.number("+14155550101").await;
    let (path, query) = link.split_once('?').unwrap();
    let anothers = format!("/media/contact-cards/{other}.vcf?{query}");
    let wrong = [
        path.to_owned(),
        anothers,
        link.replace(".vcf", ""),
        link.replace("expires=", "expires=9"),
        link[..link.len() - 1].to_owned(),
        format!("{link}&signature=again"),
        "/media/contact-cards/nonsense".to_owned(),
        "/media/contact-cards/%ff".to_owned(),
    ];
    for wrong in wrong {
        assert_eq!(app.stranger().get(&wrong).await.refused(404).code, "NOT_FOUND", "{wrong}");
    }

    app.later(6 * DAY);
    assert_eq!(app.stranger().get(&link).await.status.as_u16(), 200);
    app.later(2 * DAY);
    app.stranger().get(&link).await.refused(404);
}

#[tokio::test]
async fn a_link_shows_the_card_as_it_is_and_nothing_once_it_is_gone() {
    let app = public().await;
    let path = with_card(&app).await;
    let (card, link) = (path.strip_suffix("/share").unwrap(), link(&share(&app, &path).await));

    app.put(card).json(json!({"displayName": "The Blue Door"})).await.ok();
    assert!(app.stranger().get(&link).await.text.contains("\r\nFN:The Blue Door\r\n"));
    app.delete(card).await.no_content();
    app.stranger().get(&link).await.refused(404);
    app.put(card).json(json!({"firstName": "Ada"})).await.ok();
    app.delete(card.strip_suffix("/contact-card").unwrap()).await.ok();
    // The number may soon be somebody else's.
    app.stranger().get(&link).await.refused(404);
    app.post(&path).json(json!({"to": HANDSET})).await.refused(400);
}

#[tokio::test]
async fn there_must_be_a_card_and_somebody_to_get_it() {
    let app = public().await;
    let number = app.number(OURS).await;
    let path = format!("/v1/numbers/{number}/contact-card/share");
    let ask = async || app.post(&path).json(json!({"to": HANDSET})).await.refused(404).code;
    assert_eq!(ask().await, "CONTACT_CARD_NOT_FOUND");
    app.put(&format!("/v1/numbers/{number}/contact-card")).json(json!({"firstName": " "})).await.ok();
    assert_eq!(ask().await, "CONTACT_CARD_NOT_FOUND", "a blank one");
    assert_eq!(app.post(&path).json(json!({})).await.bad_fields(), ["to"]);
    assert_eq!(app.post(&path).json(json!({"to": "nobody"})).await.bad_fields(), ["to"]);
    let other = app.second_account().await;
    assert_eq!(other.post(&path).json(json!({"to": HANDSET})).await.refused(404).code, "PHONE_NUMBER_NOT_FOUND");
}

#[tokio::test]
async fn it_is_shared_once_under_a_key() {
    let app = public().await;
    let path = with_card(&app).await;

    let first = app.post(&path).json(json!({"to": HANDSET})).once("card").await;
    app.delete(path.strip_suffix("/share").unwrap()).await.no_content();
    let again = app.post(&path).json(json!({"to": HANDSET})).once("card").await;

    assert_eq!((again.ok(), again.replayed()), (first.ok(), true));
    assert_eq!(app.get("/v1/conversations").await.ok()["data"][0]["messageCount"], 1);
}

#[tokio::test]
async fn it_is_a_message_like_any_other() {
    let app = public_setup().setting("OFFHOOK__PRICES__SANDBOX_FREE", false).sandbox().start().await;
    let path = with_card(&app).await;
    let ask = async |to: &str| app.post(&path).json(json!({"to": to})).await;
    assert_eq!(ask(HANDSET).await.refused(402).code, "INSUFFICIENT_BALANCE");
    app.credit(1).await;
    ask(HANDSET).await.ok();
    assert!(ask("911").await.refused(400).message.contains("emergency"));
    app.is_texted("+14152010001", OURS, "STOP").await;
    assert_eq!(ask("+14152010001").await.refused(400).code, "RECIPIENT_OPTED_OUT");
}

#[tokio::test]
async fn where_the_carrier_takes_no_media_nothing_is_accepted() {
    let carrier = ScriptedCarrier::without_media();
    let app = public_setup().setting("OFFHOOK__PRICES__SANDBOX_FREE", false).carrier(carrier).start().await;
    let path = with_card(&app).await;
    app.credit(1).await;

    let refused = app.post(&path).json(json!({"to": HANDSET})).await.refused(400);
    assert_eq!(refused.code, "MEDIA_UNSUPPORTED", "{}", refused.message);
    let picture = json!({"from_number": OURS, "to_number": HANDSET, "media_url": "https://media.example/cat.png"});
    assert_eq!(app.post("/v1/messages").json(picture).await.refused(400).code, "MEDIA_UNSUPPORTED");
    assert_eq!(app.get("/v1/conversations").await.ok()["total"], 0);

    app.post("/v1/messages").json(json!({"from_number": OURS, "to_number": HANDSET, "body": "Hi"})).await.ok();
    let told = &app.get("/v1/conversations").await.ok()["data"][0]["capabilities"];
    let text_alone = json!([true, false, ["sms"], []]);
    assert_eq!(
        json!([told["canSendMessages"], told["media"], told["availableChannels"], told["mediaChannels"]]),
        text_alone
    );
}

#[tokio::test]
async fn a_card_has_names_of_one_line_and_a_picture_by_https() {
    let app = TestApp::start().await;
    let path = format!("/v1/numbers/{}/contact-card", app.number("+14155550100").await);
    let bad =
        json!({"firstName": "Ada\r\nTEL:911", "lastName": "De\u{202e}sk", "avatarUrl": "http://media.example/a.png"});
    assert_eq!(app.put(&path).json(bad).await.bad_fields(), ["firstName", "lastName", "avatarUrl"]);
    let card = app.put(&path).json(json!({"firstName": "Ada", "displayName": ""})).await.ok();
    assert_eq!((&card["firstName"], &card["displayName"]), (&json!("Ada"), &serde_json::Value::Null));
}
