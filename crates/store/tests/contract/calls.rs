//! Calls: how far they are, who leads them, what was said.

use std::time::Duration;

use offhook_domain::call::{CallDirection, CallStatus, EndReason, Speaker, SpokenTurn};
use offhook_domain::{AccountId, CallId, Id, Micros, Timestamp, TurnId};
use offhook_store::call_flow::{CallEnd, NewCall};
use offhook_store::calls::{CallFilter, CallMark};
use offhook_store::{Store, StoreError, Tx, Window};

use crate::fixtures::account;

const AT: Timestamp = Timestamp::from_micros(1_764_000_000_000_000);
const ALL: Window = Window { limit: 50, offset: 0 };
const LASTING: Duration = Duration::from_secs(60);

async fn begun(store: &Store, account: &AccountId, to: &str, lasting: Duration) -> CallId {
    let (account, to) = (account.clone(), to.to_owned());
    let begin = async move |tx: &mut Tx| {
        let id = CallId::generate(AT);
        let call = NewCall {
            id: &id,
            agent_id: None,
            number_id: None,
            phone_number: "+14155550100",
            from: "+14155550100",
            to: &to,
            direction: CallDirection::Outbound,
            status: CallStatus::Queued,
            at: AT,
            voice_mode: "webhook",
            carrier: "sandbox",
            metadata: None,
            options: Some("{}"),
            node: "one",
            lasting,
        };
        tx.of(&account).insert_call(&call).await?;
        Ok(id)
    };
    store.write::<_, StoreError>(begin).await.unwrap()
}

fn end(reason: EndReason, status: CallStatus) -> CallEnd<'static> {
    CallEnd { reason, status, at: AT.plus(Duration::from_secs(61)), price: Micros(7), recording: None }
}

on_both_engines!(a_call_goes_forward_and_ends_once, async |store| {
    let account = account(&store).await;
    let call = begun(&store, &account, "+14155550142", LASTING).await;
    let id = call.clone();
    let steps = async move |tx: &mut Tx| {
        let rang = (tx.call_rings(&id).await?, tx.call_rings(&id).await?);
        let later = AT.plus(Duration::from_secs(1));
        let answered = (tx.call_is_answered(&id, later).await?, tx.call_is_answered(&id, AT).await?);
        let ended = (
            tx.end_call(&id, end(EndReason::UserHangup, CallStatus::Completed)).await?,
            tx.end_call(&id, end(EndReason::Busy, CallStatus::Failed)).await?,
        );
        Ok((rang, answered, ended, tx.open_call(&id).await?))
    };
    let (rang, answered, ended, open) = store.write::<_, StoreError>(steps).await.unwrap();
    assert_eq!((rang, answered, ended, open), ((true, false), (true, false), (true, false), None));
    let kept = store.read::<_, StoreError>(async move |tx: &mut Tx| tx.of(&account).call(&call).await).await;
    let kept = kept.unwrap().unwrap();
    assert_eq!((kept.status, kept.end_reason.as_deref()), (CallStatus::Completed, Some("user_hangup")));
    assert_eq!(kept.duration_seconds(), Some(60));
});

on_both_engines!(a_call_is_lost_when_its_node_is_not_heard_of, async |store| {
    let account = account(&store).await;
    let lost = begun(&store, &account, "+14155550142", Duration::ZERO).await;
    let led = begun(&store, &account, "+14155550143", LASTING).await;
    // The database's clock goes on by itself.
    let find = async |tx: &mut Tx| tx.lost_calls(10).await;
    let mut found = store.read::<_, StoreError>(find).await.unwrap();
    while found.is_empty() {
        found = store.read::<_, StoreError>(find).await.unwrap();
    }
    assert_eq!(found.iter().map(|call| &call.id).collect::<Vec<_>>(), [&lost]);
    let id = lost.clone();
    let take = async move |tx: &mut Tx| {
        let taken = (tx.take_call_over(&id, "two", LASTING).await?, tx.take_call_over(&id, "three", LASTING).await?);
        tx.prolong_calls("one", LASTING).await?;
        Ok((taken, tx.calls_led_by("one").await?, tx.calls_led_by("two").await?))
    };
    let (taken, ones, twos) = store.write::<_, StoreError>(take).await.unwrap();
    assert_eq!(taken, (true, false));
    assert_eq!((&ones[0].id, &twos[0].id), (&led, &lost));
});

on_both_engines!(a_call_is_asked_to_end_by_its_owner_alone, async |store| {
    let (mine, theirs) = (account(&store).await, account(&store).await);
    let call = begun(&store, &mine, "+14155550142", LASTING).await;
    let (id, owner) = (call.clone(), mine.clone());
    let ask = async move |tx: &mut Tx| {
        tx.of(&theirs).ask_call_to_end(&id, AT).await?;
        let before = tx.calls_to_end("one").await?;
        tx.of(&owner).ask_call_to_end(&id, AT).await?;
        Ok((before, tx.calls_to_end("one").await?, tx.calls_to_end("two").await?))
    };
    let (before, after, elsewhere) = store.write::<_, StoreError>(ask).await.unwrap();
    assert_eq!((before, after, elsewhere), (vec![], vec![call], vec![]));
});

on_both_engines!(calls_are_found_by_what_they_are_and_by_what_was_said, async |store| {
    let account = account(&store).await;
    let (one, two) = (
        begun(&store, &account, "+14155550142", LASTING).await,
        begun(&store, &account, "+14155550143", LASTING).await,
    );
    let (ours, id) = (account.clone(), one.clone());
    let say = async move |tx: &mut Tx| {
        let turn = SpokenTurn {
            id: TurnId::generate(AT),
            speaker: Speaker::User,
            content: "A 50%_Discount!".to_owned(),
            confidence: Some(0.5),
            at: AT,
        };
        let mark = |name: &str| CallMark { since: 5, name: name.to_owned(), detail: Some("{}".to_owned()) };
        let mut scope = tx.of(&ours);
        scope.insert_call_turn(&id, &turn).await?;
        scope.insert_call_marks(&id, &[mark("began"), mark("answered")]).await?;
        scope.insert_call_marks(&id, &[mark("over")]).await?;
        tx.end_call(&id, end(EndReason::Busy, CallStatus::Failed)).await
    };
    store.write::<_, StoreError>(say).await.unwrap();
    let find = async |filter: CallFilter| -> Vec<CallId> {
        let account = account.clone();
        let find = async move |tx: &mut Tx| tx.of(&account).calls(&filter, ALL).await;
        store.read::<_, StoreError>(find).await.unwrap().items.into_iter().map(|call| call.id).collect()
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(find(CallFilter::default()).await.len(), 2);
    assert_eq!(find(CallFilter { status: text("busy"), ..CallFilter::default() }).await, std::slice::from_ref(&one));
    assert_eq!(find(CallFilter { status: text("queued"), ..CallFilter::default() }).await, std::slice::from_ref(&two));
    assert_eq!(
        find(CallFilter { search: text("50%_disc"), ..CallFilter::default() }).await,
        std::slice::from_ref(&one)
    );
    assert_eq!(find(CallFilter { search: text("50x"), ..CallFilter::default() }).await, []);
    assert_eq!(find(CallFilter { search: text("0143"), ..CallFilter::default() }).await, [two]);
    assert_eq!(find(CallFilter { web: Some(true), ..CallFilter::default() }).await, []);
    let (ours, id) = (account.clone(), one.clone());
    let read = async move |tx: &mut Tx| {
        let mut scope = tx.of(&ours);
        Ok((scope.call_turns(&id, None, 10).await?, scope.call_marks(&id).await?))
    };
    let (turns, marks) = store.read::<_, StoreError>(read).await.unwrap();
    assert_eq!((turns.len(), turns[0].confidence), (1, Some(0.5)));
    assert_eq!(marks.iter().map(|mark| mark.name.as_str()).collect::<Vec<_>>(), ["began", "answered", "over"]);
});
