//! Reads a request's fields one by one, so that one answer names every bad field.
//!
//! In: a JSON object or a query string. Out: values of domain types, or all the complaints together.
//! Derived deserialisers stop at the first wrong type, which is why this is ours.

use serde_json::{Map, Value};

use super::error::{ApiError, FieldError};

/// Why one value can't be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub rule: &'static str,
    pub message: String,
}

impl Problem {
    /// The value is of another JSON type.
    pub fn wrong_type(expected: &str) -> Self {
        Self { rule: "type_error", message: format!("must be {expected}") }
    }

    /// The value breaks a rule.
    pub fn value(message: impl Into<String>) -> Self {
        Self { rule: "value_error", message: message.into() }
    }
}

/// What a field can be read as.
pub trait FromField: Sized {
    /// # Errors
    /// [`Problem`] saying what the field must be.
    fn from_field(value: &Value) -> Result<Self, Problem>;

    /// The same from the text of a query parameter.
    ///
    /// # Errors
    /// [`Problem`], as for [`FromField::from_field`].
    fn from_text(text: &str) -> Result<Self, Problem> {
        Self::from_field(&Value::String(text.to_owned()))
    }
}

/// A field of a PATCH: left alone, cleared, or set.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch<T> {
    Absent,
    Null,
    Value(T),
}

impl<T> Patch<T> {
    /// Puts the change into an optional place.
    pub fn apply(self, place: &mut Option<T>) {
        match self {
            Self::Absent => {}
            Self::Null => *place = None,
            Self::Value(value) => *place = Some(value),
        }
    }

    /// Changes the value where there is one.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Absent => Patch::Absent,
            Self::Null => Patch::Null,
            Self::Value(value) => Patch::Value(change(value)),
        }
    }
}

/// A value, or the empty text for none: a client that can't send null clears a field with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Clearable<T>(pub Option<T>);

impl<T: FromField> FromField for Clearable<T> {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        if value.as_str() == Some("") { Ok(Self(None)) } else { T::from_field(value).map(|value| Self(Some(value))) }
    }
}

impl<T> Patch<Clearable<T>> {
    /// Takes the empty text for null.
    pub fn or_cleared(self) -> Patch<T> {
        match self {
            Self::Absent => Patch::Absent,
            Self::Null | Self::Value(Clearable(None)) => Patch::Null,
            Self::Value(Clearable(Some(value))) => Patch::Value(value),
        }
    }
}

/// How field names are spelled on the wire (contract, "Casing").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Casing {
    Camel,
    Snake,
    /// camelCase, or snake_case where that is absent.
    Either,
}

/// A request that reads itself from fields.
pub trait Input: Sized {
    const CASING: Casing;

    /// Reads every field before giving up, so that all complaints are collected. `None` goes with at
    /// least one complaint.
    fn read(fields: &mut Fields) -> Option<Self>;
}

/// The fields of one request and the complaints so far.
pub struct Fields {
    source: Source,
    prefix: String,
    casing: Casing,
    errors: Vec<FieldError>,
}

enum Source {
    Json(Map<String, Value>),
    Query(Vec<(String, String)>),
}

impl Fields {
    pub fn of_json(object: Map<String, Value>, casing: Casing) -> Self {
        Self { source: Source::Json(object), prefix: String::new(), casing, errors: Vec::new() }
    }

    pub fn of_query(query: &str, casing: Casing) -> Self {
        let pairs = form_pairs(query);
        Self { source: Source::Query(pairs), prefix: String::new(), casing, errors: Vec::new() }
    }

    /// Reads a whole input.
    ///
    /// # Errors
    /// 422 that names every bad field.
    pub fn read<T: Input>(mut self) -> Result<T, ApiError> {
        match T::read(&mut self) {
            Some(input) if self.errors.is_empty() => Ok(input),
            _ => Err(ApiError::invalid(self.errors)),
        }
    }

    /// A field that must be there and not null. `name` is in snake_case.
    pub fn required<T: FromField>(&mut self, name: &str) -> Option<T> {
        match self.patch(name) {
            Patch::Value(value) => Some(value),
            Patch::Absent | Patch::Null => {
                if !self.errors.iter().any(|e| e.field == self.wire_name(name)) {
                    self.complain(name, Problem { rule: "missing", message: "is required".to_owned() });
                }
                None
            }
        }
    }

    /// A field that may be absent or null.
    pub fn optional<T: FromField>(&mut self, name: &str) -> Option<T> {
        match self.patch(name) {
            Patch::Value(value) => Some(value),
            Patch::Absent | Patch::Null => None,
        }
    }

    /// A field with a default.
    pub fn or<T: FromField>(&mut self, name: &str, default: T) -> T {
        self.optional(name).unwrap_or(default)
    }

    /// A field of which absent and null mean different things.
    pub fn patch<T: FromField>(&mut self, name: &str) -> Patch<T> {
        let read = match &self.source {
            Source::Json(object) => match self.json(object, name) {
                None => return Patch::Absent,
                Some(Value::Null) => return Patch::Null,
                Some(value) => T::from_field(value),
            },
            Source::Query(pairs) => match self.text(pairs, name) {
                // An empty query value means absent (contract, "Conventions").
                None | Some("") => return Patch::Absent,
                Some(text) => T::from_text(text),
            },
        };
        match read {
            Ok(value) => Patch::Value(value),
            Err(problem) => {
                self.complain(name, problem);
                Patch::Absent
            }
        }
    }

    /// Whether a field was sent and not null, be it with a value that was complained of.
    pub fn has(&self, name: &str) -> bool {
        match &self.source {
            Source::Json(object) => self.json(object, name).is_some_and(|value| !value.is_null()),
            Source::Query(pairs) => self.text(pairs, name).is_some_and(|text| !text.is_empty()),
        }
    }

    /// Whether nothing was sent but nulls.
    pub fn is_empty(&self) -> bool {
        match &self.source {
            Source::Json(object) => object.values().all(Value::is_null),
            Source::Query(pairs) => pairs.iter().all(|(_, text)| text.is_empty()),
        }
    }

    /// Adds a complaint about a field, such as one that two fields break together.
    pub fn complain(&mut self, name: &str, problem: Problem) {
        let place = if matches!(self.source, Source::Json(_)) { "body" } else { "query" };
        let field = self.wire_name(name);
        self.errors.push(FieldError { place, field, message: problem.message, rule: problem.rule });
    }

    /// Reads a nested object, its complaints named `{prefix}.{field}`.
    pub fn nested<T: Input>(&mut self, prefix: &str, object: Map<String, Value>) -> Option<T> {
        let mut inner = Self::of_json(object, T::CASING);
        inner.prefix = format!("{prefix}.");
        let value = T::read(&mut inner);
        let clean = inner.errors.is_empty();
        self.errors.append(&mut inner.errors);
        value.filter(|_| clean)
    }

    fn json<'a>(&self, object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
        match self.casing {
            Casing::Snake => object.get(name),
            Casing::Camel => object.get(&camel(name)),
            Casing::Either => {
                let own = object.get(&camel(name));
                own.filter(|value| !value.is_null()).or_else(|| object.get(name)).or(own)
            }
        }
    }

    fn text<'a>(&self, pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
        let find = |wanted: &str| pairs.iter().rev().find(|(key, _)| key == wanted).map(|(_, value)| value.as_str());
        match self.casing {
            Casing::Snake => find(name),
            Casing::Camel => find(&camel(name)),
            Casing::Either => find(&camel(name)).or_else(|| find(name)),
        }
    }

    fn wire_name(&self, name: &str) -> String {
        let bare = if self.casing == Casing::Snake { name.to_owned() } else { camel(name) };
        format!("{}{bare}", self.prefix)
    }
}

fn form_pairs(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// `area_code` → `areaCode`.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut text = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        text.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        text.push_str(letters.as_str());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::values::{Number, Text};
    use super::*;
    use serde_json::json;

    struct Order {
        area_code: Option<Text<3, 3>>,
        count: Number<1, 10>,
    }

    impl Input for Order {
        const CASING: Casing = Casing::Either;

        fn read(fields: &mut Fields) -> Option<Self> {
            let area_code = fields.optional("area_code");
            let count = fields.required("count");
            Some(Self { area_code, count: count? })
        }
    }

    fn read(value: Value) -> Result<Order, Vec<String>> {
        let Value::Object(object) = value else { panic!("not an object") };
        let mut fields = Fields::of_json(object, Order::CASING);
        let order = Order::read(&mut fields);
        let errors: Vec<_> = fields.errors.iter().map(|e| format!("{} {}", e.field, e.rule)).collect();
        order.filter(|_| errors.is_empty()).ok_or(errors)
    }

    #[test]
    fn either_spelling_is_read() {
        assert_eq!(
            read(json!({"areaCode": "415", "count": 2})).ok().and_then(|o| o.area_code).map(|t| t.0),
            Some("415".to_owned())
        );
        let order = read(json!({"area_code": "212", "count": 2})).ok();
        assert_eq!(order.map(|o| o.count.0), Some(2));
    }

    #[test]
    fn every_bad_field_is_named() {
        assert_eq!(
            read(json!({"areaCode": 415, "count": "two"})).err(),
            Some(vec!["areaCode type_error".to_owned(), "count type_error".to_owned()])
        );
        assert_eq!(
            read(json!({"areaCode": "4155"})).err(),
            Some(vec!["areaCode value_error".to_owned(), "count missing".to_owned()])
        );
    }

    #[test]
    fn an_empty_query_value_is_absent() {
        let fields = Fields::of_query("areaCode=&count=3", Casing::Either);
        assert_eq!(fields.read::<Order>().ok().map(|o| (o.area_code.is_none(), o.count.0)), Some((true, 3)));
    }
}
