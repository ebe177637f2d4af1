//! Contacts, and the cards that numbers show.

use offhook_domain::contact::Contact;
use offhook_domain::number::ContactCard;
use offhook_domain::{AccountId, ContactId, E164, Id};
use offhook_store::{Store, StoreError, Tx, Window};

use crate::fixtures::{account, now, stored_number};

const ALL: Window = Window { limit: 100, offset: 0 };

on_both_engines!(a_contact_comes_back_as_it_went_in, async |store| {
    let account = account(&store).await;
    let mut ada = contact("+14155550100", "Ada");
    assert!(insert(&store, &account, &ada).await);
    assert_eq!(names(&store, &account, None).await, ["Ada"]);

    (ada.name, ada.email, ada.notes) = ("Ádá \"A\"".to_owned(), Some("a@b.example".to_owned()), Some(String::new()));
    (ada.phone_number, ada.updated_at) = (phone("+442079460000"), now());
    assert!(update(&store, &account, &ada).await);

    let (scope, id) = (account.clone(), ada.id.clone());
    let found = store.read(async move |tx: &mut Tx| tx.of(&scope).contact(&id).await).await.unwrap().unwrap();
    assert_eq!(format!("{found:?}"), format!("{ada:?}"));
    assert_eq!(found.phone_number, ada.phone_number);
});

on_both_engines!(a_number_is_in_an_address_book_once, async |store| {
    let (mine, other) = (account(&store).await, account(&store).await);
    let (ada, mut ben) = (contact("+14155550100", "Ada"), contact("+14155550101", "Ben"));
    assert!(insert(&store, &mine, &ada).await && insert(&store, &mine, &ben).await);

    assert!(!insert(&store, &mine, &contact("+14155550100", "Ada again")).await);
    assert!(insert(&store, &other, &contact("+14155550100", "Their Ada")).await);
    assert!(update(&store, &mine, &ben).await, "its own number is free");
    ben.phone_number = ada.phone_number.clone();
    assert!(!update(&store, &mine, &ben).await);
    assert_eq!(names(&store, &mine, None).await, ["Ben", "Ada"]);
});

on_both_engines!(a_search_finds_the_same_on_both_engines, async |store| {
    let account = account(&store).await;
    for (phone, name) in [("+14155550100", "Ada Ärger"), ("+14155550199", "Ben 100%"), ("+442079460000", "Cleo_x!")] {
        insert(&store, &account, &contact(phone, name)).await;
    }
    for (search, found) in [
        ("ADA", &["Ada Ärger"][..]),
        ("äRG", &["Ada Ärger"]),
        ("555", &["Ben 100%", "Ada Ärger"]),
        ("%", &["Ben 100%"]),
        ("_", &["Cleo_x!"]),
        ("!", &["Cleo_x!"]),
        ("\\", &[]),
        ("'", &[]),
    ] {
        assert_eq!(names(&store, &account, Some(search)).await, found, "{search}");
    }
});

on_both_engines!(another_accounts_contacts_are_out_of_reach, async |store| {
    let (ada, bob) = (account(&store).await, account(&store).await);
    let mut adas = contact("+14155550100", "Ada's");
    insert(&store, &ada, &adas).await;

    adas.name = "Bob's now".to_owned();
    assert!(!update(&store, &bob, &adas).await);
    let (scope, id) = (bob.clone(), adas.id.clone());
    let meddle = async move |tx: &mut Tx| {
        let mut scope = tx.of(&scope);
        let seen = scope.contact_to_change(&id).await?.is_some();
        Ok::<_, StoreError>((seen, scope.delete_contact(&id).await?))
    };
    assert_eq!(store.write(meddle).await.unwrap(), (false, false));
    assert_eq!(names(&store, &bob, None).await, [""; 0]);
    assert_eq!(names(&store, &ada, None).await, ["Ada's"]);
});

on_both_engines!(a_card_is_replaced_whole, async |store| {
    let (ada, bob) = (account(&store).await, account(&store).await);
    let number = stored_number(&store, &ada, "+14155550100").await.id;
    let whole =
        ContactCard { first_name: Some("Ada".to_owned()), display_name: Some(String::new()), ..Default::default() };
    let work = async move |tx: &mut Tx| {
        let mut found = vec![tx.of(&ada).contact_card(&number).await?];
        tx.of(&ada).put_contact_card(&number, &ContactCard::default()).await?;
        tx.of(&ada).put_contact_card(&number, &whole).await?;
        tx.of(&bob).put_contact_card(&number, &ContactCard::default()).await?;
        tx.of(&bob).delete_contact_card(&number).await?;
        found.extend([tx.of(&ada).contact_card(&number).await?, tx.of(&bob).contact_card(&number).await?]);
        tx.of(&ada).delete_contact_card(&number).await?;
        found.push(tx.of(&ada).contact_card(&number).await?);
        assert_eq!(found, [None, Some(whole.clone()), None, None]);
        Ok::<_, StoreError>(())
    };
    store.write(work).await.unwrap();
});

fn phone(text: &str) -> E164 {
    E164::parse(text).unwrap()
}

fn contact(phone_number: &str, name: &str) -> Contact {
    let at = now();
    Contact {
        id: ContactId::generate(at),
        phone_number: phone(phone_number),
        name: name.to_owned(),
        email: None,
        notes: None,
        created_at: at,
        updated_at: at,
    }
}

async fn insert(store: &Store, account: &AccountId, contact: &Contact) -> bool {
    let (account, contact) = (account.clone(), contact.clone());
    store.write(async move |tx: &mut Tx| tx.of(&account).insert_contact(&contact).await).await.unwrap()
}

async fn update(store: &Store, account: &AccountId, contact: &Contact) -> bool {
    let (account, contact) = (account.clone(), contact.clone());
    store.write(async move |tx: &mut Tx| tx.of(&account).update_contact(&contact).await).await.unwrap()
}

/// The names in the list, checked to be as many as it says.
async fn names(store: &Store, account: &AccountId, search: Option<&'static str>) -> Vec<String> {
    let account = account.clone();
    let page = store.read(async move |tx: &mut Tx| tx.of(&account).contacts(search, ALL).await).await.unwrap();
    let names: Vec<String> = page.items.into_iter().map(|contact| contact.name).collect();
    assert_eq!(usize::try_from(page.total), Ok(names.len()));
    names
}
