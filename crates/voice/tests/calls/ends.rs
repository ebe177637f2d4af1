//! How calls end.

use std::time::Duration;

use offhook_domain::call::EndReason;
use offhook_voice::line::{LineEnd, Refusal};
use offhook_voice::text_line::Told;
use offhook_voice::turn::taking::{After, Answer};

use crate::stage::{Stage, plan, says};

fn and_then(text: &str, after: After) -> Vec<Answer> {
    vec![Answer::Text(text.to_owned()), Answer::Ended(after)]
}

#[tokio::test(start_paused = true)]
async fn the_agent_hangs_up_when_it_has_spoken() {
    let mut stage = Stage::they_call(&[("Bye", and_then("Goodbye.", After::Hangup))], Some(20), |_| {});
    stage.hears("Hello.").await;
    stage.until(&Told::Said).await;
    stage.peer.types("Bye");
    stage.hears("Goodbye.").await;
    assert_eq!(stage.peer.next().await, Some(Told::Said));
    assert_eq!(stage.peer.next().await, Some(Told::HungUp));
    let lines = stage.ends(EndReason::AgentHangup).await;
    assert_eq!(lines.last().unwrap(), "ended: agent_hangup");
}

#[tokio::test(start_paused = true)]
async fn a_call_of_ours_is_answered_and_costs_from_then_on() {
    let mut stage = Stage::we_call(&[("Hello?", says("It is me."))], None, |plan| plan.greeting = None);
    stage.peer.ring();
    stage.peer.ring();
    tokio::time::sleep(Duration::from_secs(10)).await;
    stage.peer.answer();
    stage.peer.types("Hello?");
    stage.hears("It is me.").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    stage.peer.end(LineEnd::TheyHungUp);
    let ended = stage.book.ended().await;
    assert_eq!(ended.talked.as_secs(), 5);
    assert_eq!(stage.book.lines()[..2], ["rings", "answered"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_of_ours_comes_to_nothing() {
    for (end, reason) in [
        (LineEnd::Busy, EndReason::Busy),
        (LineEnd::NoAnswer, EndReason::NoAnswer),
        (LineEnd::Rejected, EndReason::Rejected),
        (LineEnd::Unknown, EndReason::InvalidNumber),
        (LineEnd::Unreachable(503), EndReason::Failed),
    ] {
        let stage = Stage::we_call(&[], None, |_| {});
        stage.peer.end(end);
        let lines = stage.ends(reason).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(stage.book.ended().await.talked.is_zero());
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_says_nothing_rings_no_longer_than_it_may() {
    let mut stage = Stage::we_call(&[], None, |_| {});
    stage.until(&Told::HungUp).await;
    stage.ends(EndReason::NoAnswer).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_is_ended_from_outside_whatever_it_does() {
    let ringing = Stage::we_call(&[], None, |_| {});
    let call = ringing.exchange.calls_here().pop().unwrap();
    assert!(ringing.exchange.end(&call, EndReason::Canceled));
    ringing.ends(EndReason::Canceled).await;

    let long = "a sentence of some length that is being spoken";
    let mut speaking = Stage::they_call(&[("Speak", says(long))], Some(10), |plan| plan.greeting = None);
    speaking.until(&Told::Answered).await;
    speaking.peer.types("Speak");
    speaking.hears(long).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let call = speaking.exchange.calls_here().pop().unwrap();
    speaking.exchange.end(&call, EndReason::AgentHangup);
    let lines = speaking.ends(EndReason::AgentHangup).await;
    assert_eq!(lines, ["answered", "user: Speak", "agent: a sentence of some", "ended: agent_hangup"]);
    assert!(!speaking.exchange.end(&call, EndReason::AgentHangup), "it is over");
}

#[tokio::test(start_paused = true)]
async fn nobody_says_anything() {
    let stage = Stage::they_call(&[], None, |_| {});
    stage.ends(EndReason::Silence).await;
    assert_eq!(stage.book.ended().await.talked.as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn no_call_is_longer_than_it_may_be() {
    let stage = Stage::they_call(&[], None, |plan| plan.longest = Duration::from_secs(10));
    stage.ends(EndReason::MaxDuration).await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_handed_over() {
    let answers = [("A person, please", and_then("I put you through.", After::Transfer))];
    let mut stage = Stage::they_call(&answers, None, |plan| plan.transfer_to = Some("+14155550199".to_owned()));
    stage.hears("Hello.").await;
    stage.peer.types("A person, please");
    stage.until(&Told::Transferred("+14155550199".to_owned())).await;
    stage.ends(EndReason::Transferred).await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_without_a_transfer_number_apologises_and_goes_on() {
    let answers = [("A person", and_then("Moment.", After::Transfer)), ("Still there?", says("Yes."))];
    let mut stage = Stage::they_call(&answers, None, |_| {});
    stage.hears("Hello.").await;
    stage.peer.types("A person");
    stage.hears("Sorry, something went wrong.").await;
    stage.until(&Told::Said).await;
    stage.peer.types("Still there?");
    stage.hears("Yes.").await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_wanted_is_refused() {
    let mut stage = Stage::they_are_refused(Refusal::NobodyThere);
    stage.until(&Told::Refused(Refusal::NobodyThere)).await;
    assert!(stage.book.lines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_calls_go_on_for_a_while_and_then_ends_them() {
    let mut stage = Stage::they_call(&[], None, |plan| plan.manners.longest_silence = Duration::from_secs(3600));
    stage.until(&Told::Answered).await;
    stage.exchange.drain(Duration::from_secs(20)).await;
    stage.ends(EndReason::Shutdown).await;
    assert_eq!(stage.book.ended().await.talked.as_secs(), 20);
}

#[test]
fn the_plan_of_these_stories_has_everything_that_is_waited_for() {
    assert!(plan().longest > plan().manners.longest_silence);
}
