//! The OpenAPI document, which is generated from the handlers.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::app::TestApp;

#[tokio::test]
async fn every_reference_in_the_document_leads_somewhere() {
    let app = TestApp::start().await;
    let document = serde_json::to_value(&app.document).unwrap();

    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    let dangling: Vec<_> =
        references.into_iter().filter(|path| document.pointer(path.trim_start_matches('#')).is_none()).collect();

    assert_eq!(dangling, Vec::<&str>::new(), "query parameters want #[param(inline)]");
}

#[tokio::test]
async fn every_operation_has_a_name_of_its_own() {
    let app = TestApp::start().await;
    let document = serde_json::to_value(&app.document).unwrap();
    let mut seen = BTreeSet::new();

    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no name"));
            assert!(seen.insert(name), "{name} names two operations");
        }
    }
}

fn collect<'a>(value: &'a Value, references: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}
