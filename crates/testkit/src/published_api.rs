//! Holds requests against a published OpenAPI document. In: the document, and a request as it came. Out: what breaks it.
//! Never here: what an answer looks like.

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// A carrier's API as it publishes it.
pub struct PublishedApi {
    document: Value,
    /// What stands before the paths of the document.
    prefix: &'static str,
}

impl PublishedApi {
    /// Twilio's API of 2010-04-01, as far as Offhook calls it.
    #[must_use]
    pub fn twilio() -> Self {
        Self { document: read(include_str!("../specs/twilio.json")), prefix: "" }
    }

    /// Telnyx's API v2, likewise.
    #[must_use]
    pub fn telnyx() -> Self {
        Self { document: read(include_str!("../specs/telnyx.json")), prefix: "/v2" }
    }

    /// What is wrong with a request; nothing where the document allows it.
    #[must_use]
    pub fn problems(&self, method: &str, path: &str, query: &str, content_type: &str, body: &[u8]) -> Vec<String> {
        let Some(path) = path.strip_prefix(self.prefix) else {
            return vec![format!("{path} is not below {}", self.prefix)];
        };
        let Some((pattern, operation)) = self.operation(method, path) else {
            return vec![format!("{method} {path} is not in the document")];
        };
        let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut problems = Vec::new();
        for (name, value) in path_values(pattern, path) {
            let parameter = parameters.iter().find(|one| one["in"] == "path" && one["name"] == name);
            problems.extend(parameter.and_then(|one| breach(&one["schema"], &typed(&one["schema"], &[value]), &name)));
        }
        problems.extend(query_problems(parameters, query));
        let content = &operation["requestBody"]["content"];
        match (content.as_object(), body.is_empty()) {
            (None, true) => {}
            (None, false) => problems.push("a body where none belongs".to_owned()),
            (Some(kinds), _) => match kinds.get(content_type) {
                Some(kind) => problems.extend(body_problem(&kind["schema"], content_type, body)),
                None => problems.push(format!("a body of {content_type:?}")),
            },
        }
        problems
    }

    fn operation(&self, method: &str, path: &str) -> Option<(&str, &Value)> {
        let paths = self.document["paths"].as_object()?;
        let fits = |pattern: &str| {
            let (pattern, path): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
            pattern.len() == path.len() && pattern.iter().zip(path).all(|(p, s)| segment(p, s).is_some())
        };
        // Without a parameter first: `…/Local.json` is no `{Sid}.json`.
        let mut fitting: Vec<_> = paths.iter().filter(|(pattern, _)| fits(pattern)).collect();
        fitting.sort_by_key(|(pattern, _)| pattern.matches('{').count());
        fitting.into_iter().find_map(|(pattern, item)| Some((pattern.as_str(), item.get(method.to_lowercase())?)))
    }
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("the excerpt is JSON")
}

/// The parameter of a segment and its value, empty where it has none; `None` where it does not fit.
fn segment<'a>(pattern: &'a str, path: &'a str) -> Option<(&'a str, &'a str)> {
    let Some((before, rest)) = pattern.split_once('{') else { return (pattern == path).then_some(("", "")) };
    let (name, after) = rest.split_once('}')?;
    let value = path.strip_prefix(before)?.strip_suffix(after)?;
    (!value.is_empty()).then_some((name, value))
}

fn path_values(pattern: &str, path: &str) -> Vec<(String, String)> {
    let pairs = pattern.split('/').zip(path.split('/')).filter_map(|(p, s)| segment(p, s));
    pairs.filter(|(name, _)| !name.is_empty()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn query_problems(parameters: &[Value], query: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut given: Vec<(String, Vec<String>)> = Vec::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()).into_owned() {
        let name = name.trim_end_matches("[]").to_owned();
        match given.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => given.push((name, vec![value])),
        }
    }
    for (name, values) in given {
        match parameters.iter().find(|one| one["in"] == "query" && one["name"] == name.as_str()) {
            Some(parameter) => {
                problems.extend(breach(&parameter["schema"], &typed(&parameter["schema"], &values), &name))
            }
            None => problems.push(format!("no query parameter is called {name}")),
        }
    }
    problems
}

fn body_problem(schema: &Value, content_type: &str, body: &[u8]) -> Option<String> {
    let value = if content_type == "application/json" {
        match serde_json::from_slice(body) {
            Ok(value) => value,
            Err(error) => return Some(format!("the body is no JSON: {error}")),
        }
    } else {
        let mut form: Map<String, Value> = Map::new();
        let fields: Vec<(String, String)> = url::form_urlencoded::parse(body).into_owned().collect();
        for (name, _) in &fields {
            let of_name: Vec<String> = fields.iter().filter(|(n, _)| n == name).map(|(_, v)| v.clone()).collect();
            form.insert(name.clone(), typed(&schema["properties"][name], &of_name));
        }
        Value::Object(form)
    };
    breach(schema, &value, "body")
}

/// Texts as the type that the schema wants, as a server would read them.
fn typed(schema: &Value, values: &[String]) -> Value {
    let one = |schema: &Value, text: &String| match schema["type"].as_str() {
        Some("boolean") => text.parse::<bool>().map_or_else(|_| json!(text), Value::from),
        Some("integer") => text.parse::<i64>().map_or_else(|_| json!(text), Value::from),
        Some("number") => text.parse::<f64>().map_or_else(|_| json!(text), Value::from),
        _ => json!(text),
    };
    match values {
        _ if schema["type"] == "array" => values.iter().map(|text| one(&schema["items"], text)).collect(),
        [single] => one(schema, single),
        // Given twice, which only a list may be.
        _ => json!(values),
    }
}

fn breach(schema: &Value, value: &Value, what: &str) -> Option<String> {
    let validator: Validator = match jsonschema::options().with_draft(jsonschema::Draft::Draft4).build(&strict(schema))
    {
        Ok(validator) => validator,
        Err(error) => return Some(format!("the schema of {what} can't be used: {error}")),
    };
    let broken: Vec<String> = validator.iter_errors(value).map(|error| format!("{what}: {error}")).collect();
    (!broken.is_empty()).then(|| broken.join("; "))
}

/// With nothing beside what it names, so that a misspelt field is seen, and with nothing that only the server writes.
fn strict(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| *name != "format" || fields["format"].is_object());
            let mut strict: Map<String, Value> = kept.map(|(name, value)| (name.clone(), strict(value))).collect();
            if let Some(Value::Object(properties)) = strict.get_mut("properties") {
                properties.retain(|_, property| property["readOnly"] != true);
                strict.insert("additionalProperties".to_owned(), json!(false));
            }
            // OpenAPI 3.0's way to say that null is good too.
            if strict.remove("nullable") == Some(json!(true)) {
                return json!({"anyOf": [strict, {"type": "null"}]});
            }
            Value::Object(strict)
        }
        Value::Array(items) => items.iter().map(strict).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";

    fn twilio(method: &str, path: &str, query: &str, form: &str) -> Vec<String> {
        let kind = if form.is_empty() { "" } else { "application/x-www-form-urlencoded" };
        let path = format!("/2010-04-01/Accounts/{ACCOUNT}{path}");
        PublishedApi::twilio().problems(method, &path, query, kind, form.as_bytes())
    }

    #[test]
    fn a_good_request_has_no_problems() {
        assert_eq!(
            twilio(
                "POST",
                "/Messages.json",
                "",
                "To=%2B14155550100&From=%2B14155550101&Body=Hi&MediaUrl=https%3A%2F%2Fa.example%2F1&MediaUrl=https%3A%2F%2Fa.example%2F2"
            ),
            [""; 0]
        );
        assert_eq!(
            twilio("GET", "/AvailablePhoneNumbers/US/Local.json", "AreaCode=415&SmsEnabled=true&PageSize=20", ""),
            [""; 0]
        );
        assert_eq!(twilio("GET", ".json", "", ""), [""; 0]);
    }

    #[test]
    fn each_kind_of_breach_is_seen() {
        for (method, path, query, form) in [
            ("POST", "/Messages.json", "", "Body=Hi"),
            ("POST", "/Messages.json", "", "To=1&StatusCalback=https%3A%2F%2Fa.example"),
            ("POST", "/Messages.json", "", "To=1&To=2"),
            ("POST", "/Messages.json", "", "To=1&MessagingServiceSid=MG1"),
            ("POST", "/Messages.json", "", "To=1&ValidityPeriod=soon"),
            ("POST", "/IncomingPhoneNumbers.json", "", "SmsMethod=PUT"),
            ("GET", "/AvailablePhoneNumbers/US/Local.json", "Areacode=415", ""),
            ("GET", "/AvailablePhoneNumbers/US/Local.json", "SmsEnabled=yes", ""),
            ("DELETE", "/IncomingPhoneNumbers/PN1.json", "", ""),
            ("PUT", "/Messages.json", "", ""),
            ("GET", "/Nothing.json", "", ""),
        ] {
            assert!(!twilio(method, path, query, form).is_empty(), "{method} {path} {query} {form}");
        }
    }

    #[test]
    fn json_is_held_against_its_schema_too() {
        let telnyx = |body: Value| {
            let text = body.to_string();
            PublishedApi::telnyx().problems("POST", "/v2/messages", "", "application/json", text.as_bytes())
        };
        assert_eq!(telnyx(json!({"to": "+14155550100", "from": "+14155550101", "text": "Hi"})), [""; 0]);
        assert!(!telnyx(json!({"from": "+14155550101"})).is_empty());
        assert!(!telnyx(json!({"to": "+14155550100", "txt": "Hi"})).is_empty());
        assert!(!telnyx(json!({"to": ["+14155550100"]})).is_empty());
        let search = |query| PublishedApi::telnyx().problems("GET", "/v2/available_phone_numbers", query, "", b"");
        assert_eq!(search("filter%5Bcountry_code%5D=US&filter%5Bfeatures%5D%5B%5D=sms"), [""; 0]);
        assert!(!search("filter%5Bfeatures%5D%5B%5D=smoke").is_empty());
    }
}
