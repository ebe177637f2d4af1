//! SIP trunks of customers.

use offhook_domain::sip_trunk::{
    AllowedIp, OriginationUri, SipAddress, SipLogin, SipTrunk, TransferCallerId, Transfers,
};
use offhook_domain::{AccountId, Id, TrunkId};
use offhook_store::{Store, StoreError, Tx};

use crate::fixtures::{NOON, account, now};

on_both_engines!(a_trunk_comes_back_as_it_went_in, async |store| {
    let account = account(&store).await;
    let mut office = trunk(&account, "Office");
    insert(&store, &office).await;
    assert_eq!(all(&store).await, [office.clone()]);

    office.name = "Ärger \"1\"".to_owned();
    (office.transfers, office.transfer_caller_id) = (Transfers::All, TransferCallerId::Transferor);
    office.allowed_ips.clear();
    office.origination.truncate(1);
    office.login.password_last4 = "9999".to_owned();
    office.updated_at = now();
    let changed = office.clone();
    store.write(async move |tx: &mut Tx| tx.of(&changed.account_id).update_sip_trunk(&changed).await).await.unwrap();
    let (scope, id) = (account.clone(), office.id.clone());
    let found = store.read(async move |tx: &mut Tx| tx.of(&scope).sip_trunk(&id).await).await.unwrap();
    assert_eq!(found, Some(office));
});

on_both_engines!(another_accounts_trunks_are_out_of_reach, async |store| {
    let (mine, other) = (account(&store).await, account(&store).await);
    let theirs = trunk(&other, "Theirs");
    insert(&store, &theirs).await;
    let (scope, id, mut forged) = (mine.clone(), theirs.id.clone(), theirs.clone());
    forged.name = "Mine".to_owned();
    let seen = store.write::<_, StoreError>(async move |tx: &mut Tx| {
        let mut scope = tx.of(&scope);
        scope.update_sip_trunk(&forged).await?;
        let found = (scope.sip_trunk(&id).await?, scope.sip_trunk_to_change(&id).await?, scope.sip_trunks().await?);
        Ok((found, scope.count_sip_trunks().await?, scope.delete_sip_trunk(&id).await?))
    });
    assert_eq!(seen.await.unwrap(), ((None, None, vec![]), 0, false));
    assert_eq!(all(&store).await, [theirs]);
});

on_both_engines!(every_change_is_told_to_other_nodes, async |store| {
    let account = account(&store).await;
    let office = trunk(&account, "Office");
    let mut told = vec![changes(&store).await];
    insert(&store, &office).await;
    told.push(changes(&store).await);
    let (scope, changed) = (account.clone(), office.clone());
    store.write(async move |tx: &mut Tx| tx.of(&scope).update_sip_trunk(&changed).await).await.unwrap();
    told.push(changes(&store).await);
    let (scope, id) = (account.clone(), office.id.clone());
    let delete = async move |tx: &mut Tx| tx.of(&scope).delete_sip_trunk(&id).await;
    assert!(store.write(delete).await.unwrap());
    told.push(changes(&store).await);
    assert!(told.is_sorted_by(|a, b| a < b), "{told:?}");
    assert_eq!(all(&store).await, []);
});

on_both_engines!(the_trunks_of_a_closed_account_carry_nothing, async |store| {
    let master = account(&store).await;
    let (parent, child) = (master.clone(), AccountId::generate(now()));
    let made = child.clone();
    let create = async move |tx: &mut Tx| tx.of(&parent).create_sub_account(&made, "Child", NOON).await;
    store.write(create).await.unwrap();
    insert(&store, &trunk(&child, "Child's")).await;
    assert_eq!(all(&store).await.len(), 1);
    let closed = child.clone();
    let close = async move |tx: &mut Tx| tx.of(&master).close_sub_account(&closed, NOON).await;
    assert!(store.write(close).await.unwrap());
    assert_eq!(all(&store).await, []);
});

fn trunk(account: &AccountId, name: &str) -> SipTrunk {
    let at = now();
    let uri = |text: &str, name: Option<&str>, priority| OriginationUri {
        sip_uri: SipAddress::parse(text).unwrap(),
        name: name.map(str::to_owned),
        priority,
        weight: 65_535,
    };
    SipTrunk {
        id: TrunkId::generate(at),
        account_id: account.clone(),
        name: name.to_owned(),
        transfers: Transfers::None,
        transfer_caller_id: TransferCallerId::Transferee,
        origination: vec![
            uri("sip:pbx.example.com;transport=tls", Some("first"), 0),
            uri("sip:[2001:db8::1]", None, 9),
        ],
        allowed_ips: vec![
            AllowedIp { cidr: "192.0.2.0/24".parse().unwrap(), name: Some("office".to_owned()) },
            AllowedIp { cidr: "2001:db8::/32".parse().unwrap(), name: None },
        ],
        login: SipLogin {
            username: format!("u_{}", at.as_micros()),
            sealed_password: "sealed".to_owned(),
            password_last4: "abcd".to_owned(),
        },
        created_at: at,
        updated_at: at,
    }
}

async fn insert(store: &Store, trunk: &SipTrunk) {
    let made = trunk.clone();
    store.write(async move |tx: &mut Tx| tx.of(&made.account_id).insert_sip_trunk(&made).await).await.unwrap();
}

async fn all(store: &Store) -> Vec<SipTrunk> {
    store.read(async |tx: &mut Tx| tx.all_sip_trunks().await).await.unwrap()
}

async fn changes(store: &Store) -> i64 {
    store.read(async |tx: &mut Tx| tx.sip_trunk_changes().await).await.unwrap()
}
