//! What is said, and by whom.

use std::time::Duration;

use offhook_domain::call::EndReason;
use offhook_voice::line::LineEnd;
use offhook_voice::text_line::Told;
use offhook_voice::turn::taking::{After, Answer, Role};

use crate::stage::{Stage, says};

#[tokio::test(start_paused = true)]
async fn a_caller_is_greeted_asks_and_is_answered() {
    let mut stage = Stage::they_call(&[("When do you open?", says("At nine. See you then."))], None, |_| {});
    stage.until(&Told::Answered).await;
    stage.hears("Hello.").await;
    stage.peer.types("When do you open?");
    stage.hears("At nine.").await;
    stage.hears("See you then.").await;
    stage.until(&Told::Said).await;
    stage.peer.end(LineEnd::TheyHungUp);
    let lines = stage.ends(EndReason::UserHangup).await;
    assert_eq!(
        lines,
        ["answered", "agent: Hello.", "user: When do you open?", "agent: At nine. See you then.", "ended: user_hangup"]
    );
    let marks =
        ["began", "answered", "brain_asked", "brain_first", "brain_ended", "speaker_asked", "turn_heard", "over"];
    assert!(marks.iter().all(|mark| stage.book.has_mark(mark)), "{:?}", stage.book.lines());
}

#[tokio::test(start_paused = true)]
async fn the_brain_is_told_what_was_said_before() {
    let answers = [("One", says("First.")), ("Two", says("Second."))];
    let mut stage = Stage::they_call(&answers, None, |_| {});
    stage.hears("Hello.").await;
    stage.peer.types("One");
    stage.hears("First.").await;
    stage.peer.types("Two");
    stage.hears("Second.").await;
    let asked = stage.book.asked.lock().unwrap().clone();
    let so_far: Vec<_> = asked[1].so_far.iter().map(|turn| (turn.role, turn.content.as_str())).collect();
    assert_eq!(so_far, [(Role::Agent, "Hello."), (Role::User, "One"), (Role::Agent, "First.")]);
    assert_eq!(asked[1].words, "Two");
}

#[tokio::test(start_paused = true)]
async fn who_interrupts_hears_no_more_and_the_transcript_has_what_was_heard() {
    let long = "This is a very long sentence that goes on for quite a while";
    let mut stage = Stage::they_call(&[("Go on", says(long)), ("Stop", says("Fine."))], Some(10), |_| {});
    stage.hears("Hello.").await;
    stage.until(&Told::Said).await;
    stage.peer.types("Go on");
    stage.hears(long).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    stage.peer.types("Stop");
    stage.until(&Told::Hushed).await;
    stage.hears("Fine.").await;
    stage.peer.end(LineEnd::TheyHungUp);
    let lines = stage.ends(EndReason::UserHangup).await;
    assert_eq!(lines[3], "agent: This is a very long");
    assert!(stage.book.has_mark("barge_in"));
}

#[tokio::test(start_paused = true)]
async fn who_speaks_again_before_the_answer_came_has_its_request_closed() {
    let mut stage = Stage::they_call(&[("And now?", says("Now."))], None, |_| {});
    stage.hears("Hello.").await;
    stage.peer.types("Nobody answers this");
    stage.peer.types("And now?");
    stage.hears("Now.").await;
    assert_eq!(*stage.book.dropped.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_brain_that_fails_is_apologised_for_and_the_call_goes_on() {
    let answers = [("Well?", vec![Answer::Failed]), ("Again?", says("Here I am."))];
    let mut stage = Stage::they_call(&answers, None, |_| {});
    stage.hears("Hello.").await;
    stage.peer.types("Well?");
    stage.hears("Sorry, something went wrong.").await;
    stage.until(&Told::Said).await;
    stage.peer.types("Again?");
    stage.hears("Here I am.").await;
}

#[tokio::test(start_paused = true)]
async fn keys_are_words_once_they_are_complete() {
    let mut stage = Stage::they_call(&[("42", says("Room forty-two.")), ("7", says("Seven."))], None, |_| {});
    stage.hears("Hello.").await;
    stage.peer.press('4');
    stage.peer.press('2');
    stage.hears("Room forty-two.").await;
    stage.until(&Told::Said).await;
    stage.peer.press('7');
    stage.peer.press('#');
    stage.hears("Seven.").await;
}

#[tokio::test(start_paused = true)]
async fn keys_are_pressed_where_they_stand_in_the_answer() {
    let answer = vec![
        Answer::Text("One moment.".to_owned()),
        Answer::Digits("12#".to_owned()),
        Answer::Text("There.".to_owned()),
        Answer::Ended(After::Listen),
    ];
    let mut stage = Stage::they_call(&[("Press", answer)], Some(20), |_| {});
    stage.until(&Told::Said).await;
    stage.peer.types("Press");
    stage.hears("One moment.").await;
    stage.until(&Told::Said).await;
    assert_eq!(stage.peer.next().await, Some(Told::Pressed("12#".to_owned())));
    assert_eq!(stage.peer.next().await, Some(Told::Says("There.".to_owned())));
}
