//! Slots of limits: taken by many at once, never the same one twice, never nearer to each other than the rate allows.

use offhook_domain::campaign::{CampaignClass, CampaignStatus, Decision, RegistrationType};
use offhook_domain::shaping::{Limit, Pace, reserve};
use offhook_domain::{AccountId, CampaignId, Id, Micros, Timestamp};
use offhook_store::campaigns::Campaign;
use offhook_store::pacers::Limited;
use offhook_store::{Store, StoreError, Tx};

use crate::fixtures::{account, now};

fn limited(resource: &str, thousandths: i64) -> Limited {
    Limited { resource: resource.to_owned(), limit: Limit::new(thousandths, None) }
}

/// Takes slots as the worker does.
async fn take(store: &Store, limited: Vec<Limited>, want: usize) -> Vec<i64> {
    let work = async move |tx: &mut Tx| {
        let (mut paces, at) = tx.lock_paces(&limited).await?;
        let reserved = reserve(&mut paces, at, want);
        tx.set_paces(&limited, &paces).await?;
        Ok::<_, StoreError>(reserved.slots)
    };
    store.write(work).await.unwrap()
}

on_both_engines!(many_that_take_at_once_never_go_above_the_rate, async |store| {
    let taking = (0..40).map(|n| {
        let store = store.clone();
        let number = limited(&format!("number:{n}"), 100_000);
        tokio::spawn(async move {
            let mut slots = Vec::new();
            for _ in 0..5 {
                // Two that are shared, named in either order.
                let (campaign, carrier) = (limited("campaign:one", 225_000), limited("carrier:all", 250_000));
                let all = if n % 2 == 0 {
                    vec![number.clone(), campaign, carrier]
                } else {
                    vec![campaign, carrier, number.clone()]
                };
                slots.extend(take(&store, all, 3).await);
            }
            slots
        })
    });
    let mut slots = Vec::new();
    for taker in taking.collect::<Vec<_>>() {
        slots.extend(taker.await.unwrap());
    }
    slots.sort_unstable();
    assert!(slots.len() > 20, "{} slots", slots.len());
    assert!(slots.windows(2).all(|two| two[1] - two[0] >= 4_445), "{slots:?}");
});

on_both_engines!(what_is_taken_stays_taken_and_what_fails_takes_nothing, async |store| {
    let first = take(&store, vec![limited("campaign:one", 2_250)], 1).await;
    let failing = async move |tx: &mut Tx| {
        let all = [limited("campaign:one", 2_250)];
        let (mut paces, at) = tx.lock_paces(&all).await?;
        reserve(&mut paces, at, 1);
        tx.set_paces(&all, &paces).await?;
        Err::<(), _>(StoreError::Corrupt("on second thoughts".to_owned()))
    };
    store.write(failing).await.unwrap_err();
    let second = take(&store, vec![limited("campaign:one", 2_250)], 1).await;
    assert_eq!(second[0] - first[0], 444_445);
});

on_both_engines!(a_backlog_tells_what_was_taken, async |store| {
    let slots = take(&store, vec![limited("campaign:one", 1_000)], 1).await;
    let asked = async |tx: &mut Tx| {
        let lines = [("num_none", now(), "campaign:one"), ("num_none", now(), "campaign:other")];
        let some = tx.backlogs(&lines).await?;
        let more = tx.backlogs(&[lines[0]; 20]).await?;
        Ok::<_, StoreError>((some, more))
    };
    let (some, more) = store.read(asked).await.unwrap();
    assert_eq!(some[0].pace.next_at, slots[0] + 1_000_000);
    assert_eq!(some[1].pace, Pace::default());
    assert!(more.iter().all(|one| *one == some[0]));
});

fn campaign(account: &AccountId) -> Campaign {
    let at = now();
    Campaign {
        id: CampaignId::generate(at),
        account_id: account.clone(),
        submitted_by: account.clone(),
        registration_type: RegistrationType::HighVolume,
        class: CampaignClass::StandardTrust,
        status: CampaignStatus::Pending,
        reason: None,
        sealed_form: "sealed".to_owned(),
        fee: Micros(1),
        carrier: "sandbox".to_owned(),
        ask_at: Some(at),
        submitted_at: at,
        decided_at: None,
    }
}

on_both_engines!(a_registration_is_decided_once_and_handed_in_again_only_when_rejected, async |store| {
    let account = account(&store).await;
    let one = campaign(&account);
    let story = async move |tx: &mut Tx| {
        let at = now();
        tx.of(&account).insert_campaign(&one).await?;
        assert_eq!(tx.campaigns_to_ask(Timestamp::from_micros(i64::MAX), 10).await?.len(), 1);
        assert!(!tx.of(&account).resubmit_campaign(&one, Micros(2)).await?);
        assert!(tx.decide_campaign(&one, &Decision::Rejected("no".to_owned()), at).await?);
        assert!(!tx.decide_campaign(&one, &Decision::Approved(CampaignClass::HighTrust), at).await?);
        assert_eq!(tx.of(&account).campaign().await?.and_then(|one| one.reason).as_deref(), Some("no"));
        assert!(tx.of(&account).resubmit_campaign(&one, Micros(2)).await?);
        assert!(tx.decide_campaign(&one, &Decision::Approved(CampaignClass::HighTrust), at).await?);
        assert!(tx.campaigns_to_ask(Timestamp::from_micros(i64::MAX), 10).await?.is_empty());
        let kept = tx.campaign_by_id(&one.id).await?.unwrap();
        assert_eq!((kept.class, kept.fee, kept.reason), (CampaignClass::HighTrust, Micros(3), None));
        let standings = tx.standings(&[&account]).await?;
        assert_eq!(standings[0].as_ref().map(|one| one.status), Some(CampaignStatus::Approved));
        Ok::<_, StoreError>(())
    };
    store.write(story).await.unwrap();
});

on_both_engines!(five_tries_an_hour_whoever_counts_them, async |store| {
    let account = account(&store).await;
    let trying = (0..12).map(|_| {
        let (store, account) = (store.clone(), account.clone());
        tokio::spawn(async move {
            let one = async move |tx: &mut Tx| tx.of(&account).try_registration(now()).await;
            store.write(one).await.unwrap().is_none()
        })
    });
    let mut good = 0;
    for one in trying.collect::<Vec<_>>() {
        good += i32::from(one.await.unwrap());
    }
    assert_eq!(good, 5);
    let later = now().plus(std::time::Duration::from_secs(3601));
    let one = async move |tx: &mut Tx| tx.of(&account).try_registration(later).await;
    assert_eq!(store.write(one).await.unwrap(), None);
});
