//! Every operation of the OpenAPI document, tried with a key of every scope.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Street;
use super::plan::Slot;

const SCOPES: [&str; 5] = ["read", "messages", "calls", "numbers", "admin"];

/// What each operation lets pass, as it was reviewed. A new operation shows here first: is it for those who may see it?
#[tokio::test]
async fn every_operation_is_for_the_scopes_that_were_reviewed() {
    let street = Street::open().await;
    let mut keys = BTreeMap::new();
    for scope in SCOPES {
        keys.insert(scope, street.bob.client.key_for(&[scope]).await);
    }
    let mut table = String::new();
    for plan in street.plans() {
        // Nobody's things, so that nothing that may be done is undone for the next.
        let slots: Vec<Slot> = plan.slots.clone();
        let names: Vec<String> = slots.iter().map(|slot| slot.kind.nobody().to_owned()).collect();
        let mut pass = Vec::new();
        for scope in SCOPES {
            let asking = street.bob.as_asked_by(keys[scope].clone());
            let answer = plan.request(&asking, &slots, &names).await;
            if answer.status.as_u16() == 403 {
                assert_eq!(answer.refused(403).code, "FORBIDDEN", "{}", plan.operation.name);
            } else {
                assert_ne!(answer.status.as_u16(), 401, "{}", plan.operation.name);
                pass.push(scope);
            }
        }
        assert_eq!(pass.last(), Some(&"admin"), "{}: who may do everything may do this", plan.operation.name);
        writeln!(table, "{}: {}", plan.operation.name, pass.join(" ")).unwrap();
    }
    insta::assert_snapshot!(table);
}
