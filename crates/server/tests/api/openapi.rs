//! The OpenAPI document, which is generated from the handlers.

use std::collections::BTreeSet;

use serde_json::{Value, json};

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

#[tokio::test]
async fn every_default_is_a_value_of_its_own_field() {
    let app = TestApp::start().await;
    let document = serde_json::to_value(&app.document).unwrap();

    let limit = &document["paths"]["/v1/agents"]["get"]["parameters"][0]["schema"];
    assert_eq!(limit, &json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 20}));
    assert_eq!(places(&document, "", &|value| value["allOf"][1]["default"] != Value::Null), Vec::<String>::new());
}

#[tokio::test]
async fn a_body_in_which_nothing_is_required_may_be_left_out() {
    let app = TestApp::start().await;
    let document = serde_json::to_value(&app.document).unwrap();
    let required = |path: &str, method: &str| document["paths"][path][method]["requestBody"]["required"].clone();

    assert_eq!(required("/v1/agents", "post"), true);
    assert_eq!(required("/v1/agents/{id}", "patch"), false);
    assert_eq!(required("/v1/conversations/{id}", "patch"), false);
    assert_eq!(required("/v1/numbers/{id}/contact-card", "put"), false);
}

/// Where in a document something is true.
fn places(value: &Value, here: &str, is: &dyn Fn(&Value) -> bool) -> Vec<String> {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (format!("{here}/{name}"), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(n, value)| (format!("{here}/{n}"), value)).collect(),
        _ => Vec::new(),
    };
    let found = is(value).then(|| here.to_owned());
    found.into_iter().chain(below.into_iter().flat_map(|(here, value)| places(value, &here, is))).collect()
}

/// Whatever changes on the wire shows in this file's diff.
#[test]
fn the_whole_document_is_as_reviewed() {
    insta::assert_snapshot!(offhook_server::http::document().to_pretty_json().unwrap());
}
