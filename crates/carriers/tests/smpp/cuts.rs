//! Connections that end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use offhook_carriers::Carrier;
use offhook_carriers::smpp::LinkState;
use offhook_domain::message::SendOutcome;
use offhook_smpp::{Coding, Status, decode};
use offhook_testkit::smsc::{Receipts, Reply, Smsc};

use super::{Stage, submission, text};

/// Wherever the connection is cut: what is told accepted was taken once, what is told not taken was not, and what the peer
/// brings arrives once.
#[tokio::test]
async fn the_books_balance_wherever_it_is_cut() {
    for boundary in 1..40 {
        let stage = Stage::with(|settings| settings.window = 4).await;
        stage.smsc.cut_at(boundary);
        let texts: Vec<_> = (0..5).map(|n| submission(&format!("out {n}"))).collect();
        for n in 0..5 {
            stage.smsc.bring(text(&format!("in {n}")));
        }
        let outcomes = join_all(texts.iter().map(|text| stage.carrier.send(text))).await;
        stage.smsc.all_answered().await;
        let taken = stage.smsc.taken_so_far();
        let mut times: HashMap<String, usize> = HashMap::new();
        for one in &taken {
            *times.entry(decode(&one.message.short_message, Coding::Gsm7, 0)).or_default() += 1;
        }
        for (text, outcome) in texts.iter().zip(&outcomes) {
            let times = times.get(&text.body).copied().unwrap_or(0);
            match outcome {
                SendOutcome::Accepted { .. } => assert_eq!(times, 1, "cut at {boundary}: {}", text.body),
                SendOutcome::Unknown(_) => assert!(times <= 1, "cut at {boundary}: {}", text.body),
                other => panic!("cut at {boundary}: {other:?}"),
            }
        }
        let mut bodies: Vec<_> = stage.platform.messages(5).await.into_iter().map(|one| one.body).collect();
        bodies.sort();
        assert_eq!(bodies, ["in 0", "in 1", "in 2", "in 3", "in 4"], "cut at {boundary}");
        // Each receipt came, of those whose answer was lost too.
        let mut receipts: Vec<_> =
            stage.platform.receipts(taken.len()).await.into_iter().map(|one| one.carrier_message_id).collect();
        receipts.sort();
        receipts.dedup();
        assert_eq!(receipts.len(), taken.len(), "cut at {boundary}");
    }
}

#[tokio::test]
async fn what_was_under_way_in_a_cut_is_not_known() {
    let stage = Stage::with(|settings| settings.window = 5).await;
    stage.smsc.behave(|manners| manners.receipts = Receipts::Never);
    stage.smsc.judge(|_| Reply::Silence);
    let texts: Vec<_> = (0..8).map(|n| submission(&format!("out {n}"))).collect();
    let sending = join_all(texts.iter().map(|text| stage.carrier.send(text)));
    let cutting = async {
        stage.smsc.taken(5).await;
        stage.smsc.accept_all();
        stage.smsc.cut_all();
    };
    let (outcomes, ()) = tokio::join!(sending, cutting);
    let unknown = outcomes.iter().filter(|outcome| matches!(outcome, SendOutcome::Unknown(_))).count();
    let accepted = outcomes.iter().filter(|outcome| matches!(outcome, SendOutcome::Accepted { .. })).count();
    assert_eq!((unknown, accepted), (5, 3), "what waited goes over the next connection");
}

#[tokio::test]
async fn a_part_without_an_answer_leaves_the_message_open() {
    let stage = Stage::new().await;
    let mut count = 0;
    stage.smsc.judge(move |_| {
        count += 1;
        if count == 3 { Reply::Silence } else { Reply::Accept }
    });
    let sent = submission(&"a".repeat(400));
    let cutting = async {
        stage.smsc.taken(3).await;
        stage.smsc.all_answered().await;
        stage.smsc.cut_all();
    };
    let (outcome, ()) = tokio::join!(stage.carrier.send(&sent), cutting);
    assert!(matches!(outcome, SendOutcome::Unknown(_)), "{outcome:?}");
}

#[tokio::test]
async fn without_a_connection_nothing_is_taken() {
    let smsc = Smsc::start().await;
    smsc.behave(|manners| manners.bind = Status::RINVPASWD);
    let stage = Stage::over(smsc, Arc::default(), |settings| settings.patience = Duration::from_secs(10));
    assert!(matches!(stage.carrier.send(&submission("Hi")).await, SendOutcome::NotTaken(_)));
    let LinkState::Down { reason } = stage.carrier.links().remove(0).state else { panic!() };
    assert_eq!(reason, "the bind was refused: the password is wrong (ESME_RINVPASWD)");
    stage.smsc.behave(|manners| manners.bind = Status::ROK);
    assert!(matches!(
        stage.carrier.send(&submission("Hi")).await,
        SendOutcome::NotTaken(_) | SendOutcome::Accepted { .. }
    ));
    stage.carrier.all_bound().await;
    assert!(matches!(stage.carrier.send(&submission("Hi")).await, SendOutcome::Accepted { .. }));
}

#[tokio::test]
async fn without_a_connection_for_long_nobody_waits() {
    let smsc = Smsc::start().await;
    smsc.behave(|manners| manners.bind = Status::RBINDFAIL);
    let stage = Stage::over(smsc, Arc::default(), |settings| {
        settings.patience = Duration::from_secs(3_600);
        settings.unbound_patience = Duration::from_millis(300);
    });
    for _ in 0..2 {
        assert!(matches!(stage.carrier.send(&submission("Hi")).await, SendOutcome::NotTaken(_)));
    }
}

#[tokio::test]
async fn a_peer_that_takes_leave_is_bound_again() {
    let stage = Stage::new().await;
    stage.smsc.unbind_all();
    stage.smsc.deserted().await;
    assert!(matches!(stage.carrier.send(&submission("Hi")).await, SendOutcome::Accepted { .. }));
    assert_eq!(stage.smsc.binds(), 2);
}

#[tokio::test]
async fn a_stop_waits_for_the_answers() {
    let stage = Stage::new().await;
    stage.smsc.judge(|_| Reply::Late(Duration::from_millis(300)));
    let carrier = stage.carrier.clone();
    let sending = tokio::spawn(async move { carrier.send(&submission("Hi")).await });
    stage.smsc.taken(1).await;
    let carrier = stage.carrier.clone();
    let (smsc, _) = stage.stop().await;
    assert!(matches!(sending.await.unwrap(), SendOutcome::Accepted { .. }));
    smsc.deserted().await;
    assert!(matches!(carrier.send(&submission("too late")).await, SendOutcome::NotTaken(_)), "and takes nothing more");
}
