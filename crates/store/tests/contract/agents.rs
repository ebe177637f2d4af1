//! Agents.

use offhook_domain::agent::{Agent, AgentProfile, VoiceMode};
use offhook_domain::{AccountId, AgentId};
use offhook_store::{Page, Store, StoreError, Tx, Window};

use crate::fixtures::{account, agent, stored_number};

on_both_engines!(an_agent_comes_back_as_it_went_in, async |store| {
    let account = account(&store).await;
    let mut agent = agent(&store, &account, "Booking desk").await;
    agent.name = "Réception ☎".to_owned();
    agent.profile = AgentProfile {
        voice_mode: VoiceMode::Hosted,
        system_prompt: Some("Speak \"plainly\".\n".to_owned()),
        voice_speed: 1.25,
        ..AgentProfile::default()
    };
    let changed = agent.clone();
    store.write(async move |tx: &mut Tx| tx.of(&changed.account_id).update_agent(&changed).await).await.unwrap();
    let found = get(&store, &account, &agent.id).await.expect("it is there");
    assert_eq!((found.name, found.profile, found.created_at), (agent.name, agent.profile, agent.created_at));
    assert_eq!(found.account_id, account);
});

on_both_engines!(agents_are_listed_newest_first_page_by_page, async |store| {
    let account = account(&store).await;
    let mut expected = Vec::new();
    for n in 0..7 {
        expected.insert(0, agent(&store, &account, &format!("agent {n}")).await.id);
    }
    let mut seen = Vec::new();
    for offset in [0, 3, 6, 9] {
        let page = list(&store, &account, Window { limit: 3, offset }).await;
        assert_eq!(page.total, 7);
        seen.extend(page.items.into_iter().map(|agent| agent.id));
    }
    assert_eq!(seen, expected);
});

on_both_engines!(a_deleted_agent_leaves_its_numbers_behind, async |store| {
    let account = account(&store).await;
    let (gone, stays) = (agent(&store, &account, "gone").await.id, agent(&store, &account, "stays").await.id);
    let mut numbers = Vec::new();
    for (phone, agent) in [("+14155550100", &gone), ("+14155550101", &stays)] {
        let number = stored_number(&store, &account, phone).await.id;
        let (account, number_id, agent) = (account.clone(), number.clone(), agent.clone());
        let attach = async move |tx: &mut Tx| tx.of(&account).attach_number(&number_id, &agent).await;
        assert!(store.write(attach).await.unwrap());
        numbers.push(number);
    }
    let (scope, deleted) = (account.clone(), gone.clone());
    store.write(async move |tx: &mut Tx| tx.of(&scope).delete_agent(&deleted).await).await.unwrap();
    assert!(get(&store, &account, &gone).await.is_none());
    assert!(get(&store, &account, &stays).await.is_some());
    let look = async move |tx: &mut Tx| {
        let mut agents = Vec::new();
        for number in &numbers {
            agents.push(tx.of(&account).number(number).await?.expect("the number stays").agent_id);
        }
        Ok::<_, StoreError>(agents)
    };
    assert_eq!(store.read(look).await.unwrap(), [None, Some(stays)]);
});

on_both_engines!(another_accounts_agents_are_out_of_reach, async |store| {
    let (ada, bob) = (account(&store).await, account(&store).await);
    let adas = agent(&store, &ada, "Ada's").await;
    assert!(get(&store, &bob, &adas.id).await.is_none());
    assert_eq!(list(&store, &bob, Window { limit: 10, offset: 0 }).await.total, 0);

    let mut forged = adas.clone();
    forged.name = "Bob's now".to_owned();
    let meddle = async move |tx: &mut Tx| {
        let mut scope = tx.of(&bob);
        scope.update_agent(&forged).await?;
        scope.delete_agent(&forged.id).await
    };
    store.write(meddle).await.unwrap();
    assert_eq!(get(&store, &ada, &adas.id).await.map(|agent| agent.name), Some("Ada's".to_owned()));
});

async fn get(store: &Store, account: &AccountId, id: &AgentId) -> Option<Agent> {
    let (account, id) = (account.clone(), id.clone());
    store.read(async move |tx: &mut Tx| tx.of(&account).agent(&id).await).await.unwrap()
}

async fn list(store: &Store, account: &AccountId, window: Window) -> Page<Agent> {
    let account = account.clone();
    store.read(async move |tx: &mut Tx| tx.of(&account).agents(window).await).await.unwrap()
}
