//! The OpenAPI document: its head, and what the derive macros can't say about our requests.

use axum::http::Method;
use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi, RefOr, Required, Schema};

/// The head, to which the routes are added.
pub fn head() -> OpenApi {
    Head::openapi()
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Offhook", description = "A phone platform for AI agents, wire-compatible with AgentPhone."),
    modifiers(&BearerKey),
    security(("apiKey" = []))
)]
struct Head;

struct BearerKey;

impl utoipa::Modify for BearerKey {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("Your API key, sk_…"));
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("apiKey", SecurityScheme::Http(scheme.build()));
    }
}

/// Puts right what the macros say of all routes.
pub fn finish(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_with(Default::default);
    for schema in components.schemas.values_mut() {
        if let RefOr::T(Schema::Object(object)) = schema {
            object.properties.values_mut().for_each(settle_default);
        }
    }
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        for parameter in operation.parameters.iter_mut().flatten() {
            if let RefOr::T(parameter) = parameter {
                parameter.schema.iter_mut().for_each(settle_default);
                may_be_empty(parameter);
            }
        }
        may_be_left_out(operation, components);
    }
    document
}

/// A type of our own with a default comes as "that type, and also an object", which nothing is.
fn settle_default(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::AllOf(all)) = schema else { return };
    let [RefOr::T(Schema::Object(own)), RefOr::T(Schema::Object(added))] = all.items.as_slice() else { return };
    if added.default.is_some() && added.schema_type == SchemaType::new(Type::Object) && added.properties.is_empty() {
        let mut settled = own.clone();
        settled.default = added.default.clone();
        settled.description = own.description.clone().or_else(|| added.description.clone());
        *schema = RefOr::T(Schema::Object(settled));
    }
}

/// An empty query value means absent (contract, "Conventions"). utoipa has no field for saying so.
fn may_be_empty(parameter: &mut Parameter) {
    if parameter.parameter_in == ParameterIn::Query && parameter.required != Required::True {
        parameter.extensions = Some([("allowEmptyValue", true)].into_iter().collect());
    }
}

/// No body is an empty object, so a body in which nothing is required is not required either.
fn may_be_left_out(operation: &mut Operation, components: &Components) {
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    let asks_for_something = body.content.values().any(|content| {
        let RefOr::T(content) = content else { return true };
        let schema = match &content.schema {
            Some(RefOr::Ref(reference)) => {
                let name = reference.ref_location.rsplit('/').next().unwrap_or_default();
                components.schemas.get(name)
            }
            other => other.as_ref(),
        };
        !matches!(schema, Some(RefOr::T(Schema::Object(object))) if object.required.is_empty())
    });
    if !asks_for_something {
        body.required = Some(Required::False);
    }
}

/// The operations of a path, each with its method.
pub fn operations_of(path: PathItem) -> impl Iterator<Item = (Method, Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = path;
    let all = [
        (Method::GET, get),
        (Method::PUT, put),
        (Method::POST, post),
        (Method::DELETE, delete),
        (Method::PATCH, patch),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation?)))
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = path;
    [get, put, post, delete, patch].into_iter().flatten()
}
