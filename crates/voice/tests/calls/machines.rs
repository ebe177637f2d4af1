//! A machine takes a call of ours.

use offhook_domain::call::EndReason;
use offhook_voice::text_line::Told;

use crate::stage::{Stage, says};

const TONE: &str = "You have reached Ann. Please leave a message after the tone.";

#[tokio::test(start_paused = true)]
async fn a_machine_gets_its_message_and_no_conversation() {
    let mut stage = Stage::we_call(&[], None, |plan| {
        plan.greeting = None;
        plan.voicemail_message = Some("Please call us back.".to_owned());
    });
    stage.peer.answer();
    stage.peer.types(TONE);
    stage.hears("Please call us back.").await;
    stage.until(&Told::HungUp).await;
    let lines = stage.ends(EndReason::Voicemail).await;
    assert_eq!(lines[2], "agent: Please call us back.");
    assert!(stage.book.asked.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_a_message_it_is_hung_up_on() {
    let mut stage = Stage::we_call(&[], None, |plan| plan.greeting = None);
    stage.peer.answer();
    stage.peer.types(TONE);
    stage.until(&Told::HungUp).await;
    stage.ends(EndReason::Voicemail).await;
}

#[tokio::test(start_paused = true)]
async fn a_screener_hears_who_calls_and_then_the_person_is_spoken_to() {
    let mut stage = Stage::we_call(&[("Hi, this is Ann", says("Hi Ann."))], None, |plan| {
        plan.greeting = None;
        plan.screening = Some(("Bob of Acme".to_owned(), "About your order".to_owned()));
    });
    stage.peer.answer();
    stage.peer.types("Please state your name and the reason for your call.");
    stage.hears("Bob of Acme.").await;
    stage.hears("About your order.").await;
    stage.peer.types("Hi, this is Ann");
    stage.hears("Hi Ann.").await;
}

#[tokio::test(start_paused = true)]
async fn who_calls_us_and_speaks_of_voicemail_is_a_person() {
    let mut stage = Stage::they_call(&[(TONE, says("What message?"))], None, |_| {});
    stage.hears("Hello.").await;
    stage.peer.types(TONE);
    stage.hears("What message?").await;
}
