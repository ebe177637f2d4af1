//! What SMPP carriers remember: parts of texts that come, and ids of parts that went.

use std::time::Duration;

use offhook_domain::message::{Failure, ReceiptStatus};
use offhook_domain::{Id, MessageId};
use offhook_store::inbound_parts::{ArrivedPart, PartedText, TextPiece};
use offhook_store::outcomes::KeptReceipt;
use offhook_store::sent_parts::PartsHeard;
use offhook_store::{Store, StoreError, Tx};
use tokio::task::JoinSet;

use crate::fixtures::{NOON, now};

fn part(key: &str, total: u32, number: u32, words: &str) -> ArrivedPart {
    let at = now();
    ArrivedPart {
        id: format!("smpp_{}", at.as_micros()),
        text_key: key.to_owned(),
        digest: format!("{key} {number} {words}"),
        fresh: false,
        sender: "+14152011234".to_owned(),
        receiver: "+14155550100".to_owned(),
        total,
        piece: TextPiece { number, coding: "gsm7".to_owned(), octets: words.to_owned() },
        at,
    }
}

async fn keep(store: &Store, parts: &[ArrivedPart]) -> Vec<PartedText> {
    let parts = parts.to_vec();
    store.write::<_, StoreError>(async move |tx: &mut Tx| tx.keep_arrived_parts("c", &parts).await).await.unwrap()
}

fn words(text: &PartedText) -> String {
    text.pieces.iter().map(|piece| piece.octets.as_str()).collect()
}

on_both_engines!(parts_are_gathered_until_their_text_is_whole, async |store| {
    let first = keep(&store, &[part("k", 3, 3, "03"), part("other", 2, 1, "ff")]).await;
    assert!(first.iter().all(|text| !text.is_whole()));
    let second = keep(&store, &[part("k", 3, 1, "01"), part("k", 3, 2, "02")]).await;
    assert_eq!((second[0].id.as_str(), second[1].id.as_str()), (first[0].id.as_str(), first[0].id.as_str()));
    assert_eq!((second[1].is_whole(), words(&second[1])), (true, "010203".to_owned()));
    let again = keep(&store, &[part("k", 3, 2, "02")]).await;
    assert_eq!(again, [second[1].clone()], "a part that is brought again is of the same text");
    let another = keep(&store, &[part("k", 3, 2, "aa")]).await;
    assert_ne!(another[0].id, first[0].id, "and one that says something else is not");
    assert_eq!(words(&another[0]), "aa");
});

on_both_engines!(what_was_whole_and_answered_is_another_text, async |store| {
    let first = keep(&store, &[part("k", 2, 1, "01"), part("k", 2, 2, "02")]).await;
    let fresh = ArrivedPart { fresh: true, ..part("k", 2, 1, "01") };
    let second = keep(&store, std::slice::from_ref(&fresh)).await;
    assert_ne!(second[0].id, first[0].id);
    assert_eq!(keep(&store, &[fresh]).await, second, "one that is not whole takes its part again");
    let ids = [(first[1].id.clone(), 1), (second[0].id.clone(), 1)];
    let whole = keep(&store, &[part("k", 2, 2, "03")]).await;
    assert_eq!((whole[0].id.as_str(), words(&whole[0])), (second[0].id.as_str(), "0103".to_owned()));
    for _ in 0..2 {
        let ids = ids.clone();
        store.write::<_, StoreError>(async move |tx: &mut Tx| tx.settle_parts("c", &ids).await).await.unwrap();
    }
    let third = keep(&store, &[part("k", 2, 1, "01")]).await;
    assert!(!third[0].is_whole(), "the peer has the answers to the others: {third:?}");
    assert_eq!(words(&keep(&store, &[part("k", 2, 2, "02")]).await[0]), "0102");
});

on_both_engines!(a_text_in_one_piece_is_the_same_until_it_is_forgotten, async |store| {
    let first = keep(&store, &[part("yes", 1, 1, "79")]).await;
    assert_eq!((first[0].is_whole(), words(&first[0])), (true, "79".to_owned()));
    assert_eq!(keep(&store, &[part("yes", 1, 1, "79")]).await, first);
    let fresh = keep(&store, &[ArrivedPart { fresh: true, ..part("yes", 1, 1, "79") }]).await;
    assert_ne!(fresh[0].id, first[0].id);
    assert_eq!(keep(&store, &[part("yes", 1, 1, "79")]).await, fresh, "the last one is the one in doubt");
    let ids = vec![first[0].id.clone(), fresh[0].id.clone()];
    store.write::<_, StoreError>(async move |tx: &mut Tx| tx.forget_texts("c", &ids).await).await.unwrap();
    assert!(keep(&store, &[part("yes", 1, 1, "79")]).await[0].id > fresh[0].id);
});

on_both_engines!(parts_that_come_at_the_same_time_find_each_other, async |store| {
    for round in 0..10 {
        let key = format!("round {round}");
        let mut keeping = JoinSet::new();
        for number in 1..=6 {
            let (store, one) = (store.clone(), part(&key, 6, number, "00"));
            keeping.spawn(async move { keep(&store, &[one]).await.remove(0) });
        }
        let texts = keeping.join_all().await;
        assert!(texts.iter().all(|text| text.id == texts[0].id), "{texts:#?}");
        assert_eq!(texts.iter().filter(|text| text.is_whole()).count(), 1, "{texts:#?}");
    }
});

on_both_engines!(what_is_old_and_not_whole_is_found, async |store| {
    keep(&store, &[part("half", 2, 2, "02"), part("whole", 2, 1, "01"), part("whole", 2, 2, "02")]).await;
    keep(&store, &[part("piece", 1, 1, "01")]).await;
    let unfinished = async |span: u64| {
        let before = NOON.plus(Duration::from_secs(span));
        let look = async move |tx: &mut Tx| tx.unfinished_texts("c", before).await;
        store.write::<_, StoreError>(look).await.unwrap()
    };
    assert_eq!(unfinished(0).await, []);
    let found = unfinished(3_600).await;
    assert_eq!((found.len(), words(&found[0])), (1, "02".to_owned()));
    assert_eq!(unfinished(3_600).await, found, "until it is forgotten");
    let old = keep(&store, &[part("whole", 2, 1, "01")]).await;
    assert!(!old[0].is_whole(), "what was whole is forgotten");
});

fn receipt(id: &str, status: ReceiptStatus) -> KeptReceipt {
    let failure = (status == ReceiptStatus::Undelivered).then(|| Failure::new("021", "no such subscriber"));
    KeptReceipt { carrier_message_id: id.to_owned(), status, failure, at: now() }
}

async fn hear(store: &Store, receipts: &[KeptReceipt]) -> Vec<Option<PartsHeard>> {
    let receipts = receipts.to_vec();
    store.write::<_, StoreError>(async move |tx: &mut Tx| tx.hear_of_parts("c", &receipts).await).await.unwrap()
}

async fn sent(store: &Store, ids: &[&str]) -> MessageId {
    let message = MessageId::generate(now());
    let parts: Vec<(u32, String)> = (1..).zip(ids).map(|(number, id)| (number, (*id).to_owned())).collect();
    let (of, whole) = (message.clone(), format!("{}+", ids[0]));
    let keep = async move |tx: &mut Tx| {
        let total = u32::try_from(parts.len()).unwrap();
        tx.keep_sent_parts("c", &of, (&whole, total), &parts, NOON).await
    };
    store.write::<_, StoreError>(keep).await.unwrap();
    message
}

on_both_engines!(receipts_of_parts_are_heard_together, async |store| {
    use ReceiptStatus::{Delivered, Sent, Undelivered};
    let message = sent(&store, &["a", "b", "c"]).await;
    let heard = hear(&store, &[receipt("b", Sent), receipt("unknown", Delivered)]).await;
    let statuses = |heard: &Option<PartsHeard>| {
        let heard = heard.as_ref().unwrap();
        assert_eq!((&heard.message_id, heard.whole_id.as_str(), heard.total), (&message, "a+", 3));
        heard.told.iter().map(|(status, _)| *status).collect::<Vec<_>>()
    };
    assert_eq!((statuses(&heard[0]), &heard[1]), (vec![None, Some(Sent), None], &None));
    let heard = hear(&store, &[receipt("a", Undelivered), receipt("b", Delivered), receipt("a", Delivered)]).await;
    let all = vec![Some(Undelivered), Some(Delivered), None];
    assert!(heard.iter().all(|one| statuses(one) == all), "the first final one of a part counts: {heard:#?}");
    assert_eq!(heard[0].as_ref().unwrap().told[0].1.as_ref().unwrap().code, "021");
});

on_both_engines!(receipts_that_come_at_the_same_time_miss_nothing, async |store| {
    for round in 0..10 {
        let ids: Vec<String> = (0..5).map(|n| format!("{round}-{n}")).collect();
        sent(&store, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let mut hearing = JoinSet::new();
        for id in ids {
            let store = store.clone();
            hearing.spawn(async move { hear(&store, &[receipt(&id, ReceiptStatus::Delivered)]).await.remove(0) });
        }
        let heard = hearing.join_all().await.into_iter().flatten();
        let complete = heard.filter(|heard| heard.told.iter().all(|(status, _)| status.is_some())).count();
        assert_eq!(complete, 1, "the last one sees all");
    }
});
