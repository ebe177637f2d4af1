//! Conversations and their messages, as they are read back.

use offhook_domain::message::{Channel, Direction, Message, MessageStatus};
use offhook_domain::number::Number;
use offhook_domain::{AccountId, ConversationId, Id, MessageId, Micros, Timestamp};
use offhook_store::message_flow::Touch;
use offhook_store::messages::{Slice, Span};
use offhook_store::{Store, StoreError, Tx, Window};
use serde_json::json;

use crate::fixtures::{account, agent, now, stored_number};

const ALL: Window = Window { limit: 100, offset: 0 };
const ADA: &str = "+14152011234";
const BEN: &str = "+14152015678";

on_both_engines!(a_message_comes_back_as_it_went_in, async |store| {
    let account = account(&store).await;
    let number = stored_number(&store, &account, "+14155550100").await;
    let urls = vec!["https://media.example/a.jpg".to_owned()];
    let sent = say(&store, &number, Direction::Inbound, ADA, "", &urls).await;
    let said = say(&store, &number, Direction::Outbound, ADA, "Nice ☎", &[]).await;

    let found = read(&store, &account, &sent.conversation_id, Span::newest(10)).await;
    let shown: Vec<_> = found
        .items
        .iter()
        .map(|m| (m.id.clone(), m.from.as_str(), m.to.as_str(), m.body.as_str(), m.channel))
        .collect();
    let ours = "+14155550100";
    assert_eq!(shown, [(said.id, ours, ADA, "Nice ☎", Channel::Sms), (sent.id.clone(), ADA, ours, "", Channel::Mms)]);
    assert_eq!(found.items[1].media_urls, urls);

    let id = sent.id;
    let one = store.read(async move |tx: &mut Tx| tx.of(&account).message(&id).await).await.unwrap().unwrap();
    assert_eq!(format!("{one:?}"), format!("{:?}", found.items[1]));
});

on_both_engines!(messages_are_paged_by_time_newest_first, async |store| {
    let account = account(&store).await;
    let number = stored_number(&store, &account, "+14155550100").await;
    let mut said = Vec::new();
    for n in 0..5 {
        said.insert(0, say(&store, &number, Direction::Inbound, ADA, &n.to_string(), &[]).await);
    }
    say(&store, &number, Direction::Inbound, BEN, "elsewhere", &[]).await;
    let conversation = &said[0].conversation_id;

    for (span, expected, more) in [
        (Span::newest(2), &["4", "3"][..], true),
        (Span::newest(5), &["4", "3", "2", "1", "0"], false),
        (Span { before: said[1].at, ..Span::newest(2) }, &["2", "1"], true),
        (Span { before: said[2].at, ..Span::newest(2) }, &["1", "0"], false),
        (Span { after: said[2].at, ..Span::newest(5) }, &["4", "3"], false),
        (Span { after: said[4].at, before: said[0].at, limit: 1 }, &["3"], true),
        (Span::newest(0), &[], true),
    ] {
        let slice = read(&store, &account, conversation, span).await;
        let bodies: Vec<_> = slice.items.iter().map(|message| message.body.as_str()).collect();
        assert_eq!((bodies.as_slice(), slice.has_more), (expected, more), "{span:?}");
    }
    let (scope, id) = (account.clone(), number.id.clone());
    let work = async move |tx: &mut Tx| tx.of(&scope).messages_of_number(&id, Span::newest(3)).await;
    let slice = store.read(work).await.unwrap();
    let bodies: Vec<_> = slice.items.iter().map(|message| message.body.as_str()).collect();
    assert_eq!((bodies, slice.has_more), (vec!["elsewhere", "4", "3"], true));
});

on_both_engines!(the_conversation_spoken_in_last_is_first, async |store| {
    let account = account(&store).await;
    let desk = agent(&store, &account, "Desk").await.id;
    let mut number = stored_number(&store, &account, "+14155550100").await;
    number.agent_id = Some(desk.clone());
    for (participant, body) in [(ADA, "Ada here"), (BEN, "Ben here"), (ADA, "Ada again")] {
        say(&store, &number, Direction::Inbound, participant, body, &[]).await;
    }
    let number = number.id;
    let work = async move |tx: &mut Tx| {
        let all = tx.of(&account).conversations(ALL).await?;
        let of_agent = tx.of(&account).conversations_of_agent(&desk, Window { limit: 1, offset: 1 }).await?;
        let seen: Vec<_> =
            all.items.iter().map(|c| (c.participant.as_str(), c.message_count, c.number_active)).collect();
        assert_eq!((seen, all.total), (vec![(ADA, 2, true), (BEN, 1, true)], 2));
        assert_eq!((of_agent.items[0].participant.as_str(), of_agent.total), (BEN, 2));
        assert_eq!(all.items[0].last_message_preview, "Ada again");

        assert!(tx.of(&account).release_number(&number, now()).await?);
        let kept = tx.of(&account).conversation(&all.items[0].id).await?.expect("it stays");
        assert!(!kept.number_active);
        Ok::<_, StoreError>(())
    };
    store.write(work).await.unwrap();
});

on_both_engines!(a_customers_own_fields_are_kept_and_cleared, async |store| {
    let account = account(&store).await;
    let number = stored_number(&store, &account, "+14155550100").await;
    let id = say(&store, &number, Direction::Inbound, ADA, "Hi", &[]).await.conversation_id;
    let work = async move |tx: &mut Tx| {
        let mut scope = tx.of(&account);
        let object = json!({"step": "booking", "né": [null, 1.5, true]});
        scope.set_metadata(&id, Some(&object)).await?;
        scope.set_group_name(&id, Some("Table 4")).await?;
        let set = scope.conversation(&id).await?.expect("it is there");
        assert_eq!((set.metadata, set.group_name.as_deref()), (Some(object), Some("Table 4")));
        scope.set_metadata(&id, None).await?;
        scope.set_group_name(&id, None).await?;
        let cleared = scope.conversation(&id).await?.expect("it is there");
        assert_eq!((cleared.metadata, cleared.group_name), (None, None));
        Ok::<_, StoreError>(())
    };
    store.write(work).await.unwrap();
});

on_both_engines!(another_accounts_conversations_are_out_of_reach, async |store| {
    let (ada, bob) = (account(&store).await, account(&store).await);
    let number = stored_number(&store, &ada, "+14155550100").await;
    let message = say(&store, &number, Direction::Inbound, ADA, "Hi", &[]).await;
    let work = async move |tx: &mut Tx| {
        let id = &message.conversation_id;
        let mut scope = tx.of(&bob);
        scope.set_metadata(id, Some(&json!({}))).await?;
        scope.set_group_name(id, Some("Bob's now")).await?;
        assert!(scope.conversation(id).await?.is_none() && scope.message(&message.id).await?.is_none());
        assert!(scope.messages_of_conversation(id, Span::newest(9)).await?.items.is_empty());
        assert!(scope.messages_of_number(&number.id, Span::newest(9)).await?.items.is_empty());
        assert_eq!(scope.conversations(ALL).await?.total, 0);
        let kept = tx.of(&ada).conversation(id).await?.expect("it is Ada's");
        assert_eq!((kept.metadata, kept.group_name), (None, None));
        Ok::<_, StoreError>(())
    };
    store.write(work).await.unwrap();
});

async fn read(store: &Store, account: &AccountId, conversation: &ConversationId, span: Span) -> Slice<Message> {
    let (account, id) = (account.clone(), conversation.clone());
    store.read(async move |tx: &mut Tx| tx.of(&account).messages_of_conversation(&id, span).await).await.unwrap()
}

/// Keeps one message between a number and a participant.
pub async fn say(
    store: &Store,
    number: &Number,
    direction: Direction,
    participant: &str,
    body: &str,
    media_urls: &[String],
) -> Message {
    let at: Timestamp = now();
    let ours = number.phone_number.to_string();
    let (from, to) = match direction {
        Direction::Outbound => (ours.clone(), participant.to_owned()),
        Direction::Inbound => (participant.to_owned(), ours.clone()),
    };
    let message = Message {
        id: MessageId::generate(at),
        account_id: number.account_id.clone(),
        number_id: number.id.clone(),
        conversation_id: ConversationId::generate(at),
        direction,
        channel: Channel::for_media(media_urls),
        status: MessageStatus::Queued,
        from,
        to,
        body: body.to_owned(),
        media_urls: media_urls.to_vec(),
        segments: 1,
        failure: None,
        carrier: "sandbox".to_owned(),
        carrier_message_id: None,
        at,
        delivered_at: None,
        estimated_send_at: None,
    };
    let (agent_id, participant) = (number.agent_id.clone(), participant.to_owned());
    let work = async move |tx: &mut Tx| {
        let mut message = message.clone();
        let touch = Touch {
            fresh_id: &message.conversation_id,
            account_id: &message.account_id,
            number_id: &message.number_id,
            phone_number: &ours,
            participant: &participant,
            agent_id: agent_id.as_ref(),
            channel: message.channel,
            body: &message.body,
            at: &[at],
        };
        message.conversation_id = tx.touch_conversations(&[touch]).await?.remove(0).id;
        tx.insert_messages(&[(&message, Micros(0))]).await?;
        Ok::<_, StoreError>(message.clone())
    };
    store.write(work).await.unwrap()
}
